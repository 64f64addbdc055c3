/* powercut.c - a library to preload: whenever a state database or its WAL was synced, what it held then is FILE.durable.
 *
 * That is all that a power loss may leave, in the worst case: whoever kills the program and puts these copies in place of
 * the files has taken away every write that no sync covers. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool ends_with(const char *path, const char *end)
{
	size_t n = strlen(path), k = strlen(end);

	return n >= k && !strcmp(path + n - k, end);
}

static bool is_state(int fd, char *path, size_t size)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, size - 1);
	if (n < 0)
		return false;
	path[n] = 0;
	return ends_with(path, "/spool.db") || ends_with(path, "/spool.db-wal");
}

static bool copy(const char *from, const char *to)
{
	static char buf[1 << 20];	/* one thread alone syncs */
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n = -1;

	while (in >= 0 && out >= 0 && (n = read(in, buf, sizeof buf)) > 0)
		if (write(out, buf, (size_t)n) != n)
			break;
	close(in);
	close(out);
	return n == 0;
}

/* What is written while the sync goes on is not covered: the copy is made before it, and counts after it. */
static int synced(int fd, const char *name)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	char path[4096], next[4200], durable[4200];
	bool kept = false;
	int rc;

	if (is_state(fd, path, sizeof path)) {
		snprintf(next, sizeof next, "%s.next", path);
		snprintf(durable, sizeof durable, "%s.durable", path);
		kept = copy(path, next);
	}
	rc = real(fd);
	if (rc == 0 && kept)
		rename(next, durable);
	return rc;
}

int fsync(int fd)
{
	return synced(fd, "fsync");
}

int fdatasync(int fd)
{
	return synced(fd, "fdatasync");
}
