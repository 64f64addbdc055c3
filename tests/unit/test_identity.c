/* test_identity.c - fingerprints and markers veto what changed, and nothing else. */
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/tail/file.h"
#include "agent/tail/identity.h"

static int temp_with(const void *data, size_t n)
{
	char path[] = "/tmp/spillway-identity-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, data, n), n);
	return fd;
}

static void the_marker_in_a_buffer_is_that_of_the_file(void **state)
{
	char data[200];
	uint64_t h;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (char)(i * 7);
	fd = temp_with(data, sizeof data);
	for (int64_t at = 0; at <= (int64_t)sizeof data; at++) {
		assert_int_equal(identity_read_marker(&(struct file){ .fd = fd }, at, &h), 0);
		assert_true(h == identity_marker((const uint8_t *)data + at, at));
		assert_true((h == 0) == (at == 0));
	}
	assert_int_equal(identity_read_marker(&(struct file){ .fd = fd }, sizeof data + 1, &h), ERR_NOT_FOUND);
	close(fd);
}

static void appending_changes_neither_fingerprint_nor_marker(void **state)
{
	int fd = temp_with("hello, world\n", 13);
	uint64_t head, mark;

	(void)state;
	assert_int_equal(identity_read_head(&(struct file){ .fd = fd }, 13, &head), 0);
	assert_int_equal(identity_read_marker(&(struct file){ .fd = fd }, 13, &mark), 0);
	assert_int_equal(write(fd, "more\n", 5), 5);
	assert_true(identity_fits(&(struct file){ .fd = fd }, 13, head, 13, mark));
	close(fd);
}

static void a_changed_byte_is_seen_in_the_head_and_before_the_offset(void **state)
{
	char data[2000];
	uint64_t head, mark;
	int fd;

	(void)state;
	memset(data, 'x', sizeof data);
	fd = temp_with(data, sizeof data);
	assert_int_equal(identity_read_head(&(struct file){ .fd = fd }, IDENTITY_HEAD, &head), 0);
	assert_int_equal(identity_read_marker(&(struct file){ .fd = fd }, 1900, &mark), 0);
	assert_int_equal(pwrite(fd, "y", 1, 1500), 1);
	assert_true(identity_fits(&(struct file){ .fd = fd }, IDENTITY_HEAD, head, 1900, mark));	/* nobody looked there */
	assert_int_equal(pwrite(fd, "y", 1, 1899), 1);
	assert_false(identity_fits(&(struct file){ .fd = fd }, IDENTITY_HEAD, head, 1900, mark));
	/* an unknown marker vetoes nothing */
	assert_true(identity_fits(&(struct file){ .fd = fd }, IDENTITY_HEAD, head, 1900, 0));
	assert_int_equal(pwrite(fd, "y", 1, 0), 1);
	assert_false(identity_fits(&(struct file){ .fd = fd }, IDENTITY_HEAD, head, 1900, 0));
	close(fd);
}

/* Copied, truncated and written anew since it was read: the fingerprint is of what was handed over. By doubling, as on the disk. */
static void a_fingerprint_is_of_the_bytes_that_were_read(void **state)
{
	struct file f = { .id = 1, .fd = temp_with("first\nsecond\n", 13), .size = 13 };
	struct window w;

	(void)state;
	assert_int_equal(window_open(&w, WINDOW_BYTES), 0);
	assert_int_equal(window_read(&w, &f, 0, WINDOW_BYTES, 0), 0);
	assert_int_equal(pwrite(f.fd, "others", 6, 0), 6);
	f.offset = 6;
	assert_true(window_head(&w, &f));
	assert_int_equal(f.head_len, 6);
	assert_int_equal(f.head, identity_hash("first\n", 6));
	f.offset = 11;
	assert_false(window_head(&w, &f));
	f.offset = 13;
	assert_true(window_head(&w, &f));
	assert_int_equal(f.head, identity_hash("first\nsecond\n", 13));
	window_close(&w);
	close(f.fd);
}

static void a_file_that_is_too_short_does_not_fit(void **state)
{
	int fd = temp_with("abc", 3);
	uint64_t head;

	(void)state;
	assert_int_equal(identity_read_head(&(struct file){ .fd = fd }, 3, &head), 0);
	assert_false(identity_fits(&(struct file){ .fd = fd }, 3, head, 4, 0));
	assert_false(identity_fits(&(struct file){ .fd = fd }, 4, head, 0, 0));
	assert_true(identity_fits(&(struct file){ .fd = fd }, 3, head, 0, 0));
	close(fd);
}

/* Values stand in state databases: a change of the hash would make every file a new one. */
static void hashes_are_what_they_always_were(void **state)
{
	(void)state;
	assert_true(identity_hash("", 0) == 0);
	assert_true(identity_hash("spillway", 8) == 0x5c34f9025530f8f1ULL);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_marker_in_a_buffer_is_that_of_the_file),
	cmocka_unit_test(appending_changes_neither_fingerprint_nor_marker),
	cmocka_unit_test(a_changed_byte_is_seen_in_the_head_and_before_the_offset),
	cmocka_unit_test(a_fingerprint_is_of_the_bytes_that_were_read),
	cmocka_unit_test(a_file_that_is_too_short_does_not_fit),
	cmocka_unit_test(hashes_are_what_they_always_were),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }
