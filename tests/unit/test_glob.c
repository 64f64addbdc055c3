/* test_glob.c - what matches, what the walker finds, which directories it names. */
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/err.h"
#include "agent/record/glob.h"
#include "tests/lib/tree.h"

static void matching_follows_the_table(void **state)
{
	static const struct { const char *pattern, *path; bool match; } table[] = {
		{ "/var/log/a.log", "/var/log/a.log", true },
		{ "/var/log/a.log", "/var/log/b.log", false },
		{ "/var/log/*.log", "/var/log/a.log", true },
		{ "/var/log/*.log", "/var/log/.log", false },
		{ "/var/log/*.log", "/var/log/.a.log", false },
		{ "/var/log/.*.log", "/var/log/.a.log", true },
		{ "/var/log/*.log", "/var/log/a.log.1", false },
		{ "/var/log/*.log", "/var/log/x/a.log", false },
		{ "/var/*/a*b*c", "/var/log/aXbYbZc", true },
		{ "/var/*/a*b*c", "/var/log/aXbYbZ", false },
		{ "/v/a?c", "/v/abc", true },
		{ "/v/a?c", "/v/ac", false },
		{ "/v/[a-cx].log", "/v/b.log", true },
		{ "/v/[a-cx].log", "/v/x.log", true },
		{ "/v/[a-cx].log", "/v/d.log", false },
		{ "/v/[!a-c].log", "/v/d.log", true },
		{ "/v/[^a-c].log", "/v/b.log", false },
		{ "/v/[]a].log", "/v/].log", true },
		{ "/v/[a-].log", "/v/-.log", true },
		{ "/v/[ab.log", "/v/[ab.log", true },
		{ "/v/\\*.log", "/v/*.log", true },
		{ "/v/\\*.log", "/v/a.log", false },
		{ "/v/[\\]].log", "/v/].log", true },
		{ "/v/**/a.log", "/v/a.log", true },
		{ "/v/**/a.log", "/v/x/a.log", true },
		{ "/v/**/a.log", "/v/x/y/z/a.log", true },
		{ "/v/**/a.log", "/v/x/.y/a.log", false },
		{ "/v/**/a.log", "/w/a.log", false },
		{ "/v/**/x/*.log", "/v/x/y/x/a.log", true },
		{ "/v/**/x/*.log", "/v/x/y/a.log", false },
		{ "/v/**/x/**/y", "/v/1/x/2/3/y", true },
		{ "/v/**/x/**/y", "/v/1/2/3/y", false },
		{ "/v/**", "/v/a", true },
		{ "/v/**", "/v/x/y/a", true },
		{ "/v/**", "/v", false },
		{ "/v/a**b", "/v/aXb", true },
		{ "/v/a**b", "/v/a/b", false },
		{ "/**/x", "/x", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++)
		if (glob_match(table[i].pattern, table[i].path) != table[i].match)
			fail_msg("%s against %s", table[i].pattern, table[i].path);
}

static void many_stars_do_not_take_for_ever(void **state)
{
	struct buf pattern, path;

	(void)state;
	buf_init(&pattern, 4096);
	buf_init(&path, 4096);
	for (int i = 0; i < 60; i++) {
		buf_puts(&pattern, i ? "*a" : "/v/*a");
		buf_puts(&path, i ? "aaaaaaaa" : "/v/a");
	}
	buf_puts(&pattern, "b");
	assert_false(glob_match(pattern.data, path.data));
	buf_clear(&pattern);
	buf_clear(&path);
	for (int i = 0; i < 60; i++) {
		buf_puts(&pattern, "/**/a");
		buf_puts(&path, "/a/a/a/a");
	}
	buf_puts(&pattern, "/b");
	buf_puts(&path, "/c");
	assert_false(glob_match(pattern.data, path.data));
	buf_release(&pattern);
	buf_release(&path);
}

static void an_exclude_without_slash_looks_at_the_name_only(void **state)
{
	(void)state;
	assert_true(glob_excludes("*.gz", "/v/a.gz"));
	assert_false(glob_excludes("*.gz", "/v/a.gz.log"));
	assert_true(glob_excludes("/v/tmp/**", "/v/tmp/x/a.log"));
	assert_false(glob_excludes("/v/tmp/**", "/v/a.log"));
}

static void expect_expanded(const char *pattern, const char *want)
{
	struct conf_strings s = { 0 };
	struct buf all;

	buf_init(&all, 4096);
	assert_int_equal(glob_expand(pattern, "/cwd", &s), 0);
	for (size_t i = 0; i < s.n; i++)
		buf_printf(&all, "%s%s", i ? " " : "", s.v[i]);
	assert_string_equal(all.data, want);
	buf_release(&all);
	glob_strings_release(&s);
}

static void braces_are_alternatives_and_relative_patterns_begin_at_the_working_directory(void **state)
{
	(void)state;
	expect_expanded("/v/*.log", "/v/*.log");
	expect_expanded("/v/{a,b}.log", "/v/a.log /v/b.log");
	expect_expanded("/v/{a,{b,c}d}.{x,y}", "/v/a.x /v/a.y /v/bd.x /v/bd.y /v/cd.x /v/cd.y");
	expect_expanded("/v/{a,}x", "/v/ax /v/x");
	expect_expanded("/v/{a/*,**/b,{c,}}.log", "/v/a/*.log /v/**/b.log /v/c.log /v/.log");
	expect_expanded("{/v,/w/{x,y}}/*.log", "/v/*.log /w/x/*.log /w/y/*.log");
	expect_expanded("{v,/w}/a", "/cwd/v/a /w/a");
	expect_expanded("/v/{a}b}", "/v/ab}");
	expect_expanded("/v/{\\},\\,}", "/v/\\} /v/\\,");
	expect_expanded("/v/\\{a,b}", "/v/\\{a,b}");
	expect_expanded("log/./a//b.log", "/cwd/log/a/b.log");
}

/* --- walking --- */

struct seen { struct buf text; char prefix[256]; };

static void see(struct seen *s, char what, const char *path)
{
	char line[512];

	if (strncmp(path, s->prefix, strlen(s->prefix)))
		return;
	snprintf(line, sizeof line, "%c%s\n", what, path + strlen(s->prefix));
	if (!s->text.len || !strstr(s->text.data, line))
		buf_puts(&s->text, line);
}

static void see_dir(void *arg, const char *path) { see(arg, 'd', path); }
static void see_file(void *arg, const char *path) { see(arg, 'f', path); }
static void see_failed(void *arg, const char *path, int rc) { (void)rc; see(arg, '!', path); }

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void expect_walk(const char *root, const char *pattern, const char *want)
{
	struct glob_visitor v = { NULL, see_dir, see_file, see_failed };
	char full[512], *lines[100], *save = NULL;
	struct buf sorted;
	struct seen s;
	size_t n = 0;

	v.arg = &s;
	buf_init(&s.text, 4096);
	buf_init(&sorted, 4096);
	snprintf(s.prefix, sizeof s.prefix, "%s", root);
	snprintf(full, sizeof full, "%s%s", root, pattern);
	glob_walk(full, &v);
	for (char *l = strtok_r(s.text.data, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		lines[n++] = l;
	qsort(lines, n, sizeof *lines, compare);
	for (size_t i = 0; i < n; i++)
		buf_printf(&sorted, "%s ", lines[i]);
	assert_string_equal(sorted.data, want);
	buf_release(&s.text);
	buf_release(&sorted);
}

static void make_file(const char *root, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof path, "%s%s", root, name);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	assert_true(fd >= 0);
	close(fd);
}

static void make_dir(const char *root, const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s%s", root, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void the_walk_finds_files_and_names_the_directories_to_watch(void **state)
{
	char root[] = "/tmp/spillway-glob-XXXXXX", link[64], target[64];

	(void)state;
	assert_non_null(mkdtemp(root));
	make_dir(root, "/x");
	make_dir(root, "/x/y");
	make_dir(root, "/z");
	make_dir(root, "/.h");
	make_file(root, "/a.log");
	make_file(root, "/x/b.log");
	make_file(root, "/x/y/c.log");
	make_file(root, "/x/y/c.txt");
	make_file(root, "/.h/d.log");
	snprintf(link, sizeof link, "%s/l", root);
	snprintf(target, sizeof target, "%s/x", root);
	assert_int_equal(symlink(target, link), 0);

	expect_walk(root, "/*.log", "d f/a.log ");
	expect_walk(root, "/a.log", "d f/a.log ");
	expect_walk(root, "/no.log", "d ");
	expect_walk(root, "/x/*.log", "d/x f/x/b.log ");
	expect_walk(root, "/*/b.log", "d d/x d/z f/x/b.log ");
	expect_walk(root, "/**/*.log", "d d/x d/x/y d/z f/a.log f/x/b.log f/x/y/c.log ");
	expect_walk(root, "/x/**", "d/x d/x/y f/x/b.log f/x/y/c.log f/x/y/c.txt ");
	expect_walk(root, "/**/y/*.txt", "d d/x d/x/y d/z f/x/y/c.txt ");
	expect_walk(root, "/l/*.log", "d/l f/l/b.log ");	/* a link that the pattern names is followed */
	expect_walk(root, "/no/where/at/all/*.log", "d ");	/* the nearest that is there */
	expect_walk(root, "/x/no/*.log", "d/x ");

	assert_int_equal(tree_remove(root), 0);
}

/* Its arg is where something is made as soon as that is watched. */
static void make_on_sight(void *arg, const char *path)
{
	char *made = arg;

	if (*made && !strncmp(made, path, strlen(path)) && !strcmp(made + strlen(path), "/late")) {
		make_dir(made, "");
		make_file(made, "/a.log");
	}
}

static int files_found;

static void count_file(void *arg, const char *path)
{
	(void)arg, (void)path;
	files_found++;
}

static void ignore_failed(void *arg, const char *path, int rc)
{
	(void)arg, (void)path, (void)rc;
}

static void a_directory_made_just_before_its_parent_is_watched_is_walked(void **state)
{
	char root[] = "/tmp/spillway-glob-XXXXXX", made[64], pattern[64];
	struct glob_visitor v = { made, make_on_sight, count_file, ignore_failed };

	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(made, sizeof made, "%s/late", root);
	snprintf(pattern, sizeof pattern, "%s/late/*.log", root);
	glob_walk(pattern, &v);
	assert_int_equal(files_found, 1);
	assert_int_equal(tree_remove(root), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(matching_follows_the_table),
	cmocka_unit_test(many_stars_do_not_take_for_ever),
	cmocka_unit_test(an_exclude_without_slash_looks_at_the_name_only),
	cmocka_unit_test(braces_are_alternatives_and_relative_patterns_begin_at_the_working_directory),
	cmocka_unit_test(the_walk_finds_files_and_names_the_directories_to_watch),
	cmocka_unit_test(a_directory_made_just_before_its_parent_is_watched_is_walked),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }
