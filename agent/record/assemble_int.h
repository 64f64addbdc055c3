/* assemble_int.h - rules and an assembly from inside: assemble_rules.c, assemble_line.c, assemble.c. */
#ifndef SPILLWAY_ASSEMBLE_INT_H
#define SPILLWAY_ASSEMBLE_INT_H

#include "agent/record/assemble.h"
#include "agent/record/container.h"
#include "agent/record/encoding.h"
#include "agent/record/multiline.h"

#define STREAMS 3			/* of enum message_stream */

struct assemble_rules {
	struct encoding encoding;
	size_t max;			/* bytes of a line: whole units */
	size_t joined;			/* bytes that are joined from parts */
	int64_t reach;			/* a line that ends farther from a message's beginning is no part of it */
	enum assemble_long long_lines;
	enum assemble_format format;
	struct multiline *multiline;	/* NULL: a line is a message */
};

struct spans { struct message_span *v; uint32_t n, cap; };

/* A message to which more may come. */
struct opened {
	bool active;
	struct buf value;
	struct spans spans;
	uint32_t lines;
	unsigned state;			/* group: multiline_line's */
	bool has_time, broken, piece;
	bool over;			/* chain: longer than may be; `value` takes no more */
	int64_t time_ns;
};

struct stream {
	struct opened chain;		/* parts of a line */
	struct opened group;
	struct spans lost;		/* parts of an over-long chain that are not in it */
};

/* A line without its frame, whole: to be grouped. */
struct entry {
	bool full;			/* there is one */
	const uint8_t *value;
	size_t len;
	const struct message_span *spans;
	uint32_t span_count;
	enum message_stream stream;
	bool has_time, broken, piece;
	bool cut;			/* the last line of its group: what follows it is not its continuation */
	int64_t time_ns;
};

/* A line as it stands in the file, converted. */
struct file_line {
	bool full, parsed;
	const uint8_t *value;
	size_t len;
	struct message_span span;
	bool cr;			/* `value` still has the CR that stood before LF: only frames know whether it counts */
	bool cut, broken;
	struct frame frame;		/* parsed */
};

struct assembly {
	const struct assemble_rules *rules;
	/* What was fed and not used. Its beginning is kept in `carry` when it came in an earlier feed. */
	const uint8_t *p, *end;
	bool final;
	struct buf carry;
	size_t carry_at;		/* used of it */
	size_t borrowed;		/* so many bytes at its end stand before p too */
	int64_t at;			/* offset of the first byte that was not used */
	bool rest;			/* that byte is in the rest of a line that was cut */
	bool jump, jump_rest;		/* once the carry is used up */
	int64_t jump_to;

	struct file_line line;
	struct entry entry;
	struct stream streams[STREAMS];
	bool flush;			/* what is open is complete: */
	struct stream *flushed;		/* of this stream; NULL: of all */
	struct spans lost;
	uint32_t lost_at;
	struct message_span held;	/* lost, behind the group that it ends */
	bool failed;			/* out of memory, until the next stretch */

	struct converter converter;
	struct pattern_room *room;
	struct buf text, json;
};

/* What there is to do with the next bytes. LOST: *ret_lost; LINE: a->line; NONE: more bytes are needed. */
enum took { TOOK_NONE, TOOK_LINE, TOOK_LOST };
enum took assembly_take(struct assembly *a, struct message_span *ret_lost);

#endif
