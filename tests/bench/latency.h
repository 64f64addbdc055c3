/* latency.h - what the latency benches share: records at a fixed rate, the time from send to callback, and its percentiles.
 *
 * Threads: latency_run's caller sends, any one thread calls latency_done. */
#ifndef SPILLWAY_TESTS_LATENCY_H
#define SPILLWAY_TESTS_LATENCY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LATENCY_LINE 178
#define LATENCY_WARM 1000		/* sent before, at the same rate, and not counted */
#define LATENCY_WAIT_S 30

struct latency_slot { int64_t sent_ns, took_ns; };

struct latency {
	size_t count;			/* of records, the warm ones included */
	int64_t step_ns;
	struct latency_slot *slots;
	_Atomic size_t done, failed;
	/* Sends one record whose callback will call latency_done with that slot. */
	bool (*send)(void *arg, const char *line, size_t n, struct latency_slot *slot);
	void *arg;
};

static inline int64_t latency_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline void latency_sleep_until(int64_t at_ns)
{
	struct timespec ts = { .tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static inline void latency_done(struct latency *l, struct latency_slot *slot, bool good)
{
	slot->took_ns = latency_now_ns() - slot->sent_ns;
	if (!good)
		l->failed++;
	l->done++;
}

static inline int latency_compare(const void *a, const void *b)
{
	int64_t x = ((const struct latency_slot *)a)->took_ns, y = ((const struct latency_slot *)b)->took_ns;

	return x < y ? -1 : x > y;
}

static inline double latency_ms(const struct latency_slot *slots, size_t n, double part)
{
	size_t i = (size_t)(part * (double)n);

	return (double)slots[i < n ? i : n - 1].took_ns / 1e6;
}

/* "p50 0.41 p95 ... max 3.20 ms, 10000 records". The slots are sorted by it. */
static inline void latency_print(struct latency *l)
{
	struct latency_slot *s = l->slots + LATENCY_WARM;
	size_t n = l->count - LATENCY_WARM;

	qsort(s, n, sizeof *s, latency_compare);
	printf("p50 %.3f p95 %.3f p99 %.3f p99.9 %.3f max %.3f ms, %zu records\n", latency_ms(s, n, 0.5), latency_ms(s, n, 0.95),
	       latency_ms(s, n, 0.99), latency_ms(s, n, 0.999), latency_ms(s, n, 1), n);
}

/* Sends all, waits for all. False, and words on stderr, when a record failed or no answer came. */
static inline bool latency_run(struct latency *l, size_t records, long rate)
{
	char line[LATENCY_LINE];
	int64_t begin = latency_now_ns(), give_up_ns;

	l->count = records + LATENCY_WARM;
	l->step_ns = 1000000000 / rate;
	l->slots = calloc(l->count, sizeof *l->slots);
	memset(line, 'x', sizeof line);
	for (size_t i = 0; l->slots && i < l->count; i++) {
		latency_sleep_until(begin + (int64_t)i * l->step_ns);
		l->slots[i].sent_ns = latency_now_ns();
		if (!l->send(l->arg, line, sizeof line, &l->slots[i]))
			return false;
	}
	give_up_ns = latency_now_ns() + (int64_t)LATENCY_WAIT_S * 1000000000;
	while (l->done < l->count && latency_now_ns() < give_up_ns)
		latency_sleep_until(latency_now_ns() + 1000000);
	if (l->done == l->count && !l->failed)
		return true;
	fprintf(stderr, "%zu of %zu answered, %zu of them with an error\n", l->done, l->count, l->failed);
	return false;
}

#endif
