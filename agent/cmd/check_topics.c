/* check_topics.c - see check_topics.h.
 *
 * What is wrong with a topic is only seen when the first line is refused, or when lines vanish; here it is said before.
 * Failure what the brokers may not tell us (ACL: DESCRIBE_CONFIGS) is said and left out.
 */
#include "agent/cmd/check_topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/units.h"
#include "agent/cmd/check_names.h"
#include "producer/config.h"

#define UNKNOWN_TOPIC 3
#define INVALID_TOPIC 17
#define TOPIC_DENIED 29
#define DAY_MS (24LL * 3600 * 1000)
#define RECORD_OVERHEAD 512	/* as load.c */

/* --- settings of a resource --- */

enum setting {
	MAX_MESSAGE, RETENTION_MS, RETENTION_BYTES, TIME_TYPE, TIME_BEFORE, MIN_ISR, CLEANUP, AUTO_CREATE, ID_EXPIRATION,
	TXN_EXPIRATION, SETTINGS
};
static const char *const names[SETTINGS] = {
	[MAX_MESSAGE] = "max.message.bytes", [RETENTION_MS] = "retention.ms", [RETENTION_BYTES] = "retention.bytes",
	[TIME_TYPE] = "message.timestamp.type", [TIME_BEFORE] = "message.timestamp.before.max.ms",
	[MIN_ISR] = "min.insync.replicas", [CLEANUP] = "cleanup.policy", [AUTO_CREATE] = "auto.create.topics.enable",
	[ID_EXPIRATION] = "producer.id.expiration.ms", [TXN_EXPIRATION] = "transactional.id.expiration.ms",
};
#define FIRST_OF_BROKER AUTO_CREATE

struct settings { char v[SETTINGS][64]; };	/* "": not told */

static void take_setting(void *arg, const struct api_config *c)
{
	struct settings *s = arg;

	for (int i = 0; i < SETTINGS; i++)
		if (c->value && strlen(names[i]) == c->name_len && !memcmp(names[i], c->name, c->name_len))
			snprintf(s->v[i], sizeof s->v[i], "%.*s", (int)(c->value_len < 63 ? c->value_len : 63), c->value);
}

static int64_t number(const struct settings *s, enum setting i, int64_t otherwise)
{
	return s->v[i][0] ? strtoll(s->v[i], NULL, 10) : otherwise;
}

/* --- what brokers are set to --- */

void check_broker_settings(struct check *c, struct admin *a, int32_t id, struct check_broker_settings *ret)
{
	int64_t ours = c->conf->producer->producer_id_expiration_ms, theirs;
	struct settings s = { 0 };
	char name[16], is[32], set[32];
	int16_t code = 0;
	struct err e;
	int rc;

	*ret = (struct check_broker_settings){ 0 };
	snprintf(name, sizeof name, "%d", id);
	rc = admin_configs(a, API_RESOURCE_BROKER, name, &names[FIRST_OF_BROKER], SETTINGS - FIRST_OF_BROKER, &code, take_setting,
			   &s, &e);
	if (rc < 0 || code) {
		check_warn(c, "cluster", "the brokers' settings cannot be seen: %s",
			   rc < 0 ? e.text : code == 31 || code == TOPIC_DENIED ?
			   "the right to describe them is missing (ACL: DESCRIBE_CONFIGS on the cluster)" : api_error(code)->name);
		return;
	}
	ret->known = true;
	ret->auto_create = !strcmp(s.v[AUTO_CREATE], "true");
	theirs = number(&s, ID_EXPIRATION, number(&s, TXN_EXPIRATION, -1));
	if (theirs >= 0 && theirs < ours)
		check_warn(c, "cluster", "brokers forget an idle producer after %s, but producer.id.expiration.ms is %s: set "
			   "it to %s, else lines may arrive twice after an outage", units_print_time(is, sizeof is, theirs),
			   units_print_time(set, sizeof set, ours), is);
}

/* --- one topic --- */

struct topic_check {
	struct check *c;
	const struct conf_input *in;
	const struct api_topic *t;
	const struct check_broker_settings *broker;
	char where[280];
	struct settings s;
};

static void check_missing(const struct topic_check *x)
{
	if (!x->broker->known)
		check_warn(x->c, x->where, "does not exist, and whether brokers create it (auto.create.topics.enable) cannot "
			   "be seen");
	else if (x->broker->auto_create)
		check_warn(x->c, x->where, "does not exist: the first line creates it with the brokers' defaults "
			   "(num.partitions, default.replication.factor)");
	else
		check_error(x->c, EXIT_UNAVAILABLE, x->where, "the topic cannot be written: %s: create it, the brokers do "
			    "not (auto.create.topics.enable is false)", api_error(UNKNOWN_TOPIC)->name);
}

/* True: it is there. */
static bool check_there(const struct topic_check *x)
{
	int16_t code = x->t->error;
	const struct api_error *e = api_error(code);

	if (code == UNKNOWN_TOPIC)
		check_missing(x);
	else if (code)
		check_error(x->c, code == TOPIC_DENIED ? EXIT_PERMISSION : code == INVALID_TOPIC ? EXIT_CONFIG : EXIT_UNAVAILABLE,
			    x->where, "the topic cannot be written: %s%s%s",
			    e->name, e->words ? ": " : "", e->words ? e->words : "");
	return code == 0;
}

static void check_rights(const struct topic_check *x)
{
	int32_t may = x->t->operations;

	if (may == API_OPERATIONS_UNKNOWN)
		return;
	if (!(may & 1 << API_MAY_WRITE))
		check_error(x->c, EXIT_PERMISSION, x->where, "the topic cannot be written: %s: %s", api_error(TOPIC_DENIED)->name,
			    api_error(TOPIC_DENIED)->words);
	if (!(may & 1 << API_MAY_READ) && x->c->conf->conf->delivery == CONF_EXACTLY_ONCE)
		check_warn(x->c, x->where, "the right to look at what arrived is missing (ACL: READ): what was sent without "
			   "an answer and is older than producer.id.expiration.ms is sent again, perhaps twice (counted as "
			   "uncertain)");
}

static void check_partitions(const struct topic_check *x)
{
	const struct api_topic *t = x->t;
	size_t leaderless = 0;

	if (x->in->partition >= 0 && (size_t)x->in->partition >= t->partition_count)
		check_error(x->c, EXIT_CONFIG, x->where, "the topic has no such partition: partition is %d, there are 0 to %zu",
			    x->in->partition, t->partition_count ? t->partition_count - 1 : 0);
	for (size_t i = 0; i < t->partition_count; i++)
		leaderless += t->partitions[i].leader < 0;
	if (leaderless)
		check_warn(x->c, x->where, "%zu of %zu partitions have no leader now: their lines wait", leaderless,
			   t->partition_count);
}

static void check_replicas(const struct topic_check *x)
{
	int64_t least = number(&x->s, MIN_ISR, 1);
	size_t replicas = SIZE_MAX, isr = SIZE_MAX;

	for (size_t i = 0; i < x->t->partition_count; i++) {
		const struct api_partition *p = &x->t->partitions[i];

		replicas = p->replica_count < replicas ? p->replica_count : replicas;
		isr = p->isr_count < isr ? p->isr_count : isr;
	}
	if (x->c->conf->producer->acks != -1 || replicas == SIZE_MAX)
		return;
	if ((int64_t)replicas < least)
		check_error(x->c, EXIT_UNAVAILABLE, x->where, "every line is refused: min.insync.replicas is %lld, but there "
			    "are only %zu replicas", (long long)least, replicas);
	else if ((int64_t)isr < least)
		check_warn(x->c, x->where, "some lines are refused now: min.insync.replicas is %lld, a partition has %zu in sync",
			   (long long)least, isr);
}

static void check_message_size(const struct topic_check *x)
{
	const struct producer_config *k = x->c->conf->producer;
	int64_t max = number(&x->s, MAX_MESSAGE, INT64_MAX);
	char is[32], line[32], batch[32];

	units_print_size(is, sizeof is, max);
	if (x->in->max_line + RECORD_OVERHEAD > max)
		check_warn(x->c, x->where, "max.message.bytes is %s, max_line of input %s is %s: longer lines are rejected "
			   "unless they shrink by compression; lower max_line or raise max.message.bytes", is, x->in->name,
			   units_print_size(line, sizeof line, x->in->max_line));
	if (k->batch_size > max)
		check_warn(x->c, x->where, "max.message.bytes is %s, batch.size is %s: batches that compress badly are "
			   "refused and cut; lower batch.size", is, units_print_size(batch, sizeof batch, k->batch_size));
}

static void check_age(const struct topic_check *x)
{
	int64_t ms = number(&x->s, RETENTION_MS, -1), before = number(&x->s, TIME_BEFORE, INT64_MAX);
	char is[32];

	if (!strcmp(x->s.v[TIME_TYPE], "LogAppendTime"))
		return;			/* an old line is as new as any */
	if (ms >= 0 && ms < DAY_MS)
		check_warn(x->c, x->where, "retention.ms is %s: lines that an outage delays for longer vanish as soon as "
			   "they arrive; raise it, or set message.timestamp.type=LogAppendTime",
			   units_print_time(is, sizeof is, ms));
	if (before < DAY_MS)
		check_warn(x->c, x->where, "message.timestamp.before.max.ms is %s: lines that an outage delays for longer "
			   "are refused (INVALID_TIMESTAMP) and stand in `spool ls --rejected`",
			   units_print_time(is, sizeof is, before));
}

static void check_room(const struct topic_check *x)
{
	int64_t bytes = number(&x->s, RETENTION_BYTES, -1), spool = x->c->conf->conf->spool.max_size, all;
	char is[32], max[32];

	if (bytes < 0 || __builtin_mul_overflow(bytes, (int64_t)x->t->partition_count, &all) || all >= spool)
		return;
	check_warn(x->c, x->where, "retention.bytes keeps %s in all partitions, the spool up to %s: after a long outage the "
		   "oldest lines vanish as the newer ones arrive", units_print_size(is, sizeof is, all),
		   units_print_size(max, sizeof max, spool));
}

static void check_cleanup(const struct topic_check *x)
{
	if (!strstr(x->s.v[CLEANUP], "compact"))
		return;
	if (!x->in->key || !*x->in->key)
		check_error(x->c, EXIT_CONFIG, x->where, "every line is refused (INVALID_RECORD): cleanup.policy is %s, and "
			    "input %s sets no key; set key, or cleanup.policy=delete", x->s.v[CLEANUP], x->in->name);
	else
		check_warn(x->c, x->where, "cleanup.policy is %s: of all lines with the same key only the last is kept",
			   x->s.v[CLEANUP]);
}

static void check_settings(struct topic_check *x, struct admin *a)
{
	int16_t code = 0;
	struct err e;
	int rc = admin_configs(a, API_RESOURCE_TOPIC, x->t->name, names, FIRST_OF_BROKER, &code, take_setting, &x->s, &e);

	if (rc < 0 || code) {
		check_warn(x->c, x->where, "its settings cannot be seen: %s", rc < 0 ? e.text : code == TOPIC_DENIED ?
			   "the right to describe them is missing (ACL: DESCRIBE_CONFIGS on the topic)" : api_error(code)->name);
		return;
	}
	check_replicas(x);
	check_message_size(x);
	check_age(x);
	check_room(x);
	check_cleanup(x);
}

static void check_topic(struct topic_check *x, struct admin *a)
{
	unsigned before = x->c->errors + x->c->warnings;

	if (!check_there(x))
		return;
	check_rights(x);
	check_partitions(x);
	check_settings(x, a);
	if (x->c->errors + x->c->warnings == before)
		check_ok(x->c, x->where, "%zu partition%s, may be written", x->t->partition_count,
			 x->t->partition_count == 1 ? "" : "s");
}

/* --- all of them --- */

static void say_unknown(void *arg, const struct conf_input *in, const char *words)
{
	char where[300];

	snprintf(where, sizeof where, "input %.280s", in->name);
	check_warn(arg, where, "%s", words);
}

static const struct api_topic *find_topic(const struct api_metadata *m, const char *name)
{
	for (size_t i = 0; i < m->topic_count; i++)
		if (!strcmp(m->topics[i].name, name))
			return &m->topics[i];
	return NULL;
}

static int ask(struct admin *a, const struct check_names *all, struct api_metadata *ret, struct err *ret_err)
{
	const char **list = mem_array(const char *, all->n + 1);
	int rc;

	if (!list)
		return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	for (size_t i = 0; i < all->n; i++)
		list[i] = all->v[i].topic;
	rc = admin_metadata(a, list, all->n, ret, ret_err);
	mem_free(list);
	return rc;
}

static void check_named(struct check *c, struct admin *a, const struct check_names *all, const struct check_broker_settings *s)
{
	struct api_metadata m;
	struct err e;
	int rc = all->n ? ask(a, all, &m, &e) : 0;

	if (rc < 0)
		check_error(c, EXIT_UNAVAILABLE, "topics", "they cannot be looked at: %s", e.text);
	if (rc < 0 || !all->n)
		return;
	for (size_t i = 0; i < all->n; i++) {
		struct topic_check x = { .c = c, .in = &c->conf->conf->inputs[all->v[i].input], .broker = s,
					 .t = find_topic(&m, all->v[i].topic) };

		snprintf(x.where, sizeof x.where, "topic %s", all->v[i].topic);
		if (x.t)
			check_topic(&x, a);
	}
	api_metadata_release(&m);
}

void check_topics(struct check *c, struct admin *a, const struct check_broker_settings *s)
{
	struct check_names all;

	check_names(c->conf->conf, &all, say_unknown, c);
	check_named(c, a, &all, s);
	if (all.left_out)
		check_warn(c, "topics", "%zu more were not looked at", all.left_out);
	check_names_release(&all);
}
