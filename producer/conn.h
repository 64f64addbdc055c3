/* conn.h - one connection to one broker: requests out in order, answers in in the same order.
 *
 * States	down -> resolving -> connecting -> [tls ->] versions -> [auth ->] up -> down
 *						   up -> reauth -> up (KIP-368)
 *	        Every failure leads to down, where the next try waits for retry_at_ms (backoff with jitter). Who is refused for
 *	        credentials or certificates tries again slowly: somebody has to change something first.
 *		Resolving is the look-up of the name and what security_prepare does; both on the names thread.
 * Invariants
 *  (1) Answers belong to requests first in, first out; a frame that answers nothing, is cut or is larger than
 *      CONN_FRAME_MAX closes the connection.
 *  (2) A request's bytes are not touched while the socket may still read them: it leaves by `answered`, by `lost` after
 *      the socket was closed, or (silent ones) when all of it is written.
 *  (3) ApiVersions is the first request on every connection, SASL follows; nothing else leaves before their answers.
 *  (4) While it authenticates anew nothing new leaves either; what was sent before is answered as ever.
 *
 *	conn.c	life, states, time	conn_io.c	requests, bytes out and in	conn_auth.c	ApiVersions, TLS, SASL
 *
 * Threads: the sender's.
 */
#ifndef SPILLWAY_CONN_H
#define SPILLWAY_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "agent/base/buf.h"
#include "agent/base/loop.h"
#include "producer/api.h"
#include "producer/config.h"
#include "producer/metrics.h"
#include "producer/names.h"
#include "producer/security.h"

#define CONN_FRAME_MAX (16u << 20)
#define CONN_ERROR_MAX 400

struct stream;

struct request {
	struct list   node;
	enum api_key  api;
	int16_t       version;
	int32_t       correlation_id;
	bool          silent;		/* acks=0: the broker does not answer */
	struct buf    control;
	struct iovec *iov;		/* what is left to write */
	uint32_t      iov_count, iov_at;
	bool          begun;		/* a byte of it was written */
	bool          written;		/* all of it was */
	int64_t       sent_ms;
	struct batch **batches;		/* of a Produce request */
	uint32_t      batch_count;
	struct stream *stream;		/* of a question for evidence */
};

struct conn;

struct conn_ops {
	void (*up)(struct conn *c);
	/* After every request was given to `lost`. why NULL: closed for idleness, no fault. */
	void (*down)(struct conn *c, const char *why);
	/* Takes nothing; negative closes the connection, and the request counts as answered all the same. */
	int  (*answered)(struct conn *c, struct request *r, const void *data, size_t n, int64_t now_ms);
	/* A silent request is written. */
	void (*written)(struct conn *c, struct request *r, int64_t now_ms);
	void (*lost)(struct conn *c, struct request *r, int64_t now_ms);
};

struct conn_conf {
	struct loop  *loop;
	struct names *names;
	const struct producer_config *config;
	const struct conn_ops *ops;
	struct security *security;	/* for connections that begin now; NULL: plaintext */
	uint64_t     *rng;
	bool          need_producer_id;	/* brokers without InitProducerId are no use */
	struct metrics *metrics;	/* NULL: nobody counts */
};

enum conn_state { CONN_DOWN, CONN_RESOLVING, CONN_CONNECTING, CONN_TLS, CONN_VERSIONS, CONN_AUTH, CONN_UP, CONN_REAUTH };

struct conn {
	const struct conn_conf *conf;
	void    *owner;			/* the broker */
	struct node_metrics *node;	/* its; used when conf->metrics is set */
	char     host[256];
	int      port;
	enum conn_state state;
	struct loop_fd fd;
	int      sock;			/* -1 */
	union name_address addresses[NAME_ADDRESSES_MAX];
	int      address_count, address_at;
	uint32_t ticket;		/* of the query that is waited for */
	struct security *security;	/* of this connection: a reference; NULL: plaintext */
	struct tls_conn *tls;		/* NULL: none */
	struct sasl *sasl;		/* while it authenticates */
	bool     preparing;		/* up, and waiting for the names thread to authenticate anew */
	bool     retiring;		/* takes nothing new, closes when nothing is unanswered */
	bool     refused;		/* the last failure was one of credentials or certificates */
	bool     proven;		/* somebody's request was answered since it is up */
	int64_t  reauth_at_ms, session_ends_ms;	/* INT64_MAX: never */
	int64_t  sasl_began_ms;
	struct api_versions versions;
	bool     old_versions;		/* the next ApiVersions goes out as version 0: the last one ended in a hang-up */
	uint32_t failures;		/* since it was up */
	int64_t  retry_at_ms;
	int64_t  setup_by_ms;		/* connecting .. auth: give up then */
	int64_t  used_ms;		/* last activity */
	int64_t  throttled_until_ms;
	int32_t  next_correlation_id;
	struct list requests;		/* unanswered, in order */
	struct request *writing;	/* first of them that is not wholly written, or NULL */
	uint32_t in_flight;		/* length of requests */
	uint8_t *in;			/* what was read and not used yet */
	size_t   in_len, in_cap;
	char     error[CONN_ERROR_MAX];	/* why it is down */
};

void conn_init(struct conn *c, const struct conn_conf *conf, void *owner, const char *host, int port);
void conn_release(struct conn *c, int64_t now_ms);	/* closes; requests go to `lost` */
/* Starts connecting if it is down and its backoff is over. True while it is not down. */
bool conn_want(struct conn *c, int64_t now_ms);
/* The names thread answered; q stays the caller's. */
void conn_resolved(struct conn *c, const struct name_query *q, int64_t now_ms);
void conn_close(struct conn *c, const char *why, int64_t now_ms);
/* For one that is not needed any more, or not with its credentials: closes as soon as nothing is unanswered. */
void conn_retire(struct conn *c, int64_t now_ms);
/* There are new credentials: one that was refused does not wait with its next try. */
void conn_retry_now(struct conn *c, int64_t now_ms);
/* Time-outs and idleness, if they are due. */
void conn_tick(struct conn *c, int64_t now_ms);
int64_t conn_due_ms(const struct conn *c);	/* INT64_MAX: never */

/* A request with room for batches and iov entries; control is ready to be written. NULL: out of memory. */
struct request *request_new(enum api_key api, int16_t version, int32_t correlation_id, uint32_t batch_count, uint32_t iov_count);
void request_free(struct request *r);
/* Takes r. Requests without iov are their control bytes. */
void conn_send(struct conn *c, struct request *r, int64_t now_ms);
static inline bool conn_up(const struct conn *c) { return c->state >= CONN_UP; }
/* Up, and takes new requests now. */
static inline bool conn_ready(const struct conn *c) { return c->state == CONN_UP && !c->retiring; }
/* When the oldest unanswered request was sent, -1: none. */
int64_t conn_waiting_since(const struct conn *c);
const char *conn_state_name(const struct conn *c);

#endif
