/* schema.h - the configuration as a JSON Schema (draft 2020-12), made from the table of keys (keys.h) and from what the producer
 * says of its own. Each key has its type, default, bounds, choices and a sentence of what it does ("description"), so that an
 * editor, the manual page's table and a test can all be fed from it.
 */
#ifndef SPILLWAY_SCHEMA_H
#define SPILLWAY_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"

/* What is known of one key under `producer:`; strings are borrowed for the call. */
struct schema_producer_key {
	const char *name;		/* canonical, or an alias that is accepted too */
	const char *other_of;		/* an alias: of this canonical name; else NULL */
	const char *type;		/* "string" "integer" "size" "time" "rate" "boolean" "list" "class" "secret" */
	const char *def;		/* as written; NULL: unset */
	const char *const *choices;	/* ends with NULL; NULL: any */
	int64_t min, max;		/* of numbers */
	const char *doc;		/* one sentence or two */
	const char *value;		/* of a class: what it takes, as JSON Schema; else NULL */
};
/* The i-th; false: there are no more. */
typedef bool schema_producer_fn(size_t i, struct schema_producer_key *ret);

/* Appends the schema. 0 or ERR_NOMEM. */
int conf_schema(schema_producer_fn *producer, struct buf *out);

#endif
