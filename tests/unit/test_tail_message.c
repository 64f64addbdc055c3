/* test_tail_message.c - messages that are more, or less, than a line: groups, containers' frames, encodings, lines that are
 * cut. Read over turns, restarts and rotations, and built again from their ranges. */
#include "tests/lib/tail_fixture.h"

#include <unistd.h>

#include "agent/base/mem.h"

#define SPEC(read) "{\"max_line\":1000,\"read\":{" read "}}"
#define SPEC_TIMEOUT(read, ms) "{\"max_line\":1000,\"read\":{" read "},\"read_timeout_ms\":" #ms "}"
#define STARTS "\"multiline\":{\"start\":\"^[0-9]\"}"
#define CRI "\"format\":\"cri\""

/* Ranges of all records, of their parts and of what was finished besides: each byte from 0 to `to` once. */
static void check_all_bytes(struct fixture *f, int64_t id, int64_t to)
{
	struct tail_skip *v = NULL;
	int64_t sum = 0;
	size_t n = 0;

	pthread_mutex_lock(&f->p->mu);
	for (size_t i = 0; i < f->p->record_count; i++) {
		const struct double_record *r = &f->p->records[i];

		assert_int_equal(r->source.count, 1);
		for (uint32_t k = 0; k <= r->part_count; k++) {
			const struct source_range *s = k < r->part_count ? &r->parts[k] : &r->source;

			if (s->file_id != id)
				continue;
			assert_int_equal(s->count, k == r->part_count);
			assert_int_equal(skip_add(&v, &n, s->from, s->to), 0);
			sum += s->to - s->from;
		}
	}
	for (size_t i = 0; i < f->p->finished_count; i++) {
		const struct spool_range *s = &f->p->finished[i];

		if (s->file_id != id)
			continue;
		assert_int_equal(skip_add(&v, &n, s->from, s->to), 0);
		sum += s->to - s->from;
	}
	pthread_mutex_unlock(&f->p->mu);
	assert_int_equal(n, to > 0);
	assert_true(!n || (v[0].from == 0 && v[0].to == to));
	assert_int_equal(sum, to);
	mem_free(v);
}

static bool is_read_to(struct fixture *f, const char *name, int64_t to)
{
	struct tail_file_info *v;
	bool found = false;
	size_t n;

	assert_int_equal(tail_files(f->t, &v, &n), 0);
	for (size_t i = 0; i < n; i++) {
		found |= !strcmp(v[i].path, at(f, name)) && v[i].read == to;
		mem_free(v[i].path);
	}
	mem_free(v);
	return found;
}

static void expect_read_to(struct fixture *f, const char *name, int64_t to)
{
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until;)
		if (is_read_to(f, name, to))
			return;
	fail_msg("%s was never read to %lld", name, (long long)to);
}

/* What was written before is seen by the thread: its events come in order. */
static void expect_turn(struct fixture *f)
{
	static int n;
	char other[32];

	snprintf(other, sizeof other, "turn-%d.log", n++);
	append(f, other, "");
	expect_seen(f, other);
}

static void remember_skips(struct fixture *f, size_t i, struct tail_skip *skips, size_t n)
{
	f->known[i].skips = skips;
	f->known[i].skip_count = n;
}

static bool has_rejected(struct producer *p, void *arg)
{
	return p->rejected_count >= *(size_t *)arg;
}

static void set_full_at(struct producer *p, size_t n)
{
	pthread_mutex_lock(&p->mu);
	p->full_at = n;
	pthread_mutex_unlock(&p->mu);
}

/* --- groups --- */

static void a_group_ends_where_the_next_begins(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC(STARTS);
	append(f, "a.log", "1 a\n at x\n at y\n2 b\n3 c\n at z\n");
	start(f);
	expect(f, "<1 a\n at x\n at y><2 b>");
	check_all_bytes(f, 1, 20);
	expect_read_to(f, "a.log", 20);
	append(f, "a.log", " more\n4 d\n");
	expect(f, "<1 a\n at x\n at y><2 b><3 c\n at z\n more>");
	check_ranges(f->p, 1, 0);
}

static void a_group_that_comes_in_pieces_is_one_record(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "1 first\n at x\n at y\n2 second\n";

	f->spec = SPEC(STARTS);
	start(f);
	for (const char *c = text; *c; c++) {
		append(f, "a.log", (const char[]){ *c, 0 });
		if (c - text == 10)
			expect_turn(f);
	}
	append(f, "a.log", "3\n");
	expect(f, "<1 first\n at x\n at y><2 second>");
	check_ranges(f->p, 1, 0);
}

static void a_group_of_a_quiet_file_is_ended_by_time_and_joins_nothing_behind_it(void **state)
{
	struct fixture *f = *state;
	struct batch *b;

	f->spec = SPEC_TIMEOUT(STARTS, 50);
	append(f, "a.log", "1 a\n at x\n");
	start(f);
	expect(f, "<1 a\n at x>");
	append(f, "a.log", " at y\n2 b\n");
	expect(f, "<1 a\n at x>< at y><2 b>");
	check_ranges(f->p, 1, 0);
	assert_int_not_equal(f->p->records[0].source.route, f->p->records[1].source.route);
	b = batch_of_records(f, 0, 2);
	assert_int_equal(b->range_count, 2);
	batch_free(b, f->p->budget);
}

static void an_unfinished_line_is_not_ended_by_time(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC_TIMEOUT(STARTS, 30);
	append(f, "a.log", "1 a\n at x\n at un");
	start(f);
	expect(f, "<1 a\n at x>");
	append(f, "a.log", "finished\n2\n");
	expect(f, "<1 a\n at x>< at unfinished><2>");
	check_ranges(f->p, 1, 0);
}

static void once_ends_what_is_open_and_then_all_is_read(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC(STARTS);
	f->once = true;
	append(f, "a.log", "1 a\n at x\n2 b\n at y");
	start(f);
	expect(f, "<1 a\n at x><2 b\n at y>");
	expect_read_to(f, "a.log", 19);
	check_all_bytes(f, 1, 19);
}

static void a_rotated_file_gives_its_last_group_before_its_successor_begins(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC_TIMEOUT(STARTS, 150);
	append(f, "a.log", "1 a\n at x\n");
	start(f);
	expect_read_to(f, "a.log", 0);
	move(f, "a.log", "a.log.1");
	append(f, "a.log", " at not mine\n2 b\n3 c\n");
	expect_n(f, "<1 a\n at x>< at not mine><2 b><3 c>", 4);
	assert_int_equal(f->p->records[0].source.file_id, 1);
	assert_int_not_equal(f->p->records[1].source.file_id, 1);
}

static void a_deleted_file_gives_its_last_group(void **state)
{
	struct fixture *f = *state;
	int fd = open_log(f, "a.log");

	f->spec = SPEC(STARTS);
	put(fd, "1 a\n at x\n at y");
	start(f);
	expect_read_to(f, "a.log", 0);
	unlink(at(f, "a.log"));
	close(fd);
	expect(f, "<1 a\n at x\n at y>");
}

static void a_group_in_whose_middle_the_agent_was_stopped_is_one_record(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC(STARTS);
	append(f, "a.log", "1 a\n2 b\n at x\n");
	start(f);
	expect(f, "<1 a>");
	expect_read_to(f, "a.log", 4);
	stop(f);
	remember(f, 0, "a.log", 1, 4);
	append(f, "a.log", " at y\n3 c\n");
	start(f);
	expect(f, "<1 a><2 b\n at x\n at y>");
	check_ranges(f->p, 1, 0);
}

/* What an earlier life handed over above its position ends a group, as it did then. */
static void a_finished_range_in_the_middle_is_jumped(void **state)
{
	struct fixture *f = *state;
	struct tail_skip skip = { 14, 18 };

	f->spec = SPEC(STARTS);
	append(f, "a.log", "1 a\n2 b\n at x\n3 c\n4 d\n at y\n5 e\n");
	remember(f, 0, "a.log", 1, 4);
	remember_skips(f, 0, &skip, 1);
	start(f);
	expect(f, "<2 b\n at x><4 d\n at y>");
	assert_int_equal(f->p->records[0].source.to, 14);
	assert_int_equal(f->p->records[1].source.from, 18);
}

static void a_group_longer_than_a_window_comes_whole(void **state)
{
	struct fixture *f = *state;
	size_t lines = 400, n = 1, len = 0;
	int fd = open_log(f, "a.log");

	f->spec = "{\"max_line\":1000,\"read\":{\"multiline\":{\"start\":\"^[0-9]\",\"max_bytes\":600000,\"max_lines\":5000}}}";
	for (size_t i = 0; i < lines; i++) {
		char line[1000];

		memset(line, 'x', sizeof line);
		line[0] = i ? ' ' : '1';
		line[999] = '\n';
		put_bytes(fd, line, sizeof line);
		len += sizeof line;
	}
	put(fd, "2\n");
	close(fd);
	start(f);
	assert_true(double_wait(f->p, has_records, &n));
	assert_int_equal(f->p->records[0].n, len - 1);
	check_ranges(f->p, 1, 0);
}

static void memory_that_is_dry_makes_the_same_groups_later(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC(STARTS);
	double_dry(f->p, true);
	append(f, "a.log", "1 a\n at x\n2 b\n3 c\n at y\n4 d\n");
	start(f);
	expect_refusal(f);
	expect_refusal(f);
	double_dry(f->p, false);
	expect(f, "<1 a\n at x><2 b><3 c\n at y>");
	check_ranges(f->p, 1, 0);
}

static void filtered_groups_join_the_range_of_the_record_behind_them(void **state)
{
	struct fixture *f = *state;

	f->spec = "{\"exclude\":[\"DEBUG\"],\"max_line\":1000,\"read\":{" STARTS "}}";
	append(f, "a.log", "1 DEBUG\n at x\n2 b\n3 DEBUG\n4\n");
	start(f);
	expect(f, "<2 b>");
	assert_true(f->p->records[0].source.from == 0 && f->p->records[0].source.filtered == 1);
	expect_read_to(f, "a.log", 26);
	check_all_bytes(f, 1, 26);
}

/* --- containers --- */

#define T0 "2024-05-01T10:00:00.000000001Z "

static const char interleaved[] =
	T0 "stdout P one,\n"
	T0 "stderr F ERR 1\n"
	T0 "stderr P err,\n"
	T0 "stdout F  two\n"
	T0 "stdout F three\n"
	T0 "stderr F  2\n";

static const char interleaved_values[] = "<ERR 1><one, two><three><err, 2>";

static void parts_of_two_streams_are_joined_apart(void **state)
{
	struct fixture *f = *state;
	const struct double_record *r;

	f->spec = SPEC(CRI);
	append(f, "a.log", interleaved);
	start(f);
	expect(f, interleaved_values);
	check_all_bytes(f, 1, sizeof interleaved - 1);
	r = &f->p->records[1];
	assert_int_equal(r->part_count, 1);
	assert_int_equal(r->parts[0].from, 0);
	assert_int_equal(r->parts[0].count, 0);
	assert_true(r->parts[0].to < r->source.from);
}

/* Goal: however the file grows, each message is one record with all of its bytes. */
static void streams_that_grow_in_pieces_give_the_same(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC(CRI);
	append(f, "a.log", "");
	start(f);
	expect_seen(f, "a.log");
	for (const char *c = interleaved; *c; c++) {
		append(f, "a.log", (const char[]){ *c, 0 });
		if ((c - interleaved) % 37 == 0)
			expect_turn(f);
	}
	expect(f, interleaved_values);
	check_all_bytes(f, 1, sizeof interleaved - 1);
}

/* A restart at each line: what was handed over is known by its ranges, in any state of the position. */
static void a_restart_between_parts_loses_and_doubles_nothing(void **state)
{
	struct fixture *f = *state;
	size_t first = strcspn(interleaved, "\n") + 1, second = first + strcspn(interleaved + first, "\n") + 1;
	struct tail_skip skip = { (int64_t)first, (int64_t)second };
	int fd;

	f->spec = SPEC(CRI);
	fd = open_log(f, "a.log");
	put_bytes(fd, interleaved, second);
	start(f);
	expect(f, "<ERR 1>");
	expect_read_to(f, "a.log", 0);
	stop(f);
	remember(f, 0, "a.log", 1, 0);
	remember_skips(f, 0, &skip, 1);
	put_bytes(fd, interleaved + second, sizeof interleaved - 1 - second);
	close(fd);
	start(f);
	expect(f, interleaved_values);
	check_all_bytes(f, 1, sizeof interleaved - 1);
}

static void docker_lines_are_unwrapped_and_joined(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC("\"format\":\"docker\"");
	append(f, "a.log", "{\"log\":\"one,\",\"stream\":\"stdout\",\"time\":\"2024-05-01T10:00:00Z\"}\n"
	       "{\"log\":\"err\\n\",\"stream\":\"stderr\",\"time\":\"2024-05-01T10:00:00Z\"}\n"
	       "{\"log\":\" two\\n\",\"stream\":\"stdout\",\"time\":\"2024-05-01T10:00:00Z\"}\n");
	start(f);
	expect(f, "<err><one, two>");
}

static void dry_memory_between_streams_hands_nothing_over_twice(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC(CRI);
	start(f);
	append(f, "a.log", T0 "stdout P one,\n" T0 "stderr F ERR 1\n");
	expect(f, "<ERR 1>");
	double_dry(f->p, true);
	append(f, "a.log", T0 "stderr F ERR 2\n" T0 "stdout F  two\n" T0 "stdout F three\n");
	expect_refusal(f);
	expect_refusal(f);
	double_dry(f->p, false);
	expect(f, "<ERR 1><ERR 2><one, two><three>");
	expect_turn(f);
	assert_int_equal(f->p->record_count, 4);
}

/* Nothing before the line of the other stream was handed over, so no byte tells that it is another file now. */
static void a_file_that_is_truncated_while_its_first_line_is_open_is_read_from_its_beginning(void **state)
{
	static const char open_line[] = T0 "stdout P one,\n";
	struct fixture *f = *state;

	f->spec = SPEC(CRI);
	append(f, "a.log", open_line);
	append(f, "a.log", T0 "stderr F ERR 1\n");
	start(f);
	expect(f, "<ERR 1>");
	expect_turn(f);			/* it is over: the truncation is seen by the next look, as one */
	assert_int_equal(truncate(at(f, "a.log"), 0), 0);
	append(f, "a.log", T0 "stdout F new\n");
	expect(f, "<ERR 1><new>");
	append(f, "a.log", T0 "stderr F ERR 2\n" T0 "stdout F last\n");
	expect(f, "<ERR 1><new><ERR 2><last>");
	assert_true(f->p->records[1].source.file_id > f->p->records[0].source.file_id);
	assert_int_equal(f->p->loss_count, 1);
	assert_string_equal(f->p->losses[0].reason, SPOOL_LOSS_TRUNCATED);
	assert_int_equal(f->p->losses[0].to, sizeof open_line - 1);
}

static void filtered_messages_that_lie_apart_are_finished_with_all_of_their_bytes(void **state)
{
	struct fixture *f = *state;
	static const char text[] = T0 "stdout P DEBUG,\n" T0 "stderr F one\n" T0 "stdout F  two\n" T0 "stderr F last\n";

	f->spec = "{\"exclude\":[\"DEBUG\"],\"max_line\":1000,\"read\":{" CRI "}}";
	append(f, "a.log", text);
	start(f);
	expect(f, "<one><last>");
	check_all_bytes(f, 1, sizeof text - 1);
	assert_int_equal(f->p->filtered, 1);
}

static void give_back(struct fixture *f, size_t from, size_t to)
{
	struct batch *b = batch_of_records(f, from, to);
	struct list l;

	list_init(&l);
	list_push_back(&l, &b->node);
	tail_unread(f->t, &f->p->lanes[0], &l, true);
}

static void exactly_the_messages_that_come_back_are_read_again(void **state)
{
	struct fixture *f = *state;
	char *rest = strchr(strchr(interleaved, '\n') + 1, '\n') + 1;
	int fd = open_log(f, "a.log");

	f->spec = SPEC(CRI);
	f->p->safe_is_read = false;
	put_bytes(fd, interleaved, (size_t)(rest - interleaved));
	start(f);
	expect(f, "<ERR 1>");
	give_back(f, 0, 1);				/* above what is open */
	expect(f, "<ERR 1><ERR 1>");
	put(fd, rest);
	close(fd);
	expect(f, "<ERR 1><ERR 1><one, two><three><err, 2>");
	give_back(f, 2, 3);				/* and in two parts, below what was handed over since */
	expect(f, "<ERR 1><ERR 1><one, two><three><err, 2><one, two>");
	assert_int_equal(f->p->records[5].part_count, 1);
	expect_read_to(f, "a.log", sizeof interleaved - 1);
	assert_int_equal(f->p->record_count, 6);
}

/* --- built again --- */

static void expect_rebuilt(struct fixture *f, struct batch *b)
{
	uint32_t bytes = b->bytes;
	uint8_t *first = malloc(bytes), *p = first;
	int n = f->p->loaded + 1;

	assert_non_null(first);
	for (const struct chunk *c = b->chunks; c; c = c->next) {
		memcpy(p, c->data, c->used);
		p += c->used;
	}
	batch_drop_bytes(b, f->p->budget);
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, 0);
	assert_int_equal(b->bytes, bytes);
	p = first;
	for (const struct chunk *c = b->chunks; c; c = c->next) {
		assert_memory_equal(c->data, p, c->used);
		p += c->used;
	}
	free(first);
}

/* Every run of records, as a batch of its own. */
static void expect_all_rebuilt(struct fixture *f)
{
	size_t n = f->p->record_count;

	for (size_t from = 0; from < n; from++) {
		for (size_t to = from + 1; to <= n; to++) {
			struct batch *b = batch_of_records(f, from, to);

			expect_rebuilt(f, b);
			batch_free(b, f->p->budget);
		}
	}
}

static void groups_are_built_again(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC_TIMEOUT(STARTS, 50);
	append(f, "a.log", "1 a\n at x\n at y\n2 b\n3 c\n at z\n");
	start(f);
	expect(f, "<1 a\n at x\n at y><2 b><3 c\n at z>");
	append(f, "a.log", " at later\n4 d\n");
	expect(f, "<1 a\n at x\n at y><2 b><3 c\n at z>< at later><4 d>");
	expect_all_rebuilt(f);
}

static void messages_that_lie_apart_are_built_again(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC(CRI);
	append(f, "a.log", interleaved);
	start(f);
	expect(f, interleaved_values);
	expect_all_rebuilt(f);
}

/* Among the newest. */
static bool has_value(struct producer *p, void *arg)
{
	for (size_t i = p->record_count > 8 ? p->record_count - 8 : 0; i < p->record_count; i++)
		if (!strcmp(p->records[i].value, arg))
			return true;
	return false;
}

static bool look_for(struct producer *p, const char *value)
{
	bool there;

	pthread_mutex_lock(&p->mu);
	there = has_value(p, (void *)(uintptr_t)value);
	pthread_mutex_unlock(&p->mu);
	return there;
}

/* Goal: a stream that goes on does not keep back what the other one wrote last. */
static void a_quiet_stream_is_ended_by_time_while_the_other_goes_on(void **state)
{
	struct fixture *f = *state;
	size_t n = 0;			/* so many lines are not far enough to end it */
	char last[] = "4";		/* it is ended by time, and so is all that is older */
	struct batch *b;

	f->spec = SPEC_TIMEOUT(CRI "," STARTS, 300);
	append(f, "a.log", T0 "stdout F 1 out\n" T0 "stdout F  more\n");
	start(f);
	for (; !look_for(f->p, "1 out\n more") && n < 20000; n++) {
		append(f, "a.log", T0 "stderr F 2 err\n");
		assert_true(double_wait(f->p, has_records, &n));
	}
	assert_true(look_for(f->p, "1 out\n more"));
	append(f, "a.log", T0 "stdout F  late\n" T0 "stdout F 3 end\n" T0 "stdout F 4\n");
	assert_true(double_wait(f->p, has_value, last));
	assert_true(look_for(f->p, " late") && look_for(f->p, "3 end"));
	b = batch_of_records(f, f->p->record_count > 100 ? f->p->record_count - 100 : 0, f->p->record_count);
	expect_rebuilt(f, b);
	batch_free(b, f->p->budget);
}

static void a_batch_whose_parts_have_changed_is_not_believed(void **state)
{
	struct fixture *f = *state;
	struct batch *b;
	int n = 1, fd;

	f->spec = SPEC(CRI);
	append(f, "a.log", interleaved);
	start(f);
	expect(f, interleaved_values);
	b = batch_of_records(f, 1, 2);
	fd = open(at(f, "a.log"), O_WRONLY);
	assert_int_equal(pwrite(fd, "X", 1, 42), 1);
	close(fd);
	batch_drop_bytes(b, f->p->budget);
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, ERR_BAD_DATA);
	batch_free(b, f->p->budget);
}

/* --- what is left --- */

static void a_survey_gives_up_a_record_with_all_of_its_parts(void **state)
{
	struct fixture *f = *state;
	struct batch *b;
	int n = 1;

	f->spec = SPEC(CRI);
	append(f, "a.log", interleaved);
	start(f);
	expect(f, interleaved_values);
	b = batch_of_records(f, 0, 4);
	assert_int_equal(b->range_count, 5);
	/* The second record's last range: its end is somewhere else now. */
	b->ranges[2].marker ^= 1;
	b->gone = true;
	batch_drop_bytes(b, f->p->budget);
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, 0);
	assert_int_equal(b->range_count, 3);
	assert_int_equal(b->lost_ranges, 2);
	assert_true(b->ranges[3].count == 0 && b->ranges[3].from == 0);
	batch_free(b, f->p->budget);
}

/* --- long lines --- */

static bool has_losses(struct producer *p, void *arg)
{
	return p->loss_count >= *(size_t *)arg;
}

static void put_long(int fd, size_t n, const char *end)
{
	char bytes[4096];

	memset(bytes, 'x', sizeof bytes);
	for (size_t k; n; n -= k) {
		k = n < sizeof bytes ? n : sizeof bytes;
		put_bytes(fd, bytes, k);
	}
	put(fd, end);
}

static uint64_t lost_bytes(const struct producer *p)
{
	uint64_t n = 0;

	for (size_t i = 0; i < p->loss_count; i++)
		n += p->losses[i].bytes;
	return n;
}

static uint64_t lost_records(const struct producer *p)
{
	uint64_t n = 0;

	for (size_t i = 0; i < p->loss_count; i++)
		n += p->losses[i].records;
	return n;
}

static void a_line_that_is_too_long_is_cut_and_its_rest_entered_in_the_losses(void **state)
{
	struct fixture *f = *state;
	size_t n = 3, one = 1;
	int fd = open_log(f, "a.log");

	f->spec = SPEC("\"long\":\"truncate\"");
	f->in[0].long_lines = CONF_LONG_TRUNCATE;
	put(fd, "one\n");
	put_long(fd, 1500, "\n");
	put(fd, "two\n");
	close(fd);
	start(f);
	assert_true(double_wait(f->p, has_records, &n));
	assert_true(double_wait(f->p, has_losses, &one));
	expect_read_to(f, "a.log", 1509);
	assert_int_equal(f->p->records[1].n, 1000);
	assert_string_equal(f->p->records[2].value, "two");
	assert_string_equal(f->p->losses[0].reason, SPOOL_LOSS_LONG_LINE);
	assert_true(f->p->losses[0].from == 1004 && f->p->losses[0].to == 1505);
	assert_int_equal(f->p->losses_finished, f->p->loss_count);
	assert_int_equal(lost_records(f->p), 0);
	check_all_bytes(f, 1, 1509);
	expect_all_rebuilt(f);
}

/* Goal: a giant line takes no memory and its end is found, over windows and a restart within it. */
static void a_giant_line_is_skipped_over_windows_and_restarts(void **state)
{
	struct fixture *f = *state;
	size_t n = 1, two = 2;
	int fd = open_log(f, "a.log");

	f->spec = SPEC("\"long\":\"skip\"");
	f->in[0].long_lines = CONF_LONG_SKIP;
	put(fd, "one\n");
	put_long(fd, 900000, "");
	start(f);
	assert_true(double_wait(f->p, has_records, &n));
	expect_read_to(f, "a.log", 900004);
	assert_int_equal(lost_records(f->p), 1);
	stop(f);
	remember(f, 0, "a.log", 1, 900004);
	put_long(fd, 300000, "\n");
	put(fd, "two\n");
	close(fd);
	start(f);
	assert_true(double_wait(f->p, has_records, &two));
	assert_string_equal(f->p->records[1].value, "two");
	expect_read_to(f, "a.log", 1200009);
	assert_int_equal(lost_records(f->p), 1);
	assert_int_equal(lost_bytes(f->p), 1200001);
}

/* Goal: what was lost before a record that is taken is not told of again when one behind both is refused, nor is that record. */
static void what_memory_refuses_behind_a_line_that_was_cut_doubles_nothing(void **state)
{
	struct fixture *f = *state;
	int fd = open_log(f, "a.log");

	f->spec = SPEC("\"long\":\"skip\"");
	f->in[0].long_lines = CONF_LONG_SKIP;
	put_long(fd, 1500, "\n");
	put(fd, "one\ntwo\n");
	close(fd);
	f->p->full_at = 1;
	start(f);
	expect_refusal(f);
	set_full_at(f->p, 0);
	expect(f, "<one><two>");
	expect_read_to(f, "a.log", 1509);
	assert_int_equal(lost_bytes(f->p), 1501);
	check_all_bytes(f, 1, 1509);
}

static void more_lanes(struct tail *t, void *arg)
{
	(void)t;
	((struct fixture *)arg)->conf.max_lanes = 1000;
}

/* Goal: what is told of again is still the rest of a line, and no line. */
static void a_record_that_is_refused_behind_the_rest_of_a_line_makes_no_line_of_it(void **state)
{
	struct fixture *f = *state;
	size_t one = 1, two = 2;
	int fd = open_log(f, "a.log");

	f->spec = "{\"max_line\":1000,\"read\":{\"long\":\"skip\"},\"topic\":\"%{field.t}\",\"topics_allowed\":[\"x*\"]}";
	f->in[0].topic = (char *)"%{field.t}";
	f->in[0].long_lines = CONF_LONG_SKIP;
	f->conf.max_lanes = 1;
	f->reconcile = 50;
	put(fd, "{\"t\":\"x1\"}\n");
	put_long(fd, 900000, "\n");
	put(fd, "{\"t\":\"x2\"}\n");
	close(fd);
	start(f);
	assert_true(double_wait(f->p, has_records, &one));
	expect_file(f, "a.log", "waiting", NULL);
	calls_do(f->t, more_lanes, f);
	assert_true(double_wait(f->p, has_records, &two));
	expect_read_to(f, "a.log", 900023);
	assert_int_equal(lost_bytes(f->p), 900001);
	assert_int_equal(lost_records(f->p), 1);
	assert_int_equal(f->p->rejected_count, 0);
}

static void a_line_that_makes_too_large_a_record_is_set_aside(void **state)
{
	struct fixture *f = *state;
	size_t one = 1;

	f->spec = SPEC(CRI);
	f->p->too_large = 10;
	append(f, "a.log", T0 "stdout P on\n" T0 "stderr F two is long\n" T0 "stdout F e\n" T0 "stderr F three\n");
	start(f);
	expect(f, "<one><three>");
	assert_true(double_wait(f->p, has_rejected, &one));
	assert_non_null(strstr(f->p->rejected[0].why, "fits no request"));
	assert_non_null(memmem(f->p->rejected[0].bytes, f->p->rejected[0].size, "two is long", 11));
	assert_int_equal(f->p->rejected[0].range.from, strlen(T0 "stdout P on\n"));
	assert_int_equal(f->p->rejected_count, 1);
}

/* --- encodings --- */

static void put_utf16(struct fixture *f, const char *name, const char *text)
{
	int fd = open_log(f, name);

	for (; *text; text++)
		put_bytes(fd, (const char[]){ *text, 0 }, 2);
	close(fd);
}

static void a_byte_order_mark_in_pieces_decides_the_encoding(void **state)
{
	struct fixture *f = *state;
	int fd = open_log(f, "a.log");

	f->spec = SPEC("\"encoding\":\"utf-16\"");
	f->in[0].encoding = (char *)"utf-16";
	start(f);
	expect_seen(f, "a.log");
	put_bytes(fd, "\xff", 1);
	expect_turn(f);
	put_bytes(fd, "\xfe", 1);
	close(fd);
	expect_turn(f);
	put_utf16(f, "a.log", "one\ntwo\nth");
	expect(f, "<one><two>");
	put_utf16(f, "a.log", "ree\n");
	expect(f, "<one><two><three>");
	check_all_bytes(f, 1, 30);
	expect_all_rebuilt(f);
}

static void put_nul(struct fixture *f, const char *name)
{
	int fd = open_log(f, name);

	put_bytes(fd, "", 1);
	close(fd);
}

/* Whatever finds no memory: the file keeps the route that it has, and its mark is looked for again. */
static void a_byte_order_mark_for_which_memory_is_short_is_looked_for_again(void **state)
{
	struct fixture *f = *state;
	struct file *a;
	struct route *first;
	struct dest *dest;
	int rc = ERR_NOMEM;

	f->in[0].encoding = (char *)"utf-16";
	f->spec = SPEC("\"encoding\":\"utf-16\"");
	append(f, "a.log", "\xff");
	open_tail(f);			/* its thread does not run: this one is it */
	a = files_adopt(f->t, at(f, "a.log"), at(f, "a.log"));
	assert_non_null(a);
	first = a->route;
	dest = a->dest;
	assert_non_null(first);
	assert_non_null(dest);
	assert_false(a->encoded);
	append(f, "a.log", "\xfe" "1");
	put_nul(f, "a.log");
	for (long n = 1; rc == ERR_NOMEM && n < 10000; n++) {
		mem_fail_nth(n);
		rc = route_file(f->t, a);
		mem_fail_nth(0);
		assert_ptr_equal(a->dest, dest);
		assert_true(rc == 0 || (a->route == first && !a->encoded));
	}
	assert_int_equal(rc, 0);
	assert_true(a->encoded && a->route != first);
}

static void the_encoding_is_known_again_after_a_restart(void **state)
{
	struct fixture *f = *state;
	int fd = open_log(f, "a.log");

	f->spec = SPEC("\"encoding\":\"utf-16\"");
	f->in[0].encoding = (char *)"utf-16";
	put_bytes(fd, "\xff\xfe", 2);
	close(fd);
	put_utf16(f, "a.log", "one\n");
	start(f);
	expect(f, "<one>");
	stop(f);
	remember(f, 0, "a.log", 1, 10);
	put_utf16(f, "a.log", "two\n");
	start(f);
	expect(f, "<one><two>");
	assert_int_equal(f->p->records[0].source.route, f->p->records[1].source.route);
}

static void set_utf16le(struct fixture *f)
{
	f->spec = SPEC("\"encoding\":\"utf-16le\"");
	f->in[0].encoding = (char *)"utf-16le";
}

/* Goal: the byte of LF is not its end: it would be half a unit that stands before all others. */
static void the_end_of_a_file_is_behind_a_whole_lf_of_its_encoding(void **state)
{
	struct fixture *f = *state;

	set_utf16le(f);
	f->in[0].read_from = CONF_READ_END;
	put_utf16(f, "a.log", "old\nunfi");
	start(f);
	expect_file(f, "a.log", "active", NULL);
	put_utf16(f, "a.log", "nished\n");
	expect(f, "<unfinished>");
	assert_int_equal(f->p->records[0].source.from, 8);
	assert_int_equal(f->p->records[0].source.to, 30);
}

static void a_position_that_is_set_is_behind_a_whole_lf_of_the_encoding(void **state)
{
	struct fixture *f = *state;
	struct tail_moved m;

	set_utf16le(f);
	append(f, "b.log", "");
	start(f);
	expect_seen(f, "b.log");
	double_dry(f->p, true);
	put_utf16(f, "a.log", "one\ntwo\nthree\n");
	expect_refusal(f);
	assert_int_equal(tail_position_set(f->t, at(f, "a.log"), 9, &m), 0);
	assert_int_equal(m.to, 16);
	assert_int_equal(f->p->losses[0].records, 2);
	double_dry(f->p, false);
	expect(f, "<three>");
}

static void half_a_unit_in_the_rest_of_a_line_begins_no_line(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(1001);

	assert_non_null(text);
	memset(text, 'x', 1000);
	text[1000] = 0;
	set_utf16le(f);
	f->spec = SPEC("\"encoding\":\"utf-16le\",\"long\":\"skip\"");
	f->in[0].long_lines = CONF_LONG_SKIP;
	put_utf16(f, "a.log", text);
	free(text);
	append(f, "a.log", "y");		/* its first half */
	start(f);
	expect_read_to(f, "a.log", 2000);
	put_bytes(open_log(f, "a.log"), "\0z\0\n\0o\0n\0e\0\n\0", 13);
	expect(f, "<one>");
	assert_int_equal(lost_bytes(f->p), 2006);
	assert_int_equal(lost_records(f->p), 1);
}

/* Found by one walk, in whatever order. */
static void the_mark_of_one_file_says_nothing_of_the_next(void **state)
{
	struct fixture *f = *state;
	int fd = open_log(f, "a.log");
	size_t two = 2;
	bool big;

	f->spec = SPEC("\"encoding\":\"utf-16\"");
	f->in[0].encoding = (char *)"utf-16";
	put_bytes(fd, "\xfe\xff\0b\0i\0g\0\n", 10);
	close(fd);
	fd = open_log(f, "b.log");
	put_bytes(fd, "\xff\xfel\0i\0t\0t\0l\0e\0\n\0", 16);
	close(fd);
	start(f);
	assert_true(double_wait(f->p, has_records, &two));
	big = !strcmp(f->p->records[0].value, "big");
	assert_string_equal(f->p->records[big ? 0 : 1].value, "big");
	assert_string_equal(f->p->records[big ? 1 : 0].value, "little");
}

static void whole_units_of_nuls_at_the_beginning_are_skipped(void **state)
{
	struct fixture *f = *state;
	int fd = open_log(f, "a.log");

	f->spec = SPEC("\"encoding\":\"utf-16be\"");
	f->in[0].encoding = (char *)"utf-16be";
	put_bytes(fd, "\0\0\0\0\0\0\0A\0B\0\n", 12);
	close(fd);
	start(f);
	expect(f, "<AB>");
	check_all_bytes(f, 1, 12);
}

/* --- topics of records --- */

#define BY_FIELD "{\"topic\":\"%{field.t}\",\"topics_allowed\":[\"x*\",\"y\"]}"

static void set_full(struct fixture *f, const char *topic, bool full)
{
	pthread_mutex_lock(&f->p->mu);
	for (size_t i = 0; i < f->p->lane_count; i++)
		if (!strcmp(f->p->lanes[i].topic, topic))
			f->p->lanes[i].full = full;
	pthread_mutex_unlock(&f->p->mu);
}

static void each_record_goes_where_its_field_says(void **state)
{
	struct fixture *f = *state;
	size_t one = 1;

	f->spec = BY_FIELD;
	f->in[0].topic = (char *)"%{field.t}";
	append(f, "a.log", "{\"t\":\"x1\"}\n{\"t\":\"y\"}\n{\"t\":\"x1\"}\n{\"t\":\"other\"}\n");
	start(f);
	expect(f, "<{\"t\":\"x1\"}><{\"t\":\"y\"}><{\"t\":\"x1\"}>");
	assert_true(double_wait(f->p, has_rejected, &one));
	assert_string_equal(f->p->records[0].lane->topic, "x1");
	assert_string_equal(f->p->records[1].lane->topic, "y");
	assert_ptr_equal(f->p->records[2].lane, f->p->records[0].lane);
	assert_string_equal(f->p->routes[0].topic, "");
	assert_int_equal(f->p->rejected[0].range.from, 32);
	expect_all_rebuilt(f);
}

static void a_file_waits_for_the_lane_of_its_next_record_only(void **state)
{
	struct fixture *f = *state;

	f->spec = BY_FIELD;
	f->in[0].topic = (char *)"%{field.t}";
	append(f, "a.log", "{\"t\":\"x1\"}\n{\"t\":\"y\"}\n");
	start(f);
	expect(f, "<{\"t\":\"x1\"}><{\"t\":\"y\"}>");
	set_full(f, "x1", true);
	append(f, "a.log", "{\"t\":\"y\"}\n{\"t\":\"x1\"}\n{\"t\":\"y\"}\n");
	expect(f, "<{\"t\":\"x1\"}><{\"t\":\"y\"}><{\"t\":\"y\"}>");
	expect_file(f, "a.log", "waiting", NULL);	/* a full lane refuses once, then it is asked */
	append(f, "b.log", "{\"t\":\"y\",\"b\":1}\n");
	expect(f, "<{\"t\":\"x1\"}><{\"t\":\"y\"}><{\"t\":\"y\"}><{\"t\":\"y\",\"b\":1}>");
	expect_file(f, "a.log", "waiting", NULL);
	set_full(f, "x1", false);
	expect(f, "<{\"t\":\"x1\"}><{\"t\":\"y\"}><{\"t\":\"y\"}><{\"t\":\"y\",\"b\":1}><{\"t\":\"x1\"}><{\"t\":\"y\"}>");
}

static void a_topic_too_many_holds_its_file_and_says_so(void **state)
{
	struct fixture *f = *state;
	char *why;

	f->spec = BY_FIELD;
	f->in[0].topic = (char *)"%{field.t}";
	f->conf.max_lanes = 1;
	append(f, "a.log", "{\"t\":\"x1\"}\n{\"t\":\"y\"}\n");
	start(f);
	expect(f, "<{\"t\":\"x1\"}>");
	expect_file(f, "a.log", "waiting", NULL);
	why = tail_reasons(f->t);
	assert_non_null(strstr(why, "max_lanes"));
	mem_free(why);
}

/* --- random lives --- */

/* What lines of a container are to become, stdout and stderr each: "<message><message>". */
struct model { struct buf want[2], chain[2]; bool open[2]; };

static void add_line(struct model *m, int s)
{
	bool goes_on = m->open[s] && m->chain[s].data[0] == ' ';

	buf_printf(&m->want[s], "%s%s", goes_on ? "\n" : m->open[s] ? "><" : "<", m->chain[s].data);
	m->open[s] = true;
	buf_clear(&m->chain[s]);
}

static void random_line(struct model *m, struct buf *out, int i, bool groups)
{
	int s = (int)(random() % 2);
	bool part = random() % 3 == 0, goes_on = groups && !m->chain[s].len && random() % 3;
	char text[40];

	snprintf(text, sizeof text, "%s%c%d.", goes_on ? " " : "", "oe"[s], i);
	buf_printf(out, T0 "%s %c %s\n", s ? "stderr" : "stdout", part ? 'P' : 'F', text);
	buf_puts(&m->chain[s], text);
	if (!part)
		add_line(m, s);
}

static void check_stream(struct fixture *f, struct model *m, int s)
{
	struct buf got;

	if (m->chain[s].len)
		add_line(m, s);
	if (m->open[s])
		buf_puts(&m->want[s], ">");
	buf_init(&got, 1u << 20);
	buf_puts(&got, "");
	for (size_t i = 0; i < f->p->record_count; i++)
		if (strchr(f->p->records[i].value, "oe"[s]))
			buf_printf(&got, "<%s>", f->p->records[i].value);
	assert_string_equal(got.data, m->want[s].data);
	buf_release(&got);
	buf_release(&m->want[s]);
	buf_release(&m->chain[s]);
}

/* What a next life knows: ranges of a part of what was handed over are recorded, the rest is read again. */
static void next_life(struct fixture *f)
{
	static struct tail_skip *v;
	int64_t safe = 0;
	size_t n = 0;

	stop(f);
	mem_free(v);
	v = NULL;
	for (size_t i = 0; i < f->p->record_count; i++) {
		const struct double_record *r = &f->p->records[i];

		for (uint32_t k = 0; k < r->part_count; k++)
			assert_int_equal(skip_add(&v, &n, r->parts[k].from, r->parts[k].to), 0);
		assert_int_equal(skip_add(&v, &n, r->source.from, r->source.to), 0);
	}
	for (size_t i = 0; i < f->p->finished_count; i++)
		assert_int_equal(skip_add(&v, &n, f->p->finished[i].from, f->p->finished[i].to), 0);
	if (n && v[0].from == 0)
		safe = v[0].to;
	remember(f, 0, "a.log", 1, safe);
	f->known[0].skips = v + (safe > 0);
	f->known[0].skip_count = n - (safe > 0);
	start(f);
}

static bool all_is_read(struct producer *p, void *arg)
{
	(void)arg;
	return p->all_read > 0;
}

/* Goal: whatever stops in between, each message is one record with all of its bytes, in its stream's order, and any batch of them
 * can be built again. */
static void random_lives(struct fixture *f, unsigned seed, bool groups)
{
	int fd = open_log(f, "a.log");
	struct model m = { 0 };
	struct buf out;
	size_t n;

	buf_init(&out, 1u << 20);
	for (int s = 0; s < 2; s++) {
		buf_init(&m.want[s], 1u << 20);
		buf_init(&m.chain[s], 1u << 20);
		buf_puts(&m.want[s], "");
	}
	srandom(seed);
	for (int i = 0; i < 60; i++)
		random_line(&m, &out, i, groups);
	start(f);
	for (size_t at = 0; at < out.len; at += n) {
		n = 1 + (size_t)random() % 200;
		n = n < out.len - at ? n : out.len - at;
		put_bytes(fd, out.data + at, n);
		if (random() % 4 == 0)
			double_dry(f->p, random() % 2);
		if (random() % 6 == 0)
			next_life(f);
	}
	double_dry(f->p, false);
	close(fd);
	f->once = true;
	next_life(f);
	assert_true(double_wait(f->p, all_is_read, NULL));
	check_all_bytes(f, 1, (int64_t)out.len);
	for (size_t i = 0; i + 3 < f->p->record_count; i += 5) {
		struct batch *b = batch_of_records(f, i, i + 3);

		expect_rebuilt(f, b);
		batch_free(b, f->p->budget);
	}
	check_stream(f, &m, 0);
	check_stream(f, &m, 1);
	buf_release(&out);
}

static void random_lives_of_a_container_join_all_parts(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC(CRI);
	random_lives(f, 1, false);
}

static void random_lives_of_a_container_with_groups(void **state)
{
	struct fixture *f = *state;

	f->spec = SPEC(CRI ",\"multiline\":{\"start\":\"^[a-z]\"}");
	random_lives(f, 2, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
	TEST(a_group_ends_where_the_next_begins),
	TEST(a_group_that_comes_in_pieces_is_one_record),
	TEST(a_group_of_a_quiet_file_is_ended_by_time_and_joins_nothing_behind_it),
	TEST(an_unfinished_line_is_not_ended_by_time),
	TEST(once_ends_what_is_open_and_then_all_is_read),
	TEST(a_rotated_file_gives_its_last_group_before_its_successor_begins),
	TEST(a_deleted_file_gives_its_last_group),
	TEST(a_group_in_whose_middle_the_agent_was_stopped_is_one_record),
	TEST(a_finished_range_in_the_middle_is_jumped),
	TEST(a_group_longer_than_a_window_comes_whole),
	TEST(memory_that_is_dry_makes_the_same_groups_later),
	TEST(filtered_groups_join_the_range_of_the_record_behind_them),
	TEST(parts_of_two_streams_are_joined_apart),
	TEST(streams_that_grow_in_pieces_give_the_same),
	TEST(a_quiet_stream_is_ended_by_time_while_the_other_goes_on),
	TEST(a_restart_between_parts_loses_and_doubles_nothing),
	TEST(docker_lines_are_unwrapped_and_joined),
	TEST(dry_memory_between_streams_hands_nothing_over_twice),
	TEST(a_file_that_is_truncated_while_its_first_line_is_open_is_read_from_its_beginning),
	TEST(filtered_messages_that_lie_apart_are_finished_with_all_of_their_bytes),
	TEST(exactly_the_messages_that_come_back_are_read_again),
	TEST(groups_are_built_again),
	TEST(messages_that_lie_apart_are_built_again),
	TEST(a_batch_whose_parts_have_changed_is_not_believed),
	TEST(a_survey_gives_up_a_record_with_all_of_its_parts),
	TEST(a_line_that_is_too_long_is_cut_and_its_rest_entered_in_the_losses),
	TEST(a_giant_line_is_skipped_over_windows_and_restarts),
	TEST(what_memory_refuses_behind_a_line_that_was_cut_doubles_nothing),
	TEST(a_record_that_is_refused_behind_the_rest_of_a_line_makes_no_line_of_it),
	TEST(a_line_that_makes_too_large_a_record_is_set_aside),
	TEST(half_a_unit_in_the_rest_of_a_line_begins_no_line),
	TEST(a_byte_order_mark_in_pieces_decides_the_encoding),
	TEST(a_byte_order_mark_for_which_memory_is_short_is_looked_for_again),
	TEST(the_encoding_is_known_again_after_a_restart),
	TEST(the_end_of_a_file_is_behind_a_whole_lf_of_its_encoding),
	TEST(a_position_that_is_set_is_behind_a_whole_lf_of_the_encoding),
	TEST(the_mark_of_one_file_says_nothing_of_the_next),
	TEST(whole_units_of_nuls_at_the_beginning_are_skipped),
	TEST(each_record_goes_where_its_field_says),
	TEST(a_file_waits_for_the_lane_of_its_next_record_only),
	TEST(a_topic_too_many_holds_its_file_and_says_so),
	TEST(random_lives_of_a_container_join_all_parts),
	TEST(random_lives_of_a_container_with_groups),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }
