/* intercept.c - header, redact, drop, rename.
 *
 * Invariants
 *  (1) a step either changes the record whole or leaves it as it was.
 *  (2) nothing a step makes overwrites what an earlier one made: two buffers take turns.
 * Threads: see intercept.h.
 * Failure a pattern out of steps or stack: the step counts as failed and is told. No memory is no verdict about the record, and
 *	what should have been redacted must not go on as it is: ERR_NOMEM for the record.
 */
#include "producer/intercept.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "agent/base/pattern.h"
#include "producer/code.h"

#define KEY "interceptor.classes"
#define VALUE_MAX ((size_t)1 << 30)
#define HEADER_LENGTHS 10		/* varints of name and value */

struct intercept_scratch {
	struct pattern_room *room;
	struct buf values[2];
	int turn;
	struct producer_header *headers;
	size_t header_cap;
};

struct step {
	const struct kind *kind;
	/* Strings of the configuration; which are used is in `kinds`. */
	char *name, *value, *pattern, *with, *topic, *to;
	struct pattern *code;
};

struct intercept {
	struct step *steps;
	size_t count;
};

/* --- what each does: 0, 1 (drop), or negative with words --- */

static int run_header(const struct step *st, struct producer_record *r, struct intercept_scratch *s, char *why, size_t n)
{
	size_t need = r->header_count + 1;
	struct producer_header *h = s->headers;

	(void)why, (void)n;
	if (need > s->header_cap) {
		h = mem_array(struct producer_header, 2 * need);
		if (!h)
			return ERR_NOMEM;
	}
	if (r->header_count && r->headers != h)
		memcpy(h, r->headers, r->header_count * sizeof *h);
	if (h != s->headers) {
		mem_free(s->headers);
		s->headers = h;
		s->header_cap = 2 * need;
	}
	h[r->header_count] = (struct producer_header){ st->name, st->value, strlen(st->value) };
	r->headers = h;
	r->header_count = need;
	return 0;
}

static int failed_with(int rc, const struct err *e, char *why, size_t n)
{
	if (rc < 0)
		snprintf(why, n, "%s", e->text);
	return rc;
}

static int run_redact(const struct step *st, struct producer_record *r, struct intercept_scratch *s, char *why, size_t n)
{
	struct buf *b = &s->values[s->turn ^ 1];
	struct err e;
	int rc;

	if (!r->value)
		return 0;
	rc = pattern_replace(st->code, s->room, r->value, r->value_len, st->with, b, &e);
	if (rc <= 0)
		return failed_with(rc, &e, why, n);
	s->turn ^= 1;
	r->value = b->data;
	r->value_len = b->len;
	return 0;
}

static int run_drop(const struct step *st, struct producer_record *r, struct intercept_scratch *s, char *why, size_t n)
{
	struct err e;

	if (!r->value || (st->topic && strcmp(st->topic, r->topic) != 0))
		return 0;
	return failed_with(pattern_find(st->code, s->room, r->value, r->value_len, NULL, NULL, &e), &e, why, n);
}

static int run_rename(const struct step *st, struct producer_record *r, struct intercept_scratch *s, char *why, size_t n)
{
	(void)s, (void)why, (void)n;
	if (strcmp(st->topic, r->topic) == 0)
		r->topic = st->to;
	return 0;
}

/* --- the table --- */

static const struct kind {
	const char *name;
	int (*run)(const struct step *st, struct producer_record *r, struct intercept_scratch *s, char *why, size_t n);
	struct { const char *name; size_t offset; bool optional; } members[3];
} kinds[] = {
#define MEMBER(m, optional) { #m, offsetof(struct step, m), optional }
	{ "header", run_header, { MEMBER(name, false), MEMBER(value, false) } },
	{ "redact", run_redact, { MEMBER(pattern, false), MEMBER(with, false) } },
	{ "drop", run_drop, { MEMBER(pattern, false), MEMBER(topic, true) } },
	{ "rename", run_rename, { MEMBER(topic, false), MEMBER(to, false) } },
#undef MEMBER
};
#define KINDS (sizeof kinds / sizeof kinds[0])
#define MEMBERS (sizeof kinds[0].members / sizeof kinds[0].members[0])

int intercept_apply(const struct intercept *c, struct producer_record *r, struct intercept_scratch *s,
		    intercept_failed_fn *failed, void *arg)
{
	char why[160], text[320];

	for (size_t i = 0; c && i < c->count; i++) {
		const struct step *st = &c->steps[i];
		int rc = st->kind->run(st, r, s, why, sizeof why);

		if (rc > 0)
			return 1;
		if (rc == 0)
			continue;
		if (rc == ERR_NOMEM)
			return rc;
		snprintf(text, sizeof text, KEY "[%zu].%s: %s; topic \"%.40s\"", i, st->kind->name, why, r->topic);
		failed(arg, text);
	}
	return 0;
}

const char *intercept_topic(const struct intercept *c, const char *topic)
{
	struct producer_record r = { .topic = topic };

	for (size_t i = 0; c && i < c->count; i++)
		if (c->steps[i].kind->run == run_rename)
			run_rename(&c->steps[i], &r, NULL, NULL, 0);
	return r.topic;
}

size_t intercept_header_bytes(const struct intercept *c)
{
	size_t n = 0;

	for (size_t i = 0; c && i < c->count; i++)
		if (c->steps[i].kind->run == run_header)
			n += strlen(c->steps[i].name) + strlen(c->steps[i].value) + HEADER_LENGTHS;
	return n;
}

/* --- out of JSON --- */

static char **member(struct step *st, const struct kind *k, size_t i)
{
	return (char **)(void *)((char *)st + k->members[i].offset);
}

static int read_members(struct step *st, size_t at, json_t *o, struct producer_error *ret_err)
{
	const struct kind *k = st->kind;
	const char *name;
	json_t *v;

	json_object_foreach(o, name, v) {
		size_t i = 0;

		while (i < MEMBERS && k->members[i].name && strcmp(k->members[i].name, name) != 0)
			i++;
		if (i == MEMBERS || !k->members[i].name)
			return code_fail(ret_err, ERR_CONFIG, KEY "[%zu].%s: there is no \"%.40s\"", at, k->name, name);
		if (!json_is_string(v))
			return code_fail(ret_err, ERR_CONFIG, KEY "[%zu].%s.%s: must be a text", at, k->name, name);
		*member(st, k, i) = mem_strdup(json_string_value(v));
		if (!*member(st, k, i))
			return code_fail(ret_err, ERR_NOMEM, NULL);
	}
	for (size_t i = 0; i < MEMBERS && k->members[i].name; i++)
		if (!k->members[i].optional && !*member(st, k, i))
			return code_fail(ret_err, ERR_CONFIG, KEY "[%zu].%s.%s: is missing", at, k->name, k->members[i].name);
	return 0;
}

static int compile(struct step *st, size_t at, struct producer_error *ret_err)
{
	struct err e;
	int rc = st->pattern ? pattern_new(st->pattern, &st->code, &e) : 0;

	if (rc == ERR_CONFIG)
		return code_fail(ret_err, rc, KEY "[%zu].%s.pattern: %s", at, st->kind->name, e.text);
	return rc < 0 ? code_fail(ret_err, rc, NULL) : 0;
}

static int read_step(struct step *st, size_t at, json_t *o, struct producer_error *ret_err)
{
	void *it = json_object_iter(o);
	const char *name = it ? json_object_iter_key(it) : "";
	int rc;

	if (!json_is_object(o) || json_object_size(o) != 1)
		return code_fail(ret_err, ERR_CONFIG, KEY "[%zu]: must be an object with one member, such as "
				 "{\"header\": {\"name\": \"dc\", \"value\": \"eu1\"}}", at);
	for (size_t i = 0; i < KINDS; i++)
		if (!strcmp(kinds[i].name, name))
			st->kind = &kinds[i];
	if (!st->kind)
		return code_fail(ret_err, ERR_CONFIG, KEY "[%zu]: there is no interceptor \"%.60s\", only header, redact, drop and "
				 "rename", at, name);
	if (!json_is_object(json_object_iter_value(it)))
		return code_fail(ret_err, ERR_CONFIG, KEY "[%zu].%s: must be an object", at, name);
	rc = read_members(st, at, json_object_iter_value(it), ret_err);
	return rc < 0 ? rc : compile(st, at, ret_err);
}

static int read_chain(struct intercept *c, json_t *array, struct producer_error *ret_err)
{
	size_t n = json_array_size(array);
	int rc = 0;

	c->steps = mem_array(struct step, n);
	if (!c->steps)
		return code_fail(ret_err, ERR_NOMEM, NULL);
	c->count = n;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = read_step(&c->steps[i], i, json_array_get(array, i), ret_err);
	return rc;
}

int intercept_new(const char *json, struct intercept **ret, struct producer_error *ret_err)
{
	struct intercept *c;
	json_error_t e;
	json_t *array;
	int rc;

	*ret = NULL;
	if (!json || !json[0])
		return 0;
	array = json_loads(json, JSON_REJECT_DUPLICATES, &e);
	if (!array)
		return code_fail(ret_err, ERR_CONFIG, KEY ": is not JSON: line %d, column %d: %s", e.line, e.column, e.text);
	if (!json_is_array(array) || !json_array_size(array)) {
		rc = json_is_array(array) ? 0 : code_fail(ret_err, ERR_CONFIG, KEY ": must be a JSON array");
		json_decref(array);
		return rc;
	}
	c = mem_new(struct intercept);
	rc = c ? read_chain(c, array, ret_err) : code_fail(ret_err, ERR_NOMEM, NULL);
	json_decref(array);
	if (rc < 0)
		intercept_free(c);
	else
		*ret = c;
	return rc;
}

void intercept_free(struct intercept *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->count; i++) {
		struct step *st = &c->steps[i];

		for (size_t k = 0; st->kind && k < MEMBERS && st->kind->members[k].name; k++)
			mem_free(*member(st, st->kind, k));
		pattern_free(st->code);
	}
	mem_free(c->steps);
	mem_free(c);
}

/* --- scratch --- */

struct intercept_scratch *intercept_scratch_new(void)
{
	struct intercept_scratch *s = mem_new(struct intercept_scratch);

	if (!s)
		return NULL;
	buf_init(&s->values[0], VALUE_MAX);
	buf_init(&s->values[1], VALUE_MAX);
	s->room = pattern_room_new();
	if (s->room)
		return s;
	intercept_scratch_free(s);
	return NULL;
}

void intercept_scratch_free(struct intercept_scratch *s)
{
	if (!s)
		return;
	pattern_room_free(s->room);
	buf_release(&s->values[0]);
	buf_release(&s->values[1]);
	mem_free(s->headers);
	mem_free(s);
}
