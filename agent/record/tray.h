/* tray.h - records that are made and not handed over yet: copies, of what is only there until the next one is made. */
#ifndef SPILLWAY_TRAY_H
#define SPILLWAY_TRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer/journal.h"

#define TRAY_RECORDS 128
#define TRAY_RANGES 256
#define TRAY_HEADERS 512
#define TRAY_BYTES 65536

struct dest;

struct tray {
	struct dest *dest;		/* of all of them */
	size_t count, range_count, header_count, used;
	struct lane_record records[TRAY_RECORDS];
	struct source_range ranges[TRAY_RANGES];
	struct producer_header headers[TRAY_HEADERS];
	uint8_t bytes[TRAY_BYTES];
	/* Of the message that is being looked at. */
	struct source_range *spans;
	size_t span_cap;
};

struct tray *tray_new(void);		/* NULL: out of memory */
void tray_free(struct tray *y);		/* NULL is fine */
void tray_clear(struct tray *y);
int  tray_reserve_spans(struct tray *y, size_t n);	/* 0 or ERR_NOMEM */
/* Bytes of a record as the tray counts them. */
size_t tray_record_bytes(const struct lane_record *r);
bool tray_has_room(const struct tray *y, const struct lane_record *r, size_t bytes);
void tray_put(struct tray *y, const struct lane_record *r);	/* there is room */

static inline const struct source_range *tray_first_range(const struct lane_record *r) { return r->source - r->parts; }

#endif
