/* log_rate.c - see log_rate.h.
 *
 * Invariants
 *  (1) what is not counted is written: a line for which there is no room in the table passes.
 *  (2) a line that was held back keeps its place until that was said.
 * Threads: any; mu protects everything. No allocation.
 */
#include "agent/base/log_rate.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SLOTS 64

struct slot {
	uint64_t hash;			/* 0: free */
	int64_t  since_ms;
	uint32_t written;
	struct log_held held;
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static struct slot slots[SLOTS];
static uint32_t holding;		/* slots with held.count: mostly none, and then nothing is searched */

/* FNV-1a. */
static uint64_t hash_text(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return (h ^ 0xff) * 0x100000001b3;
}

static const char *value_of(const struct log_field *f, char *room, size_t n)
{
	if (f->str)
		return f->str;
	snprintf(room, n, "%" PRId64, f->num);
	return room;
}

static bool is_over(const struct slot *s, int64_t now_ms)
{
	return now_ms == INT64_MAX || now_ms - s->since_ms >= LOG_RATE_WINDOW_MS;
}

/* Its slot, else a free one, else one whose window is over with nothing to say; NULL: none. */
static struct slot *slot_for(uint64_t hash, int64_t now_ms)
{
	struct slot *best = NULL;

	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &slots[i];

		if (s->hash == hash)
			return s;
		if (!s->hash || (!best && !s->held.count && is_over(s, now_ms)))
			best = s;
	}
	return best;
}

static void begin(struct slot *s, uint64_t hash, int64_t now_ms)
{
	s->hash = hash;
	s->since_ms = now_ms;
	s->written = 0;
	s->held.count = 0;
}

static void hold(struct slot *s, enum log_level level, const char *msg, const struct log_field *first)
{
	char room[24];

	if (s->held.count++)
		return;
	holding++;
	s->held.level = level;
	snprintf(s->held.msg, sizeof s->held.msg, "%s", msg);
	snprintf(s->held.key, sizeof s->held.key, "%s", first ? first->key : "");
	snprintf(s->held.value, sizeof s->held.value, "%s", first ? value_of(first, room, sizeof room) : "");
}

bool log_rate_pass(enum log_level level, const char *msg, const struct log_field *first, int64_t now_ms)
{
	char room[24];
	uint64_t hash = hash_text(0xcbf29ce484222325, msg);
	bool pass = true;
	struct slot *s;

	if (first)
		hash = hash_text(hash, value_of(first, room, sizeof room));
	hash += !hash;
	pthread_mutex_lock(&mu);
	s = slot_for(hash, now_ms);
	if (s && (s->hash != hash || (!s->held.count && is_over(s, now_ms))))
		begin(s, hash, now_ms);
	if (s && s->written >= LOG_RATE_MAX) {
		hold(s, level, msg, first);
		pass = false;
	} else if (s) {
		s->written++;
	}
	pthread_mutex_unlock(&mu);
	return pass;
}

bool log_rate_held(int64_t now_ms, struct log_held *ret)
{
	bool found = false;

	pthread_mutex_lock(&mu);
	for (size_t i = 0; i < SLOTS && holding && !found; i++) {
		struct slot *s = &slots[i];

		if (!s->hash || !s->held.count || !is_over(s, now_ms))
			continue;
		*ret = s->held;
		begin(s, 0, 0);
		holding--;
		found = true;
	}
	pthread_mutex_unlock(&mu);
	return found;
}
