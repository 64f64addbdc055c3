/* assemble.h - the bytes of a file become messages: cut into lines, converted, unwrapped, joined, grouped.
 *
 *	bytes -> lines (LF of the encoding, max_line) -> UTF-8 -> out of its container's frame, parts joined -> groups (multiline)
 *
 * Why pure: a batch whose bytes are gone is built again from its ranges, perhaps by another process with another
 * configuration. The same rules make the same messages of the same bytes, however they were cut into reads. Time is no rule:
 * who ends open messages early (assembly_end) says so to whoever keeps ranges, so that they are never joined with the next.
 *
 * A stretch is what is read in one go, from a message's beginning on. Nothing is kept between stretches: what is still open at
 * the end of one is fed again with the next, without what was given already (assembly_jump). In a container's file stdout and
 * stderr stand between each other, so a message may have several spans, with another's lines in between; elsewhere it has one.
 *
 * What holds: the same messages whatever the cuts, from any message's beginning; a message out of its own spans alone (feed them,
 * jump between them, end) is that message but for `piece`; touching messages without streams come again in one stretch, in order.
 * With streams they do too, but those that assembly_end completes come by their beginnings: feed such a message alone.
 *
 * What ends a message early, so that nothing stays open for ever: max_line bytes joined from parts (by long_lines, whole parts,
 * so split gives pieces that are shorter), multiline's max_lines and max_bytes, a line that is cut by max_line, and a line that
 * ends farther from the message's beginning than its reach: four times the larger of max_line and max_bytes, in bytes of the file.
 *
 * Calling sequence: assembly_begin, (assembly_feed, assembly_next until 0) ..., then assembly_end and assembly_next until 0 if
 * nothing will follow, assembly_open to learn what is left.
 * Threads: rules are read-only once made; an assembly is one thread's. Failure: ERR_NOMEM only; bytes that are no UTF-8 of that
 * encoding, no JSON, no CRI become messages as they are or with U+FFFD (`broken`), never an error.
 */
#ifndef SPILLWAY_ASSEMBLE_H
#define SPILLWAY_ASSEMBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"

enum assemble_long { ASSEMBLE_SPLIT, ASSEMBLE_TRUNCATE, ASSEMBLE_SKIP };
enum assemble_format { ASSEMBLE_RAW, ASSEMBLE_DOCKER, ASSEMBLE_CRI, ASSEMBLE_AUTO };

struct assemble_rules;

/* `spec`: the member "read" of a recipe's spec, canonical JSON:
 *	{"encoding":"utf-16le","format":"cri","long":"truncate",
 *	 "multiline":{"preset":"java"} or {"start":RE,"continue":RE,"end":RE,"max_lines":500,"max_bytes":524288}}
 * each member if it is not the default. max_line: bytes of a line as it stands in the file, without its end.
 * ERR_CONFIG with words (a pattern that does not compile, an encoding that nobody knows or whose LF cannot be told); ERR_NOMEM. */
int  assemble_rules_new(const char *spec, int64_t max_line, struct assemble_rules **ret, struct err *ret_err);
void assemble_rules_free(struct assemble_rules *r);
/* What its byte order mark says of a file that begins with these n bytes (four, unless it is shorter): "utf-16le", ...
 * NULL: the encoding needs none, or none is there (then big endian, as Unicode says). *ret_skip: how long the mark is, also
 * where it says nothing new (utf-8). */
const char *assemble_resolve(const char *encoding, const uint8_t *p, size_t n, size_t *ret_skip);
/* How many bytes from an open message's beginning on decide about it at most: a reader that offers as many gets on. */
size_t assemble_need(const struct assemble_rules *r);
struct encoding;
const struct encoding *assemble_encoding(const struct assemble_rules *r);
bool   assemble_groups(const struct assemble_rules *r);		/* multiline: messages stay open until the next begins */
bool   assemble_streams(const struct assemble_rules *r);	/* a message may have several spans */

enum message_stream { MESSAGE_NONE, MESSAGE_STDOUT, MESSAGE_STDERR };
struct message_span { int64_t from, to; };
struct message {
	const uint8_t *value;		/* until the next call */
	size_t   value_len;
	const struct message_span *spans;	/* its bytes of the file, in order, apart; one unless assemble_streams */
	uint32_t span_count;
	uint32_t lines;
	bool     has_time;
	int64_t  time_ns;		/* of the container's frame, since 1970 */
	enum message_stream stream;
	bool     piece;			/* of a line longer than max_line, or a group that one ended: split */
	bool     broken;		/* bytes were no text of the encoding */
	/* value NULL: no message, but bytes that are lost to long_lines; of a long line they come in several. What is lost of
	 * a line in parts comes right behind what is left of it. */
	struct message_span lost;	/* from == to: none */
	bool     lost_more;		/* of the same line in parts as the lost bytes before */
};

struct assembly;
struct assembly *assembly_new(void);	/* NULL: out of memory */
void assembly_free(struct assembly *a);

/* A stretch begins at `offset`. inside: it begins within the rest of a line that truncate or skip cut (assemble_inside). */
void assembly_begin(struct assembly *a, const struct assemble_rules *r, int64_t offset, bool inside);
/* The next n bytes, which stay where they are until assembly_next answers 0. final: an unfinished last line is a line. */
void assembly_feed(struct assembly *a, const uint8_t *p, size_t n, bool final);
/* Bytes that are no business of this stretch: the next ones stand at `to`, which is inside as for assembly_begin. A line without
 * its end before them is a line. Ends what is open unless assemble_streams. */
void assembly_jump(struct assembly *a, int64_t to, bool inside);
/* 1: a complete message, or lost bytes; 0: there is none (more) in what was fed. ERR_NOMEM. */
int  assembly_next(struct assembly *a, struct message *ret);
/* What is open is complete, oldest first: assembly_next gives it. Lines without their end stay open unless they were final. More
 * may be fed after that, as if it were another stretch. */
void assembly_end(struct assembly *a);
/* The same of one stream only: that of the oldest open message. */
void assembly_end_oldest(struct assembly *a);
/* Where the last line of that stream's open messages ends; 0: nothing is open. */
int64_t assembly_oldest_end(const struct assembly *a);
/* Where the oldest open message begins, or, with nothing open, behind the last byte used. Everything below that is in a message
 * or lost, and was given. *ret_groups: whether there is an open message of whole lines or parts (time may end it). */
int64_t assembly_open(const struct assembly *a, bool *ret_groups);

/* Whether a position is in the rest of a line that was cut by truncate or skip: the max_line bytes before it (n of them at p, as
 * many as assemble_lead says or as there are) hold no LF. assemble_lead is 0 where that cannot be. */
size_t assemble_lead(const struct assemble_rules *r);
bool   assemble_inside(const struct assemble_rules *r, const uint8_t *p, size_t n, int64_t offset);

#endif
