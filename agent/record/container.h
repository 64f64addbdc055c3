/* container.h - the frame that a container's runtime puts around each line (or part of one) that the program in it wrote. */
#ifndef SPILLWAY_CONTAINER_H
#define SPILLWAY_CONTAINER_H

#include "agent/record/assemble.h"
#include "agent/base/buf.h"

struct frame {
	const uint8_t *value;		/* what the program wrote, without LF, CR LF: in the line, or in the room */
	size_t  value_len;
	enum message_stream stream;
	bool    has_time, part;		/* part: its line goes on with the stream's next frame */
	bool    broken;			/* escapes that are half of a character */
	int64_t time_ns;
};

/* Takes the n bytes of a line apart, without its LF. 1: *ret; 0: it is no frame of that format; ERR_NOMEM.
 * strict: a docker frame that lacks one of log, stream and time is none (else only log is needed). */
int container_docker(const uint8_t *p, size_t n, bool strict, struct buf *room, struct frame *ret);
int container_cri(const uint8_t *p, size_t n, struct frame *ret);

#endif
