/* test_tail_gone.c - a batch some of whose files no longer hold their lines: what is left of it is told, and can be built. */
#include "tests/lib/tail_fixture.h"

#include <unistd.h>

/* Reads three lines of a.log and three of b.log into one batch; the next life knows b.log, and a.log is as the caller makes it. */
static struct batch *one_batch(struct fixture *f)
{
	struct batch *b;

	append(f, "a.log", "a1\na2\na3\n");
	start(f);
	expect(f, "<a1><a2><a3>");
	append(f, "b.log", "b1\nb2\nb3\n");
	expect(f, "<a1><a2><a3><b1><b2><b3>");
	b = batch_of_records(f, 0, 6);
	assert_int_equal(b->range_count, 2);
	batch_drop_bytes(b, f->p->budget);
	return b;
}

static void next_life(struct fixture *f, bool a_is_there)
{
	remember(f, 0, "b.log", 2, 9);
	if (a_is_there)
		remember(f, 1, "a.log", 1, 9);
	start(f);
}

static int load(struct fixture *f, struct batch *b)
{
	int n = f->p->loaded + 1;

	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	return f->p->loaded_rc;
}

/* Of the batch is left what makes these records, and from now on it can be built. */
static void assert_left(struct fixture *f, struct batch *b, int64_t file, int64_t lost_file)
{
	assert_int_equal(b->range_count, 1);
	assert_int_equal(b->lost_ranges, 1);
	assert_int_equal(b->ranges[0].file_id, file);
	assert_int_equal(b->ranges[1].file_id, lost_file);
	assert_int_equal(b->ranges[1].from, 0);
	assert_int_equal(b->ranges[1].to, 9);
	assert_true(batch_absent(b));
	b->gone = false;
	b->count = 3;
	assert_int_equal(load(f, b), 0);
	assert_false(batch_absent(b));
}

static void what_is_left_of_a_batch_whose_other_file_was_deleted_is_told(void **state)
{
	struct fixture *f = *state;
	struct batch *b = one_batch(f);

	stop(f);
	assert_int_equal(unlink(at(f, "a.log")), 0);
	next_life(f, false);
	assert_int_equal(load(f, b), ERR_BAD_DATA);
	assert_int_equal(b->range_count, 2);
	b->gone = true;
	assert_int_equal(load(f, b), 0);
	assert_left(f, b, 2, 1);
	batch_free(b, f->p->budget);
}

static void at_the_end_of_a_life_what_is_left_comes_with_its_bytes(void **state)
{
	struct fixture *f = *state;
	struct batch *b = one_batch(f);

	stop(f);
	assert_int_equal(unlink(at(f, "a.log")), 0);
	next_life(f, false);
	b->gone = b->keep_rest = true;
	assert_int_equal(load(f, b), 0);
	assert_int_equal(b->lost_ranges, 1);
	assert_int_equal(batch_ranges_records(b), 3);
	assert_int_equal(b->count, 6);		/* as it was sent */
	assert_false(batch_absent(b));
	batch_drop_bytes(b, f->p->budget);
	b->keep_rest = false;
	assert_left(f, b, 2, 1);
	batch_free(b, f->p->budget);
}

static void a_range_that_does_not_end_as_it_did_is_not_believed(void **state)
{
	struct fixture *f = *state;
	struct batch *b = one_batch(f);
	int fd;

	stop(f);
	fd = open(at(f, "a.log"), O_WRONLY);
	assert_int_equal(pwrite(fd, "x", 1, 7), 1);
	close(fd);
	next_life(f, true);
	assert_int_equal(load(f, b), ERR_BAD_DATA);
	b->gone = true;
	assert_int_equal(load(f, b), 0);
	assert_left(f, b, 2, 1);
	batch_free(b, f->p->budget);
}

static void a_range_that_makes_other_records_is_not_believed(void **state)
{
	struct fixture *f = *state;
	struct batch *b = one_batch(f);

	stop(f);
	b->ranges[0].count = 4;
	next_life(f, true);
	b->gone = true;
	assert_int_equal(load(f, b), 0);
	assert_int_equal(b->lost_ranges, 1);
	assert_int_equal(b->ranges[1].file_id, 1);
	batch_free(b, f->p->budget);
}

static void nothing_is_left_where_all_files_are_gone(void **state)
{
	struct fixture *f = *state;
	struct batch *b = one_batch(f);

	stop(f);
	assert_int_equal(unlink(at(f, "a.log")), 0);
	assert_int_equal(unlink(at(f, "b.log")), 0);
	start(f);
	b->gone = true;
	assert_int_equal(load(f, b), ERR_BAD_DATA);
	assert_int_equal(b->range_count, 2);
	assert_int_equal(b->lost_ranges, 0);
	batch_free(b, f->p->budget);
}

/* Which of them is wrong nobody knows. */
static void nor_where_all_ranges_look_right_and_the_checksum_does_not_fit(void **state)
{
	struct fixture *f = *state;
	struct batch *b = one_batch(f);

	stop(f);
	b->raw_crc++;
	next_life(f, true);
	b->gone = true;
	assert_int_equal(load(f, b), ERR_BAD_DATA);
	assert_int_equal(b->range_count, 2);
	assert_int_equal(b->lost_ranges, 0);
	assert_int_equal(b->ranges[0].file_id, 1);
	batch_free(b, f->p->budget);
}

static void what_came_back_is_whole_again(void **state)
{
	struct fixture *f = *state;
	struct batch *b = one_batch(f);
	uint32_t crc = b->raw_crc;

	stop(f);
	next_life(f, true);
	b->gone = true;
	assert_int_equal(load(f, b), 0);
	assert_int_equal(b->range_count, 2);
	assert_int_equal(b->lost_ranges, 0);
	assert_int_equal(b->raw_crc, crc);
	batch_free(b, f->p->budget);
}

static void write_at(struct fixture *f, const char *name, off_t offset, const char *text)
{
	int fd = open(at(f, name), O_WRONLY);

	assert_int_equal(pwrite(fd, text, strlen(text), offset), (ssize_t)strlen(text));
	close(fd);
}

/* Its inode is another file's now, which is open: that one is not it, and nothing is waited for. */
static void a_file_whose_inode_was_given_to_another_is_gone(void **state)
{
	struct fixture *f = *state;
	struct batch *b = one_batch(f);

	stop(f);
	remember(f, 0, "b.log", 2, 9);
	remember(f, 1, "a.log", 1, 9);
	f->known[1].file.state = FILE_DELETED;
	write_at(f, "a.log", 0, "c1\nc2\nc3\nc4\n");
	assert_int_equal(rename(at(f, "a.log"), at(f, "c.log")), 0);
	start(f);
	expect(f, "<a1><a2><a3><b1><b2><b3><c1><c2><c3><c4>");
	assert_int_equal(load(f, b), ERR_BAD_DATA);
	batch_free(b, f->p->budget);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
	TEST(what_is_left_of_a_batch_whose_other_file_was_deleted_is_told),
	TEST(at_the_end_of_a_life_what_is_left_comes_with_its_bytes),
	TEST(a_range_that_does_not_end_as_it_did_is_not_believed),
	TEST(a_range_that_makes_other_records_is_not_believed),
	TEST(nothing_is_left_where_all_files_are_gone),
	TEST(nor_where_all_ranges_look_right_and_the_checksum_does_not_fit),
	TEST(what_came_back_is_whole_again),
	TEST(a_file_whose_inode_was_given_to_another_is_gone),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }
