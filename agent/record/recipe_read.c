/* recipe_read.c - a spec becomes a recipe.
 *
 * Failure: a spec that is not understood is an error for whoever needs its records, never a guess; so a member that nobody knows
 * here, or one of another type, makes the whole of it another version's.
 */
#include "agent/record/recipe_inside.h"

#include <jansson.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/record/glob.h"
#include "agent/record/text_json.h"
#include "conf/template.h"

#define DUMP (JSON_COMPACT | JSON_SORT_KEYS)
#define SPEC_MAX (16u << 20)

static int other_version(struct err *ret_err)
{
	return err_set(ret_err, ERR_CONFIG, "another version of spillway wrote how these lines become records");
}

/* --- one member each; v is there --- */

static int read_text(const json_t *v, char **ret, struct err *ret_err)
{
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return other_version(ret_err);
	*ret = mem_strdup(json_string_value(v));
	return *ret ? 0 : ERR_NOMEM;
}

static int read_template(const json_t *v, char **ret, struct err *ret_err)
{
	int rc = read_text(v, ret, ret_err);

	return rc == 0 ? template_check(*ret, false, ret_err) : rc;
}

static int read_max_line(struct recipe *r, const json_t *v, struct err *ret_err)
{
	r->max_line = json_integer_value(v);
	return json_is_integer(v) && r->max_line > 0 ? 0 : other_version(ret_err);
}

/* Behind max_line. */
static int read_read(struct recipe *r, const json_t *v, struct err *ret_err)
{
	struct buf text;
	int rc;

	if (!json_is_object(v) || !r->max_line)
		return other_version(ret_err);
	buf_init(&text, SPEC_MAX);
	rc = json_put_value(&text, v, DUMP);
	if (rc == 0)
		rc = assemble_rules_new(text.data, r->max_line, &r->rules, ret_err);
	buf_release(&text);
	return rc;
}

static int read_timeout(struct recipe *r, const json_t *v, struct err *ret_err)
{
	r->timeout_ms = json_integer_value(v);
	return json_is_integer(v) && r->timeout_ms >= 0 ? 0 : other_version(ret_err);
}

static int read_patterns(const char *name, const json_t *v, struct filter_patterns *ret, struct err *ret_err)
{
	int rc = json_is_array(v) ? 0 : other_version(ret_err);

	for (size_t i = 0; i < json_array_size(v) && rc == 0; i++) {
		const char *text = json_string_value(json_array_get(v, i));

		rc = text ? filter_add(ret, text, ret_err) : other_version(ret_err);
		if (rc == ERR_CONFIG && text)
			err_prefix(ret_err, "%s[%zu]: ", name, i);
	}
	return rc;
}

static int read_include(struct recipe *r, const json_t *v, struct err *ret_err)
{
	return read_patterns("include_lines", v, &r->filter.include, ret_err);
}

static int read_exclude(struct recipe *r, const json_t *v, struct err *ret_err)
{
	return read_patterns("exclude_lines", v, &r->filter.exclude, ret_err);
}

static int read_topic(struct recipe *r, const json_t *v, struct err *ret_err)
{
	return read_template(v, &r->topic, ret_err);
}

static int read_topics_allowed(struct recipe *r, const json_t *v, struct err *ret_err)
{
	int rc = json_is_array(v) && json_array_size(v) ? 0 : other_version(ret_err);

	for (size_t i = 0; i < json_array_size(v) && rc == 0; i++) {
		const char *text = json_string_value(json_array_get(v, i));

		rc = text ? glob_expand_exclude(text, "/", &r->topics_allowed) : other_version(ret_err);
		if (rc == ERR_CONFIG && text)
			err_set(ret_err, rc, "topics_allowed[%zu]: too long, or it stands for too many names", i);
	}
	return rc;
}

static int read_key(struct recipe *r, const json_t *v, struct err *ret_err)
{
	return read_template(v, &r->key, ret_err);
}

static int read_key_serializer(struct recipe *r, const json_t *v, struct err *ret_err)
{
	enum serializer how;
	int rc = read_text(v, &r->key_serializer, ret_err);

	if (rc == 0 && serialize_named(r->key_serializer, &how) < 0)
		rc = err_set(ret_err, ERR_CONFIG, "there is no serializer \"%.60s\"", r->key_serializer);
	return rc;
}

static int read_headers(struct recipe *r, const json_t *v, struct err *ret_err)
{
	size_t n = json_array_size(v);
	int rc = n ? 0 : other_version(ret_err);

	r->headers = n ? mem_array(struct recipe_header, n) : NULL;
	if (n && !r->headers)
		return ERR_NOMEM;
	for (size_t i = 0; i < n && rc == 0; i++) {
		const json_t *pair = json_array_get(v, i);

		r->header_count = i + 1;
		rc = json_array_size(pair) == 2 ? read_text(json_array_get(pair, 0), &r->headers[i].name, ret_err) :
		     other_version(ret_err);
		if (rc == 0)
			rc = read_template(json_array_get(pair, 1), &r->headers[i].value, ret_err);
	}
	return rc;
}

static int read_envelope(struct recipe *r, const json_t *v, struct err *ret_err)
{
	r->envelope = json_is_true(v);
	return r->envelope ? 0 : other_version(ret_err);
}

static int read_host(struct recipe *r, const json_t *v, struct err *ret_err)
{
	return read_text(v, &r->host, ret_err);
}

static int read_event_time(struct recipe *r, const json_t *v, struct err *ret_err)
{
	const char *field = json_string_value(json_object_get(v, "field"));
	const char *pattern = json_string_value(json_object_get(v, "pattern"));
	const char *format = json_string_value(json_object_get(v, "format"));
	int rc;

	if (!format || json_object_size(v) != 1u + (field != NULL) + (pattern != NULL))
		return other_version(ret_err);
	rc = event_time_new(field, pattern, format, &r->event_time, ret_err);
	if (rc == ERR_CONFIG)
		err_prefix(ret_err, "event_time: ");
	return rc;
}

static int read_chain(struct recipe *r, const json_t *array, struct err *ret_err)
{
	struct producer_error e;
	struct buf text;
	int rc;

	if (!json_is_array(array))
		return other_version(ret_err);
	buf_init(&text, SPEC_MAX);
	rc = json_put_value(&text, array, DUMP);
	if (rc == 0 && (rc = intercept_new(text.data, &r->chain, &e)) < 0)
		rc = rc == PRODUCER_ERR_NOMEM ? ERR_NOMEM : err_set(ret_err, ERR_CONFIG, "%s", e.text);
	buf_release(&text);
	return rc;
}

static int read_value(struct recipe *r, const json_t *v, struct err *ret_err)
{
	int rc = read_text(v, &r->value_name, ret_err);

	if (rc == 0 && serialize_named(r->value_name, &r->value) < 0)
		rc = err_set(ret_err, ERR_CONFIG, "there is no serializer \"%.60s\"", r->value_name);
	return rc;
}

static const struct { const char *name; int (*read)(struct recipe *r, const json_t *v, struct err *ret_err); } members[] = {
	{ "max_line", read_max_line }, { "read", read_read }, { "read_timeout_ms", read_timeout }, { "include", read_include },
	{ "exclude", read_exclude }, { "topic", read_topic }, { "topics_allowed", read_topics_allowed }, { "key", read_key },
	{ "key_serializer", read_key_serializer }, { "headers", read_headers }, { "envelope", read_envelope },
	{ "host", read_host }, { "event_time", read_event_time }, { "interceptors", read_chain }, { "value", read_value },
};

static bool has_only(const json_t *o, const char *const *names)
{
	size_t known = 0;

	for (; *names; names++)
		known += json_object_get(o, *names) != NULL;
	return json_object_size(o) == known;
}

/* Who makes rules of these takes what is there, and does not look for more. */
static bool reads_as_here(const json_t *read)
{
	static const char *const names[] = { "encoding", "format", "long", "multiline", NULL };
	static const char *const multiline[] = { "preset", "start", "continue", "end", "max_lines", "max_bytes", NULL };

	return has_only(read, names) && has_only(json_object_get(read, "multiline"), multiline);
}

static int read_spec(struct recipe *r, const json_t *o, struct err *ret_err)
{
	size_t known = 0;
	int rc = json_is_object(o) ? 0 : other_version(ret_err);

	for (size_t i = 0; i < sizeof members / sizeof members[0] && rc == 0; i++) {
		const json_t *v = json_object_get(o, members[i].name);

		known += v != NULL;
		rc = v ? members[i].read(r, v, ret_err) : 0;
	}
	/* Words of a later version mean something that is not done here. */
	if (rc == 0 && (json_object_size(o) != known || !reads_as_here(json_object_get(o, "read"))))
		rc = other_version(ret_err);
	return rc;
}

int recipe_new(const char *spec, struct recipe **ret, struct err *ret_err)
{
	struct recipe *r;
	json_t *o;
	int rc;

	*ret = NULL;
	if (!*spec)
		return 0;
	o = json_loads(spec, JSON_REJECT_DUPLICATES, NULL);
	r = mem_new(struct recipe);
	if (r)
		r->timeout_ms = -1;
	rc = r ? read_spec(r, o, ret_err) : ERR_NOMEM;
	json_decref(o);
	if (rc == ERR_NOMEM)
		err_set(ret_err, rc, "out of memory");
	if (rc < 0)
		recipe_free(r);
	else
		*ret = r;
	return rc;
}

const struct assemble_rules *recipe_rules(const struct recipe *r)
{
	return r ? r->rules : NULL;
}

int64_t recipe_timeout_ms(const struct recipe *r)
{
	return r ? r->timeout_ms : -1;
}

bool recipe_has_topic(const struct recipe *r)
{
	return r && r->topic;
}

void recipe_free(struct recipe *r)
{
	if (!r)
		return;
	assemble_rules_free(r->rules);
	filter_release(&r->filter);
	glob_strings_release(&r->topics_allowed);
	for (size_t i = 0; i < r->header_count; i++) {
		mem_free(r->headers[i].name);
		mem_free(r->headers[i].value);
	}
	mem_free(r->headers);
	event_time_free(r->event_time);
	intercept_free(r->chain);
	mem_free(r->topic);
	mem_free(r->key);
	mem_free(r->key_serializer);
	mem_free(r->host);
	mem_free(r->value_name);
	mem_free(r);
}
