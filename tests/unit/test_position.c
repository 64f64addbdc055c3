/* test_position.c - `positions set` and `forget` without an agent: where a file goes on, what is entered in the losses, and what
 * is refused. */
#include "tests/lib/spool_dir.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tail/file.h"
#include "agent/tail/identity.h"
#include "agent/cmd/position.h"

#define LINES 10
#define LINE  8			/* "line 00\n" */

struct fixture {
	struct spool_dir d;
	char path[128], words[400];
	struct err err;
	struct conf conf;
};

static void write_file(const char *path, const char *tail)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (int i = 0; i < LINES; i++)
		assert_int_equal(fprintf(f, "line %02d\n", i), LINE);
	fputs(tail, f);
	assert_int_equal(fclose(f), 0);
}

/* As the agent knows it: read up to `safe`. */
static void know(struct fixture *f, int64_t id, int64_t safe)
{
	struct spool_file row = { .id = id, .path = f->path, .fingerprint_len = (uint32_t)safe, .safe = safe, .size = safe };
	struct stat st;
	FILE *file = fopen(f->path, "r");

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &st), 0);
	row.dev = st.st_dev + 1;		/* as after a boot */
	row.inode = st.st_ino;
	assert_int_equal(identity_read_head(&(struct file){ .fd = fileno(file) }, row.fingerprint_len, &row.fingerprint), 0);
	fclose(file);
	txn(&f->d);
	assert_int_equal(spool_file_put(f->d.s, &row, NULL), 0);
	commit(&f->d);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	spool_dir_make(&f->d);
	spool_dir_start(&f->d);
	snprintf(f->path, sizeof f->path, "%s.log", f->d.base);
	write_file(f->path, "unfinished");
	know(f, 1, 3 * LINE);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	spool_dir_remove(&f->d);
	free(f);
	return 0;
}

static int set(struct fixture *f, int64_t offset)
{
	return position_set(f->d.s, &f->conf, f->path, offset, f->words, sizeof f->words, &f->err);
}

struct listed { char text[1000]; };

static int add_loss(void *arg, const struct spool_loss *l)
{
	char *text = ((struct listed *)arg)->text;
	size_t n = strlen(text);

	snprintf(text + n, sizeof(struct listed) - n, "%s%s %lld-%lld:%d", n ? ", " : "", l->reason, (long long)l->from,
		 (long long)l->to, (int)l->records);
	return 0;
}

static void assert_losses(struct fixture *f, const char *expect)
{
	struct listed l = { "" };

	assert_int_equal(spool_losses_each(f->d.s, 0, add_loss, &l, NULL), 0);
	assert_string_equal(l.text, expect);
	assert_int_equal(spool_verify(f->d.s, NULL, NULL, &f->err), 0);
}

static void forward_goes_to_a_beginning_of_a_line_and_names_what_is_skipped(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(set(f, 6 * LINE + 1), 0);
	assert_int_equal(safe_of(&f->d, 1), 7 * LINE);
	assert_losses(f, "skipped 24-56:4");
	assert_non_null(strstr(f->words, "goes on at offset 56, the next beginning of a line; 32 bytes are skipped"));
	assert_int_equal(set(f, 7 * LINE), 0);
	assert_non_null(strstr(f->words, "at offset 56 already"));
	assert_int_equal(set(f, INT64_MAX), 0);
	assert_int_equal(safe_of(&f->d, 1), LINES * LINE);		/* the last line is not finished */
	assert_losses(f, "skipped 24-56:4, skipped 56-80:3");
	assert_int_equal(totals_of(&f->d).dropped, 7);
}

static void lines_end_as_the_encoding_of_the_input_says(void **state)
{
	struct fixture *f = *state;
	char *paths[] = { f->path };
	struct conf_input in = { .paths = { paths, 1 }, .encoding = (char *)"utf-16" };
	static const uint8_t text[] = "\xff\xfe" "a\0\n\0b\0\n\0c\0\n\0d";
	FILE *file = fopen(f->path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, sizeof text, file), sizeof text);
	fclose(file);
	know(f, 2, 2);
	f->conf = (struct conf){ .inputs = &in, .input_count = 1 };
	assert_int_equal(set(f, 7), 0);
	assert_int_equal(safe_of(&f->d, 2), 10);
	assert_losses(f, "skipped 2-10:2");
	assert_int_equal(set(f, INT64_MAX), 0);
	assert_int_equal(safe_of(&f->d, 2), 14);
	f->conf.input_count = 0;
}

static void what_was_finished_out_of_order_is_not_skipped(void **state)
{
	struct fixture *f = *state;
	struct spool_range r = range_of(1, 4 * LINE, 6 * LINE);

	txn(&f->d);
	assert_int_equal(spool_finish(f->d.s, &r, 1, SPOOL_ACKED, 2, NULL), 0);
	commit(&f->d);
	assert_int_equal(set(f, 8 * LINE), 0);
	assert_losses(f, "skipped 24-32:1, skipped 48-64:2");
	assert_skips(&f->d, 1, "");
}

static void back_reads_again(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(set(f, LINE), 0);
	assert_int_equal(safe_of(&f->d, 1), LINE);
	assert_non_null(strstr(f->words, "goes on at offset 8; 16 bytes are read again"));
	assert_int_equal(set(f, 0), 0);
	assert_int_equal(safe_of(&f->d, 1), 0);
	assert_losses(f, "");
}

static void lines_in_flight_or_spooled_keep_a_position(void **state)
{
	struct fixture *f = *state;
	int64_t row;

	txn(&f->d);
	row = plan(&f->d, 1, 3 * LINE, 4 * LINE);
	commit(&f->d);
	assert_int_equal(set(f, 5 * LINE), ERR_BUSY);
	assert_non_null(strstr(f->err.text, "lines of this file are in flight or in the spool"));
	assert_int_equal(safe_of(&f->d, 1), 3 * LINE);
	assert_losses(f, "");
	txn(&f->d);
	assert_int_equal(spool_acked(f->d.s, row, NULL), 0);
	(void)add_row(&f->d, 1, 4 * LINE, 5 * LINE, 50);
	commit(&f->d);
	assert_int_equal(safe_of(&f->d, 1), 5 * LINE);
	assert_int_equal(set(f, 4 * LINE), ERR_BUSY);
	assert_int_equal(set(f, 6 * LINE), 0);
	assert_losses(f, "skipped 40-48:1");
}

static void another_file_at_the_path_is_left_alone(void **state)
{
	struct fixture *f = *state;
	FILE *file;

	file = fopen(f->path, "r+");
	assert_non_null(file);
	fputs("other", file);
	fclose(file);
	assert_int_equal(set(f, 0), ERR_UNAVAILABLE);
	assert_non_null(strstr(f->err.text, "written anew"));
	unlink(f->path);
	assert_int_equal(set(f, 0), ERR_UNAVAILABLE);
	assert_non_null(strstr(f->err.text, "not there any more"));
	assert_int_equal(position_set(f->d.s, &f->conf, "/nobody", 0, f->words, sizeof f->words, &f->err), ERR_BAD_DATA);
	assert_int_equal(safe_of(&f->d, 1), 3 * LINE);
}

static void forgotten_files_leave_their_rest_in_the_losses(void **state)
{
	struct fixture *f = *state;
	struct spool_file gone = { .id = 2, .path = f->path, .size = 90 };

	txn(&f->d);
	assert_int_equal(spool_file_put(f->d.s, &gone, NULL), 0);
	commit(&f->d);
	unlink(f->path);
	assert_int_equal(position_forget(f->d.s, &f->conf, f->path, f->words, sizeof f->words, &f->err), 0);
	assert_non_null(strstr(f->words, "is forgotten; 90 bytes"));
	assert_int_equal(safe_of(&f->d, 1), -1);
	assert_int_equal(safe_of(&f->d, 2), -1);
	assert_losses(f, "forgotten 0-90:0");
	assert_int_equal(position_forget(f->d.s, &f->conf, f->path, f->words, sizeof f->words, &f->err), ERR_BAD_DATA);
}

#define position_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		position_test(forward_goes_to_a_beginning_of_a_line_and_names_what_is_skipped),
		position_test(lines_end_as_the_encoding_of_the_input_says),
		position_test(what_was_finished_out_of_order_is_not_skipped),
		position_test(back_reads_again),
		position_test(lines_in_flight_or_spooled_keep_a_position),
		position_test(another_file_at_the_path_is_left_alone),
		position_test(forgotten_files_leave_their_rest_in_the_losses),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}
