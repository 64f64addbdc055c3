/* config_check.c - what no single key can show: constraints between keys, and defaults that follow another key.
 *
 * Why: values that a person wrote are never bent, they are refused; defaults are bent silently, so that one key such as
 * buffer.memory: 1MiB is a whole configuration. As Java's producer does: idempotence that nobody asked for gives way to
 * acks or retries that somebody chose, and the default delivery.timeout.ms is raised to what it must hold.
 *
 * Invariant: the outcome depends on what was set, not on how often or when this ran: each default is taken afresh first.
 */
#include "producer/config_keys.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/units.h"
#include "producer/codec.h"
#include "producer/intercept.h"

#define IDEMPOTENT_IN_FLIGHT_MAX 5
#define BUFFER_SHARE 4			/* so many batches of batch.size must fit buffer.memory */
#define REQUEST_OVERHEAD 512		/* request header, client id, topic, batch header; generous */

static int afresh(struct producer_config *c, const char *name, struct producer_error *ret_err)
{
	const struct key *k = &config_keys[config_key_find(name)];

	if (config_key_chosen(c, name, false))
		return 0;
	return config_key_read(c, k, config_key_default(c, k), ret_err);
}

/* --- bootstrap.servers: host:port, [ipv6]:port, with commas and blanks between --- */

static bool good_server(const char *s, size_t n)
{
	size_t host = n;		/* bytes before the last colon */
	long port = 0;

	while (host > 0 && s[host] != ':')
		host--;
	if (!host || host + 1 == n || n - host > 6)
		return false;
	for (size_t i = host + 1; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		port = port * 10 + (s[i] - '0');
	}
	/* A colon inside the host is an IPv6 address, which needs its brackets. */
	if (memchr(s, ':', host) && (s[0] != '[' || s[host - 1] != ']'))
		return false;
	return port > 0 && port <= UINT16_MAX;
}

static int check_servers(struct producer_config *c, struct producer_error *ret_err)
{
	static const char between[] = ", \t\r\n";
	const char *s = c->bootstrap_servers ? c->bootstrap_servers : "";
	size_t n, servers = 0;

	for (s += strspn(s, between); *s; s += n, s += strspn(s, between)) {
		n = strcspn(s, between);
		if (!good_server(s, n))
			return config_error(ret_err, ERR_CONFIG, "bootstrap.servers: \"%.*s\" is not host:port",
					    (int)(n < 100 ? n : 100), s);
		servers++;
	}
	if (!servers)
		return config_error(ret_err, ERR_CONFIG, "bootstrap.servers is required");
	return 0;
}

/* --- the rest --- */

static int check_idempotence(struct producer_config *c, struct producer_error *ret_err)
{
	bool asked = config_key_chosen(c, "enable.idempotence", true);
	int rc = afresh(c, "enable.idempotence", ret_err);

	if (rc < 0 || !c->enable_idempotence)
		return rc;
	if (asked && c->acks != -1)
		return config_error(ret_err, ERR_CONFIG, "enable.idempotence: true needs acks: all, not %s",
				    producer_config_get(c, "acks"));
	if (asked && c->retries == 0)
		return config_error(ret_err, ERR_CONFIG, "enable.idempotence: true needs retries above 0");
	if (c->acks != -1 || c->retries == 0) {
		c->enable_idempotence = 0;
		return 0;
	}
	if (c->max_in_flight > IDEMPOTENT_IN_FLIGHT_MAX)
		return config_error(ret_err, ERR_CONFIG, "max.in.flight.requests.per.connection: %" PRId64
				    " is more than the %d that enable.idempotence: true allows", c->max_in_flight,
				    IDEMPOTENT_IN_FLIGHT_MAX);
	return 0;
}

static int check_times(struct producer_config *c, struct producer_error *ret_err)
{
	int64_t need = c->linger_ms + c->request_timeout_ms;
	int rc = afresh(c, "delivery.timeout.ms", ret_err);

	if (rc < 0 || c->delivery_timeout_ms >= need)
		return rc;
	if (config_key_chosen(c, "delivery.timeout.ms", true))
		return config_error(ret_err, ERR_CONFIG, "delivery.timeout.ms: %" PRId64
				    " is less than linger.ms + request.timeout.ms = %" PRId64, c->delivery_timeout_ms, need);
	c->delivery_timeout_ms = need;
	return 0;
}

static int does_not_fit(struct producer_error *ret_err, const char *name, int64_t value, const char *into, int64_t limit)
{
	char a[32], b[32];

	return config_error(ret_err, ERR_CONFIG, "%s: %s does not fit %s: at most %s", name, units_print_size(a, sizeof a, value),
			    into, units_print_size(b, sizeof b, limit));
}

static int check_sizes(struct producer_config *c, struct producer_error *ret_err)
{
	bool chosen = config_key_chosen(c, "batch.size", false);
	int64_t quarter = c->buffer_memory / BUFFER_SHARE, room = c->max_request_size - REQUEST_OVERHEAD;
	int rc = afresh(c, "batch.size", ret_err);

	if (rc < 0)
		return rc;
	/* The default of max.request.size is the least that buffer.memory can be, so only a chosen one can be too large. */
	if (c->max_request_size > c->buffer_memory)
		return does_not_fit(ret_err, "max.request.size", c->max_request_size, "buffer.memory", c->buffer_memory);
	if (chosen && c->batch_size > quarter)
		return does_not_fit(ret_err, "batch.size", c->batch_size, "buffer.memory four times", quarter);
	if (chosen && c->batch_size > c->max_request_size)
		return does_not_fit(ret_err, "batch.size", c->batch_size, "max.request.size", c->max_request_size);
	if (!chosen && c->batch_size > quarter)
		c->batch_size = quarter;
	if (!chosen && c->batch_size > room)
		c->batch_size = room;
	return 0;
}

/* zlib's level 0 stores; Kafka has no such level, and a range with a hole is none. */
static int check_levels(struct producer_config *c, struct producer_error *ret_err)
{
	if (c->compression_gzip_level != 0)
		return 0;
	return config_error(ret_err, ERR_CONFIG, "compression.gzip.level: 0 would compress nothing, it must be from 1 to 9, or -1 "
			    "for zlib's own choice (compression.type: none sends uncompressed)");
}

/* libsnappy alone is not linked: see codec_snappy.c. */
static int check_codec(struct producer_config *c, struct producer_error *ret_err)
{
	struct codec_ctx *ctx = NULL;
	int rc = c->compression_type == CODEC_SNAPPY ? codec_ctx_new(&ctx, CODEC_SNAPPY, 0) : 0;

	codec_ctx_free(ctx);
	return rc == ERR_UNAVAILABLE ? config_error(ret_err, ERR_CONFIG, "compression.type: snappy needs libsnappy.so.1, "
						    "which is not installed here") : 0;
}

static int check_interceptors(struct producer_config *c, struct producer_error *ret_err)
{
	struct intercept *chain;
	int rc = intercept_new(c->interceptors, &chain, ret_err);

	if (rc == 0)
		intercept_free(chain);
	return rc;
}

static config_check_fn *const own_checks[] = {
	check_servers, check_idempotence, check_times, check_sizes, check_levels, check_codec,
	check_interceptors, NULL
};
static config_check_fn *const *const all_checks[] = { own_checks, config_security_checks };

int producer_config_check(struct producer_config *c, struct producer_error *ret_err)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof all_checks / sizeof all_checks[0]; i++)
		for (config_check_fn *const *check = all_checks[i]; *check && rc == 0; check++)
			rc = (*check)(c, ret_err);
	return rc;
}

int producer_config_check_all(struct producer_config *c, void (*fn)(void *arg, const struct producer_error *e), void *arg)
{
	int first = 0;

	for (size_t i = 0; i < sizeof all_checks / sizeof all_checks[0]; i++)
		for (config_check_fn *const *check = all_checks[i]; *check; check++) {
			struct producer_error e;
			int rc = (*check)(c, &e);

			if (rc < 0)
				fn(arg, &e);
			if (rc < 0 && first == 0)
				first = rc;
		}
	return first;
}
