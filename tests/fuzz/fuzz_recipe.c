/* fuzz_recipe.c - a spec and a message: a spec is understood or refused, a message becomes the same record each time, an envelope
 * is valid JSON.
 *
 * Input: a byte that chooses one of our own specs or, when there is none of that number, a spec up to a NUL; then the message. */
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/record/fields.h"
#include "agent/record/recipe.h"
#include "producer/json.h"
#include "tests/fuzz/fuzz.h"

static const char *const specs[] = {
	"{\"envelope\":true,\"host\":\"h\"}",
	("{\"envelope\":true,\"event_time\":{\"field\":\"ts\",\"format\":\"rfc3339\"},"
	 "\"headers\":[[\"n\",\"%{field.a.b}\"],[\"o\",\"%{offset}\"]],"
	"\"host\":\"h\",\"key\":\"%{field.id}\",\"topic\":\"t-%{field.topic}\",\"topics_allowed\":[\"t-{a,b}*\"]}"),
	("{\"event_time\":{\"format\":\"%d/%b/%Y:%H:%M:%S.%f %z\",\"pattern\":\"\\\\[([^]]*)\\\\]\"},\"exclude\":[\"x+\"],"
	 "\"include\":[\"a|b\",\"^$\"]}"),
	"{\"event_time\":{\"field\":\"ts\",\"format\":\"unix\"},\"key\":\"%{field.a\\\\.b.c}\",\"key_serializer\":\"long\"}",
	"{\"event_time\":{\"format\":\"%a %b %e %l:%M:%S %p %Z %Y\",\"pattern\":\"^[^|]*\"},\"headers\":[[\"t\",\"%{time}\"]]}",
};

static void ignore(void *arg, const char *text)
{
	(void)arg;
	CHECK(text[0]);
}

/* What became of the message, as bytes: to be compared with another time. */
static int make(const struct recipe *r, struct recipe_room *room, const uint8_t *p, size_t n, struct buf *ret, size_t *ret_value)
{
	const struct recipe_input in = { .path = "/var/log/a.log", .offset = 7 };
	struct lane_record record = { .value = p, .value_len = n };
	const char *topic = "";
	struct err e = { 0 };
	int rc = recipe_apply(r, room, "t", &in, &record, &topic, ignore, NULL, &e);

	CHECK(rc == 0 || rc == 1 || (rc == ERR_BAD_DATA && e.text[0]));
	buf_printf(ret, "%d %s %zu ", rc, topic, record.header_count);
	for (size_t i = 0; rc == 0 && i < record.header_count; i++) {
		buf_printf(ret, "%s %zu ", record.headers[i].name, record.headers[i].value_len);
		buf_put(ret, record.headers[i].value, record.headers[i].value_len);
	}
	buf_printf(ret, "%zu %d ", record.key_len, record.key != NULL);
	buf_put(ret, record.key, record.key_len);
	*ret_value = ret->len;
	buf_put(ret, record.value, record.value_len);
	CHECK(!ret->failed);
	return rc;
}

static void check_record(bool envelope, const struct recipe *r, const uint8_t *p, size_t n)
{
	struct recipe_room *one = recipe_room_new(), *other = recipe_room_new();
	struct buf a, b;
	size_t from, at;
	int rc;

	CHECK(one && other);
	buf_init(&a, 16u << 20);
	buf_init(&b, 16u << 20);
	rc = make(r, one, p, n, &a, &from);
	CHECK(make(r, other, p, n, &b, &at) == rc && a.len == b.len && !memcmp(a.data, b.data, a.len));
	buf_clear(&b);
	CHECK(make(r, one, p, n, &b, &at) == rc && a.len == b.len && !memcmp(a.data, b.data, a.len));
	if (rc == 0 && envelope)
		CHECK(json_valid(a.data + from, a.len - from, &at));
	buf_release(&a);
	buf_release(&b);
	recipe_room_free(one);
	recipe_room_free(other);
}

/* Fields against a tree, where jansson takes the line too: it refuses numbers beyond its types and names with NULs. */
static void check_fields(const uint8_t *p, size_t n)
{
	json_t *o = json_loadb((const char *)p, n, JSON_ALLOW_NUL, NULL);
	struct fields f;
	struct buf text;
	const char *name;
	json_t *v;
	size_t at;

	buf_init(&text, 16u << 20);
	fields_begin(&f, p, n, NULL);
	CHECK(!fields_put(&f, &text));
	CHECK(fields_there(&f) == (text.len > 0) && (!text.len || json_valid_within(text.data, text.len, FIELDS_DEPTH_MAX, &at)));
	CHECK(text.len <= n);
	if (json_is_object(o) && fields_there(&f)) {
		json_object_foreach(o, name, v) {
			if (strpbrk(name, ".\\") || !*name || strlen(name) > 255)
				continue;
			buf_clear(&text);
			CHECK(fields_text(&f, name, strlen(name), &text) ==
			      (json_is_null(v) || json_is_array(v) || json_is_object(v) ? ERR_NOT_FOUND : 0));
			CHECK(!json_is_string(v) || (text.len == json_string_length(v) &&
						     (!text.len || !memcmp(text.data, json_string_value(v), text.len))));
			CHECK(!json_is_true(v) || !strcmp(text.data, "true"));
		}
	}
	json_decref(o);
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n };
	uint8_t which = fuzz_byte(&in);
	const uint8_t *end = which < COUNT(specs) ? NULL : memchr(in.p, 0, in.n);
	struct recipe *r = NULL;
	struct err e = { 0 };
	char *spec;
	int rc;

	if (n > 65536)
		return 0;
	spec = which < COUNT(specs) ? mem_strdup(specs[which]) : mem_strndup((const char *)in.p, end ? (size_t)(end - in.p) : in.n);
	if (which >= COUNT(specs)) {
		in.n -= end ? (size_t)(end + 1 - in.p) : in.n;
		in.p = end ? end + 1 : in.p;
	}
	rc = recipe_new(spec, &r, &e);
	CHECK(rc == 0 || (rc == ERR_CONFIG && e.text[0] && !r));
	if (r)
		check_record(which < 2, r, in.p, in.n);
	if (in.n)
		check_fields(in.p, in.n);
	recipe_free(r);
	mem_free(spec);
	return 0;
}
