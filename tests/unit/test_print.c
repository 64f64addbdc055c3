/* test_print.c - what conf_print writes, and the shipped configuration: both must agree with the table of keys. */
#include "tests/lib/conf.h"

#include "agent/base/mem.h"
#include "conf/keys.h"

static char *print(const struct conf *c)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	conf_print(c, &b);
	assert_false(b.failed);
	return buf_detach(&b);
}

static void same_text(const char *a, const char *b)
{
	if (a && b)
		assert_string_equal(a, b);
	else
		assert_ptr_equal(a, b);
}

static void same_templates(const struct conf_pairs *a, const struct conf_pairs *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		assert_string_equal(a->names[i], b->names[i]);
		assert_string_equal(a->values[i], b->values[i]);
	}
}

static void same_texts(const struct conf_strings *a, const struct conf_strings *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++)
		assert_string_equal(a->v[i], b->v[i]);
}

/* Every field that the table knows. */
static void same_section(const struct key_section *s, const void *a, const void *b)
{
	for (const struct conf_key *k = s->keys; k->name; k++) {
		switch (k->type) {
		case KEY_SECTION:
			same_section(k->section, a, b);
			break;
		case KEY_TEXT:
		case KEY_PATH:
		case KEY_TOPIC:
		case KEY_TEMPLATE:
			same_text(*(char **)keys_field(k, a), *(char **)keys_field(k, b));
			break;
		case KEY_TEXTS:
		case KEY_PATHS:
			same_texts(keys_field(k, a), keys_field(k, b));
			break;
		case KEY_TEMPLATES:
			same_templates(keys_field(k, a), keys_field(k, b));
			break;
		case KEY_INPUTS:
		case KEY_PRODUCER:
			break;
		default:
			assert_memory_equal(keys_field(k, a), keys_field(k, b), k->size);
		}
	}
}

static void same_conf(const struct conf *a, const struct conf *b)
{
	same_section(&keys_top, a, b);
	assert_int_equal(a->input_count, b->input_count);
	for (size_t i = 0; i < a->input_count; i++) {
		same_section(&keys_input, &a->inputs[i], &b->inputs[i]);
		assert_int_equal(a->inputs[i].max_line_set, b->inputs[i].max_line_set);
		assert_int_equal(a->inputs[i].multiline.set, b->inputs[i].multiline.set);
		assert_int_equal(a->inputs[i].multiline.max_bytes_set, b->inputs[i].multiline.max_bytes_set);
	}
}

static void what_is_printed_loads_as_the_same(void **state)
{
	static const char *const texts[] = { BASE, EVERYTHING };

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct conf *a = good(texts[i]), *b;
		char *once = print(a), *twice, *text = mem_printf("%sproducer: {bootstrap.servers: b}\n", once);

		b = good(text);
		same_conf(a, b);
		twice = print(b);
		assert_string_equal(once, twice);
		mem_free(once);
		mem_free(twice);
		mem_free(text);
		conf_free(a);
		conf_free(b);
	}
}

static void the_print_of_the_smallest_file_is_complete(void **state)
{
	struct conf *c = good(BASE);
	char *text = print(c);

	(void)state;
	assert_string_equal(text,
		"state_dir: /var/lib/spillway\n"
		"delivery: exactly_once\n"
		"threads:\n"
		"  tail: 1\n"
		"  compress: auto\n"
		"max_lanes: 1000\n"
		"inputs:\n"
		"  -\n"
		"    name: /a.log\n"
		"    type: file\n"
		"    paths: [/a.log]\n"
		"    exclude: []\n"
		"    read_from: beginning\n"
		"    ignore_older: off\n"
		"    follow_symlinks: false\n"
		"    watch: auto\n"
		"    compressed: false\n"
		"    encoding: utf-8\n"
		"    # max_line: 1000KiB\n"
		"    long_lines: split\n"
		"    format: raw\n"
		"    include_lines: []\n"
		"    exclude_lines: []\n"
		"    when_full: spill\n"
		"    topic: t\n"
		"    topics_allowed: []\n"
		"    headers: {}\n"
		"    value: raw\n"
		"spool:\n"
		"  max_size: 10GiB\n"
		"  min_free: 1GiB\n"
		"  when_full: block\n"
		"  sync: normal\n"
		"metrics:\n"
		"  listen: off\n"
		"control: /var/lib/spillway/control.sock\n"
		"log:\n"
		"  level: info\n"
		"  format: logfmt\n"
		"shutdown_timeout: 20s\n");
	mem_free(text);
	conf_free(c);
}

static void what_came_from_files_and_credentials_prints_as_stars(void **state)
{
	struct secret s = secret_new("7", 1);
	struct conf *c = good("inputs:\n  - {paths: ['/p${cred:secret}', /q], exclude: [a, 'b${cred:secret}'],"
			      " topic: 't${cred:secret}', key: 'k${cred:secret}', partition: '${cred:secret}',"
			      " headers: {a: 'h${cred:secret}', b: c}, include_lines: 'i${cred:secret}',"
			      " multiline: {start: 's${cred:secret}', max_lines: '${cred:secret}'},"
			      " event_time: {field: 'f${cred:secret}', format: unix}}\n"
			      "  - {type: syslog, topic: t, listen: 'udp:127.0.0.1:51${cred:secret}'}\n"
			      "producer: {bootstrap.servers: b}\nstate_dir: /s${cred:secret}\nmax_lanes: ${cred:secret}\n"
			      "shutdown_timeout: ${cred:secret}s\n");
	char *text = print(c);

	(void)state;
	assert_int_equal(c->max_lanes, 7);
	assert_int_equal(c->shutdown_timeout_ms, 7000);
	assert_null(strchr(text, '7'));
	assert_non_null(strstr(text, "paths: [\"***\", /q]\n"));
	assert_non_null(strstr(text, "exclude: [a, \"***\"]\n"));
	assert_non_null(strstr(text, "name: \"***\"\n"));
	assert_non_null(strstr(text, "topic: \"***\"\n"));
	assert_non_null(strstr(text, "key: \"***\"\n"));
	assert_non_null(strstr(text, "partition: \"***\"\n"));
	assert_non_null(strstr(text, "headers: {a: \"***\", b: c}\n"));
	assert_non_null(strstr(text, "include_lines: [\"***\"]\n"));
	assert_non_null(strstr(text, "start: \"***\"\n"));
	assert_non_null(strstr(text, "max_lines: \"***\"\n"));
	assert_non_null(strstr(text, "field: \"***\"\n"));
	assert_non_null(strstr(text, "listen: \"***\"\n"));
	assert_non_null(strstr(text, "    name: \"***\"\n    type: syslog\n"));
	assert_non_null(strstr(text, "state_dir: \"***\"\n"));
	assert_non_null(strstr(text, "control: \"***\"\n"));
	assert_non_null(strstr(text, "max_lanes: \"***\"\n"));
	assert_non_null(strstr(text, "shutdown_timeout: \"***\"\n"));
	mem_free(text);
	conf_free(c);
	secret_free(&s);
}

#define SHIPPED "conf/spillway.yaml"

static void the_shipped_file_loads(void **state)
{
	struct conf_problems p = { 0 };
	struct conf *c = NULL;

	(void)state;
	assert_int_equal(conf_load(SHIPPED, &hooks, &c, &p), 0);
	assert_string_equal(mock.said, "preset=balanced\nbootstrap.servers=localhost:9092\n");
	assert_int_equal(c->input_count, 1);
	conf_free(c);
}

/* "#key: value" becomes "key: value"; "# words" stay. */
static char *uncommented(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[300];
	struct buf b;

	assert_non_null(f);
	buf_init(&b, 1 << 20);
	while (fgets(line, sizeof line, f)) {
		size_t indent = strspn(line, " ");
		bool is_key = line[indent] == '#' && line[indent + 1] >= 'a' && line[indent + 1] <= 'z';

		buf_put(&b, line, indent);
		buf_puts(&b, line + indent + is_key);
	}
	fclose(f);
	return buf_detach(&b);
}

static void the_defaults_that_the_shipped_file_names_are_the_defaults(void **state)
{
	struct conf_problems p = { 0 };
	struct conf *plain = NULL, *full;
	char *text = uncommented(SHIPPED);

	(void)state;
	assert_int_equal(conf_load(SHIPPED, NULL, &plain, &p), 0);
	assert_int_equal(conf_load_text(SHIPPED, text, strlen(text), &hooks, &full, &p), 0);
	assert_true(full->inputs[0].max_line_set);
	full->inputs[0].max_line_set = false;
	same_conf(plain, full);
	mem_free(text);
	conf_free(plain);
	conf_free(full);
}

static void names_every_key(const struct key_section *s, const char *text)
{
	char line[80];

	for (const struct conf_key *k = s->keys; k->name; k++) {
		snprintf(line, sizeof line, "%s: ", k->name);
		if (k->section)
			names_every_key(k->section, text);
		else if (k->type != KEY_INPUTS && k->type != KEY_PRODUCER && !strstr(text, line))
			fail_msg("%s does not name %s", SHIPPED, k->name);
	}
}

static void the_shipped_file_names_every_key(void **state)
{
	char *text = uncommented(SHIPPED);

	(void)state;
	names_every_key(&keys_top, text);
	names_every_key(&keys_input, text);
	mem_free(text);
}

static const struct CMUnitTest tests[] = {
	TEST(what_is_printed_loads_as_the_same),
	TEST(the_print_of_the_smallest_file_is_complete),
	TEST(what_came_from_files_and_credentials_prints_as_stars),
	TEST(the_shipped_file_loads),
	TEST(the_defaults_that_the_shipped_file_names_are_the_defaults),
	TEST(the_shipped_file_names_every_key),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}
