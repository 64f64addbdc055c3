/* test_conf_include.c - a configuration in several files: what drop-ins may add, and where their problems are. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "tests/lib/conf.h"
#include "tests/lib/tree.h"

/* Lines 1 to 6. */
#define MAIN BASE "include: [conf.d/*.yaml]\n"
#define MORE "inputs: [{ paths: [/b.log], topic: u }]\n"

enum { FILE_BYTES = (1 << 20) + 1 };	/* one too many */

static char dir[40];

static void put(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

static int set_up(void **state)
{
	char path[60];

	(void)state;
	memset(&mock, 0, sizeof mock);
	snprintf(dir, sizeof dir, "/tmp/spillway-conf-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/conf.d", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	put("main.yaml", MAIN);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return tree_remove(dir);
}

static int load_main(struct conf **c, struct conf_problems *p)
{
	char path[60];

	snprintf(path, sizeof path, "%s/main.yaml", dir);
	*p = (struct conf_problems){ 0 };
	*c = NULL;
	return conf_load(path, &hooks, c, p);
}

static struct conf *load_good(void)
{
	struct conf_problems p;
	struct conf *c;
	int rc = load_main(&c, &p);

	for (size_t i = 0; i < p.n; i++)
		print_error("%s\n", p.v[i].text);
	assert_int_equal(rc, 0);
	return c;
}

/* Of the problems' words, "@" stands for the directory. */
static void refused(const char *const *expected)
{
	struct conf_problems p;
	struct conf *c;
	size_t n = 0;

	assert_int_equal(load_main(&c, &p), ERR_CONFIG);
	for (; expected[n]; n++) {
		char want[600] = "", *end = want;

		for (const char *s = expected[n]; *s; s++)
			end += snprintf(end, sizeof want - (size_t)(end - want), *s == '@' ? "%s" : "%.1s", *s == '@' ? dir : s);
		assert_string_equal(n < p.n ? p.v[n].text : "(no problem)", want);
	}
	assert_string_equal(n < p.n ? p.v[n].text : "", "");
	conf_problems_release(&p);
}
#define REFUSED(...) refused((const char *const[]){ __VA_ARGS__, NULL })

static void drop_ins_add_inputs_and_keys_in_the_order_of_their_names(void **state)
{
	struct conf *c;

	(void)state;
	put("conf.d/20.yaml", "inputs: [{ paths: [/c.log], topic: v }]\nproducer: { linger.ms: 7 }\n");
	put("conf.d/10.yaml", "# words\n" MORE "log: { level: debug }\n");
	put("conf.d/30.yaml", "log: { format: json }\nmax_lanes: 5\n");
	c = load_good();
	assert_int_equal(c->input_count, 3);
	assert_string_equal(c->inputs[1].name, "/b.log");
	assert_string_equal(c->inputs[2].name, "/c.log");
	assert_non_null(strstr(c->inputs[1].path, "/conf.d/10.yaml"));
	assert_int_equal(c->inputs[1].line, 2);
	assert_string_equal(c->inputs[0].path, c->path);
	assert_int_equal(c->log.level, CONF_LOG_DEBUG);
	assert_true(c->log.json);
	assert_int_equal(c->max_lanes, 5);
	assert_int_equal(c->files.n, 4);
	assert_string_equal(c->files.v[0], c->path);
	assert_non_null(strstr(c->files.v[3], "/conf.d/30.yaml"));
	assert_string_equal(mock.said, "preset=balanced\nbootstrap.servers=b:9092\nlinger.ms=7\n");
	conf_free(c);
}

static void a_drop_in_may_bring_all_that_is_needed(void **state)
{
	struct conf *c;

	(void)state;
	put("main.yaml", "include: [conf.d/*.yaml]\ninputs:\nproducer:\n  # in a drop-in\n");
	put("conf.d/a.yaml", MORE "producer: { bootstrap.servers: 'h:1' }\n");
	c = load_good();
	assert_int_equal(c->input_count, 1);
	conf_free(c);
}

static void no_directory_an_empty_one_and_an_empty_file_are_fine(void **state)
{
	struct conf *c;

	(void)state;
	c = load_good();
	assert_int_equal(c->files.n, 1);
	conf_free(c);
	put("main.yaml", MAIN "# x\n");
	put("conf.d/a.yaml", "");
	put("conf.d/b.yaml", "# only words\n");
	conf_free(load_good());
	put("main.yaml", BASE "include: nowhere/*.yaml\n");
	conf_free(load_good());
}

static void what_editors_leave_behind_is_not_read(void **state)
{
	struct conf *c;

	(void)state;
	put("conf.d/a.yaml~", "broken: [\n");
	put("conf.d/.a.yaml.swp", "broken: [\n");
	put("conf.d/.#a.yaml", "broken: [\n");
	put("conf.d/a.yaml.dpkg-new", "broken: [\n");
	c = load_good();
	assert_int_equal(c->files.n, 1);
	conf_free(c);
}

static void the_file_itself_and_one_that_two_patterns_match_are_read_once(void **state)
{
	struct conf *c;

	(void)state;
	put("main.yaml", BASE "include: ['*.yaml', 'conf.d/*.yaml', 'conf.d/{a,b}.yaml']\n");
	put("conf.d/a.yaml", MORE);
	c = load_good();
	assert_int_equal(c->files.n, 2);
	assert_int_equal(c->input_count, 2);
	conf_free(c);
}

static void a_key_that_is_set_twice_names_both_places(void **state)
{
	(void)state;
	put("main.yaml", MAIN "max_lanes: 3\nspool: { sync: full }\n");
	put("conf.d/a.yaml", "max_lanes: 3\nspool: { sync: full, min_free: 1GiB }\nproducer:\n  bootstrap.servers: c:1\n");
	put("conf.d/b.yaml", "spool: { min_free: 2GiB }\n");
	REFUSED("@/conf.d/a.yaml:1:1: \"max_lanes\" is set in @/main.yaml:7:1 too, and a key is set in one file only",
		"@/conf.d/a.yaml:2:10: \"sync\" is set in @/main.yaml:8:10 too, and a key is set in one file only",
		"@/conf.d/a.yaml:4:3: \"bootstrap.servers\" is set in @/main.yaml:5:3 too, and a key is set in one file only",
		"@/conf.d/b.yaml:1:10: \"min_free\" is set in @/conf.d/a.yaml:2:22 too, and a key is set in one file only");
}

static void problems_say_which_file_they_are_in_and_the_first_file_comes_first(void **state)
{
	(void)state;
	mock.bad_key = "liner.ms";
	mock.bad_text = "unknown key";
	mock.finish_text = "retries: too few";
	put("main.yaml", MAIN "\n\nmax_lane: 3\n");
	put("conf.d/a.yaml", "producer:\n  liner.ms: 3\n  retries: 0\ninputs:\n  - paths: [/x]\n    topc: t\n");
	put("conf.d/b.yaml", "inputs: [\n");
	put("conf.d/c.yaml", "- x\n");
	put("conf.d/d.yaml", "inputs: [{ name: /a.log, paths: [/d], topic: t }]\ninclude: [x]\n");
	REFUSED("@/main.yaml:9:1: unknown key \"max_lane\" (did you mean \"max_lanes\"?)",
		"@/conf.d/a.yaml:2:3: unknown key 3",
		"@/conf.d/a.yaml:3:3: retries: too few",
		"@/conf.d/a.yaml:5:5: missing key \"topic\" in inputs[1]",
		"@/conf.d/a.yaml:6:5: unknown key \"topc\" in inputs[1] (did you mean \"topic\"?)",
		"@/conf.d/b.yaml:2:1: not YAML: did not find expected node content while parsing a flow node",
		"@/conf.d/c.yaml:1:1: the configuration must be a section of keys",
		"@/conf.d/d.yaml:1:18: the input in @/main.yaml:2:5 has the name \"/a.log\" too",
		"@/conf.d/d.yaml:2:1: \"include\" cannot stand in a file that is included itself, only in @/main.yaml");
}

static void what_an_alias_shares_grows_under_one_key_only(void **state)
{
	struct conf *c;

	(void)state;
	put("main.yaml", MAIN "spool: &empty {}\nmetrics: *empty\n");
	put("conf.d/a.yaml", "spool: { sync: full }\n");
	put("conf.d/b.yaml", "metrics: { listen: off }\nspool: { min_free: 2GiB }\n");
	c = load_good();
	assert_int_equal(c->spool.sync, CONF_SYNC_FULL);
	assert_int_equal(c->spool.min_free, (int64_t)2 << 30);
	conf_free(c);
}

static void a_name_without_a_pattern_must_be_there(void **state)
{
	(void)state;
	put("main.yaml", "include: [secret.yaml, conf.d]\n" BASE);
	REFUSED("@/main.yaml:1:11: \"include\": there is no \"@/secret.yaml\"; only a pattern (such as conf.d/*.yaml) may match "
		"nothing",
		"@/conf.d: cannot be read, and \"include\" names it: Is a directory");
}

static void a_file_that_anybody_may_write_is_refused(void **state)
{
	char path[80];

	(void)state;
	put("conf.d/a.yaml", MORE);
	snprintf(path, sizeof path, "%s/conf.d/a.yaml", dir);
	assert_int_equal(chmod(path, 0646), 0);
	REFUSED("@/conf.d/a.yaml: everybody may write this file, so it is not read; take the right away: chmod o-w");
}

static void a_file_of_another_user_is_refused(void **state)
{
	char path[80];

	(void)state;
	if (geteuid() != 0)
		skip();
	put("conf.d/a.yaml", MORE);
	snprintf(path, sizeof path, "%s/conf.d/a.yaml", dir);
	assert_int_equal(chown(path, 65534, 65534), 0);
	REFUSED("@/conf.d/a.yaml: this file belongs to user 65534, neither to root nor to the owner of the file that includes it, "
		"so it is not read; change that: chown root");
}

static void a_directory_that_others_may_write_is_refused(void **state)
{
	char path[80];

	(void)state;
	put("conf.d/a.yaml", MORE);
	snprintf(path, sizeof path, "%s/conf.d", dir);
	assert_int_equal(chmod(path, 01777), 0);
	REFUSED("@/conf.d/a.yaml: everybody may write its directory, so it is not read; take the right away: chmod o-w");
	assert_int_equal(chmod(path, 0755), 0);
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(path, 65534, 65534), 0);
	REFUSED("@/conf.d/a.yaml: its directory belongs to user 65534, neither to root nor to the owner of the file that includes "
		"it, so it is not read; change that: chown root");
}

static void a_link_is_read_once_and_one_to_nowhere_is_said(void **state)
{
	char path[80];
	struct conf *c;

	(void)state;
	put("conf.d/a.yaml", MORE);
	snprintf(path, sizeof path, "%s/conf.d/b.yaml", dir);
	assert_int_equal(symlink("a.yaml", path), 0);
	c = load_good();
	assert_int_equal(c->files.n, 2);
	conf_free(c);
	snprintf(path, sizeof path, "%s/conf.d/c.yaml", dir);
	assert_int_equal(symlink("nowhere.yaml", path), 0);
	REFUSED("@/conf.d/c.yaml: cannot be read, and \"include\" names it: No such file or directory");
}

static void what_is_no_yaml_or_too_much_is_said_at_its_file(void **state)
{
	char *zeros = mem_alloc(FILE_BYTES + 1), path[80];
	FILE *f;

	(void)state;
	memset(zeros, '#', FILE_BYTES);
	zeros[FILE_BYTES] = 0;
	put("conf.d/a.yaml", zeros);
	mem_free(zeros);
	snprintf(path, sizeof path, "%s/conf.d/b.yaml", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite("\x7f" "ELF\0\0\1", 1, 7, f), 7);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0644), 0);
	snprintf(path, sizeof path, "%s/conf.d/c.yaml", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	REFUSED("@/conf.d/a.yaml:1:1: larger than 1MiB", "@/conf.d/b.yaml:1:1: not YAML: control characters are not allowed",
		"@/conf.d/c.yaml: cannot be read, and \"include\" names it: it is no file");
}

static void put_many(int n)
{
	char name[40];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "conf.d/%03d.yaml", i);
		put(name, "# words\n");
	}
}

static void no_more_than_256_files_are_included(void **state)
{
	(void)state;
	put_many(256);
	conf_free(load_good());
	put("conf.d/more.yaml", "");
	REFUSED("@/main.yaml:6:11: \"include\" must not bring more than 256 files");
}

static atomic_bool enough;

static void *make_and_remove(void *path)
{
	while (!enough) {
		int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

		assert_true(fd >= 0);
		close(fd);
		unlink(path);
	}
	return NULL;
}

static void drop_ins_that_vanish_while_they_are_looked_for_are_no_fault(void **state)
{
	static char path[80];		/* of the other thread, too: it outlives a failure here */
	pthread_t thread;

	(void)state;
	put_many(200);		/* between the list of names and the last of them */
	snprintf(path, sizeof path, "%s/conf.d/last.yaml", dir);
	enough = false;
	assert_int_equal(pthread_create(&thread, NULL, make_and_remove, path), 0);
	for (int i = 0; i < 20; i++)		/* whatever the other thread does when */
		conf_free(load_good());
	enough = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_secret_in_a_drop_in_stays_one(void **state)
{
	struct secret s = secret_new("hush", 4);
	struct conf *c;

	(void)state;
	put("conf.d/a.yaml", "producer: { sasl.password: '${cred:secret}' }\n");
	c = load_good();
	assert_int_equal(c->producer_masked.n, 1);
	assert_string_equal(c->producer_masked.v[0], "sasl.password");
	conf_free(c);
	secret_free(&s);
}

static void text_in_memory_includes_nothing(void **state)
{
	struct conf *c;

	(void)state;
	c = good("include: ['/etc/*', /etc/passwd]\n" BASE);
	assert_int_equal(c->files.n, 1);
	assert_int_equal(c->include.n, 2);
	conf_free(c);
}

static void short_memory_leaves_nothing_behind(void **state)
{
	struct conf_problems p;
	struct conf *c;
	int rc = ERR_NOMEM;

	(void)state;
	put("conf.d/a.yaml", MORE "producer: { linger.ms: 7 }\n");
	for (long i = 1; rc == ERR_NOMEM && i < 2000; i++) {
		mem_fail_nth(i);
		rc = load_main(&c, &p);
		mem_fail_nth(0);
		conf_problems_release(&p);
	}
	assert_int_equal(rc, 0);
	conf_free(c);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(drop_ins_add_inputs_and_keys_in_the_order_of_their_names, set_up, tear_down),
	cmocka_unit_test_setup_teardown(a_drop_in_may_bring_all_that_is_needed, set_up, tear_down),
	cmocka_unit_test_setup_teardown(no_directory_an_empty_one_and_an_empty_file_are_fine, set_up, tear_down),
	cmocka_unit_test_setup_teardown(what_editors_leave_behind_is_not_read, set_up, tear_down),
	cmocka_unit_test_setup_teardown(the_file_itself_and_one_that_two_patterns_match_are_read_once, set_up, tear_down),
	cmocka_unit_test_setup_teardown(a_key_that_is_set_twice_names_both_places, set_up, tear_down),
	cmocka_unit_test_setup_teardown(problems_say_which_file_they_are_in_and_the_first_file_comes_first, set_up, tear_down),
	cmocka_unit_test_setup_teardown(what_an_alias_shares_grows_under_one_key_only, set_up, tear_down),
	cmocka_unit_test_setup_teardown(a_name_without_a_pattern_must_be_there, set_up, tear_down),
	cmocka_unit_test_setup_teardown(a_file_that_anybody_may_write_is_refused, set_up, tear_down),
	cmocka_unit_test_setup_teardown(a_file_of_another_user_is_refused, set_up, tear_down),
	cmocka_unit_test_setup_teardown(a_directory_that_others_may_write_is_refused, set_up, tear_down),
	cmocka_unit_test_setup_teardown(a_link_is_read_once_and_one_to_nowhere_is_said, set_up, tear_down),
	cmocka_unit_test_setup_teardown(what_is_no_yaml_or_too_much_is_said_at_its_file, set_up, tear_down),
	cmocka_unit_test_setup_teardown(no_more_than_256_files_are_included, set_up, tear_down),
	cmocka_unit_test_setup_teardown(drop_ins_that_vanish_while_they_are_looked_for_are_no_fault, set_up, tear_down),
	cmocka_unit_test_setup_teardown(a_secret_in_a_drop_in_stays_one, set_up, tear_down),
	cmocka_unit_test_setup_teardown(text_in_memory_includes_nothing, set_up, tear_down),
	cmocka_unit_test_setup_teardown(short_memory_leaves_nothing_behind, set_up, tear_down),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}
