/* recipe.h - how a line becomes a record: the interceptors, then the value's serializer.
 *
 * Pure: the same spec makes the same record of the same line, always - a batch that is built again after a crash must be the
 * same bytes, also under a configuration that has changed. That is why the spec is kept with a route.
 * Threads: a recipe is read-only once made; a room is one thread's.
 */
#ifndef SPILLWAY_RECIPE_H
#define SPILLWAY_RECIPE_H

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "producer/intercept.h"
#include "producer/journal.h"

struct recipe;
struct recipe_room;			/* what a record points to, until the next recipe_apply */

/* What the configuration says, as canonical JSON: {"interceptors":[...],"value":"json"}, each if it is there; "" when a line is
 * its record as it is. 0 or ERR_NOMEM. */
int  recipe_spec(struct producer_config *c, struct buf *ret_spec);
/* A JSON array or object as one line that people can read. 0, or ERR_BAD_DATA: it is none. */
int  recipe_json_line(const char *text, struct buf *ret);
/* *ret NULL: of an empty spec. ERR_CONFIG: this agent does not understand it; ERR_NOMEM. */
int  recipe_new(const char *spec, struct recipe **ret, struct err *ret_err);
void recipe_free(struct recipe *r);
struct recipe_room *recipe_room_new(void);	/* NULL: out of memory */
void recipe_room_free(struct recipe_room *room);

/* Where records for `topic` go. r may be NULL. Lives as long as r and topic. */
const char *recipe_topic(const struct recipe *r, const char *topic);
/* Makes a record of the one that is a line with its key. 0; 1: the line is dropped; ERR_BAD_DATA: no value that the serializer
 * takes (words in *ret_err; the record is as the interceptors left it); ERR_NOMEM: the record is to be made later.
 * Interceptors that fail are told to `failed`. */
int  recipe_apply(const struct recipe *r, struct recipe_room *room, const char *topic, struct lane_record *record,
		  intercept_failed_fn *failed, void *arg, struct err *ret_err);
/* A key that was written as text into what key.serializer makes of it. 0; ERR_BAD_DATA with words; ERR_NOMEM. */
int  recipe_key(const char *serializer, const char *topic, struct buf *key, struct err *ret_err);

#endif
