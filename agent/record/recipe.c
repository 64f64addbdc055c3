/* recipe.c - the spec of a recipe, out of the configuration.
 *
 * Why the spec is canonical: routes are told apart by it, and a change of blanks in the configuration is no other recipe.
 * Why nothing is in it that says what is so anyway: lines as they are must stay the empty spec, for that one costs nothing.
 * Failure: a spec is read once before it is given out, so that what is wrong with a pattern is said at the start.
 */
#include "agent/record/recipe_inside.h"

#include <jansson.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/record/text_json.h"
#include "conf/template.h"

#define DUMP (JSON_COMPACT | JSON_SORT_KEYS)
#define SPEC_MAX (16u << 20)

/* --- members: 0, ERR_NOMEM, ERR_CONFIG; v is taken --- */

static int put(json_t *o, const char *name, json_t *v)
{
	return json_object_set_new(o, name, v) < 0 ? ERR_NOMEM : 0;
}

/* NULL text: no member. */
static int put_text(json_t *o, const char *name, const char *text, struct err *ret_err)
{
	if (!text)
		return 0;
	if (!buf_is_utf8(text, strlen(text)))
		return err_set(ret_err, ERR_CONFIG, "%s: is no UTF-8", name);
	return put(o, name, json_string(text));
}

static int put_number(json_t *o, const char *name, int64_t v)
{
	return v > 0 ? put(o, name, json_integer(v)) : 0;
}

static int put_strings(json_t *o, const char *name, const struct conf_strings *s, struct err *ret_err)
{
	json_t *array = s->n ? json_array() : NULL;

	for (size_t i = 0; i < s->n; i++) {
		if (!buf_is_utf8(s->v[i], strlen(s->v[i]))) {
			json_decref(array);
			return err_set(ret_err, ERR_CONFIG, "%s[%zu]: is no UTF-8", name, i);
		}
		if (json_array_append_new(array, json_string(s->v[i])) < 0) {
			json_decref(array);
			return ERR_NOMEM;
		}
	}
	return s->n ? put(o, name, array) : 0;
}

/* An object that is left out when nothing is in it. */
static int put_object(json_t *o, const char *name, json_t *v, int rc)
{
	if (rc == 0 && json_object_size(v))
		return put(o, name, v);
	json_decref(v);
	return rc;
}

/* --- how bytes become messages --- */

static int put_multiline(json_t *o, const struct conf_multiline *m, struct err *ret_err)
{
	const struct { const char *name, *text; } texts[] = {
		{ "preset", m->preset }, { "start", m->start }, { "continue", m->next }, { "end", m->end },
	};
	json_t *v = json_object();
	int rc = v ? 0 : ERR_NOMEM;

	for (size_t i = 0; i < sizeof texts / sizeof texts[0] && rc == 0; i++)
		rc = put_text(v, texts[i].name, texts[i].text, ret_err);
	if (rc == 0)
		rc = put_number(v, "max_lines", m->max_lines);
	if (rc == 0)
		rc = put_number(v, "max_bytes", m->max_bytes);
	return put_object(o, "multiline", v, rc);
}

static int put_read(json_t *o, const struct conf_input *in, struct err *ret_err)
{
	static const char *const longs[] = { [CONF_LONG_TRUNCATE] = "truncate", [CONF_LONG_SKIP] = "skip" };
	static const char *const formats[] = { [CONF_FORMAT_DOCKER] = "docker", [CONF_FORMAT_CRI] = "cri",
					       [CONF_FORMAT_AUTO] = "auto" };
	bool converts = in->encoding && strcmp(in->encoding, "utf-8") != 0;
	json_t *v = json_object();
	int rc = v ? put_text(v, "encoding", converts ? in->encoding : NULL, ret_err) : ERR_NOMEM;

	if (rc == 0)
		rc = put_text(v, "long", in->long_lines ? longs[in->long_lines] : NULL, ret_err);
	if (rc == 0)
		rc = put_text(v, "format", in->format ? formats[in->format] : NULL, ret_err);
	if (rc == 0 && in->multiline.set)
		rc = put_multiline(v, &in->multiline, ret_err);
	if (rc == 0 && json_object_size(v))
		rc = put_number(o, "max_line", in->max_line);
	if (rc == 0 && in->multiline.set)
		rc = put_number(o, "read_timeout_ms", in->multiline.timeout_ms);
	return put_object(o, "read", v, rc);
}

/* --- what a record has --- */

struct made {
	json_t *o;
	const struct conf_input *in;
	struct template_values values;
	struct err *err;
};

/* NULL: an error, in *ret_rc. */
static json_t *prepared(struct made *m, const char *name, const char *tpl, int *ret_rc)
{
	struct buf text;
	json_t *v = NULL;

	buf_init(&text, SPEC_MAX);
	*ret_rc = template_prepare(tpl, &m->values, &text);
	if (*ret_rc == 0 && text.len && !buf_is_utf8(text.data, text.len))
		*ret_rc = err_set(m->err, ERR_CONFIG, "%s: what it becomes is no UTF-8", name);
	else if (*ret_rc == 0)
		*ret_rc = (v = json_string(text.data ? text.data : "")) ? 0 : ERR_NOMEM;
	else if (*ret_rc != ERR_NOMEM)
		err_set(m->err, ERR_CONFIG, "%s: \"%.100s\" is no template", name, tpl);
	buf_release(&text);
	return v;
}

/* If it differs between records of one file. */
static int put_template(struct made *m, const char *name, const char *tpl)
{
	json_t *v;
	int rc;

	if (!tpl || !template_per_record(tpl, false))
		return 0;
	v = prepared(m, name, tpl, &rc);
	return v ? put(m->o, name, v) : rc;
}

static int put_topic_and_key(struct made *m, struct producer_config *c)
{
	const char *serializer = producer_config_get(c, "key.serializer");
	int rc = put_template(m, "topic", m->in->topic);

	if (rc == 0 && json_object_get(m->o, "topic"))
		rc = put_strings(m->o, "topics_allowed", &m->in->topics_allowed, m->err);
	if (rc == 0)
		rc = put_template(m, "key", m->in->key);
	if (rc == 0 && json_object_get(m->o, "key"))
		rc = put_text(m->o, "key_serializer", recipe_is_plain(serializer) ? NULL : serializer, m->err);
	return rc;
}

static int put_headers(struct made *m)
{
	const struct conf_pairs *h = &m->in->headers;
	json_t *array = h->n ? json_array() : NULL;
	int rc = h->n && !array ? ERR_NOMEM : 0;

	for (size_t i = 0; i < h->n && rc == 0; i++) {
		json_t *value = prepared(m, "headers", h->values[i], &rc), *pair = value ? json_array() : NULL;

		if (value && (!pair || json_array_append_new(pair, json_string(h->names[i])) < 0 ||
			      json_array_append(pair, value) < 0 || json_array_append(array, pair) < 0))
			rc = ERR_NOMEM;
		json_decref(value);
		json_decref(pair);
	}
	if (rc == 0 && h->n)
		return put(m->o, "headers", array);
	json_decref(array);
	return rc;
}

static int put_event_time(struct made *m)
{
	const struct conf_event_time *e = &m->in->event_time;
	json_t *v;
	int rc;

	if (!e->field && !e->pattern)
		return 0;
	v = json_object();
	rc = v ? put_text(v, "field", e->field, m->err) : ERR_NOMEM;
	if (rc == 0)
		rc = put_text(v, "pattern", e->pattern, m->err);
	if (rc == 0)
		rc = put_text(v, "format", e->format ? e->format : "rfc3339", m->err);
	return put_object(m->o, "event_time", v, rc);
}

static int put_envelope(struct made *m)
{
	if (m->in->value != CONF_VALUE_JSON)
		return 0;
	return put(m->o, "envelope", json_true()) < 0 ? ERR_NOMEM : put_text(m->o, "host", m->values.host, m->err);
}

static int put_producers(struct made *m, struct producer_config *c)
{
	const char *chain = producer_config_get(c, "interceptor.classes"), *value = producer_config_get(c, "value.serializer");
	json_t *array = chain && *chain ? json_loads(chain, 0, NULL) : NULL;
	int rc = array || !chain || !*chain ? 0 : ERR_NOMEM;

	if (rc == 0 && json_array_size(array) && json_object_set(m->o, "interceptors", array) < 0)
		rc = ERR_NOMEM;
	if (rc == 0)
		rc = put_text(m->o, "value", recipe_is_plain(value) ? NULL : value, m->err);
	json_decref(array);
	return rc;
}

static int put_all(struct made *m, struct producer_config *c)
{
	int rc = put_read(m->o, m->in, m->err);

	if (rc == 0)
		rc = put_strings(m->o, "include", &m->in->include_lines, m->err);
	if (rc == 0)
		rc = put_strings(m->o, "exclude", &m->in->exclude_lines, m->err);
	if (rc == 0)
		rc = put_topic_and_key(m, c);
	if (rc == 0)
		rc = put_headers(m);
	if (rc == 0)
		rc = put_envelope(m);
	if (rc == 0)
		rc = put_event_time(m);
	return rc == 0 ? put_producers(m, c) : rc;
}

/* --- text --- */

int recipe_json_line(const char *text, struct buf *ret)
{
	json_t *o = json_loads(text, 0, NULL);
	int rc = o && json_put_value(ret, o, 0) == 0 ? 0 : ERR_BAD_DATA;

	json_decref(o);
	return rc;
}

static int write_spec(const json_t *o, struct buf *ret)
{
	if (json_object_size(o) && json_put_value(ret, o, DUMP) < 0)
		return ERR_NOMEM;
	return buf_puts(ret, "");
}

static int try_spec(const char *spec, struct err *ret_err)
{
	struct recipe *r;
	int rc = recipe_new(spec, &r, ret_err);

	recipe_free(r);
	return rc;
}

int recipe_spec(struct producer_config *c, const struct conf_input *in, const char *host, struct buf *ret_spec,
		struct err *ret_err)
{
	size_t from = ret_spec->len;
	struct made m = { .o = json_object(), .in = in, .err = ret_err,
			  .values = { .host = host, .input = in->name ? in->name : "", .offset = -1 } };
	int rc = m.o ? put_all(&m, c) : ERR_NOMEM;

	if (rc == 0)
		rc = write_spec(m.o, ret_spec);
	if (rc == 0)
		rc = try_spec(ret_spec->data + from, ret_err);
	json_decref(m.o);
	return rc == ERR_NOMEM ? err_set(ret_err, rc, "out of memory") : rc;
}

int recipe_specs(struct producer_config *c, const struct conf *conf, const char *host, char ***ret, struct err *ret_err)
{
	struct buf text;
	int rc = 0;

	*ret = mem_array(char *, conf->input_count + 1);
	if (!*ret)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	buf_init(&text, SPEC_MAX);
	for (size_t i = 0; i < conf->input_count && rc == 0; i++) {
		buf_clear(&text);
		rc = recipe_spec(c, &conf->inputs[i], host, &text, ret_err);
		if (rc == ERR_CONFIG)
			err_prefix(ret_err, "input \"%.100s\": ", conf->inputs[i].name);
		if (rc == 0 && !((*ret)[i] = mem_strdup(text.data)))
			rc = err_set(ret_err, ERR_NOMEM, "out of memory");
	}
	buf_release(&text);
	return rc;
}

void recipe_specs_free(const struct conf *conf, char **specs)
{
	for (size_t i = 0; specs && i < conf->input_count; i++)
		mem_free(specs[i]);
	mem_free(specs);
}

int recipe_set_encoding(const char *spec, const char *encoding, struct buf *ret_spec)
{
	json_t *o = json_loads(spec, JSON_REJECT_DUPLICATES, NULL), *read = json_object_get(o, "read");
	int rc = json_is_object(read) ? 0 : ERR_CONFIG;

	if (rc == 0)
		rc = put(read, "encoding", json_string(encoding));
	if (rc == 0)
		rc = write_spec(o, ret_spec);
	json_decref(o);
	return rc;
}
