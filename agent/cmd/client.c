/* client.c - see client.h.
 *
 * Why -X takes no secrets: arguments are public on every Unix. A value that is nothing but a reference (${env:NAME},
 * ${file:/path}, ${cred:NAME}) is none, and is resolved here; a properties file is taken as Java takes it, literally.
 * Threads: main.
 */
#include "agent/cmd/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/cmd/properties.h"
#include "conf/interpolate.h"

static volatile sig_atomic_t stopped;

static int set(struct producer_config *c, const char *name, const char *value, struct err *ret_err)
{
	struct producer_error e;
	int rc = producer_config_set(c, name, value, &e);

	return rc < 0 ? err_set(ret_err, ERR_CONFIG, "%s", e.text) : 0;
}

static int set_property(void *arg, int line, const char *name, const char *value, struct err *ret_err)
{
	(void)line;
	return set(arg, name, value, ret_err);
}

static bool is_secret(struct producer_config *c, const char *name)
{
	const char *shown = producer_config_get(c, name);

	return shown && !strcmp(shown, "***");
}

/* Nothing but one reference, and a default would stand there to be read. */
static bool is_reference(const char *value)
{
	const char *end = strchr(value, '}');

	return !strncmp(value, "${", 2) && end && !end[1] && !strstr(value, ":-");
}

static int set_argument(struct producer_config *c, const char *pair, struct err *ret_err)
{
	const char *equals = strchr(pair, '=');
	bool masked = false;
	struct buf value;
	char *name;
	int rc;

	if (!equals || equals == pair)
		return err_set(ret_err, ERR_USAGE, "-X takes name=value, not \"%.60s\"", pair);
	name = mem_strndup(pair, (size_t)(equals - pair));
	buf_init(&value, 1u << 20);
	rc = name ? interpolate(equals + 1, &value, &masked, ret_err) : ERR_NOMEM;
	if (rc == 0)
		rc = set(c, name, value.data ? value.data : "", ret_err);
	if (rc == 0 && is_secret(c, name) && !is_reference(equals + 1))
		rc = err_set(ret_err, ERR_USAGE, "-X %s: everyone on this host can read a secret that stands on the command "
			     "line: put it into a file for -F, or write '%s=${env:NAME}' or '%s=${file:/path}'", name, name, name);
	else if (rc < 0 && rc != ERR_USAGE)
		err_prefix(ret_err, "-X ");
	if (value.data)
		explicit_bzero(value.data, value.len);
	buf_release(&value);
	mem_free(name);
	return rc;
}

static int configure(const struct options *o, struct producer_config *c, struct err *ret_err)
{
	int rc = o->properties && properties_read(o->properties, set_property, c, ret_err) < 0 ? ERR_CONFIG : 0;

	if (rc == 0 && o->preset)
		rc = set(c, "preset", o->preset, ret_err);
	if (rc == 0 && o->brokers)
		rc = set(c, "bootstrap.servers", o->brokers, ret_err);
	if (rc == 0 && o->codec)
		rc = set(c, "compression.type", o->codec, ret_err);
	for (size_t i = 0; rc == 0 && i < o->settings.n; i++)
		rc = set_argument(c, o->settings.v[i], ret_err);
	if (rc == 0 && !*producer_config_get(c, "bootstrap.servers"))
		rc = err_set(ret_err, ERR_USAGE, "which brokers? Give them with -b HOST:PORT,...");
	if (rc == 0 && !*producer_config_get(c, "client.id"))
		rc = set(c, "client.id", "spillway", ret_err);
	return rc;
}

static void on_log(void *arg, const char *text)
{
	(void)arg;
	if (log_enabled(LOG_LEVEL_WARN))
		fprintf(stderr, "spillway: %s\n", text);
}

int client_open(const struct options *o, struct client *ret)
{
	struct client c = { .config = producer_config_new() };
	struct producer_error e;
	struct err err;
	int rc = c.config ? configure(o, c.config, &err) : err_set(&err, ERR_NOMEM, "%s", err_text(ERR_NOMEM)), code;

	if (rc < 0) {
		fprintf(stderr, "spillway: %s\n", err.text);
		producer_config_free(c.config);
		return cli_exit_code(rc);
	}
	if (o->log_level >= 0)
		log_setup((enum log_level)o->log_level, false);
	producer_config_set_log(c.config, on_log, NULL);
	rc = producer_open(c.config, &c.producer, &e);
	if (rc < 0) {
		fprintf(stderr, "spillway: %s\n", e.text);
		code = client_exit_code(rc);
		producer_config_free(c.config);
		return code;
	}
	*ret = c;
	return 0;
}

void client_close(struct client *c, int64_t timeout_ms)
{
	producer_close(c->producer, timeout_ms);
	producer_config_free(c->config);
	*c = (struct client){ 0 };
}

int client_exit_code(int code)
{
	static const struct { int code, exit_code; } table[] = {
		{ 0, EXIT_GOOD }, { PRODUCER_ERR_CONFIG, EXIT_CONFIG }, { PRODUCER_ERR_AUTHENTICATION, EXIT_PERMISSION },
		{ PRODUCER_ERR_TOO_LARGE, EXIT_BAD_DATA }, { PRODUCER_ERR_SERIALIZATION, EXIT_BAD_DATA },
		{ PRODUCER_ERR_INVALID_PARTITION, EXIT_BAD_DATA }, { PRODUCER_ERR_INVALID_TOPIC, EXIT_BAD_DATA },
		{ PRODUCER_ERR_NOMEM, EXIT_INTERNAL }, { PRODUCER_ERR_SYSTEM, EXIT_INTERNAL },
		/* Kafka's: rights. */
		{ 29, EXIT_PERMISSION }, { 31, EXIT_PERMISSION }, { 58, EXIT_PERMISSION },
		{ 10, EXIT_BAD_DATA }, { 17, EXIT_BAD_DATA }, { 87, EXIT_BAD_DATA },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].code == code)
			return table[i].exit_code;
	return EXIT_UNAVAILABLE;
}

void client_count(struct client_counts *c, int32_t partition)
{
	if (partition < 0)
		return;
	if ((size_t)partition >= c->n) {
		size_t n = (size_t)partition + 64;
		uint64_t *v = mem_realloc(c->v, n * sizeof *v);

		if (!v)
			return;
		memset(v + c->n, 0, (n - c->n) * sizeof *v);
		c->v = v;
		c->n = n;
	}
	c->v[partition]++;
}

void client_counts_print(const struct client_counts *c, FILE *f)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i])
			fprintf(f, "partition %zu: %llu records\n", i, (unsigned long long)c->v[i]);
}

static void on_signal(int number)
{
	static const char words[] = "\nspillway: stopping, what was taken is delivered; the same again ends at once\n";
	int saved = errno;

	if (stopped)
		_exit(128 + number);
	stopped = 1;
	(void)!write(STDERR_FILENO, words, sizeof words - 1);
	errno = saved;
}

void client_catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	/* No SA_RESTART: a read that waits for a terminal or a pipe must end. */
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool client_stopped(void)
{
	return stopped != 0;
}
