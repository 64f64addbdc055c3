/* test_cut.c - batches that are refused for what they hold: the bytes of their parts; then whole producers, with a journal
 * and without one, against a broker with limits. */
#include "tests/lib/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/crc32c.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/codec.h"
#include "producer/cut.h"
#include "producer/journal.h"
#include "producer/record_read.h"
#include "producer/sender.h"
#include "tests/lib/fakebroker.h"
#include "tests/lib/mockjournal.h"

#define WAIT_MS 30000

#define wait_for(condition) do { \
	int64_t end_ = clock_mono_ms() + WAIT_MS; \
	while (!(condition)) { \
		if (clock_mono_ms() > end_) fail_msg("never: %s", #condition); \
		usleep(1000); \
	} } while (0)

/* --- bytes --- */

struct bytes { struct budget *m; struct batch *b; struct codec_ctx *ctx; enum codec codec; uint32_t raw_crc; };

static const char *value_of(int i, char *buf, size_t n)
{
	/* Lengths all over, so that offset deltas and lengths change their size; some records are larger than a chunk. */
	size_t len = (size_t)(i * 37 % 300 + (i % 97 == 0 ? 20000 : 0));

	memset(buf, 'a' + i % 26, n);
	snprintf(buf, n, "%06d", i);
	buf[6] = ' ';
	buf[len < 8 ? 8 : len < n ? len : n - 1] = '\0';
	return buf;
}

static struct batch *filled(struct bytes *t, int count)
{
	struct batch *b = batch_new(1000, 5000);
	struct producer_header h = { .name = "h", .value = "v", .value_len = 1 };
	char value[24000];

	for (int i = 0; i < count; i++) {
		value_of(i, value, sizeof value);
		assert_int_equal(batch_add_callback(b, NULL, (void *)(intptr_t)i, i), 0);
		assert_int_equal(batch_append(b, t->m, BUDGET_APPEND, 1000, i % 3 ? "key" : NULL, 3, value, strlen(value), &h,
					      (size_t)(i % 2), 5000 + i * 7 % 100 - 50), 0);
	}
	b->topic = "t";
	b->partition = 0;
	batch_seal_crc(b);
	t->raw_crc = b->raw_crc;
	return b;
}

static void compress_(struct bytes *t)
{
	const void *data;
	size_t n;

	assert_int_equal(codec_ctx_new(&t->ctx, t->codec, t->codec == CODEC_LZ4 ? 9 : 3), 0);
	assert_int_equal(codec_compress(t->ctx, t->b->chunks, t->b->bytes, &data, &n), 0);
	batch_replace_bytes(t->b, t->m, data, n, t->codec);
	batch_seal_crc(t->b);
}

static void bytes_open(struct bytes *t, enum codec codec, int count, size_t memory)
{
	*t = (struct bytes){ .codec = codec };
	assert_int_equal(budget_new(&t->m, memory, 0), 0);
	t->b = filled(t, count);
	if (codec != CODEC_NONE)
		compress_(t);
	t->b->state = BATCH_CUTTING;
	t->b->cut = cut_new(87);
}

static void bytes_close(struct bytes *t)
{
	batch_free(t->b, t->m);
	codec_ctx_free(t->ctx);
	assert_int_equal(budget_used(t->m), 0);
	budget_free(t->m);
}

/* The records of a batch, uncompressed. mem_free it. */
static uint8_t *raw_of(const struct batch *b, size_t *ret_n)
{
	struct buf in, out;

	buf_init(&in, 64u << 20);
	buf_init(&out, 64u << 20);
	for (const struct chunk *c = b->chunks; c; c = c->next)
		buf_put(&in, c->data, c->used);
	assert_int_equal(in.len, b->bytes);
	assert_int_equal(crc32c(0, in.data, in.len), b->payload_crc);
	if (b->codec != CODEC_NONE)
		assert_int_equal(codec_decompress((enum codec)b->codec, in.data, in.len, &out), 0);
	else
		buf_put(&out, in.data, in.len);
	buf_release(&in);
	assert_int_equal(out.len, b->raw_bytes);
	assert_int_equal(crc32c(0, out.data, out.len), b->raw_crc);
	*ret_n = out.len;
	return (uint8_t *)buf_detach(&out);
}

/* All of its records are those from `i` on, but for the ones in `without`. Returns the next. */
static int assert_records(const struct batch *b, int i, const bool *without)
{
	size_t n, at = 0;
	uint8_t *raw = raw_of(b, &n);
	int64_t max = INT64_MIN;
	char want[24000];

	batch_check(b);
	for (int32_t k = 0; k < b->count; k++, i++) {
		struct record_view r;
		int64_t when;

		while (without && without[i])
			i++;
		assert_int_equal(record_read(raw + at, n - at, &r), 0);
		at += r.size;
		value_of(i, want, sizeof want);
		assert_int_equal(r.offset_delta, k);
		assert_int_equal(r.value_len, strlen(want));
		assert_memory_equal(r.value, want, r.value_len);
		assert_int_equal(r.key == NULL, i % 3 == 0);
		assert_int_equal(r.header_count, i % 2);
		when = b->base_timestamp + r.timestamp_delta;
		assert_int_equal(when, 5000 + i * 7 % 100 - 50);
		max = when > max ? when : max;
		assert_int_equal((intptr_t)b->callbacks[k].arg, i);
	}
	assert_int_equal(at, n);
	assert_int_equal(b->max_timestamp, max);
	mem_free(raw);
	return i;
}

static int cut_it(struct bytes *t, bool journaled)
{
	return cut_batch(t->b, t->m, t->ctx, t->codec, journaled);
}

static void parts_hold_every_record_in_order_whatever_the_codec(void **state)
{
	static const enum codec codecs[] = { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };
	struct bytes t;

	(void)state;
	for (size_t i = 0; i < COUNT(codecs); i++) {
		int next = 0, parts = 0;

		bytes_open(&t, codecs[i], 1000, 4 << 20);
		t.b->cut->target = 30000;
		assert_int_equal(cut_it(&t, false), 0);
		assert_true(batch_absent(t.b));
		list_each(it, &t.b->cut->parts) {
			const struct batch *part = list_entry(it, struct batch, node);

			assert_true(part->raw_bytes <= 30000 || ++parts == CUT_PARTS_MAX);
			next = assert_records(part, next, NULL);
		}
		assert_int_equal(next, 1000);
		bytes_close(&t);
	}
}

static void culprits_are_taken_out_with_their_words_and_the_rest_stays(void **state)
{
	bool without[1000] = { false };
	struct bytes t;
	struct batch *rest;
	char want[24000];

	(void)state;
	for (int journaled = 0; journaled < 2; journaled++) {
		bytes_open(&t, CODEC_LZ4, 1000, 4 << 20);
		/* In any order, twice, and without words. */
		cut_add_culprit(t.b->cut, 999, "last one", 8);
		cut_add_culprit(t.b->cut, 0, "first oneXX", 9);
		cut_add_culprit(t.b->cut, 485, NULL, 0);
		cut_add_culprit(t.b->cut, 0, "again", 5);
		without[0] = without[485] = without[999] = true;
		assert_int_equal(cut_it(&t, journaled), 0);
		rest = list_first(&t.b->cut->parts, struct batch, node);
		assert_int_equal(rest->count, 997);
		assert_int_equal(assert_records(rest, 0, without), 999);
		assert_int_equal(t.b->cut->record_count, journaled ? 3 : 0);
		if (journaled) {
			struct record_view r;

			assert_string_equal(t.b->cut->records[0].words, "first one");
			assert_null(t.b->cut->records[1].words);
			assert_int_equal(record_read(t.b->cut->records[1].bytes, t.b->cut->records[1].n, &r), 0);
			assert_int_equal(r.size, t.b->cut->records[1].n);
			value_of(485, want, sizeof want);
			assert_memory_equal(r.value, want, r.value_len);
		} else {
			struct batch *f = list_first(&t.b->cut->fails, struct batch, node);

			assert_int_equal(f->count, 1);
			assert_int_equal(f->error, 87);
			assert_string_equal(f->error_words, "first one");
			assert_int_equal((intptr_t)f->callbacks[0].arg, 0);
		}
		bytes_close(&t);
	}
}

static void a_full_budget_does_not_keep_a_batch_from_being_cut(void **state)
{
	struct chunk *all = NULL;
	struct bytes t;
	int next = 0;

	(void)state;
	bytes_open(&t, CODEC_ZSTD, 1000, 2 << 20);
	for (struct chunk *c; (c = budget_take(t.m, BUDGET_APPEND, 0)); all = c)
		c->next = all;
	t.b->cut->target = 5000;
	assert_int_equal(cut_it(&t, false), 0);
	list_each(it, &t.b->cut->parts)
		next = assert_records(list_entry(it, struct batch, node), next, NULL);
	assert_int_equal(next, 1000);
	budget_give(t.m, all);
	bytes_close(&t);
}

static void every_failing_allocation_leaves_the_batch_as_it_was(void **state)
{
	struct bytes t;
	int rc = ERR_NOMEM, n;

	(void)state;
	bytes_open(&t, CODEC_LZ4, 200, 2 << 20);
	t.b->cut->target = 10000;
	cut_add_culprit(t.b->cut, 7, "seven", 5);
	for (n = 1; rc < 0; n++) {
		mem_fail_nth(n);
		rc = cut_it(&t, false);
		mem_fail_nth(0);
		if (rc < 0)
			assert_int_equal(assert_records(t.b, 0, NULL), 200);
	}
	assert_true(n > 10);
	bytes_close(&t);
}

static void bytes_that_are_no_records_are_noticed(void **state)
{
	struct bytes t;

	(void)state;
	bytes_open(&t, CODEC_NONE, 50, 2 << 20);
	t.b->cut->target = 1000;
	t.b->chunks->data[0] ^= 0x40;
	assert_int_equal(cut_it(&t, false), ERR_BAD_DATA);
	t.b->chunks->data[0] ^= 0x40;
	t.b->count++;
	assert_int_equal(cut_it(&t, false), ERR_BAD_DATA);
	t.b->count--;
	assert_int_equal(assert_records(t.b, 0, NULL), 50);
	bytes_close(&t);
}

static void words_of_brokers_are_kept_within_bounds(void **state)
{
	struct cut *c = cut_new(87);
	char words[30000];

	(void)state;
	memset(words, 'w', sizeof words);
	assert_int_equal(cut_add_culprit(c, 0, words, sizeof words), 0);
	assert_int_equal(strlen(c->culprits[0].words), 500);
	cut_free(c, NULL);
}

/* A broker that answers so would leave a hole in the sequences. */
static void names_in_a_refusal_for_size_take_nothing_out(void **state)
{
	static const uint8_t second[] = { 0, 0, 0, 1, 0xff, 0xff };
	static const struct { int16_t code; uint32_t culprits; } expect[] = { { 87, 1 }, { 32, 1 }, { 10, 0 }, { 18, 0 } };
	struct batch *b = batch_new(0, 0);

	(void)state;
	b->count = 5;
	for (size_t i = 0; i < COUNT(expect); i++) {
		sender_cut_name(b, &(struct api_produce_answer){ .error = expect[i].code,
				.records = { .at = second, .end = second + sizeof second, .left = 1 } });
		assert_int_equal(b->cut->culprit_count, expect[i].culprits);
	}
	batch_free(b, NULL);
}

static void all_are_condemned_only_for_one_and_the_same_reason(void **state)
{
	struct cut *c = cut_new(87);

	(void)state;
	assert_false(cut_condemns_all(c, 2));
	cut_add_culprit(c, 1, "no key", 6);
	assert_false(cut_condemns_all(c, 2));
	cut_add_culprit(c, 0, "no key", 6);
	assert_true(cut_condemns_all(c, 2));
	assert_false(cut_condemns_all(c, 3));
	cut_add_culprit(c, 2, "no time", 7);
	assert_false(cut_condemns_all(c, 3));
	cut_free(c, NULL);
}

/* --- producers --- */

struct fixture {
	struct fake *fake;
	struct producer_config *c;
	struct producer_journal j;
	struct mock mock;
	struct producer *p;
	struct lane *lane;
	bool started;

	pthread_mutex_t mu;		/* protects all below */
	int answers, failures, last_good;
	bool twice, disorder;
	char seen[100000];		/* 1: good, 2: failed */
	char words[256];
	int code;
};

static void set(struct fixture *f, const char *name, const char *value)
{
	struct producer_error err;

	if (producer_config_set(f->c, name, value, &err) < 0)
		fail_msg("%s: %s", name, err.text);
}

static struct fixture *fixture(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->fake = fake_open(1, 1);
	f->c = producer_config_new();
	pthread_mutex_init(&f->mu, NULL);
	f->last_good = -1;
	set(f, "bootstrap.servers", fake_address(f->fake));
	set(f, "retry.backoff.ms", "20");
	set(f, "reconnect.backoff.ms", "20");
	set(f, "request.timeout.ms", "30000");
	set(f, "batch.size", "16KiB");
	set(f, "linger.ms", "5");
	*state = f;
	return f;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->started)
		producer_stop(f->p, NULL, NULL);
	fake_on_batch(f->fake, NULL, NULL);	/* what was on its way is still read */
	if (f->j.plan)
		mock_close(&f->mock);
	producer_close(f->p, 0);
	producer_config_free(f->c);
	fake_close(f->fake);
	pthread_mutex_destroy(&f->mu);
	free(f);
	return 0;
}

static void begin_journaled(struct fixture *f)
{
	struct producer_error err = { 0 };

	set(f, "buffer.memory", "2MiB");
	mock_open(&f->mock, &f->j);
	fake_on_batch(f->fake, mock_seen, &f->mock);
	if (producer_open_journaled(f->c, &f->j, &f->p, &err) < 0)
		fail_msg("open: %s", err.text);
	f->lane = producer_lane(f->p, "t", 0);
	mock_start(&f->mock, f->p);
	f->started = true;
	if (producer_start(f->p, &err) < 0)
		fail_msg("start: %s", err.text);
}

/* Makes the topic, so that it can be configured. */
static void limit(struct fixture *f, const char *key, int64_t value)
{
	assert_true(fake_topic_set(f->fake, "t", key, value));
}

static void line(struct fixture *f, int i, const char *key, size_t n)
{
	struct source_range r = { .file_id = 1, .from = i, .to = i + 1, .count = 1 };
	char *value = malloc(n + 16);
	int rc;

	for (size_t k = 0; k < n; k++)
		value[k] = (char)('!' + (i * 31 + (int)k * (i + 7)) % 90);
	snprintf(value, n + 16, "%06d", i);
	value[6] = ' ';
	do {
		lane_begin(f->lane, clock_mono_ms(), clock_wall_ms());
		rc = lane_append(f->lane, &(struct lane_record){ .key = key, .key_len = key ? strlen(key) : 0, .value = value,
				 .value_len = n, .timestamp = -1, .source = &r });
		lane_end(f->lane);
		if (rc == ERR_AGAIN || rc == ERR_LANE_FULL)
			usleep(1000);
	} while (rc == ERR_AGAIN || rc == ERR_LANE_FULL);
	assert_int_equal(rc, 0);
	free(value);
}

/* Lines from..to; every `large_each`-th is too large. */
static void lines(struct fixture *f, int from, int to, int large_each, size_t large)
{
	for (int i = from; i < to; i++)
		line(f, i, "k", large_each && i % large_each == 3 ? large : 100 + (size_t)(i * 53 % 400));
}

static void drain(struct fixture *f)
{
	assert_true(producer_drain(f->p, WAIT_MS, false));
	assert_int_equal(producer_in_memory(f->p), 0);
	assert_int_equal(mock_rows(&f->mock), 0);
	assert_int_equal(f->mock.unplanned, 0);
}

/* All lines but the large ones, each once and in order. */
static void assert_arrived(struct fixture *f, int to, int large_each)
{
	size_t k = 0;

	for (int i = 0; i < to; i++) {
		if (large_each && i % large_each == 3)
			continue;
		assert_true(k < fake_records(f->fake, "t", 0));
		assert_int_equal(strtol(fake_record(f->fake, "t", 0, k++), NULL, 10), i);
	}
	assert_int_equal(fake_records(f->fake, "t", 0), k);
}

static void a_batch_that_is_too_large_goes_in_parts_and_later_ones_are_smaller(void **state)
{
	struct fixture *f = fixture(state);
	uint64_t before;

	limit(f, "max.message.bytes", 5000);
	begin_journaled(f);
	lines(f, 0, 3000, 0, 0);
	drain(f);
	assert_arrived(f, 3000, 0);
	assert_true(f->mock.replaces > 0);
	assert_int_equal(f->mock.acked_records, 3000);
	/* It has learned: nothing is refused any more. */
	before = fake_code_answers(f->fake, 10);
	lines(f, 3000, 6000, 0, 0);
	drain(f);
	assert_arrived(f, 6000, 0);
	assert_int_equal(fake_code_answers(f->fake, 10), before);
}

static void compressed_batches_are_cut_too(void **state)
{
	struct fixture *f = fixture(state);

	set(f, "compression.type", "lz4");
	limit(f, "max.message.bytes", 1500);
	begin_journaled(f);
	lines(f, 0, 5000, 0, 0);
	drain(f);
	assert_arrived(f, 5000, 0);
	assert_true(f->mock.replaces > 0);
}

static void single_records_that_are_too_large_are_rejected_and_no_others(void **state)
{
	struct fixture *f = fixture(state);

	limit(f, "max.message.bytes", 5000);
	begin_journaled(f);
	lines(f, 0, 3000, 100, 6000);
	drain(f);
	assert_arrived(f, 3000, 100);
	assert_int_equal(f->mock.rejected, 30);
}

static void a_limit_that_falls_under_load_loses_and_doubles_nothing(void **state)
{
	struct fixture *f = fixture(state);

	set(f, "request.timeout.ms", "300");
	begin_journaled(f);
	for (int i = 0; i < 12; i++) {
		lines(f, i * 500, i * 500 + 500, 0, 0);
		limit(f, "max.message.bytes", 16000 / (i + 1) + 600);
		if (i % 3 == 1)
			fake_fault(f->fake, -1, FAULT_ERROR, 19, 2);
	}
	drain(f);
	assert_arrived(f, 6000, 0);
}

/* What may be written and is refused now is looked for in the log. */
static void a_refused_repeat_is_looked_for_and_the_limit_need_not_rise(void **state)
{
	struct fixture *f = fixture(state);

	set(f, "request.timeout.ms", "300");
	set(f, "evidence.settle.ms", "100");
	begin_journaled(f);
	lines(f, 0, 10, 0, 0);
	wait_for(fake_records(f->fake, "t", 0) == 10);
	fake_fault(f->fake, 0, FAULT_CLOSE_AFTER, 0, 1);
	lines(f, 10, 60, 0, 0);
	limit(f, "max.message.bytes", 1000);
	drain(f);
	assert_arrived(f, 60, 0);
	assert_int_equal(f->mock.uncertain, 0);
}

/* Wherever it stands: refused, at the cutter, at the journal, or the journal cannot record it. */
static void a_stop_in_the_middle_of_it_leaves_no_record_in_two_places(void **state)
{
	for (int i = 0; i < 20; i++) {
		struct fixture *f = fixture(state);
		int64_t kept = 0;

		limit(f, "max.message.bytes", 3000);
		begin_journaled(f);
		f->mock.fail_replaces = i % 4 == 3 ? 1000000 : 0;
		lines(f, 0, 1500, 0, 0);
		wait_for(fake_code_answers(f->fake, 10) > 0);
		usleep((useconds_t)(i * 700));
		producer_stop(f->p, NULL, NULL);
		f->started = false;
		assert_int_equal(producer_in_memory(f->p), 0);
		assert_int_equal(budget_used(producer_budget(f->p)), 0);
		list_each(it, &f->mock.rows) {
			const struct mock_row *r = list_entry(it, struct mock_row, node);

			/* While its refused batch finds no room the lane is held, and spills beyond its share. */
			assert_true(r->identity || f->mock.fail_replaces);
			kept += r->like.count;
		}
		assert_true(f->mock.acked_records + (uint64_t)kept <= 1500);
		assert_int_equal(f->mock.unplanned, 0);
		if (i < 19)
			teardown(state);
	}
}

/* Else it would be uncertain in the next life, and held. */
static void a_stop_tries_once_more_what_could_not_be_recorded(void **state)
{
	struct fixture *f = fixture(state);
	int64_t kept = 0;

	set(f, "linger.ms", "60000");		/* one batch: smaller ones could be good */
	limit(f, "max.message.bytes", 3000);
	begin_journaled(f);
	f->mock.fail_replaces = 1000000;
	f->mock.replace_retry_ms = 600000;	/* the next try is far away */
	lines(f, 0, 40, 0, 0);
	lane_seal(f->lane);
	wait_for(f->mock.replaces == 1);
	wait_for(({ bool b; pthread_mutex_lock(&f->mock.mu); b = strstr(f->mock.topic_event, "no room left") != NULL;
		    pthread_mutex_unlock(&f->mock.mu); b; }));
	f->mock.fail_replaces = 0;
	producer_stop(f->p, NULL, NULL);
	f->started = false;
	list_each(it, &f->mock.rows)
		kept += list_entry(it, struct mock_row, node)->like.count;
	assert_int_equal(kept, 40);
}

static int older(const void *a, const void *b)
{
	const struct mock_row *const *x = a, *const *y = b;

	return (*x)->like.ledger_id < (*y)->like.ledger_id ? -1 : 1;
}

static size_t planned(struct fixture *f)
{
	size_t n;

	pthread_mutex_lock(&f->mock.mu);
	n = f->mock.plan_count;
	pthread_mutex_unlock(&f->mock.mu);
	return n;
}

/* What a restart finds: without sequences the order of the ledger is all there is. */
static void without_sequences_parts_are_recorded_before_what_stands_behind(void **state)
{
	struct fixture *f = fixture(state);
	const struct mock_row *rows[64];
	size_t n = 0, before;
	int next = 1;

	set(f, "enable.idempotence", "false");
	limit(f, "max.message.bytes", 3000);
	begin_journaled(f);
	f->mock.fail_replaces = 1000000;
	f->mock.replace_retry_ms = 600000;
	line(f, 0, "k", 100);			/* who leads is known from now on */
	wait_for(fake_records(f->fake, "t", 0) == 1 && producer_in_memory(f->p) == 0);
	before = planned(f);
	fake_mute(f->fake, 0, true);		/* until all are sent: else the first may be refused before others follow it */
	lines(f, 1, 200, 0, 0);
	lane_seal(f->lane);
	wait_for(planned(f) > before + 2);
	fake_mute(f->fake, 0, false);
	wait_for(f->mock.replaces == 1);
	f->mock.fail_replaces = 0;
	producer_stop(f->p, NULL, NULL);
	f->started = false;
	list_each(it, &f->mock.rows)
		if (list_entry(it, struct mock_row, node)->identity)
			rows[n++] = list_entry(it, struct mock_row, node);
	qsort(rows, n, sizeof rows[0], older);
	for (size_t i = 0; i < n; i++) {
		struct record_view r;

		assert_int_equal(record_read(rows[i]->bytes, rows[i]->like.bytes, &r), 0);
		assert_int_equal(strtol((const char *)r.value, NULL, 10), next);
		next += rows[i]->like.count;
	}
	assert_true(n > 3);
}

static void what_cannot_be_recorded_is_not_sent_and_tried_again(void **state)
{
	struct fixture *f = fixture(state);

	limit(f, "max.message.bytes", 5000);
	begin_journaled(f);
	f->mock.fail_replaces = 5;
	lines(f, 0, 1000, 200, 6000);
	drain(f);
	assert_arrived(f, 1000, 200);
	assert_int_equal(f->mock.rejected, 5);
}

static void a_compacted_topic_does_not_eat_lines_without_keys(void **state)
{
	struct fixture *f = fixture(state);

	limit(f, "cleanup.policy", 1);
	begin_journaled(f);
	for (int i = 0; i < 500; i++)
		line(f, i, NULL, 100);
	wait_for(({ bool b; pthread_mutex_lock(&f->mock.mu); b = strstr(f->mock.topic_event, "compacted") != NULL;
		    pthread_mutex_unlock(&f->mock.mu); b; }));
	assert_int_equal(f->mock.rejected, 0);
	limit(f, "cleanup.policy", 0);
	drain(f);
	assert_int_equal(fake_records(f->fake, "t", 0), 500);
}

static void culprits_are_set_aside_and_the_others_arrive_in_order(void **state)
{
	struct fixture *f = fixture(state);

	set(f, "linger.ms", "60000");		/* a batch of nothing but culprits would be held instead */
	limit(f, "cleanup.policy", 1);
	begin_journaled(f);
	for (int i = 0; i < 3000; i++)
		line(f, i, i % 50 == 3 ? NULL : "k", 100);
	drain(f);
	assert_arrived(f, 3000, 50);
	assert_int_equal(f->mock.rejected, 60);
}

/* Brokers before 2.4 do not say which records they mean. */
static void without_names_the_culprit_is_found_by_halves(void **state)
{
	struct fixture *f = fixture(state);

	fake_close(f->fake);
	f->fake = fake_open_profile("2.1", 1, 1);
	set(f, "bootstrap.servers", fake_address(f->fake));
	set(f, "linger.ms", "60000");		/* a batch of nothing but culprits would be held instead */
	limit(f, "cleanup.policy", 1);
	begin_journaled(f);
	for (int i = 0; i < 400; i++)
		line(f, i, i % 200 == 3 ? NULL : "k", 100);
	drain(f);
	assert_arrived(f, 400, 200);
	assert_int_equal(f->mock.rejected, 2);
}

static void old_times_of_lines_are_renewed(void **state)
{
	struct fixture *f = fixture(state);
	struct source_range r = { .file_id = 1, .from = 0, .to = 1, .count = 1 };

	limit(f, "message.timestamp.before.max.ms", 3600000);
	begin_journaled(f);
	lane_begin(f->lane, clock_mono_ms(), clock_wall_ms() - 7200000);
	assert_int_equal(lane_append(f->lane, &(struct lane_record){ .value = "old", .value_len = 3, .timestamp = -1,
			    .source = &r }), 0);
	lane_end(f->lane);
	drain(f);
	assert_int_equal(fake_records(f->fake, "t", 0), 1);
	assert_true(fake_code_answers(f->fake, 32) > 0);
	assert_int_equal(f->mock.rejected, 0);
}

/* --- without a journal --- */

static void done(void *arg, const struct producer_metadata *md, const struct producer_error *err);
struct sent { struct fixture *f; int i; };
static struct sent sent[100000];

static void done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct sent *s = arg;
	struct fixture *f = s->f;

	(void)md;
	pthread_mutex_lock(&f->mu);
	f->twice |= f->seen[s->i] != 0;
	f->seen[s->i] = err ? 2 : 1;
	f->answers++;
	f->failures += err != NULL;
	if (err) {
		snprintf(f->words, sizeof f->words, "%s", err->text);
		f->code = err->code;
	} else {
		f->disorder |= s->i <= f->last_good;
		f->last_good = s->i;
	}
	pthread_mutex_unlock(&f->mu);
}

static void send_line(struct fixture *f, int i, const char *key, size_t n)
{
	char *value = malloc(n + 16);
	struct producer_error err;
	struct producer_record r = { .topic = "t", .partition = 0, .key = key, .key_len = key ? strlen(key) : 0,
				     .value = value, .value_len = n, .timestamp = -1 };

	memset(value, 'x', n);
	snprintf(value, n + 16, "%06d", i);
	value[6] = ' ';
	sent[i] = (struct sent){ f, i };
	if (producer_send(f->p, &r, done, &sent[i], &err) < 0)
		fail_msg("send: %s", err.text);
	free(value);
}

static void open_plain(struct fixture *f)
{
	struct producer_error err = { 0 };

	if (producer_open(f->c, &f->p, &err) < 0)
		fail_msg("open: %s", err.text);
}

static void assert_callbacks(struct fixture *f, int n, int each)
{
	struct producer *p = f->p;

	f->p = NULL;
	assert_int_equal(producer_close(p, WAIT_MS), 0);
	assert_int_equal(f->answers, n);
	assert_false(f->twice);
	assert_false(f->disorder);
	for (int i = 0; i < n; i++)
		assert_int_equal(f->seen[i], each && i % each == 3 ? 2 : 1);
}

static void without_a_journal_each_callback_runs_once_and_in_order(void **state)
{
	struct fixture *f = fixture(state);

	limit(f, "max.message.bytes", 3000);
	open_plain(f);
	for (int i = 0; i < 4000; i++)
		send_line(f, i, NULL, i % 100 == 3 ? 4000 : 120);
	assert_int_equal(producer_flush(f->p, WAIT_MS), 0);
	assert_int_equal(f->answers, 4000);
	assert_callbacks(f, 4000, 100);
	assert_arrived(f, 4000, 100);
	assert_int_equal(f->code, 10);
}

static void without_a_journal_culprits_fail_with_the_brokers_words(void **state)
{
	struct fixture *f = fixture(state);

	set(f, "compression.type", "zstd");
	limit(f, "cleanup.policy", 1);
	open_plain(f);
	for (int i = 0; i < 4000; i++)
		send_line(f, i, i % 40 == 3 ? NULL : "k", 120);
	assert_callbacks(f, 4000, 40);
	assert_arrived(f, 4000, 40);
	assert_int_equal(f->code, 87);
	assert_non_null(strstr(f->words, "INVALID_RECORD: "));
}

static void without_idempotence_it_is_the_same(void **state)
{
	struct fixture *f = fixture(state);

	set(f, "enable.idempotence", "false");
	set(f, "max.in.flight.requests.per.connection", "1");
	limit(f, "max.message.bytes", 3000);
	limit(f, "cleanup.policy", 1);
	open_plain(f);
	for (int i = 0; i < 2000; i++)
		send_line(f, i, i % 40 == 3 ? NULL : "k", 120);
	assert_callbacks(f, 2000, 40);
	assert_arrived(f, 2000, 40);
}

static void a_full_memory_can_be_cut(void **state)
{
	struct fixture *f = fixture(state);

	set(f, "buffer.memory", "1MiB");
	set(f, "batch.size", "64KiB");
	limit(f, "max.message.bytes", 3000);
	open_plain(f);
	for (int i = 0; i < 20000; i++)
		send_line(f, i, NULL, 120);
	assert_callbacks(f, 20000, 0);
	assert_arrived(f, 20000, 0);
}

static void a_close_in_the_middle_of_it_runs_every_callback_once(void **state)
{
	struct fixture *f = fixture(state);
	struct producer *p;

	limit(f, "max.message.bytes", 400);
	open_plain(f);
	for (int i = 0; i < 3000; i++)
		send_line(f, i, NULL, 120);
	wait_for(fake_code_answers(f->fake, 10) > 2);
	p = f->p;
	f->p = NULL;
	producer_close(p, 0);
	assert_int_equal(f->answers, 3000);
	assert_false(f->twice);
}

#define T(t) cmocka_unit_test_teardown(t, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_hold_every_record_in_order_whatever_the_codec),
		cmocka_unit_test(culprits_are_taken_out_with_their_words_and_the_rest_stays),
		cmocka_unit_test(a_full_budget_does_not_keep_a_batch_from_being_cut),
		cmocka_unit_test(every_failing_allocation_leaves_the_batch_as_it_was),
		cmocka_unit_test(bytes_that_are_no_records_are_noticed),
		cmocka_unit_test(words_of_brokers_are_kept_within_bounds),
		cmocka_unit_test(names_in_a_refusal_for_size_take_nothing_out),
		cmocka_unit_test(all_are_condemned_only_for_one_and_the_same_reason),
		T(a_batch_that_is_too_large_goes_in_parts_and_later_ones_are_smaller),
		T(compressed_batches_are_cut_too),
		T(single_records_that_are_too_large_are_rejected_and_no_others),
		T(a_limit_that_falls_under_load_loses_and_doubles_nothing),
		T(a_refused_repeat_is_looked_for_and_the_limit_need_not_rise),
		T(a_stop_in_the_middle_of_it_leaves_no_record_in_two_places),
		T(a_stop_tries_once_more_what_could_not_be_recorded),
		T(without_sequences_parts_are_recorded_before_what_stands_behind),
		T(what_cannot_be_recorded_is_not_sent_and_tried_again),
		T(a_compacted_topic_does_not_eat_lines_without_keys),
		T(culprits_are_set_aside_and_the_others_arrive_in_order),
		T(without_names_the_culprit_is_found_by_halves),
		T(old_times_of_lines_are_renewed),
		T(without_a_journal_each_callback_runs_once_and_in_order),
		T(without_a_journal_culprits_fail_with_the_brokers_words),
		T(without_idempotence_it_is_the_same),
		T(a_full_memory_can_be_cut),
		T(a_close_in_the_middle_of_it_runs_every_callback_once),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}
