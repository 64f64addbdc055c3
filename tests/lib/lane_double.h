/* lane_double.h - the producer's upper half and the agent's hooks, as the tail thread sees them, that only remember.
 *
 * A test that includes this defines lane_append, producer_lane, producer_budget and producer_loaded itself, so the real
 * ones stay out of its program. The budget and batches are real: memory runs dry by taking all of it.
 * Threads: the test's and the tail's; everything under mu. `changed` tells a waiting test that something happened.
 */
#ifndef SPILLWAY_TESTS_LANE_DOUBLE_H
#define SPILLWAY_TESTS_LANE_DOUBLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "agent/tail/tail.h"

struct lane { char topic[250]; int32_t partition; bool waits, streams; uint32_t seals, rescues, asked; int run; bool full; };

struct double_record {
	const struct lane *lane;
	char  *value; size_t n;
	char   key[64]; bool key_null;
	struct producer_header headers[4]; size_t header_count;
	struct source_range source;
	struct source_range parts[32]; uint32_t part_count;
	char   place[256];
};

struct double_file {
	int64_t  id, safe, gone_ms;
	uint64_t inode;
	uint32_t generation;
	uint8_t  state;
	char     path[512];
	bool     forgotten;
};

struct producer {
	pthread_mutex_t mu;
	pthread_cond_t  changed;
	struct budget  *budget;
	struct chunk   *held;			/* all of it, while memory is dry */
	int             append_rc;		/* what lane_append answers at once, if not 0 */
	size_t          full_at, too_large;	/* takes no more records than that, none of so many bytes, if not 0 */
	uint64_t        refused;		/* how often lane_append said no */
	struct lane     lanes[16];
	size_t          lane_count;
	struct double_record *records;
	size_t          record_count, record_cap;
	struct double_file files[4096];
	size_t          file_count;
	struct spool_route routes[64];
	size_t          route_count;
	struct spool_range finished[64];
	size_t          finished_count;
	struct double_loss { const char *reason; char path[256]; int64_t file_id, from, to; uint64_t records, bytes; } losses[16];
	size_t          loss_count, losses_finished;	/* so many with the range that they end, in one transaction */
	uint64_t        filtered;		/* lines, of records' ranges too */
	struct double_rejected { char why[160]; char bytes[256]; size_t size; struct spool_range range; char topic[250]; int code;
	} rejected[16];
	size_t          rejected_count;
	int             rejected_rc;		/* what the hook answers, if not 0 */
	bool            safe_is_read;		/* everything handed over is finished at once */
	uint64_t        safe_asked;
	int             all_read;
	int             loaded, loaded_rc;
	uint64_t        unread, unread_last;	/* records given back; how often it was said that this is all */
	uint64_t        run_records;		/* as run_end says */
	bool            pause, paused;		/* the tail thread stands still at its next file_put */
	bool            discard;		/* the benchmark: keep nothing */
	_Atomic uint64_t discarded, discarded_bytes;
};

static inline struct producer *double_new(size_t memory)
{
	struct producer *p = calloc(1, sizeof *p);
	pthread_condattr_t attr;

	if (!p || budget_new(&p->budget, memory, 2 * CHUNK_BYTES) < 0)
		abort();
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&p->mu, NULL);
	p->safe_is_read = true;
	return p;
}

/* Memory runs dry, or comes back. */
static inline void double_dry(struct producer *p, bool dry)
{
	struct chunk *c, *give = NULL;

	pthread_mutex_lock(&p->mu);
	if (dry) {
		while ((c = budget_take(p->budget, BUDGET_APPEND, 0))) {
			c->next = p->held;
			p->held = c;
		}
	} else {
		give = p->held;
		p->held = NULL;
	}
	pthread_mutex_unlock(&p->mu);
	budget_give(p->budget, give);
}

static inline void double_free(struct producer *p)
{
	double_dry(p, false);
	for (size_t i = 0; i < p->record_count; i++) {
		free(p->records[i].value);
		for (size_t k = 0; k < p->records[i].header_count; k++) {
			free((char *)p->records[i].headers[k].name);
			free((void *)p->records[i].headers[k].value);
		}
	}
	for (size_t i = 0; i < p->route_count; i++) {
		free((char *)p->routes[i].topic);
		free((char *)p->routes[i].spec);
		free((void *)p->routes[i].key);
	}
	free(p->records);
	budget_free(p->budget);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->mu);
	free(p);
}

/* --- the producer's functions --- */

struct lane *producer_lane(struct producer *p, const char *topic, int32_t partition)
{
	struct lane *l = &p->lanes[p->lane_count];

	for (size_t i = 0; i < p->lane_count; i++)
		if (!strcmp(p->lanes[i].topic, topic) && p->lanes[i].partition == partition)
			return &p->lanes[i];
	if (p->lane_count == sizeof p->lanes / sizeof p->lanes[0])
		return NULL;
	snprintf(l->topic, sizeof l->topic, "%s", topic);
	l->partition = partition;
	p->lane_count++;
	return l;
}

struct lane *producer_waiting_lane(struct producer *p, const char *topic, int32_t partition)
{
	char name[250];
	struct lane *l;

	snprintf(name, sizeof name, "%s/wait", topic);
	l = producer_lane(p, name, partition);
	if (l)
		l->waits = true;
	return l;
}

void lane_has_streams(struct lane *l)
{
	l->streams = true;
}

const char *lane_topic(const struct lane *l)
{
	return l->topic;
}

int32_t lane_partition(const struct lane *l)
{
	return l->partition;
}

static struct producer *double_of_run;		/* lane_append is not told; the benchmark and each test have one at a time */

struct budget *producer_budget(struct producer *p)
{
	return p->budget;
}

void lane_seal(struct lane *l)
{
	pthread_mutex_lock(&double_of_run->mu);
	l->seals++;
	pthread_mutex_unlock(&double_of_run->mu);
}

bool lane_takes(struct lane *l)
{
	bool takes;

	pthread_mutex_lock(&double_of_run->mu);
	l->asked++;
	takes = !l->full;
	pthread_cond_broadcast(&double_of_run->changed);
	pthread_mutex_unlock(&double_of_run->mu);
	return takes;
}

void lane_rescue(struct lane *l)
{
	pthread_mutex_lock(&double_of_run->mu);
	l->rescues++;
	pthread_cond_broadcast(&double_of_run->changed);
	pthread_mutex_unlock(&double_of_run->mu);
}

static inline int double_keep(struct producer *p, struct lane *l, const struct lane_record *in)
{
	struct double_record *r;

	if (p->too_large && in->value_len >= p->too_large)
		return ERR_TOO_LARGE;
	if (p->append_rc < 0 || p->held || l->full || (p->full_at && p->record_count >= p->full_at)) {
		p->refused++;
		pthread_cond_broadcast(&p->changed);
		return p->append_rc < 0 ? p->append_rc : l->full ? ERR_LANE_FULL : ERR_AGAIN;
	}
	if (p->record_count == p->record_cap) {
		p->record_cap = p->record_cap ? p->record_cap * 2 : 256;
		p->records = realloc(p->records, p->record_cap * sizeof *p->records);
		if (!p->records)
			abort();
	}
	r = &p->records[p->record_count++];
	*r = (struct double_record){ .lane = l, .n = in->value_len, .source = *in->source, .key_null = !in->key };
	if (in->key)
		snprintf(r->key, sizeof r->key, "%.*s", (int)in->key_len, (const char *)in->key);
	if (in->header_count > sizeof r->headers / sizeof r->headers[0])
		abort();
	r->header_count = in->header_count;
	for (size_t i = 0; i < in->header_count; i++)
		r->headers[i] = (struct producer_header){ strdup(in->headers[i].name), strdup(in->headers[i].value),
							  in->headers[i].value_len };
	p->filtered += in->source->filtered;
	r->part_count = in->parts;
	if (in->parts > sizeof r->parts / sizeof r->parts[0])
		abort();
	memcpy(r->parts, in->source - in->parts, in->parts * sizeof r->parts[0]);
	snprintf(r->place, sizeof r->place, "%.*s", (int)in->place_len, (const char *)in->place);
	r->value = malloc(in->value_len + 1);
	if (!r->value)
		abort();
	memcpy(r->value, in->value, in->value_len);
	r->value[in->value_len] = 0;
	pthread_cond_broadcast(&p->changed);
	return 0;
}

int lane_append(struct lane *l, const struct lane_record *r)
{
	struct producer *p = double_of_run;
	int rc;

	if (p->discard) {
		p->discarded++;
		p->discarded_bytes += r->value_len;
		return 0;
	}
	pthread_mutex_lock(&p->mu);
	rc = double_keep(p, l, r);
	pthread_mutex_unlock(&p->mu);
	return rc;
}

void producer_loaded(struct producer *p, struct batch *b, int rc)
{
	(void)b;
	pthread_mutex_lock(&p->mu);
	p->loaded++;
	p->loaded_rc = rc;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->mu);
}

/* --- the agent's hooks --- */

static inline struct double_file *double_file(struct producer *p, int64_t id)
{
	for (size_t i = p->file_count; i > 0; i--)
		if (p->files[i - 1].id == id)
			return &p->files[i - 1];
	return NULL;
}

static inline void double_file_put(void *arg, const struct spool_file *f)
{
	struct producer *p = arg;
	struct double_file *d;

	pthread_mutex_lock(&p->mu);
	while (p->pause) {
		p->paused = true;
		pthread_cond_broadcast(&p->changed);
		pthread_cond_wait(&p->changed, &p->mu);
	}
	p->paused = false;
	d = double_file(p, f->id);
	if (!d && p->file_count < sizeof p->files / sizeof p->files[0]) {
		d = &p->files[p->file_count++];
		*d = (struct double_file){ .id = f->id, .safe = f->safe };
	}
	if (d) {
		d->inode = f->inode;
		d->generation = f->generation;
		d->gone_ms = f->gone_ms;
		d->state = f->state;
		snprintf(d->path, sizeof d->path, "%s", f->path);
	}
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->mu);
}

static inline void double_file_forget(void *arg, int64_t id)
{
	struct producer *p = arg;
	struct double_file *d;

	pthread_mutex_lock(&p->mu);
	d = double_file(p, id);
	if (d)
		d->forgotten = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->mu);
}

static inline void double_route_put(void *arg, const struct spool_route *r)
{
	struct producer *p = arg;
	struct spool_route *to;

	pthread_mutex_lock(&p->mu);
	if (p->route_count == sizeof p->routes / sizeof p->routes[0])
		abort();
	to = &p->routes[p->route_count++];
	*to = *r;
	to->topic = strdup(r->topic);
	to->spec = strdup(r->spec);
	to->key = malloc(r->key_len + 1);
	if (!to->topic || !to->spec || !to->key)
		abort();
	if (r->key_len)
		memcpy((void *)to->key, r->key, r->key_len);
	pthread_mutex_unlock(&p->mu);
}

static inline void double_finished(void *arg, const struct spool_range *r)
{
	struct producer *p = arg;

	pthread_mutex_lock(&p->mu);
	if (p->finished_count < sizeof p->finished / sizeof p->finished[0])
		p->finished[p->finished_count++] = *r;
	p->filtered += r->filtered;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->mu);
}

static inline void double_finished_all(void *arg, const struct spool_range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		double_finished(arg, &r[i]);
}

static inline void double_loss(void *arg, const struct spool_loss *l)
{
	struct producer *p = arg;
	struct double_loss *d;

	pthread_mutex_lock(&p->mu);
	if (p->loss_count < sizeof p->losses / sizeof p->losses[0]) {
		d = &p->losses[p->loss_count++];
		*d = (struct double_loss){ l->reason, "", l->file_id, l->from, l->to, l->records, l->bytes };
		snprintf(d->path, sizeof d->path, "%s", l->path);
	}
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->mu);
}

static inline void double_lost(void *arg, const struct spool_loss *l, const struct spool_range *r)
{
	struct producer *p = arg;

	double_loss(arg, l);
	double_finished(arg, r);
	pthread_mutex_lock(&p->mu);
	p->losses_finished++;
	pthread_mutex_unlock(&p->mu);
}

static inline int double_rejected(void *arg, const struct spool_rejected *r)
{
	struct producer *p = arg;
	struct double_rejected *d;
	int rc;

	pthread_mutex_lock(&p->mu);
	rc = p->rejected_rc;
	if (rc == 0 && p->rejected_count < sizeof p->rejected / sizeof p->rejected[0]) {
		d = &p->rejected[p->rejected_count++];
		*d = (struct double_rejected){ .size = r->size, .range = r->ranges[0], .code = r->code };
		snprintf(d->why, sizeof d->why, "%s", r->message);
		snprintf(d->topic, sizeof d->topic, "%s", r->topic);
		memcpy(d->bytes, r->bytes, r->size < sizeof d->bytes ? r->size : sizeof d->bytes);
	}
	if (rc < 0)
		p->refused++;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->mu);
	return rc;
}

static inline void double_run_begin(void *arg, struct lane *l, int64_t now_ms, int64_t wall_ms)
{
	(void)now_ms, (void)wall_ms;
	ASSERT(l->run == 0);
	l->run = 1;
	double_of_run = arg;
}

static inline void double_run_end(void *arg, struct lane *l, uint32_t records)
{
	struct producer *p = arg;

	ASSERT(l->run == 1);
	l->run = 0;
	pthread_mutex_lock(&p->mu);
	p->run_records += records;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->mu);
}

static inline void double_unread(void *arg, struct lane *l, struct list *batches, bool last)
{
	struct producer *p = arg;
	struct batch *b;

	(void)l;
	pthread_mutex_lock(&p->mu);
	while ((b = list_first(batches, struct batch, node))) {
		list_remove(&b->node);
		p->unread += (uint64_t)b->count;
		batch_free(b, p->budget);
	}
	p->unread_last += last;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->mu);
}

static inline int64_t double_safe(void *arg, int64_t id)
{
	struct producer *p = arg;
	struct double_file *d;
	int64_t safe;

	pthread_mutex_lock(&p->mu);
	d = double_file(p, id);
	p->safe_asked++;
	safe = p->safe_is_read ? INT64_MAX : d ? d->safe : 0;
	pthread_mutex_unlock(&p->mu);
	return safe;
}

static inline void double_all_read(void *arg)
{
	struct producer *p = arg;

	pthread_mutex_lock(&p->mu);
	p->all_read++;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->mu);
}

static inline struct tail_hooks double_hooks(struct producer *p)
{
	double_of_run = p;
	return (struct tail_hooks){ .arg = p, .file_put = double_file_put, .file_forget = double_file_forget,
				    .route_put = double_route_put, .finished = double_finished,
				    .rejected = double_rejected, .run_begin = double_run_begin,
				    .unread = double_unread, .run_end = double_run_end, .loss = double_loss, .safe = double_safe,
				    .all_read = double_all_read, .lost = double_lost,
				    .finished_all = double_finished_all };
}

/* Waits until fn says true, at most 20 s. fn is called with the lock held. */
static inline bool double_wait(struct producer *p, bool (*fn)(struct producer *p, void *arg), void *arg)
{
	struct timespec until;
	bool ok;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&p->mu);
	while (!(ok = fn(p, arg)) && rc == 0)
		rc = pthread_cond_timedwait(&p->changed, &p->mu, &until);
	pthread_mutex_unlock(&p->mu);
	return ok;
}

#endif
