/* check_online.c - `check --online`: every broker is connected to as the agent would, and asked what it thinks of the topics.
 *
 * Why each broker: a client needs the leaders, and those are all of them; one that only its firewall hides is found here.
 * Nothing is written: metadata is asked for without creating topics, rights are what the brokers tell of them.
 * Failure the words are those of the running agent (status.reasons). Refused credentials and certificates end with 77, a broker
 *	that is not there with 69; of several brokers those that answer are enough for the topics.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/cmd/check.h"
#include "agent/cmd/check_topics.h"
#include "producer/config.h"

#define IDEMPOTENT_BY_WRITE 10	/* brokers that speak newer Metadata take idempotence from whoever may write (KIP-679) */

/* --- one broker --- */

static void put_connection(const struct admin *a, struct buf *to)
{
	const char *mechanism = admin_mechanism(a);
	struct tls_peer peer;

	buf_puts(to, "connected");
	if (admin_peer(a, &peer))
		buf_printf(to, ", %s, certificate of %s good for %lld days", peer.protocol, peer.name,
			   (long long)check_days_left(peer.ends_s));
	if (mechanism)
		buf_printf(to, ", authenticated by %s", mechanism);
}

static void say_connected(struct check *c, const struct admin *a, const char *where)
{
	struct tls_peer peer;
	struct buf words;

	buf_init(&words, 1024);
	put_connection(a, &words);
	if (admin_peer(a, &peer) && check_days_left(peer.ends_s) < CHECK_SOON_DAYS)
		check_warn(c, where, "%s; renew the certificate", words.data ? words.data : "");
	else
		check_ok(c, where, "%s", words.data ? words.data : "");
	buf_release(&words);
}

/* True: connected. */
static bool check_broker(struct check *c, struct admin *a, const char *host, int port)
{
	char where[300];
	struct err e;
	int rc = admin_connect(a, host, port, &e);

	snprintf(where, sizeof where, "broker %s:%d", host, port);
	if (rc < 0)
		check_error(c, rc == ERR_CONFIG ? EXIT_PERMISSION : EXIT_UNAVAILABLE, where, "%s", e.text);
	else
		say_connected(c, a, where);
	return rc == 0;
}

/* --- all of them --- */

/* A broker that wants more of us than was configured lets us connect, and hangs up at the first question. */
static void take_cluster(struct check *c, struct admin *a, const char *host, int port, struct api_metadata *cluster)
{
	struct api_metadata m;
	char where[300];
	struct err e;

	if (cluster->broker_count)
		return;
	snprintf(where, sizeof where, "broker %s:%d", host, port);
	if (admin_metadata(a, NULL, 0, &m, &e) < 0) {
		check_error(c, EXIT_UNAVAILABLE, where, "%s", e.text);
		return;
	}
	if (!m.broker_count) {
		check_error(c, EXIT_UNAVAILABLE, where, "it names no broker of its cluster");
		api_metadata_release(&m);
		return;
	}
	*cluster = m;
	check_ok(c, "cluster", "%s, %zu broker%s", m.cluster_id ? m.cluster_id : "(no id)", m.broker_count,
		 m.broker_count == 1 ? "" : "s");
}

static bool same_address(const struct api_broker *b, const char *host, int port)
{
	return b->port == port && !strcmp(b->host, host);
}

/* Of bootstrap.servers: those that the cluster names too are looked at once. */
static void check_bootstrap(struct check *c, struct admin *a, struct api_metadata *cluster)
{
	char host[256];
	int port;

	for (size_t i = 0; admin_bootstrap(a, i, host, &port); i++)
		if (check_broker(c, a, host, port))
			take_cluster(c, a, host, port, cluster);
}

static bool was_bootstrap(const struct admin *a, const struct api_broker *b)
{
	char host[256];
	int port;

	for (size_t i = 0; admin_bootstrap(a, i, host, &port); i++)
		if (same_address(b, host, port))
			return true;
	return false;
}

/* What the cluster says of itself is what clients connect to, whatever bootstrap.servers says. */
static void check_advertised(struct check *c, struct admin *a, const struct api_metadata *cluster)
{
	for (size_t i = 0; i < cluster->broker_count; i++) {
		const struct api_broker *b = &cluster->brokers[i];

		if (b->port > 0 && b->host[0] && !was_bootstrap(a, b))
			check_broker(c, a, b->host, b->port);
	}
}

/* Brokers before 2.8 take idempotence only from whoever has that right of the whole cluster. */
static void check_idempotence(struct check *c, const struct admin *a, const struct api_metadata *m)
{
	const struct producer_config *k = c->conf->producer;
	int32_t may = m->operations;

	if (!k->enable_idempotence || may == API_OPERATIONS_UNKNOWN || (may & 1 << API_MAY_IDEMPOTENT_WRITE))
		return;
	if (admin_versions(a)->range[API_METADATA].max <= IDEMPOTENT_BY_WRITE)
		check_error(c, EXIT_PERMISSION, "cluster", "%s", api_error(31)->words);
}

/* Connects to any broker that lets us. */
static bool connect_any(struct admin *a, const struct api_metadata *cluster, int32_t *ret_id)
{
	struct err e;

	for (size_t i = 0; i < cluster->broker_count; i++) {
		const struct api_broker *b = &cluster->brokers[i];

		*ret_id = b->id;
		if (b->port > 0 && b->host[0] && admin_connect(a, b->host, b->port, &e) == 0)
			return true;
	}
	return false;
}

static void check_cluster(struct check *c, struct admin *a, const struct api_metadata *cluster)
{
	struct check_broker_settings settings;
	int32_t id;

	if (!connect_any(a, cluster, &id))
		return;
	check_idempotence(c, a, cluster);
	check_broker_settings(c, a, id, &settings);
	check_topics(c, a, &settings);
}

void check_online(struct check *c)
{
	struct api_metadata cluster = { 0 };
	struct admin *a;
	struct err e;
	int rc = admin_open(c->conf->producer, &a, &e);

	if (rc < 0) {
		check_error(c, rc == ERR_CONFIG ? EXIT_CONFIG : EXIT_INTERNAL, "producer", "%s", e.text);
		return;
	}
	check_bootstrap(c, a, &cluster);
	check_advertised(c, a, &cluster);
	if (cluster.broker_count)
		check_cluster(c, a, &cluster);
	api_metadata_release(&cluster);
	admin_close(a);
}
