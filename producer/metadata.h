/* metadata.h - what is known of the cluster: topics, their partitions and who leads them. No I/O; time is an argument.
 *
 * Invariants
 *  (1) A topic, once made, lives as long as the producer; if it vanishes from the cluster its entry, its streams and
 *      their sequences stay.
 *  (2) A leader is replaced only by one of the same or a newer epoch, unless the topic was made anew (other id).
 *  (3) partition_count never falls, unless the topic was made anew or it is of an earlier life. Who speaks of the one before
 *      lags behind, and is believed when nobody says anything else for long.
 *  (4) A topic that nothing was sent to for max_idle_ms is not asked for until it is used again.
 * Threads: the sender's, except what is marked.
 */
#ifndef SPILLWAY_METADATA_H
#define SPILLWAY_METADATA_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/list.h"
#include "producer/api.h"
#include "producer/metrics.h"
#include "producer/available.h"
#include "producer/stream.h"

struct leader { int32_t id, epoch; };	/* id -1: none */

struct topic {
	/* Set at creation: any thread. */
	char *name;
	/* Atomic: written by the sender, read by appenders. 0: not known yet. */
	_Atomic int32_t partition_count;
	/* The same. Batches are sealed at that many raw bytes, for larger ones were refused; 0: nothing is known. */
	_Atomic uint32_t raw_max;
	_Atomic int16_t error;		/* Kafka's code of the last answer */
	struct available available;	/* those that have a leader */

	/* Thread: sender. */
	struct list node;		/* in metadata.topics */
	uint8_t  id[16], old_id[16];	/* old: of the topic before it was made anew in this cluster */
	int64_t  old_since_ms;		/* answers speak of the old one since then, 0: they do not */
	bool     restored;		/* partition_count is of an earlier life, nobody has answered since */
	int32_t  told_count;		/* what the journal was told */
	bool     known;			/* was answered without an error at least once, and the last answer had none */
	int64_t  faulty_ms;		/* since when it has an error, -1: it has none */
	bool     leaderless;		/* a partition has no leader */
	int64_t  unreadable_until_ms;	/* we may not look at what its leaders know; asked again then */
	bool     create_time;		/* it answers first attempts without a time (message.timestamp.type) */
	bool     stale;			/* it was idle: to be asked for again */
	int64_t  used_ms;		/* when something was last sent, or waited, here; -1: never yet */
	uint32_t failures;
	int64_t  ask_at_ms;		/* while !known or leaderless */
	int16_t  reported;		/* the code that was told */
	struct leader *leaders;		/* partition_count of them */
	struct topic_metrics metrics;
	struct stream **streams;	/* stream_cap of them; NULL: none yet */
	int32_t  stream_cap;
};

struct metadata_conf {
	int64_t  max_age_ms, max_idle_ms, backoff_ms, backoff_max_ms;
	uint64_t rng;
};

struct metadata {
	struct metadata_conf conf;
	struct list topics;
	char   **cluster_ids;		/* all that were ever heard of: batches point to them */
	size_t   cluster_id_count;
	const char *cluster_id;		/* the present one, NULL: not known */
	bool     asked;			/* a request is on its way */
	bool     refresh;		/* all topics are to be asked again */
	int64_t  fresh_ms;		/* the last good answer for all, -1: never */
	int64_t  ask_at_ms;		/* no request before */
	int64_t  look_at_ms;		/* nothing is due before, unless refresh is set; 0: unknown */
	uint32_t failures;
	uint32_t same;			/* answers in a row that said nothing new */
	int64_t  trying_ms;		/* since when an answer is wanted in vain, -1: none is */
};

void metadata_init(struct metadata *m, const struct metadata_conf *conf);
void metadata_release(struct metadata *m);	/* the lists; topics belong to whoever made them */

struct topic *topic_new(const char *name);	/* any thread; NULL: out of memory */
/* So many partitions it had in an earlier life; before the sender starts. 0; ERR_NOMEM; ERR_BAD_DATA: no such number. */
int  topic_restore(struct topic *t, int32_t count);
void topic_free(struct topic *t);		/* its streams too, which must be empty. NULL is fine */
void metadata_add(struct metadata *m, struct topic *t);
/* Something is to be sent to this topic. */
void metadata_used(struct metadata *m, struct topic *t, int64_t now_ms);
/* Kafka's rule for topic names. NULL is none. */
bool topic_name_valid(const char *name);

/* Is it time to ask? Lowers *wake_ms to when to look again. Cheap while nothing has changed. */
bool metadata_due(struct metadata *m, int64_t now_ms, int64_t *wake_ms);
/* An answer is wanted and none has come for that long (KIP-1102). Lowers *wake_ms to when that will be so. wanted: somebody
 * needs it, or one is due and brokers are tried. */
bool metadata_starved(struct metadata *m, bool wanted, int64_t trigger_ms, int64_t now_ms, int64_t *wake_ms);
/* What for: fills names (cap of them) and returns how many. 0: for the brokers alone. */
size_t metadata_names(const struct metadata *m, int64_t now_ms, const char **names, size_t cap);
/* Some topic has not been seen yet. */
bool metadata_has_unseen(const struct metadata *m);
void metadata_asked(struct metadata *m);
/* Takes an answer in. 0 or ERR_NOMEM (what fits is taken, the rest is asked for again). */
int  metadata_apply(struct metadata *m, const struct api_metadata *a, int64_t now_ms);
void metadata_failed(struct metadata *m, int64_t now_ms);
/* Somebody met an error that a newer view may cure. */
void metadata_want_refresh(struct metadata *m);
/* A broker's word on a new leader; taken if its epoch is newer. */
void metadata_hint(struct topic *t, int32_t partition, int32_t leader, int32_t epoch);

const char *metadata_cluster_id(const struct metadata *m);	/* NULL: not known */
/* The lasting copy of a cluster's id, for batches of an earlier life. NULL: none given, or out of memory. */
const char *metadata_keep_cluster_id(struct metadata *m, const char *id);
int32_t topic_leader(const struct topic *t, int32_t partition);	/* broker id or -1 */
/* The stream of a partition, made if need be. NULL: out of memory. */
struct stream *topic_stream(struct topic *t, int32_t partition, struct stream_conf *conf);
struct topic *metadata_find(const struct metadata *m, const char *name, size_t n);

#endif
