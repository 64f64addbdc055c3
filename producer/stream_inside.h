/* stream_inside.h - what the files of a stream share: stream.c, stream_judge.c, stream_cut.c, stream_doubt.c and
 * stream_gone.c. */
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
/* Proven not written, or given up as uncertain: a fresh identity, to be recorded in place of the old one (stream_renew). */
void stream_withdraw(struct stream *s, bool uncertain);
/* A batch is in the log: it leaves for `done`. */
void stream_found(struct stream *s, struct batch *b, int64_t offset, int64_t now_ms, struct list *done);
/* Why there is doubt, and what is being done about it. Returns buf. */
const char *stream_doubt_text(const struct stream *s, char *buf, size_t n);
/* Another pass of recovery, from the oldest; or its end. */
void stream_resume(struct stream *s, int64_t now_ms);
/* How many were sent at all; *ret_aside: of them, set aside as out of order. */
uint32_t stream_ever_sent(const struct stream *s, uint32_t *ret_aside);
bool stream_same_identity(const struct batch *a, const struct batch *b);
/* Evidence cannot be had, but what stands behind all that is gone was sent under the same identity: its answers will tell. */
bool stream_gone_can_probe(const struct stream *s, const struct evidence *e);
/* While probing, all of those answered 45: nothing of what is gone was written, nor of them. */
bool stream_gone_unwritten(const struct stream *s);
/* It gets a fresh identity: without what is nowhere any more. */
void stream_gone_shrink(struct batch *b);
/* The same again, slowly. why NULL: the code's own words. */
void stream_hold(struct stream *s, int16_t code, const char *why, int64_t now_ms);

#endif
