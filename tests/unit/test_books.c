/* test_books.c - the books balance because everyone counts; a count that is forgotten must show.
 *
 * The producer's part is a double here: books.c asks nothing but producer_in_memory of it. */
#include "agent/books.h"
#include "tests/lib/unit.h"

static uint64_t in_memory;

uint64_t producer_in_memory(const struct producer *p)
{
	(void)p;
	return in_memory;
}

enum forget {
	NOTHING, FORGET_READ, FORGET_MEMORY_IN, FORGET_ACKED, FORGET_SPOOLED, FORGET_MEMORY_OUT, FORGET_REJECTED,
	FORGET_DROPPED, FORGETS
};

/* One record of each fate goes its way; each step counts twice, once on either side, unless it forgets. */
static void walk(struct books *b, enum forget f)
{
	in_memory = 0;
	books_lock(b);
	b->read += f == FORGET_READ ? 4 : 5;
	in_memory += f == FORGET_MEMORY_IN ? 4 : 5;
	books_unlock(b);
	books_lock(b);
	b->totals.acked += f != FORGET_ACKED;
	b->totals.records += f != FORGET_SPOOLED;
	b->totals.rejected += f != FORGET_REJECTED;
	b->totals.dropped += f != FORGET_DROPPED;
	in_memory -= f == FORGET_MEMORY_OUT ? 3 : 4;
	books_unlock(b);
}

static void books_balance_when_everyone_counts(void **state)
{
	struct books_snapshot s;
	struct books b;

	(void)state;
	books_init(&b);
	walk(&b, NOTHING);
	books_snapshot(&b, &s);
	assert_true(books_balanced(&s));
	assert_int_equal(s.read, 5);
	assert_int_equal(s.in_memory, 1);
	books_release(&b);
}

static void each_forgotten_count_shows(void **state)
{
	(void)state;
	for (enum forget f = FORGET_READ; f < FORGETS; f++) {
		struct books_snapshot s;
		struct books b;

		books_init(&b);
		walk(&b, f);
		books_snapshot(&b, &s);
		assert_false(books_balanced(&s));
		books_release(&b);
	}
}

static void what_earlier_lives_recorded_counts_as_read_once(void **state)
{
	struct spool_totals t = { .acked = 10, .records = 5, .rejected = 2, .dropped = 1, .filtered = 7 };
	struct books_snapshot s;
	struct books b;

	(void)state;
	in_memory = 3;
	books_init(&b);
	books_open(&b, NULL, &t);
	books_snapshot(&b, &s);
	assert_int_equal(s.read, 21);
	assert_true(books_balanced(&s));
	books_release(&b);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(books_balance_when_everyone_counts),
		cmocka_unit_test(each_forgotten_count_shows),
		cmocka_unit_test(what_earlier_lives_recorded_counts_as_read_once),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}
