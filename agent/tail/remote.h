/* remote.h - file systems whose files other machines change: nobody tells inotify, and sizes may be stale. */
#ifndef SPILLWAY_REMOTE_H
#define SPILLWAY_REMOTE_H

#include <stdbool.h>

/* By what statfs says; false when it says nothing. */
bool remote_fd(int fd);
bool remote_path(const char *path);

#endif
