/* life_fixture.h - a producer with a journal before a fake broker, that goes on where an earlier life of it stopped: batches are
 * restored before start(). For test_doubt.c and test_gone.c. Lines are numbers, and a line's number is its offset. */
#ifndef SPILLWAY_TESTS_LIFE_FIXTURE_H
#define SPILLWAY_TESTS_LIFE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "producer/journal.h"
#include "tests/lib/fakebroker.h"
#include "tests/lib/mockjournal.h"
#include "tests/lib/unit.h"

#define WAIT_MS 30000
#define PID 77			/* the producer id of the earlier life */

struct fixture {
	struct fake *fake;
	struct producer_config *c;
	struct producer_journal j;
	struct mock mock;
	struct producer *p;
	struct lane *lane;
	int next;			/* the next line */
	int64_t age_ms;			/* of restored batches */
	bool started;
};

static inline void set(struct fixture *f, const char *name, const char *value)
{
	struct producer_error err;

	if (producer_config_set(f->c, name, value, &err) < 0)
		fail_msg("%s: %s", name, err.text);
}

static inline struct fixture *fixture_with(void **state, const char *profile, const char *key, const char *value)
{
	static const char *const keys[][2] = {
		{ "retry.backoff.ms", "10" }, { "retry.backoff.max.ms", "100" }, { "reconnect.backoff.ms", "10" },
		{ "reconnect.backoff.max.ms", "50" }, { "request.timeout.ms", "1000" }, { "evidence.settle.ms", "200" },
		{ "buffer.memory", "1MiB" }, { "batch.size", "16KiB" }, { "linger.ms", "5000" },
	};
	struct fixture *f = calloc(1, sizeof *f);
	struct producer_error err = { 0 };

	f->fake = profile ? fake_open_profile(profile, 1, 1) : fake_open(1, 1);
	f->c = producer_config_new();
	mock_open(&f->mock, &f->j);
	set(f, "bootstrap.servers", fake_address(f->fake));
	for (size_t i = 0; i < COUNT(keys); i++)
		set(f, keys[i][0], keys[i][1]);
	set(f, key, value);
	if (producer_open_journaled(f->c, &f->j, &f->p, &err) < 0)
		fail_msg("open: %s", err.text);
	f->lane = producer_lane(f->p, "t", 0);
	fake_topic_set(f->fake, "t", "message.timestamp.type", 0);	/* it is there from now on */
	*state = f;
	return f;
}

static inline struct fixture *fixture_of(void **state, const char *profile, const char *expiration_ms)
{
	return fixture_with(state, profile, "producer.id.expiration.ms", expiration_ms);
}

static inline struct fixture *fixture(void **state)
{
	return fixture_of(state, NULL, "86400000");
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	f->mock.hold_spills = false;		/* after a failure, too */
	if (f->started)
		producer_stop(f->p, NULL, NULL);
	fake_on_batch(f->fake, NULL, NULL);	/* what was on its way is still read */
	mock_close(&f->mock);
	producer_close(f->p, 0);
	producer_config_free(f->c);
	fake_close(f->fake);
	free(f);
	return 0;
}

static inline void start(struct fixture *f)
{
	struct producer_error err = { 0 };

	fake_on_batch(f->fake, mock_seen, &f->mock);
	mock_start(&f->mock, f->p);
	f->started = true;
	if (producer_start(f->p, &err) < 0)
		fail_msg("start: %s", err.text);
}

static inline void append_to(struct fixture *f, struct lane *l, int n)
{
	char value[16];

	for (; n > 0; n--) {
		int i = f->next++;
		struct source_range r = { .file_id = 1, .from = i, .to = i + 1, .count = 1 };

		snprintf(value, sizeof value, "%06d", i);
		lane_begin(l, clock_mono_ms(), clock_wall_ms());
		assert_int_equal(lane_append(l, &(struct lane_record){ .value = value, .value_len = 6, .timestamp = -1,
									     .source = &r }), 0);
		lane_end(l);
	}
	lane_seal(l);
}

static inline void append(struct fixture *f, int n)
{
	append_to(f, f->lane, n);
}

#define wait_for(condition) do { \
	int64_t end_ = clock_mono_ms() + WAIT_MS; \
	while (!(condition)) { \
		if (clock_mono_ms() > end_) fail_msg("never: %s", #condition); \
		usleep(1000); \
	} } while (0)

static inline void drain(struct fixture *f)
{
	if (!producer_drain(f->p, WAIT_MS, false))
		fail_msg("it does not drain: %s", f->mock.topic_event);
	assert_int_equal(producer_in_memory(f->p), 0);
	assert_int_equal(mock_rows(&f->mock), 0);
	assert_int_equal(f->mock.unplanned, 0);
}

/* How often a line is there. */
static inline int times(struct fixture *f, int line)
{
	const char *v;
	int n = 0;

	for (size_t i = 0; (v = fake_record(f->fake, "t", 0, i)); i++)
		n += strcmp(v, "foreign") != 0 && strtol(v, NULL, 10) == line;
	return n;
}

static inline void assert_times(struct fixture *f, int from, int to, int n)
{
	for (int i = from; i < to; i++)
		if (times(f, i) != n)
			fail_msg("line %d is there %d times, not %d", i, times(f, i), n);
}

#endif
