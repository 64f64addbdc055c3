/* budget.c - one mapping, cut into chunks; two shares that never lend to each other.
 *
 * Why: see budget.h. Chunks that were never used lie above `fresh` and have no pages yet; used ones come back to a stack,
 * so the warmest is taken first and a quiet agent stays small. Huge pages would undo that, so they are switched off.
 *
 * Invariants
 *  (1) free list length + (total - fresh) + used[APPEND] + used[REFILL] == total.
 *  (2) used[share] <= cap[share]; cap[APPEND] + cap[REFILL] == total. Therefore a free chunk exists whenever a share is
 *      below its cap.
 *  (3) waiters non-empty implies tight, unless a waiter came while memory was already enough (then it is told at once).
 *  (4) a waiter's fn runs outside mu, but only while its call is listed in `calls`: budget_unwait waits for that.
 * Failure a chain that cannot be had whole is not begun: nothing is taken.
 */
#include "producer/budget.h"

#include <sys/mman.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"

#define APPEND_CHUNKS_MIN 8

_Static_assert(sizeof(struct chunk) == CHUNK_BYTES, "a chunk is exactly CHUNK_BYTES");
_Static_assert(CHUNK_BYTES % 4096 == 0, "chunks are whole pages");

struct call { struct list node; const struct budget_waiter *w; };

struct budget {
	/* Set at creation. */
	struct chunk *map;
	size_t total;			/* all counts below are chunks */
	size_t cap[2];
	size_t calm;			/* free chunks of appenders that end a tight period */

	pthread_mutex_t mu;		/* protects all below; leaf */
	pthread_cond_t  called;		/* a call ended */
	struct chunk *free;		/* stack, linked by next */
	size_t  fresh;			/* chunks below it have been used at least once */
	size_t  used[2];
	size_t  wanted;			/* what the hungriest failed append needed; waiters are told at that many */
	int64_t tight_since;		/* -1: not tight */
	struct list waiters;		/* arrival order */
	struct list calls;		/* struct call: fn is running now */
};

int budget_new(struct budget **ret_b, size_t bytes, size_t reserve_bytes)
{
	size_t total = bytes / CHUNK_BYTES;
	size_t reserve = reserve_bytes / CHUNK_BYTES + (reserve_bytes % CHUNK_BYTES != 0);
	struct budget *b;

	if (reserve > total || total - reserve < APPEND_CHUNKS_MIN)
		return ERR_CONFIG;
	b = mem_new(struct budget);
	if (!b)
		return ERR_NOMEM;
	b->map = mmap(NULL, total * CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b->map == MAP_FAILED) {
		mem_free(b);
		return ERR_NOMEM;
	}
	/* Advice: a kernel without huge pages answers EINVAL. */
	(void)madvise(b->map, total * CHUNK_BYTES, MADV_NOHUGEPAGE);
	b->total = total;
	b->cap[BUDGET_APPEND] = total - reserve;
	b->cap[BUDGET_REFILL] = reserve;
	b->calm = total / 8 < b->cap[BUDGET_APPEND] ? total / 8 : b->cap[BUDGET_APPEND];
	b->wanted = 1;
	b->tight_since = -1;
	pthread_mutex_init(&b->mu, NULL);
	pthread_cond_init(&b->called, NULL);
	list_init(&b->waiters);
	list_init(&b->calls);
	*ret_b = b;
	return 0;
}

void budget_free(struct budget *b)
{
	if (!b)
		return;
	ASSERT(b->used[BUDGET_APPEND] + b->used[BUDGET_REFILL] == 0);
	ASSERT(list_empty(&b->waiters) && list_empty(&b->calls));
	munmap(b->map, b->total * CHUNK_BYTES);
	pthread_mutex_destroy(&b->mu);
	pthread_cond_destroy(&b->called);
	mem_free(b);
}

static size_t append_free(const struct budget *b)
{
	return b->cap[BUDGET_APPEND] - b->used[BUDGET_APPEND];
}

static struct chunk *pop(struct budget *b, enum budget_share share)
{
	struct chunk *c = b->free;

	if (c) {
		b->free = c->next;
	} else {
		ASSERT(b->fresh < b->total);
		c = &b->map[b->fresh++];
	}
	c->used = 0;
	c->share = share;
	return c;
}

struct chunk *budget_take_chain(struct budget *b, enum budget_share share, size_t n, int64_t now_ms)
{
	struct chunk *head = NULL;

	pthread_mutex_lock(&b->mu);
	if (b->cap[share] - b->used[share] >= n) {
		b->used[share] += n;
		while (n-- > 0) {
			struct chunk *c = pop(b, share);

			c->next = head;
			head = c;
		}
	} else if (share == BUDGET_APPEND) {
		if (b->tight_since < 0)
			b->tight_since = now_ms;
		if (n > b->wanted)
			b->wanted = n < b->cap[share] ? n : b->cap[share];
	}
	pthread_mutex_unlock(&b->mu);
	return head;
}

struct chunk *budget_take(struct budget *b, enum budget_share share, int64_t now_ms)
{
	return budget_take_chain(b, share, 1, now_ms);
}

/* Holding mu. */
static void maybe_calm(struct budget *b)
{
	if (list_empty(&b->waiters) && append_free(b) >= b->calm)
		b->tight_since = -1;
}

/* Holding mu, which is left while fn runs. */
static void tell(struct budget *b, const struct budget_waiter *w)
{
	struct call c = { .w = w };
	void (*fn)(void *) = w->fn;
	void *arg = w->arg;

	list_push_back(&b->calls, &c.node);
	pthread_mutex_unlock(&b->mu);
	fn(arg);
	pthread_mutex_lock(&b->mu);
	list_remove(&c.node);
	pthread_cond_broadcast(&b->called);
}

/* Holding mu. Those who wait again meanwhile are not told by this round: a waiter hears once of one gift. */
static void tell_all(struct budget *b)
{
	struct list told;
	struct budget_waiter *w;

	list_init(&told);
	list_splice_back(&told, &b->waiters);
	b->wanted = 1;
	maybe_calm(b);
	while ((w = list_first(&told, struct budget_waiter, node))) {
		list_remove(&w->node);
		tell(b, w);
	}
}

struct chunk *budget_overdraw(void)
{
	struct chunk *c = mem_alloc(sizeof *c);

	if (!c)
		return NULL;
	c->next = NULL;
	c->used = 0;
	c->share = BUDGET_OVERDRAWN;
	return c;
}

void budget_give(struct budget *b, struct chunk *chain)
{
	if (!chain)
		return;
	pthread_mutex_lock(&b->mu);
	while (chain) {
		struct chunk *next = chain->next;

		if (chain->share == BUDGET_OVERDRAWN) {
			mem_free(chain);
			chain = next;
			continue;
		}
		ASSERT(chain->share <= BUDGET_REFILL && b->used[chain->share] > 0);
		b->used[chain->share]--;
		chain->next = b->free;
		b->free = chain;
		chain = next;
	}
	if (append_free(b) >= b->wanted)
		tell_all(b);
	else
		maybe_calm(b);
	pthread_mutex_unlock(&b->mu);
}

void budget_wait(struct budget *b, struct budget_waiter *w)
{
	pthread_mutex_lock(&b->mu);
	if (list_empty(&w->node)) {
		if (append_free(b) >= b->wanted)
			tell(b, w);
		else
			list_push_back(&b->waiters, &w->node);
	}
	pthread_mutex_unlock(&b->mu);
}

static bool being_told(struct budget *b, const struct budget_waiter *w)
{
	list_each(it, &b->calls)
		if (list_entry(it, struct call, node)->w == w)
			return true;
	return false;
}

void budget_unwait(struct budget *b, struct budget_waiter *w)
{
	pthread_mutex_lock(&b->mu);
	list_remove(&w->node);
	while (being_told(b, w))
		pthread_cond_wait(&b->called, &b->mu);
	maybe_calm(b);
	pthread_mutex_unlock(&b->mu);
}

bool budget_has_waiters(struct budget *b)
{
	bool waiting;

	pthread_mutex_lock(&b->mu);
	waiting = !list_empty(&b->waiters);
	pthread_mutex_unlock(&b->mu);
	return waiting;
}

int64_t budget_tight_since(struct budget *b)
{
	int64_t since;

	pthread_mutex_lock(&b->mu);
	since = b->tight_since;
	pthread_mutex_unlock(&b->mu);
	return since;
}

size_t budget_total(const struct budget *b)
{
	return b->total * CHUNK_BYTES;
}

size_t budget_used(struct budget *b)
{
	size_t used;

	pthread_mutex_lock(&b->mu);
	used = b->used[BUDGET_APPEND] + b->used[BUDGET_REFILL];
	pthread_mutex_unlock(&b->mu);
	return used * CHUNK_BYTES;
}
