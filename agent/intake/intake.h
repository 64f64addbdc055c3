/* intake.h - the intake thread: inputs that no file is behind (stdin, syslog, journald) become records.
 *
 * What a stream gives is nowhere else once it was read. So its lanes never wait for max.block.ms (lane_has_streams): when
 * memory is dry it is spooled at once, and when the spool is full too nothing more is read (a pipe, a TCP sender and the
 * journal wait; what UDP then loses is counted by the kernel and entered in the losses).
 *
 * Each input has a row among the files, with a cursor, and its ranges count what it gave: bytes, of the journal entries. So
 * batches, positions, losses and books need to know nothing of streams, and a lane may hold lines of files as well. Bytes of a
 * stream cannot be had again: of an unresolved batch after a kill -9 that Kafka does not have, such ranges are dropped, and
 * entered in the losses as any that are nowhere any more. Entries of the journal can (intake_reread): its cursor is saved with
 * an offset that is finished, and read on from there.
 * Threads: intake_* are called by main; the thread itself is inside. Hooks are those of the tail thread, called on this one, and
 * by intake_open and intake_settle on main.
 */
#ifndef SPILLWAY_INTAKE_H
#define SPILLWAY_INTAKE_H

#include "agent/tail/tail.h"

struct intake;

struct intake_conf {
	const struct conf *conf;
	struct producer   *producer;
	struct tail_hooks  hooks;
	const struct tail_known *known; size_t known_count;	/* rows with a cursor of earlier lives, copied */
	const struct spool_route *routes; size_t route_count;	/* all; only looked at while it opens */
	int64_t  *next_file_id;		/* in and out: ids that nobody has */
	uint32_t *next_route_id;
	bool once;			/* ends when stdin ends, and when the journal's entries of now were read */
	const char *hostname;
	const char *const *specs;	/* of each input (recipe_spec); NULL: lines as they are */
	const char *key_serializer;
};

/* *ret NULL and 0: no input needs it, none did, and (once) none will. Sockets are bound here, so that a wrong
 * address is an error at the start. */
int  intake_open(const struct intake_conf *c, struct intake **ret, struct err *ret_err);
/* All below take NULL for an agent without such inputs. */
int  intake_start(struct intake *i);
/* What was received is handed over, for so long at most if memory and spool are full; waits for the thread. */
void intake_stop(struct intake *i, int64_t timeout_ms);
/* Another configuration. Prepared, everything that may fail is done (addresses are bound, recipes and keys made) and nobody
 * has seen anything of it; then it is taken over between two rounds, or dropped. An input that says the same keeps its socket and
 * connections. One that is gone is read and closed as by a stop, however long that takes. One of the same address takes over the
 * socket, with all that was received: at once, and with its connections, unless lines and messages are cut in another way; then
 * when the one before is through (its connections are closed). Who had a name and address before goes on counting behind it.
 * Calls: prepare, then switch or drop. The thread that opened it. */
struct intake_change {
	const struct conf *conf;
	const char *const *specs;
	const char *key_serializer;
	const size_t *was;		/* as tail_change's */
	int64_t next_file_id;		/* nobody has these and the 2 * (input_count + 1) behind them */
	uint32_t next_route_id;
};
struct intake_plan;
int  intake_reload_prepare(struct intake *i, const struct intake_change *c, struct intake_plan **ret, struct err *ret_err);
void intake_reload_switch(struct intake_plan *p);
void intake_reload_drop(struct intake_plan *p);		/* NULL is fine */
size_t intake_plan_descriptors(const struct intake_plan *p);	/* as intake_descriptors, after the switch */
/* Whether some input that leaves still needs this configuration. */
bool intake_uses(struct intake *i, const struct conf *conf);
/* The last word on every input, when nothing will be finished any more: behind producer_stop, before state_stop. */
void intake_settle(struct intake *i);
void intake_close(struct intake *i);
/* Rows of `status`: path is "stdin", the address, or "journal"; size and read count bytes, of a journal entries. */
int  intake_files(struct intake *i, struct tail_file_info **ret, size_t *ret_n);
/* How old what is not finished is follows from looks, one a second. By main. */
void intake_sample(struct intake *i, int64_t now_ms);
char *intake_reasons(struct intake *i);		/* as tail_reasons */
/* So many descriptors are left to its connections. */
size_t intake_descriptors(const struct intake *i);
bool intake_all_read(const struct intake *i);
/* Whether only memory has what this id's ranges stand for: it must outlive the process. */
bool intake_is_stream(const struct intake *i, int64_t file_id);
/* As in tail_conf; i is the struct. One thread at a time, which is not the intake's. */
tail_reread_fn intake_reread;

#endif
