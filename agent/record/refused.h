/* refused.h - records that no batch takes: what people get to see of them. */
#ifndef SPILLWAY_REFUSED_H
#define SPILLWAY_REFUSED_H

#include <stdint.h>

#include "agent/base/buf.h"
#include "producer/journal.h"

/* Appends the record as a batch would hold it, alone, but for its serializer: what was redacted stays redacted. Times: now,
 * monotonic and wall. 0; ERR_NOMEM; ERR_TOO_LARGE: past 1 GiB. */
int refused_bytes(const struct lane_record *r, int64_t now_ms, int64_t wall_ms, struct buf *out);

#endif
