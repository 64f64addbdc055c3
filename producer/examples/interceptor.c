/* interceptor.c - example: an interceptor that adds a header, behind a built-in one that hides card numbers.
 *
 *	./interceptor 127.0.0.1:9092 TOPIC <lines
 *
 * Interceptors see each record before it is serialized and each end before its callback. Nobody who sends has to know them.
 */
#include <spillway/producer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 16

struct tracer {
	char id[32];
	struct producer_header headers[HEADERS_MAX];	/* must live until producer_send returns: one thread sends here */
	long sent, ended;
};

static int add_trace(void *arg, struct producer_record *r)
{
	struct tracer *t = arg;

	if (r->header_count == HEADERS_MAX)
		return -1;	/* logged, and the record goes on without */
	if (r->header_count)
		memcpy(t->headers, r->headers, r->header_count * sizeof *r->headers);
	t->headers[r->header_count].name = "trace";
	t->headers[r->header_count].value = t->id;
	t->headers[r->header_count].value_len = (size_t)snprintf(t->id, sizeof t->id, "%ld", ++t->sent);
	r->headers = t->headers;
	r->header_count++;
	return 0;
}

/* On the producer's thread; read after producer_close only. */
static int count_end(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	(void)md;
	if (!err)
		((struct tracer *)arg)->ended++;
	return 0;
}

static void log_text(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

int main(int argc, char **argv)
{
	struct tracer t = { 0 };
	const struct producer_interceptor mine = { .on_send = add_trace, .on_acknowledgement = count_end, .arg = &t };
	struct producer_config *c = producer_config_new();
	struct producer_error err;
	struct producer *p;
	char line[4096];

	if (!c || argc != 3) {
		fprintf(stderr, "usage: interceptor BROKERS TOPIC <lines\n");
		return 2;
	}
	producer_config_set_log(c, log_text, NULL);
	if (producer_config_add_interceptor(c, &mine) < 0 ||
	    producer_config_set(c, "bootstrap.servers", argv[1], &err) < 0 ||
	    producer_config_set(c, "interceptor.classes",
				"[{\"redact\": {\"pattern\": \"\\\\b\\\\d{16}\\\\b\", \"with\": \"****\"}}]", &err) < 0 ||
	    producer_open(c, &p, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	while (fgets(line, sizeof line, stdin)) {
		struct producer_record r = { .topic = argv[2], .partition = -1, .timestamp = -1, .value = line };

		r.value_len = strcspn(line, "\n");
		if (producer_send(p, &r, NULL, NULL, &err) < 0)
			fprintf(stderr, "not taken: %s\n", err.text);
	}
	producer_close(p, 30000);
	producer_config_free(c);
	printf("%ld sent, %ld delivered\n", t.sent, t.ended);
	return t.sent != t.ended;
}
