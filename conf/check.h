/* check.h - inside conf/: whether a text is what its key needs. The table of keys names these.
 *
 * All: 0; ERR_CONFIG with words (and their "did you mean"), which show the text: nothing secret is handed out by the caller;
 * ERR_NOMEM. */
#ifndef SPILLWAY_CONF_CHECK_H
#define SPILLWAY_CONF_CHECK_H

#include "agent/base/err.h"

int  check_pattern(const char *text, struct err *ret_err);		/* PCRE2 */
int  check_glob(const char *text, struct err *ret_err);		/* its braces */
int  check_encoding(const char *text, struct err *ret_err);		/* known to iconv */
int  check_time_format(const char *text, struct err *ret_err);	/* a name, or strptime's */
int  check_topic_glob(const char *text, struct err *ret_err);	/* a topic, with * ? [] */
int  check_unit(const char *text, struct err *ret_err);		/* nginx.service */
int  check_listen(const char *text, struct err *ret_err);		/* (udp|tcp):ADDRESS:PORT, unix:/path; listen.c */
int  check_serve(const char *text, struct err *ret_err);		/* off, ADDRESS:PORT, unix:/path; listen.c */

#endif
