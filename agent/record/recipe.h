/* recipe.h - how a message becomes a record: filters, fields, templates, the JSON envelope, then the interceptors, then the
 * value's serializer. How bytes become messages (assemble.h) is its member "read".
 *
 * Pure: the same spec makes the same record of the same line, always - a batch that is built again after a crash must be the
 * same bytes, also under a configuration that has changed. That is why the spec is kept with a route.
 * Threads: a recipe is read-only once made; a room is one thread's.
 */
#ifndef SPILLWAY_RECIPE_H
#define SPILLWAY_RECIPE_H

#include "agent/base/buf.h"
#include "agent/record/assemble.h"
#include "agent/base/err.h"
#include "conf/conf.h"
#include "producer/intercept.h"
#include "producer/journal.h"

struct recipe;
struct recipe_room;			/* what a record points to, until the next recipe_apply */

/* What the configuration says, as canonical JSON, each member if it is there; "" when a line is its record as it is:
 *	{"read":{...},"read_timeout_ms":1000,"include":[RE],"exclude":[RE],"topic":TPL,"topics_allowed":[GLOB],"key":TPL,
 *	 "key_serializer":"long","headers":[[NAME,TPL]],"envelope":true,"host":TEXT,"event_time":{...},"max_line":1024000,
 *	 "interceptors":[...],"value":"json"}
 * topic, key and key_serializer stand here only if they differ between records of one file; else they are the route's. max_line
 * is the route's once more, beside a "read". Templates are prepared (template_prepare): what is left to each record is its path,
 * its offset and what it holds. 0, ERR_NOMEM, or ERR_CONFIG with words (of a pattern that does not compile, too). */
int  recipe_spec(struct producer_config *c, const struct conf_input *in, const char *host, struct buf *ret_spec,
		 struct err *ret_err);
/* One for each input of a configuration. 0, or as recipe_spec; recipe_specs_free in any case. */
int  recipe_specs(struct producer_config *c, const struct conf *conf, const char *host, char ***ret, struct err *ret_err);
void recipe_specs_free(const struct conf *conf, char **specs);
/* The same spec for a file whose byte order mark says which encoding it has. 0, ERR_NOMEM, ERR_CONFIG: it has no "read". */
int  recipe_set_encoding(const char *spec, const char *encoding, struct buf *ret_spec);
/* A JSON array or object as one line that people can read. 0, or ERR_BAD_DATA: it is none. */
int  recipe_json_line(const char *text, struct buf *ret);
/* *ret NULL: of an empty spec. ERR_CONFIG: this agent does not understand it; ERR_NOMEM. */
int  recipe_new(const char *spec, struct recipe **ret, struct err *ret_err);
void recipe_free(struct recipe *r);
struct recipe_room *recipe_room_new(void);	/* NULL: out of memory */
void recipe_room_free(struct recipe_room *room);

/* How bytes become messages; NULL: lines as they are. Lives as long as r. timeout: so long after the last change of its file an
 * open group is ended; -1: none. */
const struct assemble_rules *recipe_rules(const struct recipe *r);
int64_t recipe_timeout_ms(const struct recipe *r);
/* Whether each record has a topic of its own: then a route's topic is "". */
bool recipe_has_topic(const struct recipe *r);
/* Where records for `topic` go after the interceptors' renaming. r may be NULL. Lives as long as r and topic. */
const char *recipe_topic(const struct recipe *r, const char *topic);

/* What a message came with: of a file, of syslog, of the journal. */
struct recipe_input {
	const char *path;		/* the first one that the file was matched under (file.origin); NULL: no file */
	int64_t offset;			/* of its first byte; -1: none */
	const struct message *message;	/* time and stream; NULL: none */
	/* json_t * of what is known besides (syslog, journald), all UTF-8; NULL: the value is looked into if need be. */
	const void *fields;
};
/* Makes a record of the one that is a message with its route's key: filtered, its headers, key and topic, its envelope
 * (envelope.h), then the interceptors, then the serializer. A field that is not there: no key, that header left out,
 * ERR_BAD_DATA for a topic. An event time is the last header, event_time (its text: timestamp_put), and the time of templates
 * and envelope. *ret_topic: where it goes, before renaming; `topic` unless the record has its own; lives in the room.
 * 0; 1: it is filtered; ERR_BAD_DATA: no value that the serializer takes, no topic that is allowed (words in *ret_err; the record
 * is as the step before left it); ERR_NOMEM: it is to be made later.
 * Interceptors that fail, patterns out of steps and messages that tell no event time are told to `failed`. */
int  recipe_apply(const struct recipe *r, struct recipe_room *room, const char *topic, const struct recipe_input *in,
		  struct lane_record *record, const char **ret_topic, intercept_failed_fn *failed, void *arg, struct err *ret_err);
/* A key that was written as text into what key.serializer makes of it. 0; ERR_BAD_DATA with words; ERR_NOMEM. */
int  recipe_key(const char *serializer, const char *topic, struct buf *key, struct err *ret_err);

#endif
