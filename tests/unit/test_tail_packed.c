/* test_tail_packed.c - the tail thread and compressed files: each line once, whatever became of the plain file. */
#include "tests/lib/packed.h"
#include "tests/lib/tail_fixture.h"

static int setup_packed(void **state)
{
	int rc = setup(state);
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/*", f->dir);
	f->in[0].compressed = true;
	return rc;
}

/* Written beside and moved into place, as a whole. */
static void put_packed(struct fixture *f, const char *name, const void *p, size_t n)
{
	char beside[128];
	int fd;

	snprintf(beside, sizeof beside, "%s.beside", f->dir);
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	put_bytes(fd, p, n);
	close(fd);
	assert_int_equal(rename(beside, at(f, name)), 0);
}

static void pack_text(struct fixture *f, const char *name, const char *text)
{
	struct packed p = pack(strstr(name, ".zst") ? UNPACK_ZSTD : UNPACK_GZIP, text, strlen(text));

	put_packed(f, name, p.data, p.n);
	free(p.data);
}

static void compressed_files_are_read_and_done(void **state)
{
	struct fixture *f = *state;

	pack_text(f, "a.gz", "one\ntwo\n");
	start(f);
	expect(f, "<one><two>");
	expect_file(f, "a.gz", "done", NULL);
	pack_text(f, "b.zst", "three\nfour\n");
	expect(f, "<one><two><three><four>");
	expect_file(f, "b.zst", "done", NULL);
	append(f, "plain.log", "five\n");
	expect(f, "<one><two><three><four><five>");
	expect_row(f, 1, FILE_DONE, false);
}

static void a_last_line_without_lf_is_sent_when_nothing_changes_any_more(void **state)
{
	struct fixture *f = *state;

	pack_text(f, "a.gz", "one\ntwo");
	start(f);
	expect(f, "<one><two>");
	expect_file(f, "a.gz", "done", NULL);
}

static void once_reads_compressed_files_whole_and_ends(void **state)
{
	struct fixture *f = *state;
	struct packed p = pack(UNPACK_GZIP, "three\nfour\n", 11);

	f->once = true;
	pack_text(f, "a.gz", "one\ntwo");
	put_packed(f, "b.gz", p.data, p.n - 3);
	free(p.data);
	append(f, "empty.gz", "");
	start(f);
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until && !tail_all_read(f->t);)
		usleep(1000);
	assert_true(tail_all_read(f->t));
	assert_int_equal(f->p->record_count, 4);
	assert_int_equal(f->p->loss_count, 1);
}

/* Oldest first, one after the other. */
static void a_backlog_is_read_in_the_order_of_its_age(void **state)
{
	struct fixture *f = *state;
	char name[32], text[32];

	for (int i = 1; i <= 9; i++) {
		struct timespec times[2] = { { .tv_sec = 1700000000 - i }, { .tv_sec = 1700000000 - i } };

		snprintf(name, sizeof name, "app.log.%d.gz", i);
		snprintf(text, sizeof text, "%d-a\n%d-b\n", i, i);
		pack_text(f, name, text);
		assert_int_equal(utimensat(AT_FDCWD, at(f, name), times, 0), 0);
	}
	start(f);
	expect(f, "<9-a><9-b><8-a><8-b><7-a><7-b><6-a><6-b><5-a><5-b><4-a><4-b><3-a><3-b><2-a><2-b><1-a><1-b>");
}

static void a_file_that_is_being_compressed_is_read_as_it_grows(void **state)
{
	struct fixture *f = *state;
	struct packed p = { NULL, 0 };
	size_t first;
	int fd;

	pack_add(&p, pack(UNPACK_GZIP, "one\ntwo\n", 8));
	first = p.n;
	pack_add(&p, pack(UNPACK_GZIP, "three\n", 6));
	f->in[0].compressed = true;
	open_tail(f);
	f->t->pace.flush = 60000;
	assert_int_equal(tail_start(f->t), 0);
	fd = open_log(f, "a.gz");
	put_bytes(fd, p.data, 5);
	put_bytes(fd, p.data + 5, first - 5);
	expect(f, "<one><two>");
	expect_file(f, "a.gz", "done", NULL);
	put_bytes(fd, p.data + first, p.n - first);
	expect(f, "<one><two><three>");
	expect_file(f, "a.gz", "done", NULL);
	assert_int_equal(f->p->loss_count, 0);
	close(fd);
	free(p.data);
}

static void what_can_be_read_of_a_damaged_file_is_sent_and_the_rest_is_told_once(void **state)
{
	struct fixture *f = *state;
	struct packed cut = pack(UNPACK_GZIP, "one\ntwo\n", 8), behind = pack(UNPACK_ZSTD, "three\nfour", 10);
	char *reasons;

	put_packed(f, "a.gz", cut.data, cut.n - 4);
	pack_add_bytes(&behind, "rubbish", 7);
	put_packed(f, "b.zst", behind.data, behind.n);
	start(f);
	expect_file(f, "b.zst", "done", NULL);
	expect_file(f, "a.gz", "done", NULL);
	assert_int_equal(f->p->record_count, 4);
	assert_int_equal(f->p->loss_count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(f->p->losses[i].reason, SPOOL_LOSS_DAMAGED);
		assert_int_equal(f->p->losses[i].records, 0);
	}
	reasons = tail_reasons(f->t);
	assert_non_null(strstr(reasons, "a.gz: damaged (it ends in the middle)"));
	assert_non_null(strstr(reasons, "b.zst: damaged"));
	mem_free(reasons);
	free(cut.data);
	free(behind.data);
}

static void a_file_without_the_key_is_bytes(void **state)
{
	struct fixture *f = *state;

	f->in[0].compressed = false;
	append(f, "a.gz", "\x1f\x8b\x08\n");
	start(f);
	expect(f, "<\x1f\x8b\x08>");
}

static void read_from_end_passes_over_what_was_compressed_before(void **state)
{
	struct fixture *f = *state;

	f->in[0].read_from = CONF_READ_END;
	pack_text(f, "old.gz", "old\n");
	start(f);
	expect_file(f, "old.gz", "done", NULL);
	pack_text(f, "new.gz", "new\n");
	expect(f, "<new>");
}

/* --- recognition --- */

static void a_renamed_file_is_not_read_again(void **state)
{
	struct fixture *f = *state;

	pack_text(f, "a.1.gz", "one\ntwo\n");
	start(f);
	expect(f, "<one><two>");
	move(f, "a.1.gz", "a.2.gz");
	pack_text(f, "a.1.gz", "three\n");
	expect(f, "<one><two><three>");
	expect_file(f, "a.2.gz", "done", NULL);
}

static void what_is_compressed_after_it_was_read_is_not_read_again(void **state)
{
	struct fixture *f = *state;
	int64_t id, now;

	f->idle = 300;
	append(f, "app.log", "one\ntwo\n");
	start(f);
	expect(f, "<one><two>");
	expect_file(f, "app.log", "active", &id);
	move(f, "app.log", "app.log.1");
	append(f, "app.log", "three\n");
	expect(f, "<one><two><three>");
	pack_text(f, "app.log.1.gz", "one\ntwo\n");
	assert_int_equal(unlink(at(f, "app.log.1")), 0);
	expect_file(f, "app.log.1.gz", "done", &now);	/* when the deleted one was closed */
	assert_int_equal(now, id);
	append(f, "app.log", "four\n");
	expect(f, "<one><two><three><four>");
}

static void the_compressed_file_waits_while_the_plain_one_is_there(void **state)
{
	struct fixture *f = *state;

	f->idle = 300;
	append(f, "app.log.1", "one\ntwo\n");
	pack_text(f, "app.log.1.gz", "one\ntwo\n");
	f->reconcile = 20;
	start(f);
	expect(f, "<one><two>");
	append(f, "app.log", "three\n");
	expect(f, "<one><two><three>");
	assert_false(file_is(f, "app.log.1.gz", "active", NULL));
	assert_int_equal(unlink(at(f, "app.log.1")), 0);
	expect_file(f, "app.log.1.gz", "done", NULL);
	append(f, "app.log", "four\n");
	expect(f, "<one><two><three><four>");
}

/* Deleted before it was read: the open file still has its lines, the compressed one must not double them. */
static void a_deleted_file_is_read_to_its_end_before_its_compressed_one_takes_over(void **state)
{
	struct fixture *f = *state;

	f->idle = 300;
	append(f, "app.log", "one\ntwo\n");
	start(f);
	expect(f, "<one><two>");
	double_dry(f->p, true);
	append(f, "app.log", "three\n");
	expect_refusal(f);
	pack_text(f, "app.log.1.gz", "one\ntwo\nthree\n");
	assert_int_equal(unlink(at(f, "app.log")), 0);
	expect_refusal(f);
	double_dry(f->p, false);
	expect(f, "<one><two><three>");
	expect_file(f, "app.log.1.gz", "done", NULL);
	append(f, "app.log", "four\n");
	expect(f, "<one><two><three><four>");
}

static void the_unread_rest_is_read_from_the_compressed_file(void **state)
{
	struct fixture *f = *state;
	int64_t id;

	append(f, "app.log.1", "one\ntwo\nthree\nfour\n");
	remember(f, 0, "app.log.1", 5, 8);
	pack_text(f, "app.log.1.gz", "one\ntwo\nthree\nfour\n");
	assert_int_equal(unlink(at(f, "app.log.1")), 0);
	start(f);
	expect(f, "<three><four>");
	expect_file(f, "app.log.1.gz", "done", &id);
	assert_int_equal(id, 5);
	check_ranges(f->p, 5, 8);
}

/* Renamed and compressed while nobody ran, and the name has another file now. */
static void after_a_rotation_while_stopped_both_files_go_on(void **state)
{
	struct fixture *f = *state;

	append(f, "app.log", "one\ntwo\nthree\n");
	remember(f, 0, "app.log", 5, 4);
	assert_int_equal(unlink(at(f, "app.log")), 0);
	append(f, "app.log", "four\n");
	pack_text(f, "app.log.1.gz", "one\ntwo\nthree\n");
	start(f);
	expect(f, "<two><three><four>");
}

static void aged(struct fixture *f, const char *name, int seconds)
{
	struct timespec now, times[2];

	clock_gettime(CLOCK_REALTIME, &now);
	times[0] = times[1] = (struct timespec){ now.tv_sec - seconds, 0 };
	assert_int_equal(utimensat(AT_FDCWD, at(f, name), times, 0), 0);
}

/* Rotated and compressed more than once while nobody ran: whose lines nobody has seen come in their turn too. */
static void generations_compressed_while_stopped_are_read_in_order(void **state)
{
	struct fixture *f = *state;

	append(f, "app.log", "one\ntwo\n");
	remember(f, 0, "app.log", 5, 4);
	assert_int_equal(unlink(at(f, "app.log")), 0);
	pack_text(f, "app.log.4.gz", "one\ntwo\n");
	pack_text(f, "app.log.3.gz", "three\n");
	pack_text(f, "app.log.2.zst", "four\n");
	append(f, "app.log.1", "five\n");
	append(f, "app.log", "six\n");
	aged(f, "app.log.4.gz", 400);
	aged(f, "app.log.3.gz", 300);		/* of one age: the number tells */
	aged(f, "app.log.2.zst", 300);
	aged(f, "app.log.1", 200);
	start(f);
	expect(f, "<two><three><four><five><six>");
}

static void the_row_stays_with_the_plain_file_while_that_is_there(void **state)
{
	struct fixture *f = *state;
	int64_t id;

	append(f, "app.log.1", "one\ntwo\nthree\n");
	remember(f, 0, "app.log.1", 5, 4);
	pack_text(f, "app.log.1.gz", "one\ntwo\nthree\n");
	start(f);
	expect(f, "<two><three>");
	expect_file(f, "app.log.1", "active", &id);
	assert_int_equal(id, 5);
	append(f, "app.log", "four\n");
	expect(f, "<two><three><four>");
}

static void another_file_with_the_same_beginning_is_read(void **state)
{
	struct fixture *f = *state;
	char banner[2000], text[2100], want[4200];

	memset(banner, '=', sizeof banner - 1);
	banner[900] = '\n';
	banner[1998] = '\n';
	banner[1999] = 0;
	snprintf(text, sizeof text, "%sfirst\n", banner);
	append(f, "app.log", text);
	remember(f, 0, "app.log", 5, IDENTITY_HEAD);
	f->known[0].file.safe = (int64_t)strlen(text);
	f->in[0].max_line = 2000;
	{
		int fd = open(at(f, "app.log"), O_RDONLY);

		assert_int_equal(identity_read_marker(&(struct file){ .fd = fd }, (int64_t)strlen(text),
						      &f->known[0].file.marker), 0);
		close(fd);
	}
	snprintf(text, sizeof text, "%sother\n", banner);
	pack_text(f, "app.log.1.gz", text);
	start(f);
	banner[900] = banner[1998] = 0;
	snprintf(want, sizeof want, "<%s><%s><other>", banner, banner + 901);
	expect(f, want);
}

/* A file that was read before is known by its inode: nothing of it is read again, and a half-read one goes on. */
static void a_known_compressed_file_goes_on(void **state)
{
	struct fixture *f = *state;
	struct file as = { .fd = -1, .unpacks = true };
	struct spool_file *row = &f->known[0].file;
	struct stat st;

	pack_text(f, "a.zst", "one\ntwo\nthree\n");
	assert_int_equal(stat(at(f, "a.zst"), &st), 0);
	as.path = (char *)at(f, "a.zst");
	as.dev = st.st_dev;
	as.inode = st.st_ino;
	assert_int_equal(file_open(&as), 0);
	assert_non_null(as.unpack);
	*row = (struct spool_file){ .id = 3, .path = at(f, "a.zst"), .dev = st.st_dev, .inode = st.st_ino, .size = 14,
				    .fingerprint_len = 8, .safe = 8 };
	assert_int_equal(identity_read_head(&as, 8, &row->fingerprint), 0);
	assert_int_equal(identity_read_marker(&as, 8, &row->marker), 0);
	file_close(&as);
	f->known_count = 1;
	f->next_id = 4;
	start(f);
	expect(f, "<three>");
	expect_file(f, "a.zst", "done", NULL);
	check_ranges(f->p, 3, 8);
	stop(f);
	/* And once more, read: not a byte. */
	row->safe = 14;
	row->state = FILE_DONE;
	row->marker = f->p->records[0].source.marker;
	start(f);
	expect_file(f, "a.zst", "done", NULL);
	assert_int_equal(f->p->record_count, 1);
}

/* It was killed when all of it was read and nothing acknowledged. */
static void a_compressed_file_that_was_read_and_not_acknowledged_is_read_again(void **state)
{
	struct fixture *f = *state;
	struct spool_file *row = &f->known[0].file;
	struct stat st;

	pack_text(f, "a.gz", "one\ntwo\n");
	assert_int_equal(stat(at(f, "a.gz"), &st), 0);
	*row = (struct spool_file){ .id = 3, .path = at(f, "a.gz"), .dev = st.st_dev, .inode = st.st_ino, .size = 8,
				    .fingerprint_len = 8, .fingerprint = identity_hash("one\ntwo\n", 8), .state = FILE_DONE };
	f->known_count = 1;
	f->next_id = 4;
	start(f);
	expect(f, "<one><two>");
	check_ranges(f->p, 3, 0);
	expect_file(f, "a.gz", "done", NULL);
}

static void batches_are_built_again_out_of_the_compressed_file(void **state)
{
	struct fixture *f = *state;
	struct batch *b;

	append(f, "app.log", "one\ntwo\nthree\n");
	start(f);
	expect(f, "<one><two><three>");
	b = batch_of_records(f, 0, 2);
	stop(f);
	remember(f, 0, "app.log", 1, 0);
	f->known[0].file.fingerprint_len = 14;
	f->known[0].skips = &(struct tail_skip){ 0, 8 };
	f->known[0].skip_count = 1;
	{
		int fd = open(at(f, "app.log"), O_RDONLY);

		assert_int_equal(identity_read_head(&(struct file){ .fd = fd }, 14, &f->known[0].file.fingerprint), 0);
		close(fd);
	}
	pack_text(f, "app.log.1.gz", "one\ntwo\nthree\nfour\n");
	assert_int_equal(unlink(at(f, "app.log")), 0);
	start(f);
	expect(f, "<one><two><three><three><four>");
	batch_drop_bytes(b, f->p->budget);
	assert_int_equal(tail_rebuild_now(f->t, b), 0);
	batch_free(b, f->p->budget);
}

/* The second life knows a damaged file that was read as far as it went. */
static void damage_is_told_once_in_all_lives(void **state)
{
	struct fixture *f = *state;
	struct spool_file *row = &f->known[0].file;
	struct packed p = pack(UNPACK_ZSTD, "one\n", 4);
	struct stat st;

	pack_add(&p, pack(UNPACK_ZSTD, "two\n", 4));		/* so that its head does not say how long it is */
	pack_add_bytes(&p, "rubbish", 7);
	put_packed(f, "a.zst", p.data, p.n);
	free(p.data);
	start(f);
	expect_file(f, "a.zst", "done", NULL);
	assert_int_equal(f->p->loss_count, 1);
	stop(f);
	assert_int_equal(stat(at(f, "a.zst"), &st), 0);
	*row = (struct spool_file){ .id = 1, .path = at(f, "a.zst"), .dev = st.st_dev, .inode = st.st_ino, .size = 8, .safe = 8,
				    .fingerprint_len = 8, .fingerprint = identity_hash("one\ntwo\n", 8),
				    .marker = f->p->records[1].source.marker, .state = FILE_DONE };
	f->known_count = 1;
	start(f);
	expect_file(f, "a.zst", "done", NULL);
	assert_int_equal(f->p->loss_count, 1);
	assert_int_equal(f->p->record_count, 2);
}

static void a_file_that_is_written_anew_is_read_anew(void **state)
{
	struct fixture *f = *state;
	struct packed p = pack(UNPACK_GZIP, "other\nlines\n", 12);
	int fd;

	pack_text(f, "a.gz", "one\ntwo\n");
	start(f);
	expect(f, "<one><two>");
	expect_file(f, "a.gz", "done", NULL);
	fd = open(at(f, "a.gz"), O_WRONLY);
	put_bytes(fd, p.data, p.n);
	close(fd);
	free(p.data);
	expect(f, "<one><two><other><lines>");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_packed, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(compressed_files_are_read_and_done),
		T(a_last_line_without_lf_is_sent_when_nothing_changes_any_more),
		T(once_reads_compressed_files_whole_and_ends),
		T(a_backlog_is_read_in_the_order_of_its_age),
		T(a_file_that_is_being_compressed_is_read_as_it_grows),
		T(what_can_be_read_of_a_damaged_file_is_sent_and_the_rest_is_told_once),
		T(a_file_without_the_key_is_bytes),
		T(read_from_end_passes_over_what_was_compressed_before),
		T(a_renamed_file_is_not_read_again),
		T(what_is_compressed_after_it_was_read_is_not_read_again),
		T(the_compressed_file_waits_while_the_plain_one_is_there),
		T(a_deleted_file_is_read_to_its_end_before_its_compressed_one_takes_over),
		T(the_unread_rest_is_read_from_the_compressed_file),
		T(after_a_rotation_while_stopped_both_files_go_on),
		T(generations_compressed_while_stopped_are_read_in_order),
		T(the_row_stays_with_the_plain_file_while_that_is_there),
		T(another_file_with_the_same_beginning_is_read),
		T(a_known_compressed_file_goes_on),
		T(a_compressed_file_that_was_read_and_not_acknowledged_is_read_again),
		T(batches_are_built_again_out_of_the_compressed_file),
		T(damage_is_told_once_in_all_lives),
		T(a_file_that_is_written_anew_is_read_anew),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}
