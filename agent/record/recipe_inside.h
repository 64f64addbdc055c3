/* recipe_inside.h - what the files of recipe.h share: a spec that was read. recipe.c writes specs, recipe_read.c reads them,
 * recipe_apply.c makes records. */
#ifndef SPILLWAY_RECIPE_INSIDE_H
#define SPILLWAY_RECIPE_INSIDE_H

#include "agent/record/event_time.h"
#include "agent/record/filter.h"
#include "agent/record/recipe.h"
#include "producer/serialize.h"

#define RECIPE_TEXT_MAX ((size_t)1 << 30)	/* of what is made of one message */

struct recipe_header { char *name, *value; };	/* value: a template */

struct recipe {
	struct assemble_rules *rules;		/* NULL: none */
	int64_t max_line;			/* theirs; 0: not given */
	int64_t timeout_ms;			/* -1: none */
	struct filter filter;
	char *topic;				/* a template; NULL: the route's */
	struct conf_strings topics_allowed;	/* without braces; none: no limit */
	char *key, *key_serializer;		/* a template; NULL: the route's. key_serializer NULL: text as it is */
	struct recipe_header *headers;
	size_t header_count;
	bool envelope;
	char *host;				/* the envelope's */
	struct event_time *event_time;		/* NULL: none */
	struct intercept *chain;		/* NULL: none */
	char *value_name;			/* of the serializer, NULL: the value as it is */
	enum serializer value;
};

/* Whether that serializer leaves text as it is; NULL and "" do. */
bool recipe_is_plain(const char *serializer);

#endif
