/* test_unpack.c - compressed content is read at any offset as if it were not compressed; damage is said, and never read. */
#include "tests/lib/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "agent/tail/unpack.h"
#include "tests/lib/packed.h"

#define BIG (10u << 20)		/* more points on the way than are kept */

/* Lines that differ and do not compress to nothing. */
static char *text_of(size_t n)
{
	char *s = malloc(n + 64);
	uint32_t seed = 1;
	size_t at = 0;

	assert_non_null(s);
	for (unsigned i = 0; at < n; i++) {
		seed = seed * 1664525 + 1013904223;
		at += (size_t)snprintf(s + at, 64, "%u line %08x\n", i, seed);
	}
	s[n] = 0;
	return s;
}

static int file_of(const void *p, size_t n)
{
	char path[] = "/tmp/spillway-unpack-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, p, n), n);
	return fd;
}

static struct unpack *opened(int fd)
{
	int kind = unpack_kind(fd);
	struct unpack *u;

	assert_true(kind > 0);
	u = unpack_new(fd, (enum unpack_kind)kind);
	assert_non_null(u);
	return u;
}

static void expect_text(struct unpack *u, const char *want, size_t n, int64_t at)
{
	char *got = malloc(n + 1);

	assert_non_null(got);
	assert_int_equal(unpack_pread(u, got, n, at), n);
	assert_memory_equal(got, want + at, n);
	free(got);
}

/* Up to where it can be read, by pieces; *ret_rc: what ended it. */
static int64_t read_all(struct unpack *u, const char *want, size_t piece, int *ret_rc)
{
	char *buf = malloc(piece);
	int64_t at = 0;
	ssize_t n;

	assert_non_null(buf);
	while ((n = unpack_pread(u, buf, piece, at)) > 0) {
		assert_memory_equal(buf, want + at, n);
		at += n;
	}
	free(buf);
	*ret_rc = (int)n;
	return at;
}

static const enum unpack_kind kinds[] = { UNPACK_GZIP, UNPACK_ZSTD };

static void content_is_read_whole_and_its_size_is_known_then(void **state)
{
	char *text = text_of(BIG);

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct packed p = pack(kinds[i], text, BIG);
		int fd = file_of(p.data, p.n), rc;
		struct unpack *u = opened(fd);

		assert_int_equal(unpack_size(u), -1);
		assert_int_equal(read_all(u, text, 100000, &rc), BIG);
		assert_int_equal(rc, 0);
		assert_int_equal(unpack_size(u), BIG);
		assert_int_equal(unpack_packed(u), p.n);
		assert_null(unpack_trouble(u));
		unpack_free(u);
		close(fd);
		free(p.data);
	}
	free(text);
}

static void any_offset_is_read_in_any_order(void **state)
{
	char *text = text_of(BIG);
	uint32_t seed = 7;

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct packed p = pack(kinds[i], text, BIG);
		int fd = file_of(p.data, p.n);
		struct unpack *u = opened(fd);

		for (int k = 0; k < 60; k++) {
			int64_t at = (int64_t)((seed = seed * 1664525 + 1013904223) % (BIG - 300000));

			expect_text(u, text, k % 3 ? 700 : 300000, at);
			if (k % 20 == 19)
				unpack_rest(u);
		}
		expect_text(u, text, 10, 0);
		for (int64_t at = BIG; at >= 500000; at -= 500000)	/* backwards */
			expect_text(u, text, 500000, at - 500000);
		unpack_free(u);
		close(fd);
		free(p.data);
	}
	free(text);
}

/* Overwritten meanwhile, the file can give them no more: they are kept. */
static void what_was_read_last_is_not_read_again_from_the_file(void **state)
{
	char *text = text_of(BIG), *zeros = calloc(1, BIG);

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct packed p = pack(kinds[i], text, BIG);
		int fd = file_of(p.data, p.n);
		struct unpack *u = opened(fd);

		for (int64_t at = 0; at < 5000000; at += 250000)
			expect_text(u, text, 250000, at);
		assert_int_equal(pwrite(fd, zeros, p.n / 4, 0), p.n / 4);
		expect_text(u, text, 270000, 5000000 - 270000);
		expect_text(u, text, 1024, 0);
		unpack_free(u);
		close(fd);
		free(p.data);
	}
	free(zeros);
	free(text);
}

static void members_and_frames_are_one_content(void **state)
{
	char *text = text_of(300000);

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct packed all = { NULL, 0 };
		int fd, rc;
		struct unpack *u;

		pack_add(&all, pack(kinds[i], text, 100000));
		pack_add(&all, pack(kinds[i], text, 0));
		pack_add(&all, pack(kinds[i], text + 100000, 1));
		pack_add(&all, pack(kinds[i], text + 100001, 199999));
		fd = file_of(all.data, all.n);
		u = opened(fd);
		assert_int_equal(read_all(u, text, 777, &rc), 300000);
		assert_int_equal(rc, 0);
		expect_text(u, text, 300000, 0);
		unpack_free(u);
		close(fd);
		free(all.data);
	}
	free(text);
}

static void skippable_frames_hold_nothing(void **state)
{
	static const char skip[] = "\x53\x2a\x4d\x18\x05\0\0\0hello";
	struct packed all = { NULL, 0 };
	char *text = text_of(1000);
	struct unpack *u;
	int fd, rc;

	(void)state;
	pack_add_bytes(&all, skip, sizeof skip - 1);
	pack_add(&all, pack(UNPACK_ZSTD, text, 500));
	pack_add_bytes(&all, skip, sizeof skip - 1);
	pack_add(&all, pack(UNPACK_ZSTD, text + 500, 500));
	pack_add_bytes(&all, skip, sizeof skip - 1);
	fd = file_of(all.data, all.n);
	u = opened(fd);
	assert_int_equal(read_all(u, text, 64, &rc), 1000);
	assert_int_equal(rc, 0);
	assert_int_equal(unpack_size(u), 1000);
	unpack_free(u);
	close(fd);
	free(all.data);
	free(text);
}

static void zeros_behind_the_end_are_padding_and_other_bytes_are_damage(void **state)
{
	static const char zeros[100000];
	char *text = text_of(1000);

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++)
		for (size_t n = 1; n <= sizeof zeros; n = n * 3 + 1) {
			struct packed p = pack(kinds[i], text, 1000);
			struct unpack *u;
			int fd, rc;

			pack_add_bytes(&p, zeros, n);
			fd = file_of(p.data, p.n);
			u = opened(fd);
			assert_int_equal(read_all(u, text, 4096, &rc), 1000);
			assert_int_equal(rc, 0);
			assert_int_equal(unpack_packed(u), p.n);
			assert_int_equal(write(fd, "rubbish", 7), 7);
			assert_int_equal(read_all(u, text, 4096, &rc), 1000);
			assert_int_equal(rc, ERR_BAD_DATA);
			assert_non_null(unpack_trouble(u));
			assert_int_equal(read_all(u, text, 4096, &rc), 1000);
			assert_int_equal(rc, ERR_BAD_DATA);
			unpack_free(u);
			close(fd);
			free(p.data);
		}
	free(text);
}

/* Bytes come one by one, as from a compressor that runs: each is waited for, none is lost, the end is the end. */
static void a_file_cut_anywhere_waits_for_more(void **state)
{
	char *text = text_of(3000);

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct packed all = { NULL, 0 };
		int64_t at = 0, first = 0;
		struct unpack *u;
		char buf[5000];
		int fd;

		pack_add(&all, pack(kinds[i], text, 2000));
		first = (int64_t)all.n;
		pack_add(&all, pack(kinds[i], text + 2000, 1000));
		fd = file_of(all.data, 0);
		u = unpack_new(fd, kinds[i]);
		for (size_t n = 0; n <= all.n; n++) {
			bool whole = n == all.n || (int64_t)n == first;
			ssize_t k;

			while ((k = unpack_pread(u, buf, sizeof buf, at)) > 0) {
				assert_memory_equal(buf, text + at, k);
				at += k;
			}
			assert_int_equal(k, whole ? 0 : ERR_AGAIN);
			assert_int_equal(unpack_size(u), whole ? at : -1);
			if (n < all.n)
				assert_int_equal(pwrite(fd, all.data + n, 1, (off_t)n), 1);
		}
		assert_int_equal(at, 3000);
		unpack_free(u);
		close(fd);
		free(all.data);
	}
	free(text);
}

static void every_cut_is_read_as_far_as_it_goes(void **state)
{
	char *text = text_of(3000);

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct packed p = pack(kinds[i], text, 3000);
		int64_t before = 0;

		for (size_t n = 0; n < p.n; n++) {
			int fd = file_of(p.data, n), rc, kind = unpack_kind(fd);
			struct unpack *u = unpack_new(fd, kinds[i]);
			int64_t got = read_all(u, text, 1000, &rc);

			assert_int_equal(kind, n < (kinds[i] == UNPACK_GZIP ? 3 : 4) ? ERR_AGAIN : (int)kinds[i]);
			assert_int_equal(rc, ERR_AGAIN);
			assert_true(got >= before);
			before = got;
			unpack_free(u);
			close(fd);
		}
		free(p.data);
	}
	free(text);
}

static void no_flipped_bit_is_read_as_good(void **state)
{
	char *text = text_of(3000), buf[4000];

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct packed p = pack(kinds[i], text, 3000);
		size_t header = kinds[i] == UNPACK_GZIP ? 10 : 6;	/* gzip's time, name and system are nobody's business */

		for (size_t n = header; n < p.n; n++) {
			int64_t size;
			struct unpack *u;
			ssize_t k;
			int fd;

			p.data[n] ^= (uint8_t)(1 << n % 8);
			fd = file_of(p.data, p.n);
			p.data[n] ^= (uint8_t)(1 << n % 8);
			u = opened(fd);
			for (size = 0; (k = unpack_pread(u, buf, sizeof buf, size)) > 0 && size < 100000;)
				size += k;
			/* A length that is too long looks like a cut; deflate's last byte has bits that mean nothing. */
			if (k == 0)
				assert_memory_equal(buf, text, 3000);
			else
				assert_true(k == ERR_BAD_DATA || k == ERR_AGAIN);
			/* And the same again. */
			unpack_rest(u);
			assert_int_equal(unpack_pread(u, buf, sizeof buf, size), k);
			unpack_free(u);
			close(fd);
		}
		free(p.data);
	}
	free(text);
}

static void what_lies_before_damage_reads_the_same_ever_after(void **state)
{
	char *text = text_of(BIG);

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct packed p = pack(kinds[i], text, BIG);
		struct unpack *u;
		int64_t good;
		int fd, rc;

		p.data[p.n / 2] ^= 0x55;
		p.data[p.n / 2 + 1] ^= 0x55;
		fd = file_of(p.data, p.n);
		u = opened(fd);
		/* A few bytes behind the flipped ones may be garbage: only that reading again gives the same is asked for. */
		good = 2 << 20;
		expect_text(u, text, (size_t)good, 0);
		while ((rc = (int)unpack_pread(u, &(char){ 0 }, 1, good)) > 0)
			good++;
		assert_int_equal(rc, ERR_BAD_DATA);
		assert_int_equal(unpack_reached(u), good);
		assert_true(unpack_packed(u) < (int64_t)p.n);
		for (int k = 2; k >= 0; k--) {
			expect_text(u, text, 1 << 19, k << 19);
			assert_int_equal(unpack_pread(u, &(char){ 0 }, 1, good - 1), 1);
			assert_int_equal(unpack_pread(u, &(char){ 0 }, 1, good), ERR_BAD_DATA);
			unpack_rest(u);
		}
		/* Repaired, and told so. */
		p.data[p.n / 2] ^= 0x55;
		p.data[p.n / 2 + 1] ^= 0x55;
		assert_int_equal(pwrite(fd, p.data, p.n, 0), p.n);
		unpack_anew(u);
		assert_int_equal(read_all(u, text, 1 << 20, &rc), BIG);
		assert_int_equal(rc, 0);
		unpack_free(u);
		close(fd);
		free(p.data);
	}
	free(text);
}

static void a_window_larger_than_allowed_is_damage(void **state)
{
	/* A frame's head that asks for 2^31 bytes, then a raw block. */
	static const uint8_t wide[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x09, 0, 0, 'a' };
	int fd = file_of(wide, sizeof wide);
	struct unpack *u = opened(fd);
	char c;

	(void)state;
	assert_int_equal(unpack_pread(u, &c, 1, 0), ERR_BAD_DATA);
	assert_non_null(strstr(unpack_trouble(u), "window"));
	unpack_free(u);
	close(fd);
}

static void a_far_offset_is_reached_in_slices(void **state)
{
	char *text = text_of(BIG);

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct packed p = pack(kinds[i], text, BIG);
		int fd = file_of(p.data, p.n), n = 0;
		struct unpack *u = opened(fd);

		for (; !unpack_seek(u, 5 << 20, 1 << 20); n++)
			assert_true(unpack_reached(u) <= (int64_t)(n + 1) * ((1 << 20) + 65536));
		assert_true(n >= 3 && n <= 5);
		assert_true(unpack_reached(u) <= (5 << 20) + 65536);
		expect_text(u, text, 1000, 5 << 20);
		assert_true(unpack_seek(u, BIG + 1, 2 * BIG));		/* there is no such place: no reason to ask again */
		assert_true(unpack_claims(u, BIG));
		assert_false(unpack_claims(u, BIG - 1));
		unpack_free(u);
		close(fd);
		free(p.data);
	}
	free(text);
}

static void plain_files_are_of_no_kind(void **state)
{
	static const struct { const char *s; size_t n; int want; } v[] = {
		{ "", 0, ERR_AGAIN }, { "\x1f", 1, ERR_AGAIN }, { "\x1f\x8b", 2, ERR_AGAIN }, { "\x1f\x8b\x08", 3, UNPACK_GZIP },
		{ "\x1f\x8b\x09.", 4, UNPACK_NONE }, { "a", 1, UNPACK_NONE }, { "hello", 5, UNPACK_NONE },
		{ "\x28\xb5\x2f", 3, ERR_AGAIN }, { "\x28\xb5\x2f\xfd", 4, UNPACK_ZSTD }, { "(", 1, ERR_AGAIN },
		{ "(a", 2, UNPACK_NONE }, { "P*M", 3, ERR_AGAIN }, { "Z*M\x18", 4, UNPACK_ZSTD }, { "PLAIN", 5, UNPACK_NONE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(v); i++) {
		int fd = file_of(v[i].s, v[i].n);

		assert_int_equal(unpack_kind(fd), v[i].want);
		close(fd);
	}
	assert_int_equal(unpack_kind(-1), -EBADF);
}

static void without_memory_nothing_is_lost(void **state)
{
	char *text = text_of(2500000);

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct packed p = pack(kinds[i], text, 2500000);
		int fd = file_of(p.data, p.n);

		for (long nth = 1; nth < 12; nth++) {
			char *buf = malloc(2500000);
			struct unpack *u;
			ssize_t n;

			mem_fail_nth(nth);
			u = unpack_new(fd, kinds[i]);
			n = u ? unpack_pread(u, buf, 2500000, 0) : ERR_NOMEM;
			mem_fail_nth(0);
			assert_true(n > 0 || n == ERR_NOMEM);
			if (u)
				expect_text(u, text, 2500000, 0);
			unpack_free(u);
			free(buf);
		}
		close(fd);
		free(p.data);
	}
	free(text);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_is_read_whole_and_its_size_is_known_then),
		cmocka_unit_test(any_offset_is_read_in_any_order),
		cmocka_unit_test(what_was_read_last_is_not_read_again_from_the_file),
		cmocka_unit_test(members_and_frames_are_one_content),
		cmocka_unit_test(skippable_frames_hold_nothing),
		cmocka_unit_test(zeros_behind_the_end_are_padding_and_other_bytes_are_damage),
		cmocka_unit_test(a_file_cut_anywhere_waits_for_more),
		cmocka_unit_test(every_cut_is_read_as_far_as_it_goes),
		cmocka_unit_test(no_flipped_bit_is_read_as_good),
		cmocka_unit_test(what_lies_before_damage_reads_the_same_ever_after),
		cmocka_unit_test(a_window_larger_than_allowed_is_damage),
		cmocka_unit_test(a_far_offset_is_reached_in_slices),
		cmocka_unit_test(plain_files_are_of_no_kind),
		cmocka_unit_test(without_memory_nothing_is_lost),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}
