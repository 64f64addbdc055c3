/* sender_bootstrap.c - where everything begins: bootstrap.servers, and what names mean (client.dns.lookup).
 *
 * Every connection asks for its host's addresses anew, so a host that moved is found when its connection broke. All
 * addresses of a name are tried; the next try of a host that failed begins with another one.
 * Failure a name without addresses is said as the fault of that entry, and asked for again.
 */
#define _GNU_SOURCE	/* memrchr */
#include "producer/sender.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"

#define CANONICAL_RETRY_MS 1000

int sender_split_address(const char *text, size_t n, char *host, size_t host_size, int *port)
{
	const char *colon = memrchr(text, ':', n), *end = text + n;
	size_t len;

	if (!colon || colon == text || colon + 1 == end)
		return ERR_CONFIG;
	*port = (int)strtol(colon + 1, NULL, 10);
	len = (size_t)(colon - text);
	if (text[0] == '[' && colon[-1] == ']') {
		text++;
		len -= 2;
	}
	if (len == 0 || len >= host_size || *port <= 0 || *port > 65535)
		return ERR_CONFIG;
	memcpy(host, text, len);
	host[len] = 0;
	return 0;
}

/* An entry that was there before is the same again. */
static struct broker *known(struct sender *s, const char *host, int port)
{
	list_each(it, &s->brokers) {
		struct broker *b = list_entry(it, struct broker, node);

		if (b->id < 0 && b->port == port && !strcmp(b->host, host)) {
			b->gone = false;
			return b;
		}
	}
	return NULL;
}

int sender_bootstrap(struct sender *s)
{
	const char *p = s->servers ? s->servers : s->config->bootstrap_servers ? s->config->bootstrap_servers : "";
	char host[256];
	bool any = false;
	int port, rc;

	while (*p) {
		size_t n = strcspn(p, ", \t");
		struct broker *b = NULL;

		rc = n ? sender_split_address(p, n, host, sizeof host, &port) : 0;
		if (rc < 0)
			return rc;
		if (n && !(b = known(s, host, port)) && !(b = sender_broker_new(s, s->bootstrap_next_id--, host, port)))
			return ERR_NOMEM;
		any |= b != NULL;
		if (b && s->config->client_dns_lookup == DNS_RESOLVE_CANONICAL)
			b->canonical = CANONICAL_DUE;
		p += n + (p[n] != 0);
	}
	return any ? 0 : ERR_CONFIG;
}

/* A bootstrap name stands for all its addresses, each under its own name: what certificates and Kerberos speak of. */
bool sender_canonical(struct sender *s, struct broker *b)
{
	struct name_query *q;

	if (b->canonical != CANONICAL_DUE)
		return b->canonical != CANONICAL_NO;
	if (b->canonical_at_ms > s->now_ms) {
		sender_lower_wake(s, b->canonical_at_ms);
		return true;
	}
	b->canonical_at_ms = s->now_ms + CANONICAL_RETRY_MS;
	q = mem_new(struct name_query);
	if (!q)
		return true;
	snprintf(q->host, sizeof q->host, "%s", b->host);
	q->port = b->port;
	q->canonical = true;
	q->arg = b;
	b->canonical = CANONICAL_ASKED;
	names_ask(s->names, q);
	return true;
}

static void take_canonical(struct sender *s, const struct name_query *q)
{
	struct broker *b = q->arg;

	if (b->gone || b->canonical != CANONICAL_ASKED || strcmp(b->host, q->host) != 0)
		return;
	if (!q->count) {
		b->canonical = CANONICAL_DUE;
		snprintf(b->conn[CONN_MAIN].error, sizeof b->conn[CONN_MAIN].error, "%.80s: %s", q->host, names_error(q));
		sender_broker_down(s, b, b->conn[CONN_MAIN].error);
		return;
	}
	for (int i = 0; i < q->count; i++)
		if (!sender_broker_new(s, s->bootstrap_next_id--, q->names[i], q->port))
			return;		/* the old one stays, to be asked again when these are gone */
	sender_forget(s, b, true);
}

void sender_rebootstrap(struct sender *s)
{
	list_each_safe(it, &s->brokers) {
		struct broker *b = list_entry(it, struct broker, node);

		if (!b->gone)
			sender_forget(s, b, true);
	}
	sender_bootstrap(s);	/* cannot fail: it was read before, and the structs are there */
	metadata_want_refresh(&s->metadata);
}

/* The next try of a host that failed begins with its next address. */
static void turn(struct name_query *q, uint32_t by)
{
	union name_address was[NAME_ADDRESSES_MAX];

	memcpy(was, q->addresses, sizeof was);
	for (int i = 0; i < q->count; i++)
		q->addresses[i] = was[((uint32_t)i + by) % (uint32_t)q->count];
}

void sender_take_names(struct sender *s)
{
	struct name_query *q;

	while ((q = names_answer(s->names))) {
		struct conn *c = q->canonical ? NULL : q->arg;

		if (!c) {
			take_canonical(s, q);
		} else {
			turn(q, c->failures);
			conn_resolved(c, q, s->now_ms);
		}
		sender_note_security(s);
		name_query_free(q);
	}
}
