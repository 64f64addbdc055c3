/* check.h - what `check` finds: one line each, "ok:", "warning:" or "error:" before where it is and what to do.
 *
 * The first error decides the exit code; warnings change none. Threads: main.
 *
 *	cmd_check.c	the order of all
 *	check_user.c	as the service's user: files, directories, certificates
 *	check_rotation.c  logrotate
 *	check_place.c	the state directory, space, limits, secrets, listeners
 *	check_online.c	brokers
 *	check_topics.c	topics, rights, settings
 */
#ifndef SPILLWAY_CHECK_H
#define SPILLWAY_CHECK_H

#include <sys/types.h>

#include "agent/cmd/cli.h"

struct check {
	const struct loaded *conf;
	uid_t    uid;			/* of the service, once check_as_user was called */
	int      exit_code;		/* of the first error; 0: none */
	unsigned errors, warnings;
};

/* Control bytes become "?". where and the words are one line. */
void check_ok(struct check *c, const char *where, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void check_warn(struct check *c, const char *where, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void check_error(struct check *c, int exit_code, const char *where, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Days from now, of a certificate; below 0: it has ended. */
int64_t check_days_left(int64_t ends_s);
#define CHECK_SOON_DAYS 30

/* Runs fn in a child that has the rights of the user the service runs as, when this is root; what it finds is counted here. */
void check_as_user(struct check *c, void (*fn)(struct check *c));
/* For check_as_user. */
void check_files(struct check *c);

/* conf: of logrotate, with what it includes. A file that is not there is no problem. */
void check_rotation(struct check *c, const char *conf);
void check_place(struct check *c);
void check_online(struct check *c);

#endif
