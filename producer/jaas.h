/* jaas.h - sasl.jaas.config: `org.apache...ScramLoginModule required username="u" password="p";`
 * The login modules Plain, Scram and OAuthBearer are known; others are refused by name. Pure. */
#ifndef SPILLWAY_JAAS_H
#define SPILLWAY_JAAS_H

#include <stddef.h>

#include "agent/base/err.h"

enum jaas_module { JAAS_PLAIN, JAAS_SCRAM, JAAS_OAUTHBEARER };

struct jaas_option { char *name, *value; };
struct jaas { enum jaas_module module; struct jaas_option *options; size_t option_count; };

/* 0, ERR_CONFIG with words that never show a value, ERR_NOMEM. */
int  jaas_parse(const char *text, struct jaas *ret, struct err *ret_err);
void jaas_release(struct jaas *j);		/* wipes */
const char *jaas_option(const struct jaas *j, const char *name);	/* NULL: not there */

#endif
