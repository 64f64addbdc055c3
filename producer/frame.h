/* frame.h - the envelope of Kafka's requests and responses. Inside producer/ only, used by the api_*.c files.
 *
 * Request: length int32 | api key int16 | version int16 | correlation id int32 | client id string | tags when flexible.
 * The client id keeps its int16 length even then. Response: correlation id int32 | tags when flexible; the answer to
 * ApiVersions never has tags there, as the client cannot know yet what the broker speaks.
 */
#ifndef SPILLWAY_FRAME_H
#define SPILLWAY_FRAME_H

#include "producer/api.h"
#include "producer/wire.h"

struct frame { struct wire_out w; size_t start; };	/* start: of the length field in the buffer */

bool frame_flexible(enum api_key key, int16_t version);
struct frame frame_begin(struct buf *out, enum api_key key, int16_t version, int32_t correlation_id, const char *client_id);
/* Writes the length: what is in the buffer and `extra` bytes that follow elsewhere. 0 or ERR_NOMEM. */
int  frame_end(const struct frame *f, size_t extra);
/* A reader behind the response header; it has failed when the correlation id is another. */
struct wire frame_open(const void *data, size_t n, enum api_key key, int16_t version, int32_t correlation_id);

#endif
