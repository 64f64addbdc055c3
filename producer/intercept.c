/* intercept.c - header, redact, drop, rename.
 *
 * Why steps are bounded (match_steps): a pattern like (a+)+$ takes longer than anyone lives on a line of thirty a's. PCRE2
 * counts the steps of each place where it begins, so the longer the value, the fewer each place gets.
 * Invariants
 *  (1) a step either changes the record whole or leaves it as it was.
 *  (2) nothing a step makes overwrites what an earlier one made: two buffers take turns.
 * Threads: see intercept.h. PCRE2's match data, context and stack lie in the scratch.
 * Failure a pattern out of steps or stack: the step counts as failed and is told. No memory is no verdict about the record, and
 *	what should have been redacted must not go on as it is: ERR_NOMEM for the record.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "producer/intercept.h"

#include <jansson.h>
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/code.h"

#define KEY "interceptor.classes"
#define STEPS_TOTAL 50000000u		/* of one pattern over one value, about */
#define STEPS_MIN 1000u
#define STEPS_MAX 1000000u
#define STACK_MIN 32768
#define STACK_MAX 524288
#define VALUE_MAX ((size_t)1 << 30)
#define HEADER_LENGTHS 10		/* varints of name and value */

struct intercept_scratch {
	pcre2_match_data *match;
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
	struct buf values[2];
	int turn;
	struct producer_header *headers;
	size_t header_cap;
};

struct step {
	const struct kind *kind;
	/* Strings of the configuration; which are used is in `kinds`. */
	char *name, *value, *pattern, *with, *topic, *to;
	pcre2_code *code;
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

static uint32_t match_steps(size_t n)
{
	size_t steps = STEPS_TOTAL / (n + 1);

	return steps < STEPS_MIN ? STEPS_MIN : steps > STEPS_MAX ? STEPS_MAX : (uint32_t)steps;
}

static int pattern_failed(int code, char *why, size_t n)
{
	PCRE2_UCHAR text[120] = "";

	if (code == PCRE2_ERROR_NOMEMORY)
		return ERR_NOMEM;
	pcre2_get_error_message(code, text, sizeof text);
	snprintf(why, n, "%s", (char *)text);
	return code;
}

/* 1: the pattern is in the value. */
static int match(const struct step *st, const struct producer_record *r, struct intercept_scratch *s, char *why, size_t n)
{
	int rc;

	if (!r->value)
		return 0;
	pcre2_set_match_limit(s->context, match_steps(r->value_len));
	rc = pcre2_match(st->code, r->value, r->value_len, 0, 0, s->match, s->context);
	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	return rc < 0 ? pattern_failed(rc, why, n) : 1;
}

static int run_redact(const struct step *st, struct producer_record *r, struct intercept_scratch *s, char *why, size_t n)
{
	struct buf *b = &s->values[s->turn ^ 1];
	PCRE2_SIZE len;
	int rc = match(st, r, s, why, n);

	if (rc <= 0)
		return rc;
	buf_clear(b);
	if (buf_reserve(b, r->value_len + strlen(st->with) + 64) < 0)
		rc = PCRE2_ERROR_NOMEMORY;
	while (rc > 0) {
		size_t need;

		len = b->cap;
		rc = pcre2_substitute(st->code, r->value, r->value_len, 0, PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_LITERAL |
				      PCRE2_SUBSTITUTE_OVERFLOW_LENGTH, s->match, s->context, (PCRE2_SPTR)st->with,
				      PCRE2_ZERO_TERMINATED, (PCRE2_UCHAR *)b->data, &len);
		need = len;
		if (rc != PCRE2_ERROR_NOMEMORY || need <= b->cap)
			break;
		if (need > VALUE_MAX) {
			snprintf(why, n, "the value would be larger than 1 GiB");
			return ERR_TOO_LARGE;
		}
		rc = buf_reserve(b, need) < 0 ? PCRE2_ERROR_NOMEMORY : 1;
	}
	if (rc < 0)
		return pattern_failed(rc, why, n);
	s->turn ^= 1;
	r->value = b->data;
	r->value_len = len;
	return 0;
}

static int run_drop(const struct step *st, struct producer_record *r, struct intercept_scratch *s, char *why, size_t n)
{
	if (st->topic && strcmp(st->topic, r->topic) != 0)
		return 0;
	return match(st, r, s, why, n);
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
	PCRE2_UCHAR why[120] = "";
	PCRE2_SIZE offset;
	int code, rc;

	if (!st->pattern)
		return 0;
	st->code = pcre2_compile((PCRE2_SPTR)st->pattern, PCRE2_ZERO_TERMINATED, 0, &code, &offset, NULL);
	if (!st->code) {
		pcre2_get_error_message(code, why, sizeof why);
		return code_fail(ret_err, ERR_CONFIG, KEY "[%zu].%s.pattern: %s at character %zu", at, st->kind->name, (char *)why,
				 (size_t)offset + 1);
	}
	rc = pcre2_jit_compile(st->code, PCRE2_JIT_COMPLETE);
	/* Without a JIT it is slower, not wrong. */
	return rc == PCRE2_ERROR_NOMEMORY ? code_fail(ret_err, ERR_NOMEM, NULL) : 0;
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
		pcre2_code_free(st->code);
	}
	mem_free(c->steps);
	mem_free(c);
}

/* --- scratch --- */

struct intercept_scratch *intercept_scratch_new(void)
{
	struct intercept_scratch *s = mem_new(struct intercept_scratch);
	uint32_t jit = 0;

	if (!s)
		return NULL;
	buf_init(&s->values[0], VALUE_MAX);
	buf_init(&s->values[1], VALUE_MAX);
	s->match = pcre2_match_data_create(1, NULL);
	s->context = pcre2_match_context_create(NULL);
	s->stack = pcre2_jit_stack_create(STACK_MIN, STACK_MAX, NULL);
	/* With less stack than another time a pattern could fail where it did not: the same record must give the same. */
	pcre2_config(PCRE2_CONFIG_JIT, &jit);
	if (!s->match || !s->context || (jit && !s->stack)) {
		intercept_scratch_free(s);
		return NULL;
	}
	if (s->stack)
		pcre2_jit_stack_assign(s->context, NULL, s->stack);
	return s;
}

void intercept_scratch_free(struct intercept_scratch *s)
{
	if (!s)
		return;
	pcre2_match_data_free(s->match);
	pcre2_match_context_free(s->context);
	pcre2_jit_stack_free(s->stack);
	buf_release(&s->values[0]);
	buf_release(&s->values[1]);
	mem_free(s->headers);
	mem_free(s);
}
