/* test_schema.c - what is in the schema is what is in the table of keys; the producer's part is the scenarios' (schema.py). */
#include <jansson.h>
#include <string.h>

#include "agent/base/buf.h"
#include "conf/keys.h"
#include "conf/schema.h"
#include "tests/lib/unit.h"

static const struct schema_producer_key producer_keys[] = {
	{ .name = "preset", .type = "string", .choices = (const char *const[]){ "a", "b", NULL }, .doc = "Words." },
	{ .name = "a.ms", .type = "time", .def = "5", .min = -1, .max = 9, .doc = "A time." },
	{ .name = "b", .other_of = "a.ms", .type = "time", .doc = "A time." },
	{ .name = "c", .type = "class", .value = "{\"type\":\"array\"}", .doc = "A class." },
	{ .name = "d", .type = "secret", .doc = "A secret." },
};

static bool producer_key(size_t i, struct schema_producer_key *ret)
{
	if (i < COUNT(producer_keys))
		*ret = producer_keys[i];
	return i < COUNT(producer_keys);
}

static json_t *schema(void)
{
	struct buf text;
	json_t *o;

	buf_init(&text, 1 << 20);
	assert_int_equal(conf_schema(producer_key, &text), 0);
	o = json_loads(text.data, 0, NULL);
	assert_non_null(o);
	buf_release(&text);
	return o;
}

/* The same keys, no more, each with its words. */
static void same_keys(const struct key_section *s, const json_t *o)
{
	const json_t *keys = json_object_get(o, "properties");
	size_t n = 0;

	assert_true(json_is_false(json_object_get(o, "additionalProperties")));
	for (const struct conf_key *k = s->keys; k->name; k++, n++) {
		const json_t *v = json_object_get(keys, k->name);

		assert_non_null(v);
		assert_non_null(k->doc);
		assert_string_equal(json_string_value(json_object_get(v, "description")), k->doc);
		if (k->section)
			same_keys(k->section, v);
		else if (k->type == KEY_INPUTS)
			same_keys(&keys_input, json_object_get(v, "items"));
	}
	assert_int_equal(json_object_size(keys), n);
}

static void every_key_of_the_table_is_in_the_schema_with_words_and_no_other(void **state)
{
	json_t *o = schema();

	(void)state;
	same_keys(&keys_top, o);
	json_decref(o);
}

static void the_words_of_a_key_are_a_sentence(void **state)
{
	const struct key_section *const all[] = { &keys_top, &keys_input };

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++)
		for (const struct conf_key *k = all[i]->keys; k->name; k++) {
			assert_true(strlen(k->doc) > 20);
			assert_int_equal(k->doc[strlen(k->doc) - 1], '.');
		}
}

static void what_is_said_of_the_producers_keys_is_there(void **state)
{
	json_t *o = schema(), *keys = json_object_get(json_object_get(json_object_get(o, "properties"), "producer"), "properties");
	const json_t *time = json_object_get(keys, "a.ms"), *number = json_array_get(json_object_get(time, "anyOf"), 0);

	(void)state;
	assert_int_equal(json_object_size(keys), COUNT(producer_keys));
	assert_int_equal(json_integer_value(json_object_get(number, "minimum")), -1);
	assert_int_equal(json_integer_value(json_object_get(number, "maximum")), 9);
	assert_int_equal(json_integer_value(json_object_get(time, "default")), 5);
	assert_string_equal(json_string_value(json_object_get(json_object_get(keys, "b"), "$ref")),
			    "#/properties/producer/properties/a.ms");
	assert_true(json_is_true(json_object_get(json_object_get(keys, "d"), "writeOnly")));
	json_decref(o);
}

static void a_buffer_that_is_too_small_is_said(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, 1000);
	assert_int_equal(conf_schema(producer_key, &text), ERR_NOMEM);
	buf_release(&text);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_key_of_the_table_is_in_the_schema_with_words_and_no_other),
	cmocka_unit_test(the_words_of_a_key_are_a_sentence),
	cmocka_unit_test(what_is_said_of_the_producers_keys_is_there),
	cmocka_unit_test(a_buffer_that_is_too_small_is_said),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}
