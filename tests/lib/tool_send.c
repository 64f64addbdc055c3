/* tool_send.c - the smallest user of producer/producer.h: lines of stdin become records, answers become lines of stdout.
 *
 *	tool_send BROKERS TOPIC [-p PARTITION] [-k] [-n] [-h NAME[=VALUE]]... [name=value ...] <lines
 *
 * -k: a line is KEY<TAB>VALUE. -n: what is empty is null. -h: a header of each record, null without "=". Other arguments are
 * configuration. Each answer is one line "partition offset timestamp key_size value_size" or "error CODE TEXT", in order of
 * acknowledgement; what is not taken is a line "refused CODE TEXT" at once. Exit 0 only if all were taken and acknowledged.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "producer/producer.h"

#define HEADERS_MAX 16

static _Atomic unsigned long failed;

/* How lines become records. */
struct form {
	const char *topic;
	int32_t partition;
	bool keyed, nulls;
	struct producer_header headers[HEADERS_MAX];
	size_t header_count;
};

static void done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	(void)arg;
	if (err) {
		printf("error %d %s\n", err->code, err->text);
		failed++;
	} else {
		printf("%d %lld %lld %d %d\n", md->partition, (long long)md->offset, (long long)md->timestamp, md->key_size,
		       md->value_size);
	}
}

static int set(struct producer_config *c, const char *name, const char *value)
{
	struct producer_error err;
	int rc = producer_config_set(c, name, value, &err);

	if (rc < 0)
		fprintf(stderr, "%s: %s\n", name, err.text);
	return rc;
}

static int set_pair(struct producer_config *c, char *pair)
{
	char *equals = strchr(pair, '=');

	if (!equals) {
		fprintf(stderr, "%s: name=value expected\n", pair);
		return -1;
	}
	*equals = 0;
	return set(c, pair, equals + 1);
}

static void add_header(struct form *f, char *pair)
{
	char *equals = strchr(pair, '=');
	struct producer_header *h = &f->headers[f->header_count];

	if (f->header_count == HEADERS_MAX)
		return;
	f->header_count++;
	h->name = pair;
	if (equals) {
		*equals = 0;
		h->value = equals + 1;
		h->value_len = strlen(equals + 1);
	}
}

static void send_line(struct producer *p, const struct form *f, char *line, size_t n)
{
	struct producer_record r = { .topic = f->topic, .partition = f->partition, .value = line, .value_len = n, .timestamp = -1,
				     .headers = f->headers, .header_count = f->header_count };
	char *tab = f->keyed ? memchr(line, '\t', n) : NULL;
	struct producer_error err;

	if (tab) {
		r.key = line;
		r.key_len = (size_t)(tab - line);
		r.value = tab + 1;
		r.value_len = n - r.key_len - 1;
	}
	if (f->nulls && !r.key_len)
		r.key = NULL;
	if (f->nulls && !r.value_len)
		r.value = NULL;
	if (producer_send(p, &r, done, NULL, &err) < 0) {
		printf("refused %d %s\n", err.code, err.text);
		failed++;
	}
}

static void send_stdin(struct producer *p, const struct form *f)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) >= 0) {
		if (n && line[n - 1] == '\n')
			n--;
		send_line(p, f, line, (size_t)n);
	}
	free(line);
}

int main(int argc, char **argv)
{
	struct producer_config *c = producer_config_new();
	struct form f = { .partition = -1 };
	struct producer_error err;
	struct producer *p;

	if (argc < 3 || !c || set(c, "bootstrap.servers", argv[1]) < 0)
		return 64;
	f.topic = argv[2];
	for (int i = 3; i < argc; i++) {
		if (!strcmp(argv[i], "-k"))
			f.keyed = true;
		else if (!strcmp(argv[i], "-n"))
			f.nulls = true;
		else if (!strcmp(argv[i], "-p") && i + 1 < argc)
			f.partition = (int32_t)strtol(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "-h") && i + 1 < argc)
			add_header(&f, argv[++i]);
		else if (set_pair(c, argv[i]) < 0)
			return 64;
	}
	if (producer_open(c, &p, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 78;
	}
	send_stdin(p, &f);
	producer_close(p, 30000);
	producer_config_free(c);
	return failed ? 75 : 0;
}
