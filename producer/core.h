/* core.h - struct producer: the parts, put together by producer.c and shared by the files of this folder. */
#ifndef SPILLWAY_CORE_H
#define SPILLWAY_CORE_H

#include "producer/compress.h"
#include "producer/config.h"
#include "producer/intercept.h"
#include "producer/journal.h"
#include "producer/lane.h"
#include "producer/sender.h"

#define CORE_SCRATCHES 8	/* kept of intercept's; more threads than that at once make theirs anew */

/* Somebody waits for a copy of what the sender knows. */
struct stat_request {
	struct list node;
	int  (*fill)(struct producer *p, void *arg);
	void *arg;
	int  rc;
	bool done;
};

struct producer {
	/* Set at open, read-only after: any thread. The configuration is the caller's. */
	struct producer_config *config;
	struct producer_journal journal;
	bool     journaled;
	struct budget *budget;
	struct intercept *intercept;	/* the built-in interceptors; NULL: none */

	/* Threads of their own locks. */
	struct accum accum;
	struct compress *compress;	/* NULL: codec none, or ended */
	struct sender sender;
	_Atomic(struct reload *) reload;	/* what the sender has not taken over yet: reload.c */

	/* Thread: the one that opens and closes. */
	bool     running;		/* the sender's thread is */
	pthread_t thread;

	/* Lock: mu (rank 3). cond is told of every change. */
	pthread_mutex_t mu;
	pthread_cond_t  cond;		/* CLOCK_MONOTONIC */
	struct list stat_requests;
	struct list describes;		/* struct describe: producer_describe's callers */
	_Atomic bool draining;		/* linger is over: seal and deliver everything; read without mu */
	bool     stopping;		/* for the sender: see sender_stop.c */
	bool     idle;			/* draining: nothing is left anywhere */
	bool     only_held;		/* draining: what is left cannot be sent, though brokers are there */
	bool     broker_up;
	int64_t  down_since_ms;		/* while no broker is up */
	uint32_t metadata_news;		/* counts answers, for those who wait for a topic */
	bool     stopped;		/* the sender is: nobody will answer */

	/* Atomic. Calls that are on their way: producer_close waits until both are 0. */
	_Atomic uint32_t users;		/* of any kind */
	_Atomic uint32_t sending;	/* of them, those that may append */
	_Atomic bool     closing;
	struct metrics_shared metrics;
	_Atomic(struct intercept_scratch *) scratch[CORE_SCRATCHES];	/* at rest */
};

/* Both faces' open: everything but the threads that work on batches. journal NULL: none. */
int  core_open(struct producer_config *c, const struct producer_journal *j, struct producer **ret_p,
	       struct producer_error *ret_err);
/* A public function that anybody may call begins and ends. 0 or ERR_CLOSED; then nothing of p may be touched, and
 * producer_leave is not called. */
int  producer_enter(struct producer *p);
void producer_leave(struct producer *p);
/* In a callback, an interceptor or a journal's function. */
bool producer_on_sender(const struct producer *p);
/* As producer_send, within producer_enter; waits until at_ms. */
int  producer_send_until(struct producer *p, const struct producer_record *r, producer_done_fn *cb, void *arg, int64_t at_ms,
			 struct producer_error *ret_err);
/* Tells the interceptors a record's end. */
void core_acknowledge(const struct producer_config *c, const struct producer_metadata *md, const struct producer_error *err);
/* CLOCK_MONOTONIC ms; -1: never. */
int64_t producer_deadline(int64_t timeout_ms);
/* cond, until at_ms (CLOCK_MONOTONIC; -1: for ever). mu held. False when the time has come. */
bool producer_wait(struct producer *p, int64_t at_ms);
void reload_drop(struct producer *p);		/* at the end: nobody will take it over */
/* Has the sender's next round run fill (or runs it here when the sender does not). Its answer, or ERR_TIMEOUT. */
int  stat_ask(struct producer *p, int (*fill)(struct producer *p, void *arg), void *arg);

#endif
