/* test_tail_boot.c - files after a reboot or a power loss: device numbers that changed, files that lost their end. The
 * rows of the earlier life are made up; the tail thread and the files are real. */
#include "tests/lib/tail_fixture.h"

static int boot_setup(void **state)
{
	struct fixture *f;

	setup(state);
	f = *state;
	f->other_boot = true;
	return 0;
}

static struct spool_file *row(struct fixture *f, size_t i)
{
	return &f->known[i].file;
}

static void expect_id(struct fixture *f, size_t record, int64_t id)
{
	assert_int_equal(f->p->records[record].source.file_id, id);
}

/* --- device numbers --- */

static void a_file_whose_device_number_changed_goes_on(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2\n");
	remember(f, 0, "a.log", 7, 2);
	row(f, 0)->dev += 5;
	start(f);
	expect(f, "<2>");
	expect_id(f, 0, 7);
	expect_row(f, 7, FILE_ACTIVE, false);
}

/* All that is known of it is its name and its inode: nothing was finished, but a batch of its first two lines may be. */
static void an_empty_fingerprint_is_enough_at_its_own_path(void **state)
{
	struct fixture *f = *state;
	struct tail_skip skip = { 0, 4 };

	append(f, "a.log", "1\n2\n3\n");
	remember(f, 0, "a.log", 7, 0);
	row(f, 0)->dev += 5;
	f->known[0].skips = &skip;
	f->known[0].skip_count = 1;
	start(f);
	expect(f, "<3>");
	expect_id(f, 0, 7);
}

static void a_file_renamed_over_a_reboot_goes_on_under_its_new_name(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2\n");
	remember(f, 0, "a.log", 7, 2);
	row(f, 0)->dev += 5;
	move(f, "a.log", "b.log");
	append(f, "a.log", "3\n");
	start(f);
	expect(f, "<2><3>");
	expect_id(f, 0, 7);
	expect_id(f, 1, 8);
}

/* Two file systems whose first files have the same inode number changed their device numbers: the row of the other one
 * has the number that this file's device has now, and the same first bytes. */
static void an_unchanged_number_of_another_device_is_not_taken_for_it(void **state)
{
	struct fixture *f = *state;
	uint64_t dev;

	append(f, "a.log", "1\n2\n3\n");
	remember(f, 0, "a.log", 7, 2);
	remember(f, 1, "a.log", 8, 4);
	dev = row(f, 0)->dev;
	row(f, 0)->dev = dev + 5;
	row(f, 1)->path = "/proc/other.log";
	start(f);
	expect(f, "<2><3>");
	expect_id(f, 0, 7);
}

/* The same, but the row of its own path does not fit its bytes. */
static void changed_bytes_are_another_file_whatever_its_number(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2\n3\n");
	remember(f, 0, "a.log", 7, 4);
	row(f, 0)->fingerprint++;
	row(f, 0)->marker++;
	row(f, 0)->dev += 5;
	start(f);
	expect(f, "<1><2><3>");
	expect_id(f, 0, 8);
	expect_row(f, 7, FILE_DELETED, true);
}

/* What was deleted had this inode: a database of somebody else's below the same directory has it now. */
static void another_file_that_got_the_inode_of_a_deleted_one_is_not_read(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(at(f, "below"), 0755), 0);
	append(f, "below/other.db", "neither\na log\n");
	append(f, "a.log", "1\n");
	remember(f, 0, "below/other.db", 7, 4);
	row(f, 0)->path = at(f, "a.log.1");
	row(f, 0)->fingerprint++;
	row(f, 0)->marker++;
	row(f, 0)->dev += 5;
	snprintf(f->paths[0], 256, "%s/a.log*", f->dir);
	start(f);
	expect(f, "<1>");
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	expect_row(f, 7, FILE_DONE, true);
}

static void a_batch_of_a_file_that_nobody_follows_is_built_again_over_a_reboot(void **state)
{
	struct fixture *f = *state;
	struct batch *b;
	int n = 1;

	append(f, "a.log", "1\n2\n3\n");
	start(f);
	expect(f, "<1><2><3>");
	b = batch_of_records(f, 0, 2);
	batch_drop_bytes(b, f->p->budget);
	stop(f);
	remember(f, 0, "a.log", 1, 2);
	row(f, 0)->dev += 5;
	snprintf(f->paths[0], 256, "%s/*.none", f->dir);
	start(f);
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, 0);
	batch_free(b, f->p->budget);
}

/* --- power loss --- */

/* n lines "000\n", "001\n", ... */
static void put_lines(struct fixture *f, const char *name, int n)
{
	char line[16];

	for (int i = 0; i < n; i++) {
		snprintf(line, sizeof line, "%03d\n", i);
		append(f, name, line);
	}
}

static void cut_at(struct fixture *f, const char *name, off_t size)
{
	assert_int_equal(truncate(at(f, name), size), 0);
}

/* Zeros from `from` to the end: its size was on the disk, its bytes were not. */
static void zero_from(struct fixture *f, const char *name, off_t from)
{
	struct stat st;

	assert_int_equal(stat(at(f, name), &st), 0);
	cut_at(f, name, from);
	cut_at(f, name, st.st_size);
}

static void add_marker(struct fixture *f, const char *name, int64_t offset)
{
	struct spool_marker *m = &f->known[0].markers[f->known[0].marker_count++];
	int fd = open(at(f, name), O_RDONLY);

	assert_true(fd >= 0);
	m->offset = offset;
	assert_int_equal(identity_read_marker(&(struct file){ .fd = fd }, offset, &m->hash), 0);
	close(fd);
}

static void expect_loss(struct fixture *f, size_t i, int64_t from, int64_t to, uint64_t records)
{
	struct double_loss l;
	bool there;

	pthread_mutex_lock(&f->p->mu);
	there = f->p->loss_count > i;
	l = f->p->losses[i];
	pthread_mutex_unlock(&f->p->mu);
	assert_true(there);
	assert_string_equal(l.reason, SPOOL_LOSS_UNCERTAIN);
	assert_int_equal(l.from, from);
	assert_int_equal(l.to, to);
	assert_int_equal(l.records, records);
	assert_int_equal(l.bytes, to - from);
}

static bool was_finished(struct fixture *f, int64_t from, int64_t to)
{
	bool yes = false;

	pthread_mutex_lock(&f->p->mu);
	for (size_t i = 0; i < f->p->finished_count; i++)
		yes |= f->p->finished[i].file_id == 8 && f->p->finished[i].from == from && f->p->finished[i].to == to;
	pthread_mutex_unlock(&f->p->mu);
	return yes;
}

/* All ten lines were sent. The disk has six of them and a piece. */
static void a_file_that_lost_its_end_goes_on_at_the_newest_marker_that_fits(void **state)
{
	struct fixture *f = *state;
	char *reasons;

	put_lines(f, "a.log", 10);
	remember(f, 0, "a.log", 7, 40);
	add_marker(f, "a.log", 32);
	add_marker(f, "a.log", 16);
	add_marker(f, "a.log", 4);
	cut_at(f, "a.log", 26);
	start(f);
	expect(f, "<004><005>");
	append(f, "a.log", "new\n");
	expect(f, "<004><005><new>");
	expect_id(f, 0, 8);
	expect_row(f, 7, FILE_DELETED, true);
	expect_loss(f, 0, 16, 24, 2);
	assert_true(was_finished(f, 24, 26));
	reasons = tail_reasons(f->t);
	assert_non_null(strstr(reasons, "14 bytes that were read before are no longer in it"));
	assert_non_null(strstr(reasons, "8 bytes are read again from offset 16 on"));
	mem_free(reasons);
}

static void zeros_where_its_end_was_are_skipped_with_the_line_they_cut(void **state)
{
	struct fixture *f = *state;

	put_lines(f, "a.log", 100);
	remember(f, 0, "a.log", 7, 400);
	add_marker(f, "a.log", 320);
	add_marker(f, "a.log", 192);
	zero_from(f, "a.log", 202);
	append(f, "a.log", "new\n");
	start(f);
	expect(f, "<048><049><new>");
	expect_loss(f, 0, 192, 200, 2);
	assert_true(was_finished(f, 200, 400));
}

/* Nothing tells how much of it is as it was, but its beginning is. */
static void a_fingerprint_alone_is_where_it_goes_on(void **state)
{
	struct fixture *f = *state;

	put_lines(f, "a.log", 10);
	remember(f, 0, "a.log", 7, 8);
	row(f, 0)->safe = 40;
	row(f, 0)->marker = 4711;
	cut_at(f, "a.log", 16);
	start(f);
	expect(f, "<002><003>");
	expect_loss(f, 0, 8, 16, 2);
}

static void a_full_fingerprint_ends_where_its_last_line_does(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "x");
	put_lines(f, "a.log", 300);
	remember(f, 0, "a.log", 7, 1024);		/* 1021 is the end of a line */
	row(f, 0)->safe = 1201;
	row(f, 0)->marker = 4711;
	cut_at(f, "a.log", 1029);
	start(f);
	expect(f, "<255><256>");
	assert_int_equal(f->p->records[0].source.from, 1021);
}

/* A batch from the sound part stays sent, one that reaches into the damage is read again as far as it is there. */
static void ranges_above_the_position_are_kept_where_the_file_is_sound(void **state)
{
	struct fixture *f = *state;
	struct tail_skip skips[] = { { 12, 16 }, { 20, 32 } };

	put_lines(f, "a.log", 10);
	remember(f, 0, "a.log", 7, 8);
	f->known[0].skips = skips;
	f->known[0].skip_count = 2;
	cut_at(f, "a.log", 26);
	start(f);
	expect(f, "<002><004><005>");
	expect_loss(f, 0, 20, 24, 1);
	assert_int_equal(f->p->loss_count, 1);
	assert_true(was_finished(f, 12, 16));
	append(f, "a.log", "new\n");
	expect(f, "<002><004><005><new>");
}

/* Its beginning was read, and nothing of it is finished: it is read again, but for what was acked. */
static void nothing_unfinished_is_skipped_because_the_fingerprint_covers_it(void **state)
{
	struct fixture *f = *state;
	struct tail_skip skips[] = { { 4, 8 }, { 12, 32 } };

	put_lines(f, "a.log", 10);
	remember(f, 0, "a.log", 7, 16);
	row(f, 0)->safe = 0;
	row(f, 0)->marker = 0;
	f->known[0].skips = skips;
	f->known[0].skip_count = 2;
	cut_at(f, "a.log", 26);
	start(f);
	expect(f, "<000><002><003><004><005>");
	expect_loss(f, 0, 12, 24, 3);
	assert_int_equal(f->p->loss_count, 1);
}

/* Shorter than it was before the loss, and longer by now: what the application wrote since is read. */
static void what_was_written_since_over_the_lost_end_is_read(void **state)
{
	struct fixture *f = *state;

	put_lines(f, "a.log", 10);
	remember(f, 0, "a.log", 7, 16);
	row(f, 0)->safe = 40;
	row(f, 0)->marker = 4711;
	add_marker(f, "a.log", 20);
	cut_at(f, "a.log", 24);
	append(f, "a.log", "new1\nnew2\nnew3\nnew4\n");
	start(f);
	expect(f, "<005><new1><new2><new3><new4>");
	expect_loss(f, 0, 20, 40, 4);
}

static void a_file_written_anew_or_emptied_is_read_from_its_beginning(void **state)
{
	struct fixture *f = *state;

	put_lines(f, "a.log", 10);
	remember(f, 0, "a.log", 7, 40);
	add_marker(f, "a.log", 20);
	cut_at(f, "a.log", 0);
	append(f, "a.log", "other lines, and more of them than there were\n1\n");
	put_lines(f, "b.log", 10);
	remember(f, 1, "b.log", 9, 40);
	cut_at(f, "b.log", 0);
	start(f);
	expect(f, "<other lines, and more of them than there were><1>");
	append(f, "b.log", "2\n");
	expect(f, "<other lines, and more of them than there were><1><2>");
	assert_int_equal(f->p->records[2].source.from, 0);
	assert_int_equal(f->p->loss_count, 0);
}

/* No power was lost: somebody truncated it. */
static void within_one_boot_a_shorter_file_is_read_from_its_beginning(void **state)
{
	struct fixture *f = *state;

	f->other_boot = false;
	put_lines(f, "a.log", 10);
	remember(f, 0, "a.log", 7, 40);
	add_marker(f, "a.log", 20);
	cut_at(f, "a.log", 24);
	start(f);
	expect(f, "<000><001><002><003><004><005>");
}

static void batches_of_a_cut_file_are_built_again_as_far_as_their_lines_are_there(void **state)
{
	struct fixture *f = *state;
	struct batch *there, *gone;
	int n = 1;

	put_lines(f, "a.log", 10);
	start(f);
	expect(f, "<000><001><002><003><004><005><006><007><008><009>");
	there = batch_of_records(f, 4, 6);
	gone = batch_of_records(f, 5, 7);
	batch_drop_bytes(there, f->p->budget);
	batch_drop_bytes(gone, f->p->budget);
	stop(f);
	remember(f, 0, "a.log", 1, 40);
	add_marker(f, "a.log", 16);
	row(f, 0)->dev += 5;
	cut_at(f, "a.log", 26);
	start(f);
	expect(f, "<000><001><002><003><004><005><006><007><008><009><004><005>");
	tail_rebuild(f->t, there);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, 0);
	tail_rebuild(f->t, gone);
	n = 2;
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, ERR_BAD_DATA);
	batch_free(there, f->p->budget);
	batch_free(gone, f->p->budget);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, boot_setup, teardown)
static const struct CMUnitTest tests[] = {
	TEST(a_file_whose_device_number_changed_goes_on),
	TEST(an_empty_fingerprint_is_enough_at_its_own_path),
	TEST(a_file_renamed_over_a_reboot_goes_on_under_its_new_name),
	TEST(an_unchanged_number_of_another_device_is_not_taken_for_it),
	TEST(changed_bytes_are_another_file_whatever_its_number),
	TEST(another_file_that_got_the_inode_of_a_deleted_one_is_not_read),
	TEST(a_file_that_lost_its_end_goes_on_at_the_newest_marker_that_fits),
	TEST(zeros_where_its_end_was_are_skipped_with_the_line_they_cut),
	TEST(a_fingerprint_alone_is_where_it_goes_on),
	TEST(a_full_fingerprint_ends_where_its_last_line_does),
	TEST(ranges_above_the_position_are_kept_where_the_file_is_sound),
	TEST(nothing_unfinished_is_skipped_because_the_fingerprint_covers_it),
	TEST(what_was_written_since_over_the_lost_end_is_read),
	TEST(a_file_written_anew_or_emptied_is_read_from_its_beginning),
	TEST(within_one_boot_a_shorter_file_is_read_from_its_beginning),
	TEST(batches_of_a_cut_file_are_built_again_as_far_as_their_lines_are_there),
	TEST(a_batch_of_a_file_that_nobody_follows_is_built_again_over_a_reboot),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }
