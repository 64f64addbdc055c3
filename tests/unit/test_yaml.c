/* test_yaml.c - the tree: shape, places, repeated keys, and what hostile text is refused. */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/mem.h"
#include "conf/yaml.h"

static int parse(const char *text, struct yaml_tree **y, struct conf_problems *p)
{
	*y = NULL;
	*p = (struct conf_problems){ 0 };
	return yaml_tree_parse("f.yaml", text, strlen(text), y, p);
}

/* The text is refused with exactly this one problem. */
static void refused(const char *text, const char *problem)
{
	struct conf_problems p;
	struct yaml_tree *y;

	assert_int_equal(parse(text, &y, &p), ERR_CONFIG);
	assert_null(y);
	assert_int_equal(p.n, 1);
	assert_string_equal(p.v[0].text, problem);
	conf_problems_release(&p);
}

static struct yaml_tree *accepted(const char *text)
{
	struct conf_problems p;
	struct yaml_tree *y;

	assert_int_equal(parse(text, &y, &p), 0);
	assert_int_equal(p.n, 0);
	return y;
}

static void a_tree_has_the_shape_and_the_places_of_its_text(void **state)
{
	struct yaml_tree *y = accepted("a: 1\nlist:\n  - x\n  - {k: 'v v'}\n");
	struct yaml_node *list, *v;

	(void)state;
	assert_int_equal(y->root->kind, YAML_MAP);
	assert_int_equal(y->root->count, 2);
	assert_string_equal(yaml_get(y->root, "a")->text, "1");
	assert_null(yaml_get(y->root, "b"));
	list = yaml_get(y->root, "list");
	assert_int_equal(list->kind, YAML_LIST);
	assert_int_equal(list->count, 2);
	assert_int_equal(list->pairs[0].value->line, 3);
	assert_int_equal(list->pairs[0].value->column, 5);
	assert_false(list->pairs[0].value->quoted);
	v = yaml_get(list->pairs[1].value, "k");
	assert_string_equal(v->text, "v v");
	assert_true(v->quoted);
	assert_int_equal(v->line, 4);
	assert_int_equal(v->column, 9);
	yaml_tree_free(y);
}

static void a_column_counts_characters_not_bytes(void **state)
{
	struct yaml_tree *y = accepted("{\"\xc3\xa4\xe2\x82\xac\": x}");

	(void)state;
	assert_int_equal(y->root->pairs[0].value->column, 8);
	yaml_tree_free(y);
}

static void an_empty_document_has_no_root(void **state)
{
	static const char *const empty[] = { "", "\n\n", "# only a comment\n" };

	(void)state;
	for (size_t i = 0; i < COUNT(empty); i++) {
		struct yaml_tree *y = accepted(empty[i]);

		assert_null(y->root);
		yaml_tree_free(y);
	}
}

static void only_a_bare_nothing_tilde_or_null_is_no_value(void **state)
{
	struct yaml_tree *y = accepted("a:\nb: ~\nc: null\nd: ''\ne: 'null'\nf: nil\ng: []\n");
	static const bool expected[] = { true, true, true, false, false, false, false };

	(void)state;
	for (size_t i = 0; i < COUNT(expected); i++)
		assert_int_equal(yaml_is_null(y->root->pairs[i].value), expected[i]);
	yaml_tree_free(y);
}

static void each_repeated_key_is_one_problem_and_the_first_value_stays(void **state)
{
	struct conf_problems p;
	struct yaml_tree *y;

	(void)state;
	assert_int_equal(parse("a: 1\nb: {c: 1, c: 2}\na: 3\n", &y, &p), 0);
	assert_int_equal(p.n, 2);
	assert_string_equal(p.v[0].text, "f.yaml:2:11: key \"c\" is repeated (first in line 2)");
	assert_string_equal(p.v[1].text, "f.yaml:3:1: key \"a\" is repeated (first in line 1)");
	assert_string_equal(yaml_get(y->root, "a")->text, "1");
	conf_problems_release(&p);
	yaml_tree_free(y);
}

static void faults_of_syntax_have_a_place(void **state)
{
	(void)state;
	refused("a: [1, 2\nb: 3\n",
		"f.yaml:2:2: not YAML: did not find expected ',' or ']' while parsing a flow sequence");
	refused("a:\n\tb: 1\n", "f.yaml:2:1: not YAML: found character that cannot start any token "
		"while scanning for the next token (indent with spaces, not tabs)");
	refused("a: [*.gz]\n", "f.yaml:1:6: not YAML: did not find expected alphabetic or numeric character "
		"while scanning an alias (a value that begins with * or & needs quotes)");
	refused("a: 'x\n", "f.yaml:2:1: not YAML: found unexpected end of stream while scanning a quoted scalar");
	refused("a: 1\nb: \xc3\xa4\xff\n", "f.yaml:2:5: not YAML: invalid leading UTF-8 octet");
}

static void what_a_configuration_never_needs_is_refused(void **state)
{
	(void)state;
	refused("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document; one file holds one configuration");
	refused("a: !!int 1\n", "f.yaml:1:4: tag \"tag:yaml.org,2002:int\" is not supported, leave it out");
	refused("a: !x [1]\n", "f.yaml:1:4: tag \"!x\" is not supported, leave it out");
	refused("? [a]\n: 1\n", "f.yaml:1:3: a key must be a single word");
	refused("a: \"x\\0y\"\n", "f.yaml:1:4: a value cannot hold a NUL byte");
	refused("a: *b\n", "f.yaml:1:4: no anchor \"&b\" before this alias (a value that begins with * needs quotes)");
}

static void an_alias_is_its_anchors_value_again(void **state)
{
	struct yaml_tree *y = accepted("a: &x [1, 2]\nb: *x\n");

	(void)state;
	assert_ptr_equal(yaml_get(y->root, "a"), yaml_get(y->root, "b"));
	yaml_tree_free(y);
}

static void an_alias_of_a_redefined_anchor_means_the_last_one(void **state)
{
	struct yaml_tree *y = accepted("a: &x 1\nb: &x 2\nc: *x\n");

	(void)state;
	assert_string_equal(yaml_get(y->root, "c")->text, "2");
	yaml_tree_free(y);
}

static void an_alias_inside_its_anchor_is_refused(void **state)
{
	(void)state;
	refused("a: &x [1, *x]\n", "f.yaml:1:11: an alias inside its own anchor");
	refused("&x a: *x\nb: &y {c: *y}\n", "f.yaml:2:11: an alias inside its own anchor");
}

/* Ten aliases a level, nine levels: a billion values of 300 bytes of text. */
static void an_alias_bomb_is_refused(void **state)
{
	struct conf_problems p;
	struct yaml_tree *y;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	buf_puts(&b, "l0: &l0 [x, x]\n");
	for (int i = 1; i < 10; i++)
		buf_printf(&b, "l%d: &l%d [*l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d]\n", i, i, i - 1, i - 1,
			   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	assert_int_equal(parse(b.data, &y, &p), ERR_CONFIG);
	assert_int_equal(p.n, 1);
	assert_non_null(strstr(p.v[0].text, "too many values (an alias counts as a copy)"));
	assert_true(p.v[0].line < 7);
	conf_problems_release(&p);
	buf_release(&b);
}

static void repeat(struct buf *b, const char *s, size_t n)
{
	while (n--)
		buf_puts(b, s);
}

static void deep_nesting_is_refused(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	repeat(&b, "[", 1000000);
	refused(b.data, "f.yaml:1:25: nested too deeply");
	buf_clear(&b);
	repeat(&b, "{a: ", 1000);
	refused(b.data, "f.yaml:1:97: nested too deeply");
	buf_clear(&b);
	repeat(&b, "- ", 1000);
	refused(b.data, "f.yaml:1:49: nested too deeply");
	buf_release(&b);
}

static void nesting_below_the_cap_is_fine(void **state)
{
	struct yaml_tree *y = accepted("[[[[[[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]]]]]");

	(void)state;
	yaml_tree_free(y);
}

static void too_much_of_anything_is_refused(void **state)
{
	struct conf_problems p;
	struct yaml_tree *y;
	struct buf b;

	(void)state;
	buf_init(&b, 4 << 20);
	repeat(&b, "- x\n", 30000);
	refused(b.data, "f.yaml:20000:3: too many values (an alias counts as a copy)");
	buf_clear(&b);
	for (int i = 0; i < 1001; i++)
		buf_printf(&b, "k%d: 1\n", i);
	refused(b.data, "f.yaml:1001:1: too many keys");
	buf_clear(&b);
	for (int i = 0; i < 101; i++)
		buf_printf(&b, "- &a%d x\n", i);
	refused(b.data, "f.yaml:101:3: too many anchors");
	buf_clear(&b);
	repeat(&b, "#", (1 << 20) + 1);
	assert_int_equal(parse(b.data, &y, &p), ERR_CONFIG);
	assert_string_equal(p.v[0].text, "f.yaml:1:1: larger than 1MiB");
	conf_problems_release(&p);
	buf_release(&b);
}

static void short_memory_anywhere_is_reported_and_leaves_nothing(void **state)
{
	static const char text[] = "a: &x [1, {b: c}, 2, 3, 4, 5]\nd: *x\na: !t 1\n";
	int rc = ERR_NOMEM;
	long n = 0;

	(void)state;
	while (rc == ERR_NOMEM) {
		struct conf_problems p;
		struct yaml_tree *y;

		assert_true(++n < 1000);
		mem_fail_nth(n);
		rc = parse(text, &y, &p);
		mem_fail_nth(0);
		conf_problems_release(&p);
		yaml_tree_free(y);
	}
	assert_int_equal(rc, ERR_CONFIG);
	assert_true(n > 15);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_tree_has_the_shape_and_the_places_of_its_text),
	cmocka_unit_test(a_column_counts_characters_not_bytes),
	cmocka_unit_test(an_empty_document_has_no_root),
	cmocka_unit_test(only_a_bare_nothing_tilde_or_null_is_no_value),
	cmocka_unit_test(each_repeated_key_is_one_problem_and_the_first_value_stays),
	cmocka_unit_test(faults_of_syntax_have_a_place),
	cmocka_unit_test(what_a_configuration_never_needs_is_refused),
	cmocka_unit_test(an_alias_is_its_anchors_value_again),
	cmocka_unit_test(an_alias_of_a_redefined_anchor_means_the_last_one),
	cmocka_unit_test(an_alias_inside_its_anchor_is_refused),
	cmocka_unit_test(an_alias_bomb_is_refused),
	cmocka_unit_test(deep_nesting_is_refused),
	cmocka_unit_test(nesting_below_the_cap_is_fine),
	cmocka_unit_test(too_much_of_anything_is_refused),
	cmocka_unit_test(short_memory_anywhere_is_reported_and_leaves_nothing),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}
