/* test_evidence.c - what is asked about batches that nobody answered, and what the answers prove. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/base/mem.h"
#include "producer/batch.h"
#include "producer/evidence.h"
#include "producer/wire.h"

#define OURS 3			/* batches of 10, sequences 10, 20, 30; the batch before them was 0 */
#define PID 7
#define EPOCH 2
#define MADE 1000000000		/* base_timestamp of ours */
#define LOG_MAX 16

enum { DENIED = -1000, ABSENT, HIGHER_EPOCH, LOWER_EPOCH };	/* instead of the last sequence that the leader remembers */

struct logged { int32_t base_sequence, count; int64_t base_timestamp; int16_t attributes; int64_t gap; };

/* A leader as it answers. */
struct world {
	int32_t  remembers;
	int64_t  remembers_ms;
	bool     unreadable;
	int64_t  log_start;
	struct logged log[LOG_MAX];
	int      n;
	int      late;			/* so many of them come only when everything has settled */
	int64_t  now, settle_at;
	uint8_t  bytes[LOG_MAX * BATCH_HEAD];
	/* What was asked. */
	int      producers, offsets, fetches, waits;
};

#define BASE_OFFSET 1000

static int64_t logged_at(const struct world *w, int i)
{
	int64_t at = BASE_OFFSET;

	for (int k = 0; k < i; k++)
		at += w->log[k].gap + w->log[k].count;
	return at + (i < w->n ? w->log[i].gap : 0);
}

static int visible(const struct world *w)
{
	return w->now < w->settle_at ? w->n - w->late : w->n;
}

static int64_t end_of(const struct world *w)
{
	return logged_at(w, visible(w)) - (visible(w) < w->n ? w->log[visible(w)].gap : 0);
}

static void write_header(uint8_t *h, int64_t offset, const struct logged *l)
{
	memset(h, 0, BATCH_HEAD);
	be64_put(h, (uint64_t)offset);
	be32_put(h + 8, BATCH_HEAD - 12);
	h[16] = 2;
	be16_put(h + 21, (uint16_t)l->attributes);
	be32_put(h + 23, (uint32_t)l->count - 1);
	be64_put(h + 27, (uint64_t)l->base_timestamp);
	be64_put(h + 35, (uint64_t)l->base_timestamp);
	be64_put(h + 43, l->base_sequence < 0 ? UINT64_MAX : PID);
	be16_put(h + 51, l->base_sequence < 0 ? UINT16_MAX : EPOCH);
	be32_put(h + 53, (uint32_t)l->base_sequence);
	be32_put(h + 57, (uint32_t)l->count);
}

static void answer_producers(struct evidence *e, struct world *w)
{
	struct api_producer_state p = { PID, EPOCH, w->remembers, w->remembers_ms };

	w->producers++;
	if (w->remembers == DENIED) {
		evidence_refused(e, w->now);
		return;
	}
	p.epoch += (w->remembers == HIGHER_EPOCH) - (w->remembers == LOWER_EPOCH);
	evidence_expect_producers(e);
	evidence_see_producer(e, &(struct api_producer_state){ PID + 1, EPOCH, 19, w->remembers_ms });
	if (w->remembers != ABSENT)
		evidence_see_producer(e, &p);
	evidence_take_producers(e, w->now);
}

static void answer_offset(struct evidence *e, struct world *w)
{
	int i = 0;

	w->offsets++;
	if (e->step == EVIDENCE_LATEST) {
		evidence_take_offset(e, end_of(w));
		return;
	}
	if (e->step == EVIDENCE_EARLIEST) {
		evidence_take_offset(e, w->log_start);
		return;
	}
	while (i < visible(w) && w->log[i].base_timestamp < e->conf.from_ms)
		i++;
	evidence_take_offset(e, i < visible(w) ? logged_at(w, i) : -1);
}

/* One batch an answer. */
static void answer_fetch(struct evidence *e, struct world *w)
{
	struct api_fetch a = { .high_watermark = end_of(w), .log_start_offset = w->log_start };
	int i = 0;

	w->fetches++;
	while (i < visible(w) && logged_at(w, i) + w->log[i].count <= e->at)
		i++;
	if (i < visible(w)) {
		write_header(w->bytes, logged_at(w, i), &w->log[i]);
		a.records = w->bytes;
		a.records_len = BATCH_HEAD;
	}
	evidence_take_records(e, &a, w->now);
}

/* Until there is a verdict. */
static void go(struct evidence *e, struct world *w)
{
	for (int i = 0; e->step != EVIDENCE_DONE; i++) {
		assert_true(i < 200);
		w->now++;
		evidence_tick(e, w->now);
		if (e->step == EVIDENCE_WAIT) {
			w->waits++;
			w->now = e->wait_until_ms;
		} else if (e->step == EVIDENCE_PRODUCERS) {
			answer_producers(e, w);
		} else if (w->unreadable) {
			evidence_refused(e, w->now);
		} else if (e->step == EVIDENCE_RECORDS) {
			answer_fetch(e, w);
		} else {
			answer_offset(e, w);
		}
	}
}

static struct evidence_conf conf_of(bool resend, bool trust, bool young)
{
	return (struct evidence_conf){
		.resend = resend, .trust = trust, .young = young, .alive_since_ms = 500, .from_ms = MADE - 600000,
		.settle_at_ms = 90000, .tail_ms = 5000,
	};
}

static struct evidence *question(const struct evidence_conf *conf)
{
	struct evidence_item items[OURS];

	for (int i = 0; i < OURS; i++)
		items[i] = (struct evidence_item){ PID, EPOCH, 10 * (i + 1), 10, MADE + i, true, false, -1, false, false };
	return evidence_new(conf, items, OURS);
}

static void add(struct world *w, int32_t base_sequence, int32_t count, int64_t base_timestamp)
{
	w->log[w->n++] = (struct logged){ base_sequence, count, base_timestamp, 0, 0 };
}

static void add_stranger(struct world *w, int64_t at_ms)
{
	add(w, -1, 4, at_ms);
}

/* A log with an old record of others, the first n of ours and something newer. */
static struct world world(int32_t remembers, int n)
{
	struct world w = { .remembers = remembers, .remembers_ms = 1000, .log_start = BASE_OFFSET, .now = 1, .settle_at = 90000 };

	add_stranger(&w, MADE - 10000000);
	for (int i = 0; i < n; i++) {
		add(&w, 10 * (i + 1), 10, MADE + i);
		add_stranger(&w, MADE + i);
	}
	add_stranger(&w, MADE + 5000);
	return w;
}

static uint32_t found(const struct evidence *e)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->count; i++)
		n += e->items[i].found;
	return n;
}

static void assert_verdict(const struct evidence_conf *conf, struct world *w, enum evidence_verdict v, uint32_t n)
{
	struct evidence *e = question(conf);

	go(e, w);
	if (e->verdict != v || found(e) != n)
		fail_msg("verdict %d and %u found instead of %d and %u", e->verdict, found(e), v, n);
	evidence_free(e);
}

/* --- one case a row; the failures U1 to U8 of the reference are named --- */

enum look { BEFORE, BEFORE_OLD, COPIED, ANSWERS, AGAIN, REFUSED };	/* AGAIN: it was believed once already */
enum odd { SOUND, UNREADABLE, DELETED, HOLE, COPY };

struct row {
	const char *what;
	enum look look;
	int32_t remembers;
	int written;
	enum odd odd;
	enum evidence_verdict verdict;
	uint32_t found;
	int waits, fetches;		/* fetches -1: some */
};

static const struct row rows[] = {
	/* what				look	    remembers	 written   odd	       verdict		found waits fetches */
	{ "alive: the last of ours",	BEFORE,	    39,		 3, SOUND,	EVIDENCE_ALIVE,	  0, 0, 0 },
	{ "alive: the second of ours",	BEFORE,	    29,		 2, SOUND,	EVIDENCE_ALIVE,	  0, 0, 0 },
	{ "alive: just before ours",	BEFORE,	    9,		 0, SOUND,	EVIDENCE_ALIVE,	  0, 0, 0 },
	{ "alive, after only 45",	ANSWERS,    9,		 0, SOUND,	EVIDENCE_ALIVE,	  0, 0, 0 },
	{ "alive, after only 45 again",	AGAIN,	    9,		 0, SOUND,	EVIDENCE_ABSENT,  0, 1, -1 },
	{ "forgotten, all written",	BEFORE,	    ABSENT,	 3, SOUND,	EVIDENCE_SCANNED, 3, 0, -1 },
	{ "forgotten, a prefix written", BEFORE,    ABSENT,	 2, SOUND,	EVIDENCE_SCANNED, 2, 0, -1 },
	{ "never written",		BEFORE,	    ABSENT,	 0, SOUND,	EVIDENCE_SCANNED, 0, 0, -1 },
	{ "forgotten (59), a prefix",	ANSWERS,    ABSENT,	 1, SOUND,	EVIDENCE_ABSENT,  1, 1, -1 },
	{ "fenced, all written",	ANSWERS,    HIGHER_EPOCH, 3, SOUND,	EVIDENCE_SCANNED, 3, 0, -1 },
	{ "fenced before it was sent",	BEFORE,	    HIGHER_EPOCH, 0, SOUND,	EVIDENCE_ABSENT,  0, 1, -1 },
	{ "another's sequence",		BEFORE,	    12,		 0, SOUND,	EVIDENCE_ABSENT,  0, 1, -1 },
	{ "ahead of ours",		BEFORE,	    77,		 1, SOUND,	EVIDENCE_ABSENT,  1, 1, -1 },
	{ "young, nobody may look",	BEFORE,	    DENIED,	 1, UNREADABLE, EVIDENCE_ALIVE,	  0, 0, 0 },
	{ "old, a broker without memory to ask", BEFORE_OLD, DENIED, 2, SOUND,	EVIDENCE_SCANNED, 2, 0, -1 },
	{ "only 45, nobody may look",	ANSWERS,    DENIED,	 1, UNREADABLE, EVIDENCE_UNKNOWN, 0, 1, 0 },
	{ "forgotten, part deleted",	BEFORE,	    ABSENT,	 0, DELETED,	EVIDENCE_UNKNOWN, 0, 1, -1 },
	{ "forgotten, compacted",	BEFORE,	    ABSENT,	 0, HOLE,	EVIDENCE_UNKNOWN, 0, 1, -1 },
	{ "behind, part deleted",	ANSWERS,    4,		 0, DELETED,	EVIDENCE_ABSENT,  0, 1, -1 },
	{ "U1 down for too long, no READ", BEFORE_OLD, DENIED,	 2, UNREADABLE, EVIDENCE_UNKNOWN, 0, 1, 0 },
	{ "U1 down for too long, READ",	BEFORE_OLD, ABSENT,	 2, SOUND,	EVIDENCE_SCANNED, 2, 0, -1 },
	{ "U2 old times, evicted while running", BEFORE_OLD, ABSENT, 3, SOUND,	EVIDENCE_SCANNED, 3, 0, -1 },
	{ "U3 acknowledged data lost",	ANSWERS,    4,		 0, SOUND,	EVIDENCE_ABSENT,  0, 1, -1 },
	{ "U5 a copy wrote ours",	ANSWERS,    39,		 3, COPY,	EVIDENCE_ALIVE,	  0, 0, 0 },
	{ "U5 a copy wrote ours, in alarm", REFUSED, 39,	 3, COPY,	EVIDENCE_ABSENT,  0, 1, -1 },
	{ "U5 we are a copy, and know it", COPIED,  39,		 3, COPY,	EVIDENCE_ABSENT,  0, 1, -1 },
	{ "U5 a copy, but it is ours",	COPIED,	    39,		 3, SOUND,	EVIDENCE_SCANNED, 3, 0, -1 },
	{ "U6 memory lost though young", BEFORE,    ABSENT,	 3, SOUND,	EVIDENCE_SCANNED, 3, 0, -1 },
	{ "U8 refused, written",	REFUSED,    19,		 1, SOUND,	EVIDENCE_ABSENT,  1, 1, -1 },
	{ "U8 refused, not written",	REFUSED,    9,		 0, SOUND,	EVIDENCE_ABSENT,  0, 1, -1 },
	{ "U8 refused, written and deleted", REFUSED, 19,	 0, DELETED,	EVIDENCE_UNKNOWN, 0, 1, -1 },
	{ "U8 refused, no READ",	REFUSED,    DENIED,	 0, UNREADABLE, EVIDENCE_UNKNOWN, 0, 1, 0 },
};

static void make_odd(struct world *w, enum odd odd)
{
	w->unreadable = odd == UNREADABLE;
	if (odd == DELETED) {
		/* The oldest that is left is younger than ours. */
		w->log[0].base_timestamp = MADE;
		w->log_start = BASE_OFFSET;
	}
	if (odd == HOLE)
		w->log[w->n - 1].gap = 10;
	for (int i = 0; odd == COPY && i < w->n; i++)
		w->log[i].base_timestamp += w->log[i].base_sequence >= 0 ? 50 : 0;
}

static void each_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct row *r = &rows[i];
		bool trust = r->look != AGAIN && r->look != REFUSED && r->look != COPIED;
		struct evidence_conf conf = conf_of(r->look <= COPIED, trust, r->look == BEFORE);
		struct world w = world(r->remembers, r->written);
		struct evidence *e = question(&conf);

		make_odd(&w, r->odd);
		go(e, &w);
		if (e->verdict != r->verdict || found(e) != r->found || w.waits != r->waits ||
		    (r->fetches < 0 ? w.fetches == 0 : w.fetches != r->fetches))
			fail_msg("%s: verdict %d, %u found, %d waits, %d fetches", r->what, e->verdict, found(e), w.waits,
				 w.fetches);
		evidence_free(e);
	}
}

/* --- what makes the difference --- */

static void an_identity_that_may_be_forgotten_any_moment_is_not_believed(void **state)
{
	struct evidence_conf conf = conf_of(true, true, false);
	struct world w = world(29, 2);

	(void)state;
	w.remembers_ms = 499;
	assert_verdict(&conf, &w, EVIDENCE_SCANNED, 2);
}

static void an_epoch_that_was_never_used_begins_at_nothing(void **state)
{
	struct evidence_conf conf = conf_of(true, true, true);
	struct evidence_item item = { PID, EPOCH, 0, 10, MADE, true, false, -1, false, false };
	struct world w = world(LOWER_EPOCH, 0);
	struct evidence *e = evidence_new(&conf, &item, 1);

	(void)state;
	go(e, &w);
	assert_int_equal(e->verdict, EVIDENCE_ALIVE);
	evidence_free(e);
	/* But not when some of it was acknowledged. */
	w = world(LOWER_EPOCH, 0);
	assert_verdict(&conf, &w, EVIDENCE_SCANNED, 0);
}

static void sequences_go_round_at_two_to_the_31(void **state)
{
	struct evidence_conf conf = conf_of(true, true, true);
	struct evidence_item item = { PID, EPOCH, INT32_MAX - 3, 10, MADE, true, false, -1, false, false };
	int32_t alive[] = { INT32_MAX - 4, 5 };

	(void)state;
	for (size_t i = 0; i < COUNT(alive); i++) {
		struct world w = world(alive[i], 0);
		struct evidence *e = evidence_new(&conf, &item, 1);

		go(e, &w);
		assert_int_equal(e->verdict, EVIDENCE_ALIVE);
		evidence_free(e);
	}
}

static void a_request_that_comes_late_is_waited_for(void **state)
{
	struct evidence_conf conf = conf_of(false, false, false);
	struct world w = world(ABSENT, 3);
	struct evidence *e = question(&conf);

	(void)state;
	w.late = 3;	/* the third of ours, a stranger's, a stranger's */
	go(e, &w);
	assert_int_equal(e->verdict, EVIDENCE_SCANNED);
	assert_int_equal(found(e), 3);
	assert_int_equal(w.waits, 1);
	/* From where it had come to. */
	assert_int_equal(w.offsets, 3);
	assert_true(w.now >= 90000);
	evidence_free(e);
}

static void nothing_is_absent_before_all_has_settled(void **state)
{
	struct evidence_conf conf = conf_of(false, false, false);
	struct world w = world(ABSENT, 0);

	(void)state;
	assert_verdict(&conf, &w, EVIDENCE_ABSENT, 0);
	assert_int_equal(w.producers, 2);
	assert_true(w.now >= 90000);
	/* One look is enough when that was so from the beginning. */
	w = world(ABSENT, 0);
	w.now = 90001;
	assert_verdict(&conf, &w, EVIDENCE_ABSENT, 0);
	assert_int_equal(w.waits, 0);
	assert_int_equal(w.producers, 1);
}

static void what_is_not_committed_yet_is_not_absent(void **state)
{
	struct evidence_conf conf = conf_of(false, false, false);
	struct world w = world(29, 1);
	struct evidence *e = question(&conf);

	(void)state;
	w.now = 90001;
	for (int i = 0; i < 20 && e->step != EVIDENCE_WAIT; i++) {
		if (e->step == EVIDENCE_PRODUCERS)
			answer_producers(e, &w);
		else if (e->step == EVIDENCE_RECORDS)
			answer_fetch(e, &w);
		else
			answer_offset(e, &w);
	}
	assert_int_equal(e->step, EVIDENCE_WAIT);
	assert_int_equal(e->wait_until_ms, 90001 + 5000);
	/* Now the replicas have it. */
	w = world(29, 2);
	w.now = e->wait_until_ms;
	go(e, &w);
	assert_int_equal(e->verdict, EVIDENCE_ABSENT);
	assert_int_equal(found(e), 2);
	evidence_free(e);
}

static void what_came_between_two_questions_is_looked_at(void **state)
{
	struct evidence_conf conf = conf_of(true, false, false);
	struct world w = world(ABSENT, 0);
	struct evidence *e = question(&conf);

	(void)state;
	w.n = 1;
	answer_producers(e, &w);
	answer_offset(e, &w);		/* the log ends here */
	answer_offset(e, &w);
	add(&w, 10, 10, MADE);
	evidence_take_offset(e, -1);	/* nothing was so new when this was asked */
	assert_int_equal(e->start, BASE_OFFSET + 4);
	go(e, &w);
	assert_int_equal(found(e), 1);
	evidence_free(e);
}

static void a_later_one_in_the_log_proves_the_earlier_where_there_are_holes(void **state)
{
	struct evidence_conf conf = conf_of(true, true, true);
	struct world w = world(ABSENT, 3);
	struct evidence *e = question(&conf);

	(void)state;
	/* The first of ours was compacted away. */
	w.log[1].gap = 10;
	w.log[1].base_sequence = -1;
	go(e, &w);
	assert_int_equal(e->verdict, EVIDENCE_SCANNED);
	assert_int_equal(found(e), 3);
	assert_int_equal(e->items[0].offset, -1);
	assert_true(e->items[1].offset >= 0);
	evidence_free(e);
}

/* Its leader forgot the identity behind the refused first and took the second. */
static void an_earlier_one_that_is_missing_in_a_whole_log_does_not_go_under_its_identity(void **state)
{
	struct evidence_conf conf = conf_of(true, true, true);
	struct world w = world(ABSENT, 2);
	struct evidence *e = question(&conf);

	(void)state;
	w.log[1].base_sequence = -1;
	go(e, &w);
	assert_int_equal(e->verdict, EVIDENCE_ABSENT);
	assert_false(e->items[0].found);
	assert_true(e->items[1].found);
	assert_int_equal(w.waits, 1);
	evidence_free(e);
}

static void other_counts_and_times_are_not_ours(void **state)
{
	struct evidence_conf conf = conf_of(true, false, true);
	struct world w = world(ABSENT, 3);
	struct evidence *e = question(&conf);

	(void)state;
	w.log[3].base_timestamp++;
	w.log[5].count = 9;
	go(e, &w);
	assert_int_equal(found(e), 1);
	assert_true(e->foreign);
	evidence_free(e);
	/* Where the topic stamps batches itself, their time says nothing. */
	w = world(ABSENT, 3);
	w.log[3].base_timestamp++;
	w.log[3].attributes = 8;
	e = question(&conf);
	go(e, &w);
	assert_int_equal(found(e), 3);
	assert_false(e->foreign);
	evidence_free(e);
}

static void a_log_that_nothing_was_ever_deleted_of_may_begin_with_ours(void **state)
{
	struct evidence_conf conf = conf_of(true, true, true);
	struct world w = { .remembers = ABSENT, .now = 1 };
	struct evidence *e = question(&conf);

	(void)state;
	answer_producers(e, &w);
	evidence_take_offset(e, 0);
	evidence_take_offset(e, 0);
	evidence_take_offset(e, -1);
	evidence_take_records(e, &(struct api_fetch){ .high_watermark = 0, .log_start_offset = 0 }, 2);
	assert_int_equal(e->verdict, EVIDENCE_SCANNED);
	evidence_free(e);
}

static void an_answer_without_batches_below_the_end_is_asked_again_then_a_hole(void **state)
{
	struct evidence_conf conf = conf_of(true, true, true);
	struct world w = world(ABSENT, 0);
	struct evidence *e = question(&conf);
	struct api_fetch a = { .high_watermark = 2000, .log_start_offset = 5 };

	(void)state;
	answer_producers(e, &w);
	answer_offset(e, &w);
	answer_offset(e, &w);
	answer_offset(e, &w);
	for (int i = 0; i < 4; i++) {
		evidence_take_records(e, &a, 2);
		assert_int_equal(e->step, EVIDENCE_RECORDS);
	}
	evidence_take_records(e, &a, 2);
	assert_int_equal(e->step, EVIDENCE_WAIT);
	assert_true(e->hole);
	evidence_free(e);
}

static void a_log_that_got_shorter_is_read_from_the_beginning(void **state)
{
	struct evidence_conf conf = conf_of(true, true, true);
	struct world w = world(ABSENT, 2);
	struct evidence *e = question(&conf);

	(void)state;
	answer_producers(e, &w);
	answer_offset(e, &w);
	answer_offset(e, &w);
	answer_offset(e, &w);
	answer_fetch(e, &w);
	evidence_rewind(e);
	assert_int_equal(e->step, EVIDENCE_LATEST);
	go(e, &w);
	assert_int_equal(found(e), 2);
	evidence_free(e);
}

static void people_are_told_what_it_waits_for(void **state)
{
	struct evidence_conf conf = conf_of(false, false, false);
	struct world w = world(ABSENT, 1);
	struct evidence *e = question(&conf);
	char text[200];

	(void)state;
	assert_string_equal(evidence_text(e, text, sizeof text),
			    "asks what its leader has of 3 batches that nobody answered");
	answer_producers(e, &w);
	answer_offset(e, &w);
	answer_offset(e, &w);
	answer_offset(e, &w);
	answer_fetch(e, &w);
	answer_fetch(e, &w);
	assert_string_equal(evidence_text(e, text, sizeof text), "looks for 2 batches in its log, offset 1014 of 1022");
	answer_fetch(e, &w);
	answer_fetch(e, &w);
	assert_int_equal(e->step, EVIDENCE_WAIT);
	assert_non_null(strstr(evidence_text(e, text, sizeof text), "evidence.settle.ms"));
	evidence_free(e);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_case),
		cmocka_unit_test(an_identity_that_may_be_forgotten_any_moment_is_not_believed),
		cmocka_unit_test(an_epoch_that_was_never_used_begins_at_nothing),
		cmocka_unit_test(sequences_go_round_at_two_to_the_31),
		cmocka_unit_test(a_request_that_comes_late_is_waited_for),
		cmocka_unit_test(nothing_is_absent_before_all_has_settled),
		cmocka_unit_test(what_is_not_committed_yet_is_not_absent),
		cmocka_unit_test(what_came_between_two_questions_is_looked_at),
		cmocka_unit_test(a_later_one_in_the_log_proves_the_earlier_where_there_are_holes),
		cmocka_unit_test(an_earlier_one_that_is_missing_in_a_whole_log_does_not_go_under_its_identity),
		cmocka_unit_test(other_counts_and_times_are_not_ours),
		cmocka_unit_test(a_log_that_nothing_was_ever_deleted_of_may_begin_with_ours),
		cmocka_unit_test(an_answer_without_batches_below_the_end_is_asked_again_then_a_hole),
		cmocka_unit_test(a_log_that_got_shorter_is_read_from_the_beginning),
		cmocka_unit_test(people_are_told_what_it_waits_for),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}
