/* books.c - see books.h. */
#include "agent/books.h"

void books_init(struct books *b)
{
	*b = (struct books){ 0 };
	pthread_mutex_init(&b->mu, NULL);
}

void books_release(struct books *b)
{
	pthread_mutex_destroy(&b->mu);
}

void books_open(struct books *b, struct producer *p, const struct spool_totals *t)
{
	b->producer = p;
	b->totals = *t;
	b->read = t->acked + t->records + t->rejected + t->dropped + producer_in_memory(p);
}

void books_lock(struct books *b)
{
	pthread_mutex_lock(&b->mu);
}

void books_unlock(struct books *b)
{
	pthread_mutex_unlock(&b->mu);
}

void books_snapshot(struct books *b, struct books_snapshot *ret)
{
	books_lock(b);
	*ret = (struct books_snapshot){
		.read = b->read,
		.acked = b->totals.acked,
		.spooled = b->totals.records,
		.in_memory = producer_in_memory(b->producer),
		.rejected = b->totals.rejected,
		.dropped = b->totals.dropped,
		.filtered = b->totals.filtered,
		.totals = b->totals,
	};
	books_unlock(b);
}
