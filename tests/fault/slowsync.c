/* slowsync.c - a library to preload: a state database's fsync and fdatasync take as many milliseconds as the file that
 * SLOW_FILE names says, as on a disk that is about to die. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int is_database(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = 0;
	return strstr(path, "/spool.db") != NULL;
}

static void linger(int fd)
{
	const char *name = getenv("SLOW_FILE");
	int f = name && is_database(fd) ? open(name, O_RDONLY) : -1;
	struct timespec t = { 0 };
	char text[16] = "";
	long ms;

	if (f < 0)
		return;
	ms = read(f, text, sizeof text - 1) > 0 ? strtol(text, NULL, 10) : 0;
	close(f);
	t.tv_sec = ms / 1000;
	t.tv_nsec = ms % 1000 * 1000000;
	(void)nanosleep(&t, NULL);
}

int fsync(int fd)
{
	static int (*real)(int);

	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	linger(fd);
	return real(fd);
}

int fdatasync(int fd)
{
	static int (*real)(int);

	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	linger(fd);
	return real(fd);
}
