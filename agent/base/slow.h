/* slow.h - calls that ask a file system about names and files.
 *
 * A dead disk or a file server that is gone may hold a thread in them for ever, and that is nobody's bug: inside them it is excused
 * (beat.h). Their results and errno are those of the calls they are named after. Not inside another beat_into.
 * Threads: any.
 */
#ifndef SPILLWAY_SLOW_H
#define SPILLWAY_SLOW_H

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

int slow_stat(const char *path, struct stat *ret);
int slow_lstat(const char *path, struct stat *ret);
int slow_fstat(int fd, struct stat *ret);
DIR *slow_opendir(const char *path);
struct dirent *slow_readdir(DIR *d);
char *slow_realpath(const char *path, char *room);	/* room: PATH_MAX */
ssize_t slow_pread(int fd, void *to, size_t n, int64_t at);

#endif
