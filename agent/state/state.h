/* state.h - the state thread: the only one that touches the state database.
 *
 * It is the producer's journal (plan, acked, spill, load, refill) and the tailers' notebook (files, routes, finished
 * bytes), and answers questions about the database for status and `ls` commands.
 *
 * Order of work: files, acks and plans in one transaction; then batches that others replace, one transaction each; then one
 * transaction of spilled batches; then reads; then
 * questions; then giving space back. So a long spill delays a plan by one transaction at most.
 *
 * Invariants
 *  (1) A file's row is committed no later than the first plan or spill that refers to it.
 *  (2) producer_planned is called only after the commit that holds the ledger rows.
 *  (3) Counters of books move under its lock together with the producer's, after the commit, never before.
 * Threads: state_* functions are called from any thread unless said otherwise. Lock: mu (leaf), for the queues only.
 */
#ifndef SPILLWAY_STATE_H
#define SPILLWAY_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "agent/books.h"
#include "conf/conf.h"
#include "producer/journal.h"
#include "spool/spool.h"

struct state;
struct tail;

/* Owns the spool from here on (state_close closes it). */
int  state_open(struct spool *s, const struct conf *conf, struct books *books, struct state **ret_st);
/* The vtable to give to producer_open_journaled; arg is st. */
void state_journal(struct state *st, struct producer_journal *ret_j);
/* Before state_start, by the main thread: puts ledger rows and backlogs of an earlier life into the producer. */
int  state_restore(struct state *st, struct producer *p, struct err *ret_err);
int  state_start(struct state *st, struct producer *p);
/* fn is called once, on the state thread, when the database turns out to be damaged: nothing can be recorded any more, and the
 * next start saves what can be saved. Before state_start. */
void state_on_damage(struct state *st, void (*fn)(void *arg), void *arg);
/* Where absent batches that live in files are built again. Before the sender starts. */
void state_set_tail(struct state *st, struct tail *t);
/* Finishes what is queued, one last FULL commit, ends the thread. The producer must be stopped. */
void state_stop(struct state *st);
void state_close(struct state *st);	/* NULL is fine */

/* The tail thread's hooks; they queue and return. */
void state_file_put(struct state *st, const struct spool_file *f);
void state_file_forget(struct state *st, int64_t file_id);
void state_route_put(struct state *st, const struct spool_route *r);
void state_finished(struct state *st, const struct spool_range *r);
void state_finished_all(struct state *st, const struct spool_range *r, size_t n);	/* in one transaction */
void state_loss(struct state *st, const struct spool_loss *l);
/* And finished, in one transaction. */
void state_lost(struct state *st, const struct spool_loss *l, const struct spool_range *r);
/* 0; ERR_AGAIN: too many are not recorded yet; ERR_SPOOL_FULL: what came before found no room, it is tried again
 * each second. */
int  state_rejected(struct state *st, const struct spool_rejected *r);
/* The last committed position of a file, without waiting for the thread. -1: unknown. */
int64_t state_safe(struct state *st, int64_t file_id);

/* Runs fn(arg, spool) on the state thread and waits for it (directly after state_stop). */
void state_ask(struct state *st, void (*fn)(void *arg, struct spool *s), void *arg);
/* The same, but gives up when the thread has not come to it within ms: a disk may take seconds for one fsync. false: fn was
 * not called and never will be. */
bool state_ask_within(struct state *st, void (*fn)(void *arg, struct spool *s), void *arg, int64_t ms);

/* The last trouble with the database for people, or an empty string. */
void state_trouble(struct state *st, char *buf, size_t n);

#endif
