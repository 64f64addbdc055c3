/* tool_send.c - the smallest user of producer/producer.h: lines of stdin become records, answers become lines of stdout.
 *
 *	tool_send BROKERS TOPIC [-p PARTITION] [-k] [-H NAME VALUE] [name=value ...] <lines
 *
 * -k: a line is KEY<TAB>VALUE. -H: a header of every record. Other arguments are configuration. Each answer is one line
 * "partition offset timestamp" or "error CODE TEXT", in order of acknowledgement. Exit 0 only if all were taken and acknowledged.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "producer/producer.h"

static _Atomic unsigned long failed;
static struct producer_header header;		/* name NULL: none */

static void done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	(void)arg;
	if (err) {
		printf("error %d %s\n", err->code, err->text);
		failed++;
	} else {
		printf("%d %lld %lld\n", md->partition, (long long)md->offset, (long long)md->timestamp);
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

/* Returns how many arguments it took. */
static int set_header(const char *name, const char *value)
{
	header = (struct producer_header){ name, value, strlen(value) };
	return 2;
}

static void send_line(struct producer *p, const char *topic, int32_t partition, bool keyed, char *line, size_t n)
{
	struct producer_record r = { .topic = topic, .partition = partition, .value = line, .value_len = n, .timestamp = -1,
				     .headers = &header, .header_count = header.name != NULL };
	char *tab = keyed ? memchr(line, '\t', n) : NULL;
	struct producer_error err;

	if (tab) {
		r.key = line;
		r.key_len = (size_t)(tab - line);
		r.value = tab + 1;
		r.value_len = n - r.key_len - 1;
	}
	if (producer_send(p, &r, done, NULL, &err) < 0) {
		fprintf(stderr, "not taken: %s\n", err.text);
		failed++;
	}
}

static void send_stdin(struct producer *p, const char *topic, int32_t partition, bool keyed)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) >= 0) {
		if (n && line[n - 1] == '\n')
			n--;
		send_line(p, topic, partition, keyed, line, (size_t)n);
	}
	free(line);
}

int main(int argc, char **argv)
{
	struct producer_config *c = producer_config_new();
	struct producer_error err;
	struct producer *p;
	int32_t partition = -1;
	bool keyed = false;

	if (argc < 3 || !c || set(c, "bootstrap.servers", argv[1]) < 0)
		return 64;
	for (int i = 3; i < argc; i++) {
		if (!strcmp(argv[i], "-k"))
			keyed = true;
		else if (!strcmp(argv[i], "-p") && i + 1 < argc)
			partition = (int32_t)strtol(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "-H") && i + 2 < argc)
			i += set_header(argv[i + 1], argv[i + 2]);
		else if (set_pair(c, argv[i]) < 0)
			return 64;
	}
	if (producer_open(c, &p, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 78;
	}
	send_stdin(p, argv[2], partition, keyed);
	producer_close(p, 30000);
	producer_config_free(c);
	return failed ? 75 : 0;
}
