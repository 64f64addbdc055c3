/* oauthbearer.h - OAUTHBEARER's messages (RFC 7628, KIP-255, extensions KIP-342). Pure; inside producer/ only. */
#ifndef SPILLWAY_OAUTHBEARER_H
#define SPILLWAY_OAUTHBEARER_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/err.h"

/* Whether a token can be sent: RFC 6750's characters, at least one. */
bool oauthbearer_token_good(const char *token, size_t n);
/* "name=value,...": 0, or ERR_CONFIG with words that show no value. NULL and "" are fine. */
int  oauthbearer_check_extensions(const char *extensions, struct err *ret_err);
/* The client's message; both parts were checked. mem_free it (it is secret), NULL: no memory. */
char *oauthbearer_first(const char *token, const char *extensions);
/* What the server's error says, as the words of ERR_BAD_DATA. */
int  oauthbearer_refused(const char *json, size_t n, struct err *ret_err);

#endif
