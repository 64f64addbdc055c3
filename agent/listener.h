/* listener.h - what the control socket and the monitoring server share: unix sockets, who knocks, no free descriptor. */
#ifndef SPILLWAY_LISTENER_H
#define SPILLWAY_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/base/err.h"

/* `key`: the configuration's, for words. The name fits, or ERR_CONFIG. */
int  listener_address(struct sockaddr_un *a, const char *path, const char *key, struct err *ret_err);
/* A listening unix socket; one that nobody serves any more (a crash) is cleared away first, nothing else. Its descriptor;
 * ERR_BUSY: another process listens there; -errno. */
int  listener_unix(const struct sockaddr_un *a, mode_t mode, const char *key, struct err *ret_err);

/* Accepts one connection, or -1. *spare is a descriptor kept for when there is none left: whoever knocks then is turned away, or
 * the loop would spin until there is one. It begins as listener_spare(). */
int  listener_accept(int fd, int *spare);
int  listener_spare(void);

/* Whether who connected to a unix socket is root or this user; group: or is in this process's group. */
bool listener_trusts(int fd, bool group);

#endif
