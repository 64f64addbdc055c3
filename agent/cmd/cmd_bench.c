/* cmd_bench.c - `spillway bench`: as many records as asked for, and how long each took from send to acknowledgement.
 *
 * Words, units (MB is 2^20 bytes) and options are those of Kafka's producer-perf-test, so that figures can be compared.
 * Threads: main sends; callbacks run on the sender thread. Lock: mu, for the figures.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/hist.h"
#include "agent/base/mem.h"
#include "agent/cmd/client.h"
#include "agent/cmd/client_lines.h"
#include "agent/metrics_text.h"

#define WINDOW_MS 5000
#define POOL_BYTES (1u << 20)		/* of random letters; a record is a slice of them */
#define PAYLOAD_MAX (64u << 20)
#define MB (1024.0 * 1024)

struct figures {
	struct hist us;			/* microseconds from send to acknowledgement */
	uint64_t bytes, failed;
	int64_t began_ns;
};

struct bench {
	const struct options *o;
	struct client client;
	bool json;
	/* The records: slices of text. Random ones begin anywhere, those of a file are in its lines. */
	char *text;
	size_t text_len;
	struct payload { size_t at, n; } *payloads;
	size_t payload_count;
	uint64_t rng;

	pthread_mutex_t mu;		/* all below; leaf */
	struct figures all, window;
	struct client_counts counts;
	int failed_code;
	char failed_text[256];
};

/* What a callback needs to know of its record. */
struct flight { struct bench *b; int64_t sent_ns; size_t bytes; };

/* --- the sender's thread --- */

static void add(struct figures *f, int64_t us, size_t bytes)
{
	hist_add(&f->us, us > 0 ? (uint64_t)us : 0);
	f->bytes += bytes;
}

static void on_done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct flight *f = arg;
	struct bench *b = f->b;
	int64_t us = (clock_mono_ns() - f->sent_ns) / 1000;

	pthread_mutex_lock(&b->mu);
	if (err) {
		b->all.failed++;
		b->failed_code = err->code;
		snprintf(b->failed_text, sizeof b->failed_text, "%s", err->text);
	} else {
		add(&b->all, us, f->bytes);
		add(&b->window, us, f->bytes);
		client_count(&b->counts, md->partition);
	}
	pthread_mutex_unlock(&b->mu);
	mem_free(f);
}

/* --- records --- */

static uint64_t next_random(struct bench *b)
{
	b->rng ^= b->rng << 13;
	b->rng ^= b->rng >> 7;
	b->rng ^= b->rng << 17;
	return b->rng;
}

static int make_random(struct bench *b)
{
	size_t n = (size_t)b->o->record_size;

	b->text_len = n + POOL_BYTES;
	b->text = mem_alloc(b->text_len);
	if (!b->text)
		return EXIT_INTERNAL;
	for (size_t i = 0; i < b->text_len; i++)
		b->text[i] = (char)('A' + next_random(b) % 26);
	return 0;
}

static int add_payload(struct bench *b, const char *line, size_t n)
{
	struct payload *grown;

	if (b->text_len + n > PAYLOAD_MAX) {
		fprintf(stderr, "spillway: %s: larger than 64 MiB\n", b->o->payload_file);
		return EXIT_BAD_DATA;
	}
	grown = mem_grow(b->payloads, b->payload_count, sizeof *b->payloads);
	if (!grown)
		return EXIT_INTERNAL;
	b->payloads = grown;
	memcpy(b->text + b->text_len, line, n);
	b->payloads[b->payload_count++] = (struct payload){ b->text_len, n };
	b->text_len += n;
	return 0;
}

static int read_payloads(struct bench *b)
{
	struct client_lines lines;
	char *file = (char *)b->o->payload_file;
	const char *line;
	size_t n;
	int rc = 0;

	b->text = mem_alloc(PAYLOAD_MAX);
	if (!b->text || client_lines_open(&lines, &file, 1, 1u << 20) < 0)
		return EXIT_INTERNAL;
	for (bool more = true; more && rc == 0; ) {
		switch (client_lines_next(&lines, &line, &n)) {
		case LINES_LINE:
			rc = add_payload(b, line, n);
			break;
		case LINES_TOO_LONG:
			fprintf(stderr, "spillway: %s:%lu: longer than 1 MiB\n", file, lines.number);
			rc = EXIT_BAD_DATA;
			break;
		case LINES_ERROR:
			fprintf(stderr, "spillway: %s: %s\n", file, strerror(errno));
			rc = EXIT_IO;
			break;
		case LINES_END:
			more = false;
		}
	}
	client_lines_close(&lines);
	if (rc == 0 && !b->payload_count) {
		fprintf(stderr, "spillway: %s: has no lines\n", file);
		rc = EXIT_BAD_DATA;
	}
	return rc;
}

static struct payload pick(struct bench *b)
{
	if (b->payload_count)
		return b->payloads[next_random(b) % b->payload_count];
	return (struct payload){ next_random(b) % POOL_BYTES, (size_t)b->o->record_size };
}

/* --- figures --- */

static double ms(uint64_t us)
{
	return (double)us / 1000;
}

static double mean_ms(const struct hist *h)
{
	return h->count ? (double)h->sum / (double)h->count / 1000 : 0;
}

static void print_window(struct bench *b, int64_t now_ns)
{
	FILE *f = b->json ? stderr : stdout;
	struct figures w;
	double seconds;

	pthread_mutex_lock(&b->mu);
	w = b->window;
	b->window = (struct figures){ .began_ns = now_ns };
	pthread_mutex_unlock(&b->mu);
	seconds = (double)(now_ns - w.began_ns) / 1e9;
	fprintf(f, "%llu records sent, %.1f records/sec (%.2f MB/sec), %.1f ms avg latency, %.1f ms max latency.\n",
		(unsigned long long)w.us.count, (double)w.us.count / seconds, (double)w.bytes / MB / seconds, mean_ms(&w.us),
		ms(w.us.max));
	fflush(f);
}

static void print_text(const struct bench *b, double seconds)
{
	const struct hist *h = &b->all.us;

	printf("%llu records sent, %.1f records/sec (%.2f MB/sec), %.2f ms avg latency, %.2f ms max latency, %.2f ms 50th, "
	       "%.2f ms 95th, %.2f ms 99th, %.2f ms 99.9th.\n", (unsigned long long)h->count, (double)h->count / seconds,
	       (double)b->all.bytes / MB / seconds, mean_ms(h), ms(h->max), ms(hist_quantile(h, 0.5)),
	       ms(hist_quantile(h, 0.95)), ms(hist_quantile(h, 0.99)), ms(hist_quantile(h, 0.999)));
	client_counts_print(&b->counts, stdout);
}

static void print_json(const struct bench *b, double seconds)
{
	const struct hist *h = &b->all.us;
	const char *comma = "";

	printf("{\"records\":%llu,\"failed\":%llu,\"bytes\":%llu,\"seconds\":%.3f,\"records_per_s\":%.1f,\"mb_per_s\":%.3f,"
	       "\"latency_ms\":{\"avg\":%.3f,\"max\":%.3f,\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f,\"p99_9\":%.3f},\"partitions\":{",
	       (unsigned long long)h->count, (unsigned long long)b->all.failed, (unsigned long long)b->all.bytes, seconds,
	       (double)h->count / seconds, (double)b->all.bytes / MB / seconds, mean_ms(h), ms(h->max),
	       ms(hist_quantile(h, 0.5)), ms(hist_quantile(h, 0.95)), ms(hist_quantile(h, 0.99)), ms(hist_quantile(h, 0.999)));
	for (size_t i = 0; i < b->counts.n; i++) {
		if (!b->counts.v[i])
			continue;
		printf("%s\"%zu\":%llu", comma, i, (unsigned long long)b->counts.v[i]);
		comma = ",";
	}
	printf("}}\n");
}

/* --- sending --- */

/* With --throughput: the i-th record is not sent before its time. */
static void keep_pace(const struct bench *b, int64_t i)
{
	int64_t at_ns = b->all.began_ns + (int64_t)((double)i * 1e9 / (double)b->o->throughput);
	struct timespec ts = { .tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000 };

	if (at_ns > clock_mono_ns())
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* 0, or an exit code. */
static int send_one(struct bench *b)
{
	struct payload x = pick(b);
	struct producer_record r = { .topic = b->o->topic, .partition = -1, .value = b->text + x.at,
				     .value_len = x.n, .timestamp = -1 };
	struct flight *f = mem_new(struct flight);
	struct producer_error err;
	int rc;

	if (!f)
		return EXIT_INTERNAL;
	*f = (struct flight){ b, clock_mono_ns(), x.n };
	rc = producer_send(b->client.producer, &r, on_done, f, &err);
	if (rc == 0)
		return 0;
	mem_free(f);
	if (rc == PRODUCER_ERR_DROPPED)
		return 0;
	fprintf(stderr, "spillway: %s\n", err.text);
	return client_exit_code(rc);
}

static int send_all(struct bench *b)
{
	int64_t now = clock_mono_ns(), next = now + WINDOW_MS * 1000000LL;
	int rc = 0;

	b->all.began_ns = b->window.began_ns = now;
	for (int64_t i = 0; i < b->o->num_records && rc == 0 && !client_stopped(); i++) {
		if (b->o->throughput > 0)
			keep_pace(b, i);
		rc = send_one(b);
		now = clock_mono_ns();
		if (now >= next) {
			print_window(b, now);
			next = now + WINDOW_MS * 1000000LL;
		}
	}
	return rc;
}

static int check(const struct options *o)
{
	if (o->num_records < 1) {
		fprintf(stderr, "spillway: how many records? Give --num-records N\n");
		return EXIT_USAGE;
	}
	if ((o->record_size < 0) == !o->payload_file) {
		fprintf(stderr, "spillway: give either --record-size N or --payload-file FILE\n");
		return EXIT_USAGE;
	}
	if (!o->throughput) {
		fprintf(stderr, "spillway: --throughput 0 would never send; -1, or leaving it out, is no limit\n");
		return EXIT_USAGE;
	}
	if (o->record_size > PAYLOAD_MAX) {
		fprintf(stderr, "spillway: --record-size is at most 64 MiB\n");
		return EXIT_USAGE;
	}
	return 0;
}

/* Before the figures, and where they are not. */
static void print_metrics(const struct bench *b)
{
	struct buf out;

	buf_init(&out, 64u << 20);
	if (metrics_text_all(b->client.producer, b->client.config, &out) == 0 && out.len)
		fwrite(out.data, 1, out.len, b->json ? stderr : stdout);
	buf_release(&out);
}

static int run(struct bench *b)
{
	int rc = send_all(b);
	double seconds;

	producer_flush(b->client.producer, -1);
	seconds = (double)(clock_mono_ns() - b->all.began_ns) / 1e9;
	if (b->o->metrics)
		print_metrics(b);
	client_close(&b->client, -1);
	if (b->json)
		print_json(b, seconds);
	else
		print_text(b, seconds);
	if (b->all.failed) {
		fprintf(stderr, "spillway: %llu records failed, the last one: %s\n", (unsigned long long)b->all.failed,
			b->failed_text);
		rc = rc ? rc : client_exit_code(b->failed_code);
	}
	return rc ? rc : client_stopped() ? EXIT_TRY_AGAIN : 0;
}

int cmd_bench(const struct options *o)
{
	struct bench *b = mem_new(struct bench);
	int rc = b ? check(o) : EXIT_INTERNAL;

	if (rc) {
		mem_free(b);
		return rc;
	}
	b->o = o;
	b->json = o->json;
	b->rng = (uint64_t)clock_mono_ns() | 1;
	pthread_mutex_init(&b->mu, NULL);
	rc = o->payload_file ? read_payloads(b) : make_random(b);
	if (rc == 0)
		rc = client_open(o, &b->client);
	if (rc == 0) {
		client_catch_signals();
		rc = run(b);
	}
	pthread_mutex_destroy(&b->mu);
	mem_free(b->counts.v);
	mem_free(b->payloads);
	mem_free(b->text);
	mem_free(b);
	return rc;
}
