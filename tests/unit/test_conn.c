/* test_conn.c - one connection against a broker of a few lines: authenticating, being refused, authenticating anew, retiring.
 * Time is an argument, only the look-up thread and the loopback socket are real. */
#include "tests/lib/unit.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/mem.h"
#include "producer/conn.h"
#include "producer/wire.h"

struct fixture {
	struct loop loop;
	struct producer_config *config;
	struct conn_conf conf;
	struct conn conn;
	uint64_t rng;
	int64_t now;
	int listener, peer;		/* the broker's sockets */
	int16_t refuse;			/* SaslAuthenticate answers this */
	int64_t lifetime;		/* of a session */
	int keys[64], key_count;	/* the requests that came, by their api key */
	int ups, downs, answers, lost;
	char why[CONN_ERROR_MAX];
};

static struct fixture *of(struct conn *c)
{
	return c->owner;
}

static void on_up(struct conn *c)
{
	of(c)->ups++;
}

static void on_down(struct conn *c, const char *why)
{
	of(c)->downs++;
	snprintf(of(c)->why, sizeof of(c)->why, "%s", why ? why : "");
}

static int on_answered(struct conn *c, struct request *r, const void *data, size_t n, int64_t now_ms)
{
	(void)r, (void)data, (void)n, (void)now_ms;
	of(c)->answers++;
	return 0;
}

static void on_lost(struct conn *c, struct request *r, int64_t now_ms)
{
	(void)r, (void)now_ms;
	of(c)->lost++;
}

static const struct conn_ops ops = { .up = on_up, .down = on_down, .answered = on_answered, .lost = on_lost };

/* --- the broker --- */

static void put(char **p, uint64_t v, int bytes)
{
	while (bytes--)
		*(*p)++ = (char)(v >> 8 * bytes);
}

static void put_versions(char **p)
{
	static const int16_t ranges[][3] = { { 0, 3, 8 }, { 3, 0, 8 }, { 17, 0, 1 }, { 18, 0, 3 }, { 22, 0, 1 }, { 36, 0, 1 } };

	put(p, 0, 2);
	put(p, COUNT(ranges), 4);
	for (size_t i = 0; i < COUNT(ranges); i++)
		for (int k = 0; k < 3; k++)
			put(p, (uint64_t)ranges[i][k], 2);
}

static bool read_all(int fd, char *to, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = read(fd, to + at, n - at);

		if (got <= 0)
			return false;
		at += (size_t)got;
	}
	return true;
}

/* Reads one request and answers it. */
static void serve_one(struct fixture *f)
{
	char in[4096], out[512], *p = out + 4;
	uint32_t size;
	int key, version;

	if (!read_all(f->peer, in, 4)) {
		/* It would be readable for ever, and turns would take no time. */
		close(f->peer);
		f->peer = -1;
		return;
	}
	memcpy(&size, in, 4);
	size = ntohl(size);
	assert_true(size < sizeof in && read_all(f->peer, in, size));
	key = in[0] << 8 | in[1];
	version = in[2] << 8 | in[3];
	f->keys[f->key_count++] = key;
	memcpy(p, in + 4, 4);			/* correlation id */
	p += 4;
	if (key == API_VERSIONS && version > 0) {
		put(&p, 35, 2);			/* in layout 0 */
		put(&p, 1, 4);
		put(&p, 18, 2);
		put(&p, 0, 2);
		put(&p, 0, 2);
	} else if (key == API_VERSIONS) {
		put_versions(&p);
	} else if (key == API_SASL_HANDSHAKE) {
		put(&p, 0, 2);
		put(&p, 0, 4);
	} else if (key == API_SASL_AUTHENTICATE) {
		put(&p, (uint64_t)f->refuse, 2);
		put(&p, f->refuse ? 3 : 0xffff, 2);
		if (f->refuse)
			put(&p, 'n' << 16 | 'o' << 8 | '!', 3);
		put(&p, 0, 4);
		put(&p, (uint64_t)f->lifetime, 8);
	} else {
		put(&p, 0, 4);
	}
	size = htonl((uint32_t)(p - out - 4));
	memcpy(out, &size, 4);
	assert_int_equal(write(f->peer, out, (size_t)(p - out)), p - out);
}

/* --- stepping --- */

static void on_round(void *arg)
{
	loop_stop(&((struct fixture *)arg)->loop);
}

static void on_timer(struct loop_timer *t)
{
	(void)t;
}

/* One turn of everybody. */
static void turn(struct fixture *f)
{
	struct pollfd p[2] = { { .fd = f->listener, .events = POLLIN }, { .fd = f->peer, .events = POLLIN } };
	struct loop_timer timer = { 0 };
	struct name_query *q;

	timer_set(&f->loop, &timer, 0, on_timer);
	loop_run(&f->loop);
	timer_cancel(&f->loop, &timer);
	while ((q = names_answer(f->conf.names))) {
		conn_resolved(q->arg, q, f->now);
		name_query_free(q);
	}
	if (poll(p, 2, 1) <= 0)
		return;
	if (p[0].revents) {
		if (f->peer >= 0)
			close(f->peer);
		f->peer = accept(f->listener, NULL, NULL);
	} else {
		serve_one(f);
	}
}

#define UNTIL(f, condition) do { for (int n_ = 0; !(condition) && n_ < 20000; n_++) turn(f); assert_true(condition); } while (0)

static void wake(void *arg)
{
	(void)arg;
}

static int set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	struct err e;

	f->now = 1000000;
	f->peer = -1;
	f->config = producer_config_new();
	producer_config_set(f->config, "security.protocol", "SASL_PLAINTEXT", NULL);
	producer_config_set(f->config, "sasl.mechanism", "PLAIN", NULL);
	producer_config_set(f->config, "sasl.username", "alice", NULL);
	producer_config_set(f->config, "sasl.password", "hunter2", NULL);
	f->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(f->listener, 4), 0);
	getsockname(f->listener, (struct sockaddr *)&a, &n);
	assert_int_equal(loop_init(&f->loop, NULL, on_round, f), 0);
	f->conf = (struct conn_conf){ .loop = &f->loop, .config = f->config, .ops = &ops, .rng = &f->rng };
	assert_int_equal(names_open(&f->conf.names, wake, f), 0);
	assert_int_equal(security_new(f->config, &f->conf.security, &e), 0);
	conn_init(&f->conn, &f->conf, f, "127.0.0.1", ntohs(a.sin_port));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	conn_release(&f->conn, f->now);
	names_close(f->conf.names);
	security_unref(f->conf.security);
	loop_release(&f->loop);
	close(f->listener);
	if (f->peer >= 0)
		close(f->peer);
	producer_config_free(f->config);
	mem_free(f);
	return 0;
}

/* As someone who needs it: asks again when its backoff is over. */
static void bring_up(struct fixture *f)
{
	f->now = f->conn.retry_at_ms > f->now ? f->conn.retry_at_ms : f->now;
	assert_true(conn_want(&f->conn, f->now));
	UNTIL(f, conn_up(&f->conn) || f->conn.state == CONN_DOWN);
}

static void send_metadata(struct fixture *f)
{
	struct request *r = request_new(API_METADATA, 1, 7, 0, 0);

	assert_int_equal(api_metadata_request(&r->control, 7, 7, "c", NULL, 0, 0), 0);
	conn_send(&f->conn, r, f->now);
}

/* --- tests --- */

static void versions_come_before_sasl_and_sasl_before_anything(void **state)
{
	static const int want[] = { API_VERSIONS, API_VERSIONS, API_SASL_HANDSHAKE, API_SASL_AUTHENTICATE };
	struct fixture *f = *state;

	bring_up(f);
	assert_int_equal(f->ups, 1);
	assert_true(conn_ready(&f->conn));
	assert_int_equal(f->key_count, COUNT(want));
	for (size_t i = 0; i < COUNT(want); i++)
		assert_int_equal(f->keys[i], want[i]);
	assert_int_equal(f->conn.reauth_at_ms, INT64_MAX);
}

static void a_refusal_says_why_and_waits_longer_each_time(void **state)
{
	struct fixture *f = *state;
	int64_t waited = 0;

	f->refuse = 58;
	for (int i = 0; i < 7; i++) {
		bring_up(f);
		assert_int_equal(f->conn.state, CONN_DOWN);
		assert_true(f->conn.refused);
		waited = f->conn.retry_at_ms - f->loop.now_ms;
	}
	assert_string_equal(f->why, "PLAIN authentication failed: no!; look at sasl.username and sasl.password");
	assert_null(strstr(f->why, "hunter2"));
	assert_true(waited >= 8000 && waited <= 10000);
	/* New credentials do not wait. */
	conn_retry_now(&f->conn, f->now);
	assert_int_equal(f->conn.retry_at_ms, f->now);
	f->refuse = 0;
	bring_up(f);
	assert_int_equal(f->ups, 1);
	assert_string_equal(f->conn.error, "");
}

static void a_session_is_renewed_behind_what_is_on_its_way(void **state)
{
	struct fixture *f = *state;
	int before;

	f->lifetime = 100000;
	bring_up(f);
	assert_in_range(f->conn.reauth_at_ms - f->loop.now_ms, 85000, 95000);
	assert_true(conn_due_ms(&f->conn) == f->conn.reauth_at_ms);
	f->now = f->conn.reauth_at_ms;
	before = f->key_count;
	send_metadata(f);
	conn_tick(&f->conn, f->now);
	assert_true(f->conn.preparing && conn_ready(&f->conn));
	UNTIL(f, f->conn.state == CONN_REAUTH || f->key_count > before + 2);
	UNTIL(f, f->conn.state == CONN_UP && f->answers == 1 && !f->conn.preparing && f->key_count == before + 3);
	assert_int_equal(f->keys[before], API_METADATA);
	assert_int_equal(f->keys[before + 1], API_SASL_HANDSHAKE);
	assert_int_equal(f->keys[before + 2], API_SASL_AUTHENTICATE);
	assert_int_equal(f->ups, 1);
	assert_int_equal(f->downs, 0);
	assert_int_equal(f->lost, 0);
}

static void while_it_authenticates_anew_it_takes_nothing_new(void **state)
{
	struct fixture *f = *state;
	struct name_query *q = NULL;

	f->lifetime = 100000;
	bring_up(f);
	f->now = f->conn.reauth_at_ms;
	conn_tick(&f->conn, f->now);
	while (!q)
		q = names_answer(f->conf.names);
	conn_resolved(&f->conn, q, f->now);
	name_query_free(q);
	assert_int_equal(f->conn.state, CONN_REAUTH);
	assert_true(conn_up(&f->conn));
	assert_false(conn_ready(&f->conn));
	f->refuse = 58;
	UNTIL(f, f->conn.state == CONN_DOWN);
	assert_true(f->conn.refused);
	assert_int_equal(f->downs, 1);
}

static void a_session_with_old_credentials_ends_when_nothing_is_unanswered(void **state)
{
	struct fixture *f = *state;
	struct err e;

	f->lifetime = 100000;
	bring_up(f);
	security_unref(f->conf.security);
	assert_int_equal(security_new(f->config, &f->conf.security, &e), 0);
	f->now = f->conn.reauth_at_ms;
	send_metadata(f);
	conn_tick(&f->conn, f->now);
	assert_true(conn_up(&f->conn));
	assert_false(conn_ready(&f->conn));
	assert_true(conn_due_ms(&f->conn) > f->now);	/* nothing to do but to wait for the answer */
	UNTIL(f, f->answers == 1);
	assert_int_equal(conn_due_ms(&f->conn), 0);
	conn_tick(&f->conn, f->now);
	assert_int_equal(f->conn.state, CONN_DOWN);
	assert_string_equal(f->why, "");
	assert_int_equal(f->lost, 0);
}

/* The broker does not read while it throttles: whatever else falls due meanwhile, that is no time-out. */
static void a_throttled_request_outlives_the_moment_to_authenticate_anew(void **state)
{
	struct fixture *f = *state;

	f->lifetime = 100000;
	bring_up(f);
	f->now = f->conn.reauth_at_ms - f->config->request_timeout_ms;
	send_metadata(f);
	f->conn.throttled_until_ms = f->now + 60000;
	f->now = f->conn.reauth_at_ms;
	conn_tick(&f->conn, f->now);
	assert_true(f->conn.preparing);
	UNTIL(f, f->answers == 1);
	assert_int_equal(f->lost, 0);
	assert_int_equal(f->downs, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	T(versions_come_before_sasl_and_sasl_before_anything),
	T(a_refusal_says_why_and_waits_longer_each_time),
	T(a_session_is_renewed_behind_what_is_on_its_way),
	T(while_it_authenticates_anew_it_takes_nothing_new),
	T(a_session_with_old_credentials_ends_when_nothing_is_unanswered),
	T(a_throttled_request_outlives_the_moment_to_authenticate_anew),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}
