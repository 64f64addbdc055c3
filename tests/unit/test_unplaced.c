/* test_unplaced.c - keyed lines of a first start without a broker: producer, state thread and state database together. */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/crc32c.h"
#include "agent/base/mem.h"
#include "agent/state/state.h"
#include "producer/codec.h"
#include "producer/partition.h"
#include "tests/lib/fakebroker.h"
#include "tests/lib/spool_dir.h"

#define WAIT_MS 30000
#define KEYS 23

struct fixture {
	struct spool_dir d;
	struct fake *fake;
	struct conf conf;
	struct books books;
	struct state *st;
	struct producer_config *c;
	struct producer *p;
	struct lane *lane;
	int partitions;
	int next;			/* the next line */
};

#define wait_for(condition) do { \
	int64_t end_ = clock_mono_ms() + WAIT_MS; \
	while (!(condition)) { \
		if (clock_mono_ms() > end_) fail_msg("never: %s", #condition); \
		usleep(1000); \
	} } while (0)

static void set(struct fixture *f, const char *name, const char *value)
{
	struct producer_error err;

	if (producer_config_set(f->c, name, value, &err) < 0)
		fail_msg("%s: %s", name, err.text);
}

static struct fixture *fixture(void **state, int partitions)
{
	struct fixture *f = calloc(1, sizeof *f);

	spool_dir_make(&f->d);
	f->partitions = partitions;
	f->fake = fake_open(1, partitions);
	f->conf.spool.sync = CONF_SYNC_FULL;
	f->c = producer_config_new();
	set(f, "bootstrap.servers", fake_address(f->fake));
	set(f, "retry.backoff.ms", "20");
	set(f, "reconnect.backoff.ms", "20");
	set(f, "reconnect.backoff.max.ms", "100");
	set(f, "buffer.memory", "1MiB");
	set(f, "batch.size", "16KiB");
	set(f, "max.block.ms", "200");
	set(f, "linger.ms", "5");
	set(f, "compression.type", "lz4");
	*state = f;
	return f;
}

/* A life of the agent, as pipeline.c puts it together. */
static void live(struct fixture *f)
{
	struct spool_totals totals;
	struct producer_journal j;
	struct producer_error pe;
	struct err e;

	if (!f->d.s)
		spool_dir_start(&f->d);
	books_init(&f->books);
	assert_int_equal(state_open(f->d.s, &f->conf, &f->books, &f->st), 0);
	state_journal(f->st, &j);
	assert_int_equal(producer_open_journaled(f->c, &j, &f->p, &pe), 0);
	assert_int_equal(state_restore(f->st, f->p, &e), 0);
	spool_totals(f->d.s, &totals);
	books_open(&f->books, f->p, &totals);
	f->lane = producer_lane(f->p, "t", -1);
	assert_int_equal(state_start(f->st, f->p), 0);
	state_file_put(f->st, &(struct spool_file){ .id = 1, .path = "/a.log" });
	assert_int_equal(producer_start(f->p, &pe), 0);
}

/* Ends this life. killed: the next one finds what kill -9 had left. */
static void die(struct fixture *f, bool killed)
{
	char from[96];

	if (!f->p)
		return;
	memcpy(from, f->d.dir, sizeof from);
	if (killed) {
		spool_dir_next(&f->d);
		assert_int_equal(mkdir(f->d.dir, 0700), 0);
		spool_dir_copy(from, f->d.dir, "spool.db");
		spool_dir_copy(from, f->d.dir, "spool.db-wal");
	}
	producer_stop(f->p, NULL, NULL);
	state_stop(f->st);
	producer_close(f->p, 0);
	state_close(f->st);
	books_release(&f->books);
	f->p = NULL;
	f->st = NULL;
	f->d.s = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	die(f, false);
	spool_dir_remove(&f->d);
	producer_config_free(f->c);
	fake_close(f->fake);
	free(f);
	return 0;
}

static int key_of(int i, char key[16])
{
	return snprintf(key, 16, "k%d", i % KEYS);
}

static int append(struct fixture *f, int i)
{
	char key[16], value[120];
	struct source_range r = { .file_id = 1, .from = i * 10, .to = i * 10 + 10, .marker = 7, .count = 1 };
	struct lane_record rec = { .key = key, .key_len = (size_t)key_of(i, key), .value = value, .value_len = sizeof value,
				   .timestamp = 1700000000000 + i, .source = &r };
	int rc;

	memset(value, '.', sizeof value);
	snprintf(value, sizeof value, "%06d %s", i, key);
	lane_begin(f->lane, clock_mono_ms(), clock_wall_ms());
	rc = lane_append(f->lane, &rec);
	books_lock(&f->books);
	f->books.read += lane_count(f->lane);
	books_unlock(&f->books);
	lane_end(f->lane);
	assert_true(rc == 0 || rc == ERR_AGAIN || rc == ERR_UNAVAILABLE);
	return rc;
}

static void append_some(struct fixture *f, int n)
{
	for (int64_t end = clock_mono_ms() + WAIT_MS; n > 0; ) {
		if (append(f, f->next) == 0) {
			f->next++;
			n--;
		} else {
			usleep(1000);
			assert_true(clock_mono_ms() < end);
		}
	}
}

/* --- looking into the database --- */

struct look { uint64_t rows, unplaced, records; int32_t count; };

static int see_lane(void *arg, const struct spool_lane *l)
{
	struct look *k = arg;

	k->rows += l->rows;
	k->records += l->records;
	k->unplaced += l->partition == LANE_UNPLACED ? l->rows : 0;
	return 0;
}

static int see_count(void *arg, const char *topic, int32_t count)
{
	if (!strcmp(topic, "t"))
		((struct look *)arg)->count = count;
	return 0;
}

static void see(void *arg, struct spool *s)
{
	assert_int_equal(spool_lanes_each(s, see_lane, arg, NULL), 0);
	assert_int_equal(spool_partitions_each(s, see_count, arg, NULL), 0);
}

static struct look look(struct fixture *f)
{
	struct look k = { 0 };

	state_ask(f->st, see, &k);
	return k;
}

static void assert_balanced(struct fixture *f)
{
	struct books_snapshot b;

	books_snapshot(&f->books, &b);
	assert_true(books_balanced(&b));
}

/* Every line once, each key in its partition, in the order it was read. */
static void assert_placed(struct fixture *f)
{
	int32_t seen = 0;
	int last[KEYS];

	memset(last, -1, sizeof last);
	for (int p = 0; p < f->partitions; p++) {
		size_t n = fake_records(f->fake, "t", p);

		for (size_t i = 0; i < n; i++) {
			int line = (int)strtol(fake_record(f->fake, "t", p, i), NULL, 10);
			char key[16];
			int32_t want = partition_of_key(key, (size_t)key_of(line, key), f->partitions);

			assert_int_equal(p, want);
			assert_true(line > last[line % KEYS]);
			last[line % KEYS] = line;
			seen++;
		}
	}
	assert_int_equal(seen, f->next);
	assert_balanced(f);
}

static void drain(struct fixture *f)
{
	assert_true(producer_drain(f->p, WAIT_MS, false));
	assert_int_equal(look(f).rows, 0);
}

/* --- tests --- */

static void keyed_lines_of_a_first_start_without_a_broker_find_their_partitions(void **state)
{
	struct fixture *f = fixture(state, 5);

	fake_down(f->fake, 0);
	live(f);
	append_some(f, 30000);		/* several times what memory holds */
	assert_true(look(f).unplaced > 0);
	assert_balanced(f);
	fake_up(f->fake, 0);
	append_some(f, 5000);		/* behind those that are being placed */
	drain(f);
	assert_placed(f);
	assert_int_equal(look(f).count, 5);
}

static void lines_in_memory_alone_are_placed_too(void **state)
{
	struct fixture *f = fixture(state, 3);

	set(f, "compression.type", "none");
	fake_down(f->fake, 0);
	live(f);
	append_some(f, 100);
	assert_int_equal(look(f).rows, 0);
	fake_up(f->fake, 0);
	append_some(f, 100);
	drain(f);
	assert_placed(f);
}

static void they_wait_for_max_block_ms_in_their_file(void **state)
{
	struct fixture *f = fixture(state, 3);

	set(f, "max.block.ms", "20000");
	fake_down(f->fake, 0);
	live(f);
	assert_int_equal(append(f, 0), ERR_UNAVAILABLE);
	lane_rescue(f->lane);		/* the file is about to vanish */
	append_some(f, 10);
	wait_for((lane_rescue(f->lane), look(f).unplaced > 0));		/* it is said again and again */
	fake_up(f->fake, 0);
	drain(f);
	assert_placed(f);
}

static void what_no_file_holds_does_not_wait_for_max_block_ms(void **state)
{
	struct fixture *f = fixture(state, 3);

	set(f, "max.block.ms", "600000");
	fake_down(f->fake, 0);
	live(f);
	lane_has_streams(f->lane);
	append_some(f, 10);
	wait_for(look(f).unplaced > 0);
	fake_up(f->fake, 0);
	drain(f);
	assert_placed(f);
}

static void a_known_number_needs_no_unplaced_lane_in_an_outage(void **state)
{
	struct fixture *f = fixture(state, 5);
	struct look k;

	live(f);
	append_some(f, 100);
	drain(f);
	wait_for(look(f).count == 5);
	die(f, false);
	fake_down(f->fake, 0);
	live(f);
	assert_int_equal(append(f, f->next), 0);	/* at once */
	f->next++;
	append_some(f, 20000);
	k = look(f);
	assert_true(k.rows > 0);
	assert_int_equal(k.unplaced, 0);
	fake_up(f->fake, 0);
	drain(f);
	assert_placed(f);
}

static void what_a_killed_life_left_unplaced_goes_before_what_comes_now(void **state)
{
	struct fixture *f = fixture(state, 4);
	int kept;

	fake_down(f->fake, 0);
	live(f);
	append_some(f, 15000);
	wait_for((lane_rescue(f->lane), producer_in_memory(f->p) == 0));	/* it is said again and again */
	kept = f->next;
	assert_true(look(f).unplaced > 0);
	die(f, true);
	fake_up(f->fake, 0);
	live(f);
	append_some(f, 5000);
	drain(f);
	assert_int_equal(f->next, kept + 5000);
	assert_placed(f);
}

/* In rows of one batch each, with a time and a header that must stay. */
static void keep_row(struct fixture *f, const struct batch *b)
{
	struct spool_row r = { .topic = "t", .partition = LANE_UNPLACED, .count = b->count, .base_timestamp = b->base_timestamp,
			       .max_timestamp = b->max_timestamp, .raw_bytes = b->bytes, .spooled_ms = 1 };
	struct spool_piece piece = { b->chunks->data, b->chunks->used };

	r.crc = r.raw_crc = crc32c(0, piece.data, piece.n);
	assert_int_equal(spool_begin(f->d.s, SPOOL_FULL, NULL), 0);
	assert_int_equal(spool_add(f->d.s, &r, &piece, 1, NULL), 0);
	assert_int_equal(spool_commit(f->d.s, NULL), 0);
}

static void keep_number(struct fixture *f, int32_t count)
{
	assert_int_equal(spool_begin(f->d.s, SPOOL_FULL, NULL), 0);
	assert_int_equal(spool_partitions_put(f->d.s, "t", count, NULL), 0);
	assert_int_equal(spool_commit(f->d.s, NULL), 0);
}

static int see_times(void *arg, const struct spool_row *r)
{
	int64_t *sum = arg;

	assert_true(r->partition >= 0);
	assert_true(r->base_timestamp >= 1000 && r->max_timestamp <= 1000 + 99 * 5);
	sum[0] += r->count;
	sum[1] = sum[1] > r->max_timestamp ? sum[1] : r->max_timestamp;
	return 0;
}

static void see_rows(void *arg, struct spool *s)
{
	assert_int_equal(spool_rows_list(s, see_times, arg, NULL), 0);
}

/* The number is known and the broker is not there: placing needs nobody. A row without records in it is set aside. */
static void rows_keep_their_times_and_a_senseless_one_is_set_aside(void **state)
{
	struct fixture *f = fixture(state, 3);
	struct budget *m;
	struct batch *b;
	struct spool_totals totals;
	int64_t sum[2] = { 0 };

	spool_dir_start(&f->d);
	assert_int_equal(budget_new(&m, 64 * CHUNK_BYTES, 0), 0);
	for (int i = 0; i < 3; i++) {
		b = batch_new(0, 1000);
		for (int n = 0; n < 100; n++) {
			char key[16];
			int len = key_of(n, key);
			const struct producer_header h = { "h", "v", 1 };

			assert_int_equal(batch_append(b, m, BUDGET_APPEND, 0, key, (size_t)len, "x", 1, &h, 1, 1000 + n * 5), 0);
		}
		if (i == 1)
			b->chunks->data[0] ^= 0x55;
		keep_row(f, b);
		batch_free(b, m);
	}
	budget_free(m);
	keep_number(f, 3);
	fake_down(f->fake, 0);
	live(f);
	wait_for(look(f).unplaced == 0);
	state_ask(f->st, see_rows, sum);
	assert_int_equal(sum[0], 200);
	assert_int_equal(sum[1], 1000 + 99 * 5);
	wait_for((books_lock(&f->books), totals = f->books.totals, books_unlock(&f->books), totals.corrupt_rows) == 1);
	assert_int_equal(totals.dropped, 100);
	assert_balanced(f);
}

/* Parts compress worse than what they come from, and nothing can leave a spool that is full of unplaced lines. */
static void a_full_spool_is_placed_and_drains(void **state)
{
	struct fixture *f = fixture(state, 12);
	struct spool_totals totals;

	f->d.conf.max_size = 1 << 20;
	set(f, "compression.type", "none");
	fake_down(f->fake, 0);
	live(f);
	for (int64_t end = clock_mono_ms() + WAIT_MS; ; ) {
		if (append(f, f->next) == 0)
			f->next++;
		books_lock(&f->books);
		totals = f->books.totals;
		books_unlock(&f->books);
		if (totals.full)
			break;
		assert_true(clock_mono_ms() < end);
	}
	fake_up(f->fake, 0);
	append_some(f, 5000);
	drain(f);
	assert_placed(f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, teardown)
		T(keyed_lines_of_a_first_start_without_a_broker_find_their_partitions),
		T(lines_in_memory_alone_are_placed_too),
		T(they_wait_for_max_block_ms_in_their_file),
		T(what_no_file_holds_does_not_wait_for_max_block_ms),
		T(a_known_number_needs_no_unplaced_lane_in_an_outage),
		T(what_a_killed_life_left_unplaced_goes_before_what_comes_now),
		T(rows_keep_their_times_and_a_senseless_one_is_set_aside),
		T(a_full_spool_is_placed_and_drains),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}
