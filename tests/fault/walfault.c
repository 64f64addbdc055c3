/* walfault.c - a library to preload: writes to a state database's WAL fail with ENOSPC while the file that FAULT_FILE names
 * holds a digit above 0, which is counted down with each. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t pwrite64(int fd, const void *data, size_t n, off_t at);
ssize_t pwrite(int fd, const void *data, size_t n, off_t at);

static int is_wal(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path);
	return n > 4 && !memcmp(path + n - 4, "-wal", 4);
}

static int fails(int fd)
{
	const char *name = getenv("FAULT_FILE");
	int f = name && is_wal(fd) ? open(name, O_RDWR) : -1, yes;
	char left;

	if (f < 0)
		return 0;
	yes = read(f, &left, 1) == 1 && left > '0';
	left--;
	yes = yes && pwrite(f, &left, 1, 0) == 1;
	close(f);
	return yes;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off_t at)
{
	static ssize_t (*real)(int, const void *, size_t, off_t);

	if (!real)
		real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
	if (fails(fd)) {
		errno = ENOSPC;
		return -1;
	}
	return real(fd, data, n, at);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	return pwrite64(fd, data, n, at);
}
