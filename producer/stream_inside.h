/* stream_inside.h - what the files of a stream share: stream.c and stream_cut.c. */
#ifndef SPILLWAY_STREAM_INSIDE_H
#define SPILLWAY_STREAM_INSIDE_H

#include "producer/stream.h"

/* Room for n slots. 0 or ERR_NOMEM. */
int  stream_reserve(struct stream *s, uint32_t n);
/* The stream's identity and its next sequences. */
void stream_identify(struct stream *s, struct batch *b);
/* The next epoch, or the fresh producer id; stream_can_renew said that there is one. */
void stream_renew_identity(struct stream *s, const struct stream_id *fresh);
/* Nothing of it is in the log: as if it had never been sent. */
void stream_not_written(struct batch *b);
/* No recovery, no hold, no waiting. */
void stream_settle(struct stream *s);
/* The same again, slowly. why NULL: the code's own words. */
void stream_hold(struct stream *s, int16_t code, const char *why, int64_t now_ms);

#endif
