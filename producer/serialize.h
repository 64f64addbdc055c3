/* serialize.h - keys and values into bytes: serializers by name, and those of one's own. */
#ifndef SPILLWAY_SERIALIZE_H
#define SPILLWAY_SERIALIZE_H

#include <stdbool.h>

#include "producer/config.h"

#define SERIALIZE_SMALL 256

/* Bytes of one key or value; small ones need no heap. On the stack of whoever sends. */
struct producer_bytes {
	uint8_t *data;			/* small, or from the heap */
	size_t   len, cap;
	bool     failed;
	uint8_t  small[SERIALIZE_SMALL];
};

void serialize_init(struct producer_bytes *b);
void serialize_release(struct producer_bytes *b);

/* A word that key.serializer takes. 0, or PRODUCER_ERR_CONFIG. */
int  serialize_named(const char *name, enum serializer *ret);

struct serialize_part {
	enum serializer how;
	const struct producer_serializer *fn;	/* fn->serialize set: instead of `how` */
	const char *name;			/* "key" or "value", for words */
};
/* Data and length as they go into the record; *data NULL stays NULL. What they point to afterwards is what was given, or
 * lies in `room`. 0, or the public code with words. */
int  serialize(const struct serialize_part *part, const char *topic, const void **data, size_t *n,
	       struct producer_bytes *room, struct producer_error *ret_err);

#endif
