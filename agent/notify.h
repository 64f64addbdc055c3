/* notify.h - what the service manager is told (sd_notify(3)), without libsystemd: one datagram to $NOTIFY_SOCKET each.
 *
 * READY=1 once the configuration is good, the spool is open and the files are watched; never waits for a broker. RELOADING=1
 * with MONOTONIC_USEC and READY=1 around a reload. STOPPING=1 at the end. EXTEND_TIMEOUT_USEC while the start, and the stop, take
 * long and make progress. STATUS= is one line for `systemctl status`. WATCHDOG=1 from READY on, at half of $WATCHDOG_USEC or more
 * often (only if $WATCHDOG_PID is this process or absent), and only while every thread makes progress (beat.h).
 *
 * The watchdog has a thread of its own: main waits for other threads, and a slow disk must not look like a dead agent.
 * Threads: any. Without a service manager everything here does nothing.
 */
#ifndef SPILLWAY_NOTIFY_H
#define SPILLWAY_NOTIFY_H

#include <stdint.h>

#include "agent/base/buf.h"

struct notify;
struct status;

/* A wrong $NOTIFY_SOCKET is logged, and then nobody is told. *ret NULL and 0: nobody is to be told. The variables are taken out
 * of the environment. All below take NULL. */
int  notify_open(struct notify **ret);
void notify_ready(struct notify *n);
void notify_reloading(struct notify *n);	/* ended by notify_ready */
void notify_stopping(struct notify *n, int64_t now_ms, int64_t most_ms);	/* asks for time again and again, at most so long */
void notify_status(struct notify *n, const char *words);	/* sent if it differs from the last */
void notify_close(struct notify *n);

/* What its thread does at each turn: looks at the beats, feeds the watchdog (or asks for time) or says who hangs. A look that comes
 * too late pardons the threads for what it is late: they stood still with it. */
void notify_look(struct notify *n, int64_t now_ms);

/* One line about the whole: "shipping, 12 files, 3.4 MiB behind" (notify_line.c). */
void notify_line(const struct status *s, struct buf *out);

#endif
