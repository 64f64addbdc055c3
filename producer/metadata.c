/* metadata.c - takes Metadata answers in and says what to ask next.
 *
 * Why: the view must survive bad answers. A broker that lags tells of old leaders, one that starts knows no topics; what
 * was known stays until something newer is said.
 * Invariants: see metadata.h.
 * Asking: topics that are unknown, faulty or leaderless with backoff; all of them when max_age_ms is over or somebody
 *	met an error. One request at a time, never two within backoff_ms; the pause grows while answers say nothing new.
 * Failure no memory: the topic stays as it was and is asked for again.
 */
#include "producer/metadata.h"

#include <stdatomic.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"

#define PARTITIONS_MAX 1000000
#define TOPIC_NAME_MAX 249
#define LAG_MAX_MS 30000	/* so long a broker may speak of a topic that was made anew meanwhile */

void metadata_init(struct metadata *m, const struct metadata_conf *conf)
{
	*m = (struct metadata){ .conf = *conf, .fresh_ms = -1, .trying_ms = -1 };
	list_init(&m->topics);
}

void metadata_release(struct metadata *m)
{
	for (size_t i = 0; i < m->cluster_id_count; i++)
		mem_free(m->cluster_ids[i]);
	mem_free(m->cluster_ids);
	m->cluster_ids = NULL;
	m->cluster_id = NULL;
	m->cluster_id_count = 0;
}

struct topic *topic_new(const char *name)
{
	struct topic *t = mem_new(struct topic);

	if (!t)
		return NULL;
	t->name = mem_strdup(name);
	t->faulty_ms = t->used_ms = -1;
	list_init(&t->node);
	if (t->name)
		return t;
	mem_free(t);
	return NULL;
}

void topic_free(struct topic *t)
{
	if (!t)
		return;
	for (int32_t i = 0; i < t->stream_cap; i++) {
		if (t->streams[i])
			stream_release(t->streams[i]);
		mem_free(t->streams[i]);
	}
	mem_free(t->streams);
	mem_free(t->leaders);
	available_release(&t->available);
	mem_free(t->name);
	mem_free(t);
}

void metadata_add(struct metadata *m, struct topic *t)
{
	list_push_back(&m->topics, &t->node);
	m->look_at_ms = 0;
}

bool topic_name_valid(const char *name)
{
	size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") : 0;

	return n > 0 && n <= TOPIC_NAME_MAX && !name[n] && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

struct topic *metadata_find(const struct metadata *m, const char *name, size_t n)
{
	list_each(it, &m->topics) {
		struct topic *t = list_entry(it, struct topic, node);

		if (strlen(t->name) == n && memcmp(t->name, name, n) == 0)
			return t;
	}
	return NULL;
}

const char *metadata_cluster_id(const struct metadata *m)
{
	return m->cluster_id;
}

int32_t topic_leader(const struct topic *t, int32_t partition)
{
	return partition >= 0 && partition < t->partition_count ? t->leaders[partition].id : -1;
}

struct stream *topic_stream(struct topic *t, int32_t partition, struct stream_conf *conf)
{
	if (partition < 0 || partition >= PARTITIONS_MAX)
		return NULL;
	if (partition >= t->stream_cap) {
		int32_t cap = partition < 8 ? 8 : partition * 2;
		struct stream **streams = mem_realloc(t->streams, (size_t)cap * sizeof *streams);

		if (!streams)
			return NULL;
		memset(streams + t->stream_cap, 0, (size_t)(cap - t->stream_cap) * sizeof *streams);
		t->streams = streams;
		t->stream_cap = cap;
	}
	if (!t->streams[partition]) {
		struct stream *s = mem_new(struct stream);

		if (!s)
			return NULL;
		stream_init(s, conf, t->name, partition);
		s->owner = t;
		t->streams[partition] = s;
	}
	return t->streams[partition];
}

static struct stream *existing_stream(const struct topic *t, int32_t partition)
{
	return partition < t->stream_cap ? t->streams[partition] : NULL;
}

/* --- asking --- */

static bool idle(const struct metadata *m, const struct topic *t, int64_t now_ms)
{
	return t->used_ms >= 0 && now_ms - t->used_ms >= m->conf.max_idle_ms;
}

void metadata_used(struct metadata *m, struct topic *t, int64_t now_ms)
{
	if (idle(m, t, now_ms)) {
		t->stale = true;
		t->ask_at_ms = m->look_at_ms = 0;
	}
	t->used_ms = now_ms;
}

static bool needs_answer(const struct topic *t)
{
	return !t->known || t->leaderless || t->stale;
}

static bool topic_due(const struct topic *t, int64_t now_ms)
{
	return needs_answer(t) && t->ask_at_ms <= now_ms;
}

/* Everything is asked for when somebody wants it, at the very start, and when the view is old. */
static bool all_due(const struct metadata *m, int64_t now_ms)
{
	return m->refresh || m->fresh_ms < 0 || now_ms - m->fresh_ms >= m->conf.max_age_ms;
}

/* When something will be due, if nothing changes. */
static int64_t next_due(const struct metadata *m, int64_t now_ms)
{
	int64_t at = m->fresh_ms + m->conf.max_age_ms;

	if (all_due(m, now_ms))
		return now_ms;
	list_each(it, &m->topics) {
		const struct topic *t = list_entry(it, struct topic, node);

		if (needs_answer(t) && !idle(m, t, now_ms) && t->ask_at_ms < at)
			at = t->ask_at_ms;
	}
	return at;
}

bool metadata_due(struct metadata *m, int64_t now_ms, int64_t *wake_ms)
{
	int64_t at;

	if (m->asked)
		return false;
	if (m->refresh || m->look_at_ms <= now_ms)
		m->look_at_ms = next_due(m, now_ms);
	at = m->look_at_ms > m->ask_at_ms ? m->look_at_ms : m->ask_at_ms;
	if (at <= now_ms)
		return true;
	if (at < *wake_ms)
		*wake_ms = at;
	return false;
}

bool metadata_starved(struct metadata *m, bool wanted, int64_t trigger_ms, int64_t now_ms, int64_t *wake_ms)
{
	if (!wanted && !m->asked)
		return false;
	if (m->trying_ms < 0)
		m->trying_ms = now_ms;
	if (now_ms - m->trying_ms >= trigger_ms) {
		m->trying_ms = now_ms;
		return true;
	}
	if (m->trying_ms + trigger_ms < *wake_ms)
		*wake_ms = m->trying_ms + trigger_ms;
	return false;
}

size_t metadata_names(const struct metadata *m, int64_t now_ms, const char **names, size_t cap)
{
	bool all = all_due(m, now_ms);
	size_t n = 0;

	list_each(it, &m->topics) {
		const struct topic *t = list_entry(it, struct topic, node);

		if (n < cap && !idle(m, t, now_ms) && (all || topic_due(t, now_ms)))
			names[n++] = t->name;
	}
	return n;
}

bool metadata_has_unseen(const struct metadata *m)
{
	list_each(it, &m->topics)
		if (!list_entry(it, struct topic, node)->partition_count)
			return true;
	return false;
}

void metadata_asked(struct metadata *m)
{
	m->asked = true;
	m->refresh = false;
}

void metadata_want_refresh(struct metadata *m)
{
	m->refresh = true;
}

void metadata_failed(struct metadata *m, int64_t now_ms)
{
	m->asked = false;
	m->refresh = true;
	m->look_at_ms = 0;
	m->ask_at_ms = now_ms + stream_backoff(&m->conf.rng, m->conf.backoff_ms, m->conf.backoff_max_ms, m->failures++);
}

/* --- answers --- */

const char *metadata_keep_cluster_id(struct metadata *m, const char *id)
{
	char **ids, *copy;

	if (!id || !id[0])
		return NULL;
	for (size_t i = 0; i < m->cluster_id_count; i++)
		if (strcmp(m->cluster_ids[i], id) == 0)
			return m->cluster_ids[i];
	ids = mem_realloc(m->cluster_ids, (m->cluster_id_count + 1) * sizeof *ids);
	if (!ids)
		return NULL;
	m->cluster_ids = ids;
	copy = mem_strdup(id);
	if (copy)
		ids[m->cluster_id_count++] = copy;
	return copy;
}

static int note_cluster(struct metadata *m, const char *id)
{
	const char *kept;

	if (!id || !id[0])
		return 0;
	kept = metadata_keep_cluster_id(m, id);
	if (!kept)
		return ERR_NOMEM;
	/* One that comes back has the topics it had. */
	if (m->cluster_id != kept)
		list_each(it, &m->topics)
			memset(list_entry(it, struct topic, node)->old_id, 0, sizeof (struct topic){ 0 }.old_id);
	m->cluster_id = kept;
	return 0;
}

static int grow(struct topic *t, int32_t count)
{
	int32_t old = t->partition_count;
	struct leader *leaders;

	if (count <= old)
		return 0;
	leaders = mem_realloc(t->leaders, (size_t)count * sizeof *leaders);
	if (!leaders)
		return ERR_NOMEM;
	for (int32_t i = old; i < count; i++)
		leaders[i] = (struct leader){ -1, -1 };
	t->leaders = leaders;
	return available_grow(&t->available, count);
}

int topic_restore(struct topic *t, int32_t count)
{
	int rc = count > 0 && count <= PARTITIONS_MAX ? grow(t, count) : ERR_BAD_DATA;

	if (rc < 0)
		return rc;
	atomic_store(&t->partition_count, count);
	t->told_count = count;
	t->restored = true;
	return 0;
}

/* True when that is news. */
static bool set_leader(struct topic *t, int32_t partition, int32_t leader, int32_t epoch)
{
	struct leader *l = &t->leaders[partition];
	struct stream *s = existing_stream(t, partition);
	bool news = l->id != (leader < 0 ? -1 : leader);

	available_set(&t->available, partition, leader >= 0);
	if (s && l->id != leader)
		stream_moved(s);
	if (leader < 0) {
		l->id = -1;	/* the epoch stays: a leader of an older one is still no news */
		return news;
	}
	news |= l->epoch != epoch;
	if (s && news)
		stream_nudge(s);
	*l = (struct leader){ leader, epoch };
	return news;
}

void metadata_hint(struct topic *t, int32_t partition, int32_t leader, int32_t epoch)
{
	if (leader >= 0 && partition >= 0 && partition < t->partition_count && epoch > t->leaders[partition].epoch)
		set_leader(t, partition, leader, epoch);
}

static const uint8_t none[16];

/* Who believed a broker that lags would take its batches off the new topic's log, and send again what is in it. */
static bool lags(struct topic *t, const uint8_t id[16], int64_t now_ms)
{
	if (memcmp(t->old_id, none, 16) == 0 || memcmp(t->old_id, id, 16) != 0) {
		t->old_since_ms = 0;
		return false;
	}
	if (!t->old_since_ms)
		t->old_since_ms = now_ms;
	return now_ms - t->old_since_ms < LAG_MAX_MS;
}

/* The topic was deleted and made again: nothing of what brokers knew about the old one holds. */
static bool note_topic_id(struct topic *t, const uint8_t id[16])
{
	if (memcmp(t->id, id, 16) == 0 || memcmp(id, none, 16) == 0)
		return false;
	t->create_time = false;
	if (memcmp(t->id, none, 16) != 0) {
		for (int32_t i = 0; i < t->partition_count; i++)
			t->leaders[i] = (struct leader){ -1, -1 };
		for (int32_t i = 0; i < t->stream_cap; i++)
			if (t->streams[i])
				stream_forgotten(t->streams[i]);
	}
	memcpy(t->old_id, t->id, 16);
	memcpy(t->id, id, 16);
	return true;
}

static int32_t highest_index(const struct api_topic *a)
{
	int32_t n = -1;

	for (size_t i = 0; i < a->partition_count; i++)
		n = a->partitions[i].index > n ? a->partitions[i].index : n;
	return n;
}

static bool take_partitions(struct topic *t, const struct api_topic *a)
{
	bool news = false;

	t->leaderless = false;
	for (size_t i = 0; i < a->partition_count; i++) {
		const struct api_partition *p = &a->partitions[i];

		if (p->index < 0)
			continue;
		if (p->leader < 0)
			t->leaderless = true;
		if (p->leader_epoch < 0 || p->leader_epoch >= t->leaders[p->index].epoch)
			news |= set_leader(t, p->index, p->leader, p->leader_epoch);
	}
	return news;
}

static void ask_later(struct metadata *m, struct topic *t, int64_t now_ms)
{
	t->ask_at_ms = now_ms + stream_backoff(&m->conf.rng, m->conf.backoff_ms, m->conf.backoff_max_ms, t->failures++);
}

static int take_topic(struct metadata *m, struct topic *t, const struct api_topic *a, int64_t now_ms, bool *news)
{
	int32_t count = highest_index(a) + 1;
	int rc;

	*news |= t->error != a->error;
	t->error = a->error;
	if (a->error) {
		t->known = false;
		if (t->faulty_ms < 0)
			t->faulty_ms = now_ms;
		ask_later(m, t, now_ms);
		return 0;
	}
	if (count > PARTITIONS_MAX)
		return ERR_BAD_DATA;
	if (lags(t, a->id, now_ms)) {
		t->stale = true;
		ask_later(m, t, now_ms);
		return 0;
	}
	rc = grow(t, count);
	if (rc < 0)
		return rc;
	if (note_topic_id(t, a->id) || count > t->partition_count || (t->restored && count > 0)) {
		*news = true;
		t->restored = false;
		atomic_store(&t->partition_count, count);
	}
	*news |= take_partitions(t, a);
	t->known = count > 0;
	t->stale = false;
	t->faulty_ms = -1;
	if (needs_answer(t))
		ask_later(m, t, now_ms);
	else
		t->failures = 0;
	return 0;
}

/* Everything known was in the answer, so the view as a whole is fresh. */
static bool covers_all(const struct metadata *m, const struct api_metadata *a, int64_t now_ms)
{
	size_t n = 0;

	list_each(it, &m->topics)
		n += !idle(m, list_entry(it, struct topic, node), now_ms);
	return a->topic_count >= n;
}

int metadata_apply(struct metadata *m, const struct api_metadata *a, int64_t now_ms)
{
	bool news = false;
	int rc = note_cluster(m, a->cluster_id), one;

	m->asked = false;
	m->failures = 0;
	m->look_at_ms = 0;
	m->trying_ms = -1;
	if (m->fresh_ms < 0 || covers_all(m, a, now_ms))
		m->fresh_ms = now_ms;
	for (size_t i = 0; i < a->topic_count; i++) {
		const char *name = a->topics[i].name;
		struct topic *t = name ? metadata_find(m, name, strlen(name)) : NULL;

		if (!t)
			continue;
		one = take_topic(m, t, &a->topics[i], now_ms, &news);
		if (one < 0) {
			ask_later(m, t, now_ms);
			rc = one;
		}
	}
	m->same = news ? 0 : m->same + 1;
	m->ask_at_ms = now_ms + stream_backoff(&m->conf.rng, m->conf.backoff_ms, m->conf.backoff_max_ms,
					       m->same ? m->same - 1 : 0);
	return rc;
}
