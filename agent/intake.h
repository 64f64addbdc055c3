/* intake.h - the intake thread: inputs that no file is behind (stdin, syslog, journald) become records.
 *
 * What a stream gives is nowhere else once it was read. So its lanes never wait for max.block.ms (lane_has_streams): when
 * memory is dry it is spooled at once, and when the spool is full too nothing more is read (a pipe, a TCP sender and the
 * journal wait; what UDP and datagram sockets then lose is counted by the kernel and entered in the losses).
 * The journal keeps its entries: their positions are a count of entries, the cursor is saved with the position, and a batch can be
 * built again from them.
 * Threads: intake_* are called by main; the thread itself is inside. Hooks are those of the tail thread, called on this one.
 */
#ifndef SPILLWAY_INTAKE_H
#define SPILLWAY_INTAKE_H

#include "agent/tail.h"

struct intake;

struct intake_conf {
	const struct conf *conf;
	struct producer   *producer;
	struct tail_hooks  hooks;
	const struct tail_known *known; size_t known_count;	/* rows of journals of earlier lives, copied */
	const struct spool_route *routes; size_t route_count;
	bool once;			/* ends when stdin ends, and when the journal's entries of now were read */
	const char *hostname;
	const char *key_serializer;
};

/* *ret NULL and 0: no input needs it. Sockets are bound here, so that a wrong address is an error at the start. */
int  intake_open(const struct intake_conf *c, struct intake **ret, struct err *ret_err);
int  intake_start(struct intake *i);
void intake_stop(struct intake *i);		/* what was received is handed over; waits for the thread */
void intake_close(struct intake *i);		/* NULL is fine */
/* Rows of `status`: path is "stdin", the address, or "journal"; size and read count bytes, of a journal entries. */
int  intake_files(struct intake *i, struct tail_file_info **ret, size_t *ret_n);
char *intake_reasons(struct intake *i);		/* as tail_reasons */
bool intake_all_read(const struct intake *i);

#endif
