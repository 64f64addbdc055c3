/* cmd_send.c - `spillway send`: the producer on the command line, a record for each line.
 *
 * Threads: main reads and sends; callbacks run on the sender thread and own `counts` and `report`; main looks at them after
 *	the producer is closed. acked and failed are atomic, for the progress line. `out` writes what --report says.
 * Failure a line that cannot become a record is said with its place and counted, the rest goes on; when no broker can be
 *	reached within max.block.ms, or rights are missing, it ends. Exit 0 only if every line was acknowledged.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/base/units.h"
#include "agent/cmd/client.h"
#include "agent/cmd/client_lines.h"
#include "agent/cmd/client_out.h"
#include "agent/record/text_value.h"

#define PROGRESS_MS 500
#define ERRORS_SHOWN 5

struct send {
	const struct options *o;
	struct client client;
	const char *key_serializer, *value_serializer;
	struct producer_header *headers;
	struct client_lines lines;
	bool progress;
	int64_t began_ms, progress_ms;
	uint64_t sent, refused;		/* lines */
	int exit_code;			/* of the first thing that went wrong */

	/* Thread: sender's. */
	struct client_counts counts;	/* records acknowledged */
	struct buf report;
	struct client_out out;		/* with --report */
	_Atomic uint64_t acked, failed;
	_Atomic int failed_code;	/* of the first failed record */
};

static void went_wrong(struct send *s, int exit_code)
{
	if (!s->exit_code)
		s->exit_code = exit_code;
}

/* --- the sender's thread --- */

static void report(struct send *s, const struct producer_metadata *md)
{
	buf_clear(&s->report);
	buf_puts(&s->report, "{\"topic\":");
	buf_put_json(&s->report, md->topic, SIZE_MAX);
	buf_printf(&s->report, ",\"partition\":%d,\"offset\":%lld,\"timestamp\":%lld}\n", md->partition, (long long)md->offset,
		   (long long)md->timestamp);
	client_out_put(&s->out, s->report.data, s->report.len);
}

static void on_done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct send *s = arg;

	if (err) {
		if (atomic_fetch_add(&s->failed, 1) == 0)
			atomic_store(&s->failed_code, err->code);
		if (s->failed <= ERRORS_SHOWN)
			fprintf(stderr, "spillway: %s: not delivered: %s\n", md->topic, err->text);
		return;
	}
	atomic_fetch_add(&s->acked, 1);
	if (s->o->stats)
		client_count(&s->counts, md->partition);
	if (s->o->report)
		report(s, md);
}

/* --- main --- */

static void show_progress(struct send *s)
{
	int64_t now = clock_mono_ms();

	if (!s->progress || now - s->progress_ms < PROGRESS_MS)
		return;
	s->progress_ms = now;
	fprintf(stderr, "\r%llu sent, %llu acknowledged, %.0f/s ", (unsigned long long)s->sent, (unsigned long long)s->acked,
		(double)s->acked * 1000 / (double)(now - s->began_ms + 1));
}

static void bad_line(struct send *s, int exit_code, const char *what)
{
	fprintf(stderr, "spillway: %s:%lu: %s\n", s->lines.name, s->lines.number, what);
	s->refused++;
	went_wrong(s, exit_code);
}

/* False: there is no use in going on. */
static bool send_record(struct send *s, const struct producer_record *r)
{
	struct producer_error err;
	int rc = producer_send(s->client.producer, r, on_done, s, &err), exit_code;

	if (rc == 0) {
		s->sent++;
		return true;
	}
	if (rc == PRODUCER_ERR_DROPPED)
		return true;
	exit_code = client_exit_code(rc);
	bad_line(s, exit_code, err.text);
	return exit_code == EXIT_BAD_DATA && rc != PRODUCER_ERR_INVALID_TOPIC && rc != PRODUCER_ERR_INVALID_PARTITION;
}

static bool send_line(struct send *s, const char *line, size_t n)
{
	const struct options *o = s->o;
	const char *delimiter = o->delimiter ? memmem(line, n, o->delimiter, strlen(o->delimiter)) : NULL;
	struct producer_record r = { .topic = o->topic, .partition = (int32_t)o->partition, .headers = s->headers,
				     .header_count = o->headers.n, .timestamp = -1 };
	struct text_value key, value;
	const char *key_text = o->key, *text = line;
	size_t key_n = o->key ? strlen(o->key) : 0;

	if (delimiter) {
		key_text = line;
		key_n = (size_t)(delimiter - line);
		text = delimiter + strlen(o->delimiter);
	}
	if (key_text && text_value(s->key_serializer, key_text, key_n, &key) < 0) {
		bad_line(s, EXIT_BAD_DATA, "the key is not what key.serializer takes");
		return true;
	}
	if (text_value(s->value_serializer, text, n - (size_t)(text - line), &value) < 0) {
		bad_line(s, EXIT_BAD_DATA, "the value is not what value.serializer takes");
		return true;
	}
	if (key_text) {
		r.key = key.data;
		r.key_len = key.n;
	}
	r.value = value.data;
	r.value_len = value.n;
	return send_record(s, &r);
}

static void send_all(struct send *s)
{
	const char *line;
	size_t n;
	bool go_on = true;

	while (go_on && !client_stopped()) {
		switch (client_lines_next(&s->lines, &line, &n)) {
		case LINES_LINE:
			go_on = send_line(s, line, n);
			show_progress(s);
			if (s->o->report)
				client_out_wait(&s->out);
			break;
		case LINES_TOO_LONG:
			bad_line(s, EXIT_BAD_DATA, "longer than max.request.size");
			break;
		case LINES_ERROR:
			fprintf(stderr, "spillway: %s: %s\n", s->lines.name, strerror(errno));
			s->refused++;
			went_wrong(s, EXIT_IO);
			break;
		case LINES_END:
			go_on = false;
			break;
		}
	}
}

static int split_headers(struct send *s)
{
	s->headers = mem_calloc(s->o->headers.n + 1, sizeof *s->headers);
	if (!s->headers)
		return EXIT_INTERNAL;
	for (size_t i = 0; i < s->o->headers.n; i++) {
		const char *pair = s->o->headers.v[i], *equals = strchr(pair, '=');
		char *name;

		if (!equals || equals == pair) {
			fprintf(stderr, "spillway: -H takes NAME=VALUE, not \"%s\"\n", pair);
			return EXIT_USAGE;
		}
		name = mem_strndup(pair, (size_t)(equals - pair));
		if (!name)
			return EXIT_INTERNAL;
		s->headers[i] = (struct producer_header){ name, equals + 1, strlen(equals + 1) };
	}
	return 0;
}

static void release_headers(struct send *s)
{
	for (size_t i = 0; s->headers && i < s->o->headers.n; i++)
		mem_free((char *)s->headers[i].name);
	mem_free(s->headers);
}

static int check(const struct options *o)
{
	if (o->report && strcmp(o->report, "json") != 0) {
		fprintf(stderr, "spillway: --report takes json, not \"%s\"\n", o->report);
		return EXIT_USAGE;
	}
	if (o->partition > INT32_MAX) {
		fprintf(stderr, "spillway: -p %lld is no partition\n", (long long)o->partition);
		return EXIT_USAGE;
	}
	if (o->delimiter && !*o->delimiter) {
		fprintf(stderr, "spillway: -K needs a delimiter\n");
		return EXIT_USAGE;
	}
	return 0;
}

static void finish(struct send *s)
{
	uint64_t failed = s->failed;

	if (s->progress)
		fprintf(stderr, "\r%llu sent, %llu acknowledged            \n", (unsigned long long)s->sent,
			(unsigned long long)s->acked);
	if (failed > ERRORS_SHOWN)
		fprintf(stderr, "spillway: ... and %llu more\n", (unsigned long long)(failed - ERRORS_SHOWN));
	if (failed || s->refused || client_stopped())
		fprintf(stderr, "spillway: %llu records acknowledged, %llu not delivered, %llu lines not taken%s\n",
			(unsigned long long)s->acked, (unsigned long long)failed, (unsigned long long)s->refused,
			client_stopped() ? "; stopped by a signal" : "");
	if (failed)
		went_wrong(s, client_exit_code(s->failed_code));
	if (client_stopped())
		went_wrong(s, EXIT_TRY_AGAIN);
	if (s->o->stats)		/* with --report stdout belongs to it */
		client_counts_print(&s->counts, s->o->report ? stderr : stdout);
}

static int64_t number_of(struct producer_config *c, const char *name)
{
	int64_t n = 0;

	units_parse_size(producer_config_get(c, name), &n);
	return n;
}

static void close_report(struct send *s)
{
	int error = client_out_close(&s->out);

	if (!error)
		return;
	fprintf(stderr, "spillway: cannot write the output: %s\n", strerror(error));
	went_wrong(s, EXIT_IO);
}

static int run(struct send *s)
{
	struct producer_config *c = s->client.config;
	int rc = client_lines_open(&s->lines, s->o->words, s->o->word_count, (size_t)number_of(c, "max.request.size"));

	if (rc < 0) {
		fprintf(stderr, "spillway: %s\n", err_text(rc));
		return EXIT_INTERNAL;
	}
	s->key_serializer = mem_strdup(producer_config_get(c, "key.serializer"));
	s->value_serializer = mem_strdup(producer_config_get(c, "value.serializer"));
	if (!s->key_serializer || !s->value_serializer)
		return EXIT_INTERNAL;
	s->progress = isatty(STDERR_FILENO) && !isatty(STDIN_FILENO);
	s->began_ms = s->progress_ms = clock_mono_ms();
	if (s->o->report && client_out_open(&s->out, STDOUT_FILENO) < 0)
		return EXIT_INTERNAL;
	client_catch_signals();
	send_all(s);
	return 0;
}

int cmd_send(const struct options *o)
{
	struct send *s = mem_new(struct send);
	int rc = s ? check(o) : EXIT_INTERNAL;

	if (rc)
		goto out;
	s->o = o;
	buf_init(&s->report, 1u << 20);
	rc = split_headers(s);
	if (rc == 0)
		rc = client_open(o, &s->client);
	if (rc == 0) {
		rc = run(s);
		/* delivery.timeout.ms ends every record. */
		client_close(&s->client, -1);
		if (rc == 0 && o->report)
			close_report(s);
		if (rc == 0)
			finish(s);
		client_lines_close(&s->lines);
	}
	rc = rc ? rc : s->exit_code;
out:
	if (s) {
		mem_free((char *)s->key_serializer);
		mem_free((char *)s->value_serializer);
		release_headers(s);
		buf_release(&s->report);
		mem_free(s->counts.v);
		mem_free(s);
	}
	return rc;
}
