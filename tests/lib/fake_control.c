/* fake_control.c - what a test tells the fake broker and asks it; each function takes the lock for itself. */
#define _GNU_SOURCE
#include "tests/lib/fake_parts.h"

#include <string.h>

/* A topic that a test names is made, as if Metadata had asked for it. */
static struct fake_topic *topic(struct fake *f, const char *name)
{
	return fake_topic_named(f, name, strlen(name), true);
}

static void add_fault(struct fake *f, const struct fake_fault *fault)
{
	int kept = 0;

	for (int i = 0; i < f->fault_count; i++)
		if (f->faults[i].times > 0)
			f->faults[kept++] = f->faults[i];
	if (kept == FAULTS_MAX)
		fake_die("too many faults");
	f->faults[kept] = *fault;
	f->fault_count = kept + 1;
}

void fake_fault(struct fake *f, int partition, enum fault_kind kind, int value, int times)
{
	/* What a request carries is not known before it is read. */
	if (fake_fault_stage(kind) == FAULT_OF_REQUEST)
		partition = -1;
	LOCKED(f, add_fault(f, &(struct fake_fault){ FAKE_PRODUCE, partition, kind, value, times }));
}

void fake_fault_api(struct fake *f, int api, enum fault_kind kind, int value, int times)
{
	LOCKED(f, add_fault(f, &(struct fake_fault){ api, -1, kind, value, times }));
}

void fake_heal(struct fake *f)
{
	LOCKED(f, f->fault_count = 0);
}

void fake_sasl(struct fake *f, int64_t session_ms)
{
	LOCKED(f, f->session_ms = session_ms);
}

uint64_t fake_renewals(struct fake *f)
{
	uint64_t n;

	LOCKED(f, n = f->renewals);
	return n;
}

void fake_mute(struct fake *f, int node, bool mute)
{
	LOCKED(f, f->mute[node] = mute);
}

void fake_advertise(struct fake *f, int node, int port)
{
	LOCKED(f, f->advertised[node] = port);
}

/* --- topics --- */

void fake_topic_error(struct fake *f, const char *name, int16_t code)
{
	LOCKED(f, topic(f, name)->error = code);
}

static void recreate(struct fake *f, struct fake_topic *t)
{
	for (int i = 0; i < PARTITIONS_MAX; i++)
		fake_log_bury(f, &t->logs[i]);
	be32_put(t->id + 12, ++f->ids_made);
}

void fake_recreate_topic(struct fake *f, const char *name)
{
	LOCKED(f, recreate(f, topic(f, name)));
}

void fake_topic_id(struct fake *f, const char *name, uint8_t ret_id[16])
{
	LOCKED(f, memcpy(ret_id, topic(f, name)->id, 16));
}

bool fake_topic_set(struct fake *f, const char *name, const char *key, int64_t value)
{
	static const struct { const char *key; size_t at; } keys[] = {
		{ "max.message.bytes", offsetof(struct fake_topic_conf, max_message_bytes) },
		{ "min.insync.replicas", offsetof(struct fake_topic_conf, min_isr) },
		{ "cleanup.policy", offsetof(struct fake_topic_conf, compact) },
		{ "message.timestamp.type", offsetof(struct fake_topic_conf, append_time) },
		{ "message.timestamp.before.max.ms", offsetof(struct fake_topic_conf, before_max_ms) },
		{ "message.timestamp.after.max.ms", offsetof(struct fake_topic_conf, after_max_ms) },
	};

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (!strcmp(keys[i].key, key)) {
			LOCKED(f, memcpy((char *)&topic(f, name)->conf + keys[i].at, &value, sizeof value));
			return true;
		}
	return false;
}

void fake_set_isr(struct fake *f, int before, int after)
{
	LOCKED(f, f->isr_before = before; f->isr_after = after);
}

/* --- producers --- */

void fake_reload(struct fake *f)
{
	LOCKED(f, fake_log_reload(f, 1));
}

void fake_reload_replay(struct fake *f, int batches)
{
	LOCKED(f, fake_log_reload(f, batches));
}

void fake_forget(struct fake *f)
{
	LOCKED(f, fake_log_reload(f, 0));
}

void fake_set_expiry(struct fake *f, int64_t expiry_ms, int64_t check_ms)
{
	LOCKED(f, f->expiry_ms = expiry_ms; f->check_ms = check_ms; f->next_check_ms = fake_now(f) + check_ms);
}

void fake_advance(struct fake *f, int64_t ms)
{
	LOCKED(f, f->clock_ahead_ms += ms);
}

/* --- evidence --- */

void fake_deny_read(struct fake *f, const char *name, bool deny)
{
	LOCKED(f, topic(f, name)->unreadable = deny);
}

void fake_hide_api(struct fake *f, int api, bool hide)
{
	uint64_t bit = 1ull << api;

	LOCKED(f, f->hidden = hide ? f->hidden | bit : f->hidden & ~bit);
}

static int16_t forge(struct fake *f, struct fake_append *a, int64_t producer_id, int16_t epoch, int32_t sequence, int32_t count)
{
	fake_seen_fn *seen = f->seen;
	struct fake_answer r;
	struct buf batch;

	buf_init(&batch, FRAME_MAX);
	fake_batch_forge(&batch, producer_id, epoch, sequence, count, fake_now(f));
	a->p = (const uint8_t *)batch.data;
	a->n = batch.len;
	f->seen = NULL;			/* it did not arrive: nobody looked for it */
	r = fake_log_append(f, a);
	f->seen = seen;
	buf_release(&batch);
	return r.code;
}

int16_t fake_foreign_batch(struct fake *f, const char *name, int partition, int64_t producer_id, int16_t epoch,
			   int32_t sequence, int32_t count)
{
	struct fake_append a = { .partition = partition, .version = 7, .acks = -1 };
	int16_t code;

	LOCKED(f, a.topic = topic(f, name); code = forge(f, &a, producer_id, epoch, sequence, count));
	return code;
}

static void delete_records(struct fake_log *l, int64_t before)
{
	int64_t end = (int64_t)l->n;

	if (before > l->start)
		l->start = before < end ? before : end;
}

void fake_delete_records(struct fake *f, const char *name, int partition, int64_t before)
{
	LOCKED(f, delete_records(&topic(f, name)->logs[partition], before));
}

/* --- looking in --- */

void fake_on_batch(struct fake *f, fake_seen_fn *fn, void *arg)
{
	LOCKED(f, f->seen = fn; f->seen_arg = arg);
}

size_t fake_records(struct fake *f, const char *name, int partition)
{
	size_t n = 0;

	LOCKED(f, struct fake_topic *t = topic(f, name);
	       for (int i = 0; i < f->partitions; i++) if (partition < 0 || partition == i) n += t->logs[i].n);
	return n;
}

const char *fake_record(struct fake *f, const char *name, int partition, size_t i)
{
	const char *v = NULL;

	LOCKED(f, struct fake_log *l = &topic(f, name)->logs[partition]; if (i < l->n) v = l->values[i]);
	return v;
}

void fake_set_partitions(struct fake *f, int partitions)
{
	LOCKED(f, f->partitions = partitions);
}

const char *fake_buried(struct fake *f, size_t i)
{
	const char *v;

	LOCKED(f, v = i < f->buried.n ? f->buried.values[i] : NULL);
	return v;
}

uint64_t fake_requests(struct fake *f)
{
	uint64_t n;

	LOCKED(f, n = f->requests);
	return n;
}

uint64_t fake_code_answers(struct fake *f, int16_t code)
{
	uint64_t n;

	LOCKED(f, n = f->codes[code]);
	return n;
}

int fake_last_version(struct fake *f, int api)
{
	int version;

	LOCKED(f, version = f->last_version[api]);
	return version;
}
