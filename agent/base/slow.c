/* slow.c - see slow.h. */
#include "agent/base/slow.h"

#include <stdlib.h>
#include <unistd.h>

#include "agent/base/beat.h"

static const char LOOKING[] = "looking for a file";

int slow_stat(const char *path, struct stat *ret)
{
	int rc;

	beat_into(LOOKING);
	rc = stat(path, ret);
	beat_out();
	return rc;
}

int slow_lstat(const char *path, struct stat *ret)
{
	int rc;

	beat_into(LOOKING);
	rc = lstat(path, ret);
	beat_out();
	return rc;
}

int slow_fstat(int fd, struct stat *ret)
{
	int rc;

	beat_into(LOOKING);
	rc = fstat(fd, ret);
	beat_out();
	return rc;
}

DIR *slow_opendir(const char *path)
{
	DIR *d;

	beat_into("reading a directory");
	d = opendir(path);
	beat_out();
	return d;
}

struct dirent *slow_readdir(DIR *d)
{
	struct dirent *e;

	beat_into("reading a directory");
	e = readdir(d);
	beat_out();
	return e;
}

char *slow_realpath(const char *path, char *room)
{
	char *real;

	beat_into(LOOKING);
	real = realpath(path, room);
	beat_out();
	return real;
}

ssize_t slow_pread(int fd, void *to, size_t n, int64_t at)
{
	ssize_t done;

	beat_into("read of a file");
	done = pread(fd, to, n, at);
	beat_out();
	return done;
}
