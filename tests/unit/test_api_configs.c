/* test_api_configs.c - what brokers are asked about settings and rights is what Kafka's own classes read, what they answer is
 * read as Kafka means it, and what is cut or bent is bad data. The golden files come from Kafka's own classes.
 */
#include "producer/api.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "tests/lib/golden.h"
#include "tests/lib/unit.h"

#define CORRELATION 0x01020304
#define CLIENT "web-1"
#define FIRST 1
#define LAST 4

static const char *golden_name(const char *api, int version)
{
	static char name[32];

	snprintf(name, sizeof name, "%s.%d", api, version);
	return name;
}

static void same(const char *api, int version, struct buf *b)
{
	golden_compare("requests", golden_name(api, version), (const uint8_t *)b->data, b->len);
	buf_release(b);
}

static void requests_are_known_bytes(void **state)
{
	static const char *const keys[] = { "retention.ms", "cleanup.policy" }, *const topics[] = { "logs" };
	struct buf b;

	(void)state;
	for (int16_t v = FIRST; v <= LAST; v++) {
		buf_init(&b, 1000);
		assert_int_equal(api_describe_configs_request(&b, v, CORRELATION, CLIENT, API_RESOURCE_TOPIC, "logs", keys, 2), 0);
		same("configs", v, &b);
	}
	for (int16_t v = 8; v <= 13; v++) {
		buf_init(&b, 1000);
		assert_int_equal(api_metadata_request_operations(&b, v, CORRELATION, CLIENT, topics, 1), 0);
		same("operations", v, &b);
	}
	assert_int_equal(api_ours[API_DESCRIBE_CONFIGS].min, FIRST);
	assert_int_equal(api_ours[API_DESCRIBE_CONFIGS].max, LAST);
}

struct seen { size_t n; char text[200]; };

static void note(void *arg, const struct api_config *c)
{
	struct seen *s = arg;
	size_t at = strlen(s->text);

	s->n++;
	snprintf(s->text + at, sizeof s->text - at, "%.*s=%.*s;", (int)c->name_len, c->name, (int)c->value_len,
		 c->value ? c->value : "");
}

static void settings_are_read(void **state)
{
	static uint8_t data[GOLDEN_MAX];

	(void)state;
	for (int16_t v = FIRST; v <= LAST; v++) {
		size_t n = golden("responses", golden_name("configs", v), data);
		struct seen s = { 0 };
		int16_t error = 0;

		assert_int_equal(api_describe_configs_response(data, n, v, CORRELATION, &error, note, &s), 0);
		assert_int_equal(error, 29);
		assert_string_equal(s.text, "retention.ms=3600000;cleanup.policy=;");
		assert_int_equal(api_describe_configs_response(data, n, v, 7, &error, note, &s), ERR_BAD_DATA);
	}
}

static void operations_are_read(void **state)
{
	static uint8_t data[GOLDEN_MAX];
	struct api_metadata m;

	(void)state;
	for (int16_t v = 8; v <= 13; v++) {
		size_t n = golden("responses", golden_name("operations", v), data);

		assert_int_equal(api_metadata_response(data, n, v, CORRELATION, &m), 0);
		assert_int_equal(m.topics[0].operations, 1 << API_MAY_WRITE | 1 << API_MAY_DESCRIBE |
				 1 << API_MAY_DESCRIBE_CONFIGS);
		assert_int_equal(m.operations, v <= 10 ? 1 << API_MAY_IDEMPOTENT_WRITE : API_OPERATIONS_UNKNOWN);
		api_metadata_release(&m);
	}
	assert_int_equal(api_metadata_response(data, golden("responses", "metadata.7", data), 7, CORRELATION, &m), 0);
	assert_int_equal(m.topics[0].operations, API_OPERATIONS_UNKNOWN);
	api_metadata_release(&m);
}

/* Every block is exactly as large as its bytes, so that ASan sees one byte read too many. */
static void what_is_cut_or_too_long_is_bad_data_and_nothing_of_it_is_told(void **state)
{
	static uint8_t data[GOLDEN_MAX];
	struct seen s = { 0 };
	int16_t error;

	(void)state;
	for (int16_t v = FIRST; v <= LAST; v++) {
		size_t n = golden("responses", golden_name("configs", v), data);

		data[n] = 0;
		assert_int_equal(api_describe_configs_response(data, n + 1, v, CORRELATION, &error, note, &s), ERR_BAD_DATA);
		for (size_t cut = 0; cut < n; cut++) {
			uint8_t *part = malloc(cut ? cut : 1);

			memcpy(part, data, cut);
			assert_int_equal(api_describe_configs_response(part, cut, v, CORRELATION, &error, note, &s), ERR_BAD_DATA);
			free(part);
		}
	}
	assert_int_equal(s.n, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_known_bytes),
		cmocka_unit_test(settings_are_read),
		cmocka_unit_test(operations_are_read),
		cmocka_unit_test(what_is_cut_or_too_long_is_bad_data_and_nothing_of_it_is_told),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}
