/* record_read.h - one record of an uncompressed record section, taken apart. Nothing is copied: it points into the bytes. */
#ifndef SPILLWAY_RECORD_READ_H
#define SPILLWAY_RECORD_READ_H

#include <stddef.h>
#include <stdint.h>

struct record_view {
	const uint8_t *start;
	size_t   size;			/* of the whole record, its length included */
	int64_t  timestamp_delta;
	int64_t  offset_delta;
	const uint8_t *rest;		/* key and all behind it, up to the record's end */
	const uint8_t *key, *value;	/* NULL: null */
	size_t   key_len, value_len;
	uint32_t header_count;
	const uint8_t *headers;		/* for record_next_header */
};

/* 0 or ERR_BAD_DATA. */
int record_read(const uint8_t *p, size_t n, struct record_view *ret);
struct record_header { const uint8_t *name, *value; size_t name_len, value_len; };	/* value NULL: null */
/* *at begins as r->headers; at most header_count times. */
int record_next_header(const struct record_view *r, const uint8_t **at, struct record_header *ret);

#endif
