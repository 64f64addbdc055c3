/* recipe.c - see recipe.h.
 *
 * Why the spec is canonical: routes are told apart by it, and a change of blanks in the configuration is no other recipe.
 * Failure: a spec that is not understood is an error for whoever needs its records, never a guess.
 */
#include "agent/recipe.h"

#include <jansson.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/text_value.h"
#include "producer/serialize.h"

#define DUMP (JSON_COMPACT | JSON_SORT_KEYS)

struct recipe {
	struct intercept *chain;	/* NULL: none */
	char *value_name;		/* of the serializer, NULL: the value as it is */
	enum serializer value;
};

struct recipe_room {
	struct intercept_scratch *scratch;
	struct text_value text;
	struct producer_bytes bytes;
};

/* --- the spec --- */

static int put_json(const char *data, size_t n, void *arg)
{
	return buf_put(arg, data, n) < 0 ? -1 : 0;
}

int recipe_json_line(const char *text, struct buf *ret)
{
	json_t *o = json_loads(text, 0, NULL);
	int rc = o && json_dump_callback(o, put_json, ret, 0) == 0 ? 0 : ERR_BAD_DATA;

	json_decref(o);
	return rc;
}

static bool is_plain(const char *serializer)
{
	return !strcmp(serializer, "bytes") || !strcmp(serializer, "string");
}

int recipe_spec(struct producer_config *c, const struct conf_input *in, const char *host, struct buf *ret_spec,
		struct err *ret_err)
{
	const char *chain = producer_config_get(c, "interceptor.classes"), *value;
	json_t *o = json_object(), *array = chain && *chain ? json_loads(chain, 0, NULL) : NULL;
	int rc = o && (array || !chain || !*chain) ? 0 : ERR_NOMEM;

	if (rc == 0 && json_array_size(array) && json_object_set(o, "interceptors", array) < 0)
		rc = ERR_NOMEM;
	value = producer_config_get(c, "value.serializer");
	if (rc == 0 && value && *value && !is_plain(value) && json_object_set_new(o, "value", json_string(value)) < 0)
		rc = ERR_NOMEM;
	if (rc == 0 && json_object_size(o) && json_dump_callback(o, put_json, ret_spec, DUMP) < 0)
		rc = ERR_NOMEM;
	if (rc == 0 && buf_puts(ret_spec, "") < 0)
		rc = ERR_NOMEM;
	json_decref(array);
	json_decref(o);
	(void)in, (void)host;
	return rc == ERR_NOMEM ? err_set(ret_err, rc, "out of memory") : rc;
}

int recipe_specs(struct producer_config *c, const struct conf *conf, const char *host, char ***ret, struct err *ret_err)
{
	struct buf text;
	int rc = 0;

	*ret = mem_array(char *, conf->input_count + 1);
	if (!*ret)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	buf_init(&text, 16u << 20);
	for (size_t i = 0; i < conf->input_count && rc == 0; i++) {
		buf_clear(&text);
		rc = recipe_spec(c, &conf->inputs[i], host, &text, ret_err);
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

static int read_chain(struct recipe *r, const json_t *array, struct err *ret_err)
{
	struct producer_error e;
	struct buf text;
	int rc;

	if (!array)
		return 0;
	buf_init(&text, 16u << 20);
	rc = json_dump_callback(array, put_json, &text, DUMP) < 0 ? ERR_NOMEM : 0;
	if (rc == 0 && (rc = intercept_new(text.data, &r->chain, &e)) < 0)
		rc = rc == PRODUCER_ERR_NOMEM ? ERR_NOMEM : err_set(ret_err, ERR_CONFIG, "%s", e.text);
	buf_release(&text);
	return rc;
}

static int read_value(struct recipe *r, const json_t *value, struct err *ret_err)
{
	const char *name = json_string_value(value);

	if (!value)
		return 0;
	if (!name || serialize_named(name, &r->value) < 0)
		return err_set(ret_err, ERR_CONFIG, "there is no serializer \"%.60s\"", name ? name : "");
	r->value_name = mem_strdup(name);
	return r->value_name ? 0 : ERR_NOMEM;
}

static int read_spec(struct recipe *r, const json_t *o, struct err *ret_err)
{
	const json_t *chain = json_object_get(o, "interceptors"), *value = json_object_get(o, "value");
	int rc;

	/* Words of a later version mean something that is not done here. */
	if (!json_is_object(o) || json_object_size(o) != (size_t)!!chain + (size_t)!!value)
		return err_set(ret_err, ERR_CONFIG, "another version of spillway wrote how these lines become records");
	rc = read_chain(r, chain, ret_err);
	return rc < 0 ? rc : read_value(r, value, ret_err);
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
	(void)r;
	return NULL;
}

int64_t recipe_timeout_ms(const struct recipe *r)
{
	(void)r;
	return -1;
}

bool recipe_has_topic(const struct recipe *r)
{
	(void)r;
	return false;
}

void recipe_free(struct recipe *r)
{
	if (!r)
		return;
	intercept_free(r->chain);
	mem_free(r->value_name);
	mem_free(r);
}

struct recipe_room *recipe_room_new(void)
{
	struct recipe_room *room = mem_new(struct recipe_room);

	if (!room)
		return NULL;
	serialize_init(&room->bytes);
	room->scratch = intercept_scratch_new();
	if (room->scratch)
		return room;
	recipe_room_free(room);
	return NULL;
}

void recipe_room_free(struct recipe_room *room)
{
	if (!room)
		return;
	serialize_release(&room->bytes);
	intercept_scratch_free(room->scratch);
	mem_free(room);
}

/* --- records --- */

const char *recipe_topic(const struct recipe *r, const char *topic)
{
	return r ? intercept_topic(r->chain, topic) : topic;
}

/* Text in, the serializer's bytes out: *data is what was given, or lies in text or bytes. */
static int serialize_text(const struct serialize_part *part, const char *serializer, const char *topic, const void **data,
			  size_t *n, struct text_value *text, struct producer_bytes *bytes, struct err *ret_err)
{
	struct producer_error e;
	const void *in;
	size_t len;
	int rc;

	if (text_value(serializer, *data, *n, text) < 0)
		return err_set(ret_err, ERR_BAD_DATA, "%s for topic \"%.60s\": this is no %s", part->name, topic, serializer);
	serialize_release(bytes);
	serialize_init(bytes);
	in = text->data;
	len = text->n;
	rc = serialize(part, topic, &in, &len, bytes, &e);
	if (rc < 0)
		return err_set(ret_err, rc == PRODUCER_ERR_NOMEM ? ERR_NOMEM : ERR_BAD_DATA, "%s", e.text);
	*data = in;
	*n = len;
	return 0;
}

static const struct producer_serializer by_name = { 0 };

static int run_chain(const struct recipe *r, struct recipe_room *room, const char *topic, struct lane_record *record,
		     intercept_failed_fn *failed, void *arg, struct err *ret_err)
{
	struct producer_record p = {
		.topic = topic, .partition = -1, .key = record->key, .key_len = record->key_len, .value = record->value,
		.value_len = record->value_len, .timestamp = -1,
	};
	int rc = intercept_apply(r->chain, &p, room->scratch, failed, arg);

	if (rc < 0)
		return err_set(ret_err, rc, "out of memory");
	record->value = p.value;
	record->value_len = p.value_len;
	record->headers = p.headers;
	record->header_count = p.header_count;
	return rc;
}

int recipe_apply(const struct recipe *r, struct recipe_room *room, const char *topic, const struct recipe_input *in,
		 struct lane_record *record, const char **ret_topic, intercept_failed_fn *failed, void *arg, struct err *ret_err)
{
	const struct serialize_part part = { r->value, &by_name, "value" };
	int rc;

	(void)in;
	*ret_topic = topic;
	rc = run_chain(r, room, topic, record, failed, arg, ret_err);

	if (rc || !r->value_name)
		return rc;
	return serialize_text(&part, r->value_name, recipe_topic(r, topic), &record->value, &record->value_len, &room->text,
			      &room->bytes, ret_err);
}

int recipe_key(const char *serializer, const char *topic, struct buf *key, struct err *ret_err)
{
	struct serialize_part part = { SERIALIZER_BYTES, &by_name, "key" };
	const void *data = key->data;
	struct producer_bytes bytes;
	struct text_value text;
	size_t n = key->len;
	int rc;

	if (!serializer || serialize_named(serializer, &part.how) < 0 || is_plain(serializer))
		return 0;
	serialize_init(&bytes);
	rc = serialize_text(&part, serializer, topic, &data, &n, &text, &bytes, ret_err);
	if (rc == 0 && data != key->data) {
		buf_clear(key);
		rc = buf_put(key, data, n) < 0 ? ERR_NOMEM : 0;
	}
	serialize_release(&bytes);
	return rc;
}
