/* http_listen.h - where the monitoring server listens, out of the text of the configuration. */
#ifndef SPILLWAY_HTTP_LISTEN_H
#define SPILLWAY_HTTP_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/base/err.h"

#define HTTP_KEY "metrics.listen"

/* A listening socket. ret_unix: its name, "" for TCP. ret_loopback: only this machine gets there, by TCP. ERR_CONFIG: it is no
 * address; ERR_UNAVAILABLE: it is taken, or another machine's; ERR_BUSY: a unix socket is taken; -errno. */
int  http_listen(const char *listen, struct sockaddr_un *ret_unix, bool *ret_loopback, struct err *ret_err);

#endif
