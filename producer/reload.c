/* reload.c - new brokers and credentials while it runs, and why nobody can be reached.
 *
 * Why through the sender: connections are its own. What was asked for last waits in producer->reload until its next round; an
 * earlier one that it has not seen yet is dropped.
 * Invariants
 *  (1) what lives keeps what it has: connections take the new security when they begin, or end where they would have had to
 *      authenticate anew.
 *  (2) the configuration that the producer was opened with is not touched.
 * Threads: producer_reload the one that opens, sender_trouble any, the rest the sender's.
 * Failure everything that can fail does so before anything is handed over.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/code.h"
#include "producer/core.h"

struct reload { struct security *security; char *servers; };

static void reload_free(struct reload *r)
{
	if (!r)
		return;
	security_unref(r->security);
	mem_free(r->servers);
	mem_free(r);
}

int producer_reload(struct producer *p, struct producer_config *c, struct producer_error *ret_err)
{
	struct reload *r;
	struct err e;
	int rc;

	/* The check writes into it, and the sender reads it. */
	if (c == p->config)
		return code_fail(ret_err, ERR_CONFIG, "the configuration that the producer was opened with is in use; reload "
				 "another one");
	rc = producer_config_check(c, ret_err);
	if (rc < 0)
		return rc;
	r = mem_new(struct reload);
	if (!r || !(r->servers = mem_strdup(c->bootstrap_servers))) {
		reload_free(r);
		return code_fail(ret_err, ERR_NOMEM, NULL);
	}
	rc = security_new(c, &r->security, &e);
	/* Certificates that cannot be used would only be found by the next connection, with the good ones gone. */
	if (rc == 0 && r->security)
		rc = security_load(r->security, &e);
	if (rc < 0) {
		reload_free(r);
		return code_fail(ret_err, rc, "%s", e.text);
	}
	reload_free(atomic_exchange(&p->reload, r));
	loop_wake(&p->sender.loop);
	return 0;
}

void reload_drop(struct producer *p)
{
	reload_free(atomic_exchange(&p->reload, NULL));
}

/* Entries that stay keep their connections; those that went are closed when nothing is unanswered. */
static void take_servers(struct sender *s, char *servers)
{
	mem_free(s->servers);
	s->servers = servers;
	list_each(it, &s->brokers)
		list_entry(it, struct broker, node)->gone |= list_entry(it, struct broker, node)->id < 0;
	sender_bootstrap(s);	/* it was checked; without memory for a new entry the others serve */
	list_each(it, &s->brokers) {
		struct broker *b = list_entry(it, struct broker, node);

		for (int i = 0; b->gone && i < CONN_KINDS; i++)
			conn_retire(&b->conn[i], s->now_ms);
	}
}

void sender_take_reload(struct sender *s)
{
	struct reload *r = atomic_exchange(&s->p->reload, NULL);
	bool other;

	if (!r)
		return;
	other = security_has_tls(s->conn_conf.security) != security_has_tls(r->security) ||
		security_has_sasl(s->conn_conf.security) != security_has_sasl(r->security);
	security_unref(s->conn_conf.security);
	s->conn_conf.security = r->security;
	take_servers(s, r->servers);
	mem_free(r);
	list_each(it, &s->brokers)
		for (int i = 0; i < CONN_KINDS; i++) {
			struct conn *c = &list_entry(it, struct broker, node)->conn[i];

			/* What was in clear must not stay so. */
			if (other)
				conn_retire(c, s->now_ms);
			conn_retry_now(c, s->now_ms);
		}
}

void sender_note_security(struct sender *s)
{
	char text[sizeof s->security_note];

	security_note(s->conn_conf.security, text, sizeof text);
	if (!strcmp(text, s->security_note))
		return;
	memcpy(s->security_note, text, sizeof text);
	if (text[0] && s->journal && s->journal->event)
		s->journal->event(s->journal->arg, NULL, INT32_MIN, text);
}

/* --- why nobody can be reached --- */

void sender_note_trouble(struct sender *s, const struct conn *c, const char *why)
{
	pthread_mutex_lock(&s->p->mu);
	s->trouble_auth = why && c->refused;
	s->trouble[0] = 0;
	if (why)
		snprintf(s->trouble, sizeof s->trouble, "%s:%d: %s", c->host, c->port, why);
	pthread_mutex_unlock(&s->p->mu);
}

void sender_trouble(struct sender *s, char *buf, size_t n, bool *ret_auth)
{
	pthread_mutex_lock(&s->p->mu);
	snprintf(buf, n, "%s", s->p->broker_up ? "" : s->trouble[0] ? s->trouble : "no broker has answered yet");
	*ret_auth = !s->p->broker_up && s->trouble_auth;
	pthread_mutex_unlock(&s->p->mu);
}
