/* check_names.h - the topics that a configuration writes to, as far as they can be known before a line is read. */
#ifndef SPILLWAY_CHECK_NAMES_H
#define SPILLWAY_CHECK_NAMES_H

#include "conf/conf.h"

#define CHECK_TOPICS_MAX 100

struct check_name { char *topic; size_t input; };	/* the first input that writes to it */
struct check_names {
	struct check_name *v;
	size_t n;
	size_t left_out;		/* beyond CHECK_TOPICS_MAX */
	bool   nomem;
};

/* Of all inputs. fn is told of each whose topics the lines decide (topics_allowed without wildcards are taken), and of names
 * that are no topic's. */
typedef void check_unknown_fn(void *arg, const struct conf_input *in, const char *words);
void check_names(const struct conf *conf, struct check_names *ret, check_unknown_fn *fn, void *arg);
void check_names_release(struct check_names *n);

#endif
