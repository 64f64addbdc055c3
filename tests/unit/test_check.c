/* test_check.c - what `check` reads of logrotate's configuration, what it says of a rotation that loses lines, and what it finds in
 * the place where the agent lives. Lines go to standard output; here they are counted, scenario offline.py reads them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/mem.h"
#include "agent/cmd/check.h"
#include "agent/cmd/logrotate.h"
#include "producer/config.h"
#include "tests/lib/tree.h"
#include "tests/lib/unit.h"

static char root[64];

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/spillway-check-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return tree_remove(root);
}

static const char *at(const char *name)
{
	static char path[200];

	snprintf(path, sizeof path, "%s%s", root, name);
	return path;
}

/* "@" stands for the directory. */
static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "we");

	assert_non_null(f);
	for (; *text; text++)
		if (*text == '@')
			fputs(root, f);
		else
			fputc(*text, f);
	assert_int_equal(fclose(f), 0);
}

/* --- logrotate's configuration --- */

static void note(void *arg, const struct logrotate_rule *r)
{
	buf_printf(arg, "%d", r->line);
	for (size_t i = 0; i < r->path_count; i++)
		buf_printf(arg, " %s", !strncmp(r->paths[i], root, strlen(root)) ? r->paths[i] + strlen(root) : r->paths[i]);
	buf_printf(arg, "%s%s%s%s%s;", r->copytruncate ? " copytruncate" : "", r->compress ? " compress" : "",
		   r->delaycompress ? " delay" : "", r->olddir[0] ? " olddir " : "", r->olddir);
}

static void says(const char *want)
{
	struct buf out;

	buf_init(&out, 10000);
	buf_puts(&out, "");
	logrotate_read(at("/logrotate.conf"), note, &out);
	assert_string_equal(out.data ? out.data : "", want);
	buf_release(&out);
}

static void rules_have_their_paths_and_the_defaults_before_them(void **state)
{
	(void)state;
	write_file("/logrotate.conf", "weekly\n# copytruncate\ncompress\n/a.log {\n\tcopytruncate # words\n}\nnocompress\n"
		   "/b.log \"/with blank.log\"\n'/c'\n{\n\tolddir /old\n\tdelaycompress\n}\n/d{\n}\n");
	says("4 /a.log copytruncate compress;8 /b.log /with blank.log /c delay olddir /old;14 /d;");
}

static void scripts_are_not_taken_for_directives(void **state)
{
	(void)state;
	write_file("/logrotate.conf", "/a.log {\n\tpostrotate\n\t\tcopytruncate\n"
		   "\t\tif x; then {\n\t\t}\n\tendscript\n\tcompress\n}\n");
	says("1 /a.log compress;");
}

static void directories_are_included_and_their_defaults_stay_in_them(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("/d"), 0755), 0);
	write_file("/logrotate.conf", "compress\ninclude @/d\n/z {\n}\n");
	write_file("/d/a", "copytruncate\n/a {\n}\n");
	write_file("/d/b", "/b {\n}\n");
	write_file("/d/c.dpkg-old", "/c {\n}\n");
	write_file("/d/d", "include @/logrotate.conf\n/d {\n");		/* a circle, and a rule without an end */
	says("2 /a copytruncate compress;1 /b compress;3 /z compress;");
}

static void a_rule_may_stand_on_one_line_and_directives_share_one(void **state)
{
	(void)state;
	write_file("/logrotate.conf", "/a.log { copytruncate }\n/b.log{ compress delaycompress\n}\n"
		   "/c.log {\n\tweekly copytruncate # nocopytruncate\n\tcompress }\n/d=1,2.log\n# {\n{\n}\n");
	says("1 /a.log copytruncate;2 /b.log compress delay;4 /c.log copytruncate compress;7 /d=1,2.log;");
}

static void blanks_in_paths_may_be_escaped(void **state)
{
	(void)state;
	write_file("/logrotate.conf", "/a\\ b '/c \"d\"' \"/e\\\"f\" /x\" y\"z {\n}\n");
	says("1 /a b /c \"d\" /e\"f /x yz;");
}

static void the_taboo_list_can_be_added_to_and_replaced(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("/d"), 0755), 0);
	write_file("/d/a.mine", "/mine {\n}\n");
	write_file("/d/b.off", "/off {\n}\n");
	write_file("/d/c.bak", "/bak {\n}\n");
	write_file("/logrotate.conf", "include @/d\n");
	says("1 /mine;1 /off;");
	write_file("/logrotate.conf", "tabooext + .mine, .off\ninclude @/d\n");
	says("");
	write_file("/logrotate.conf", "taboopat a.* *.off\ninclude @/d\n");
	says("1 /bak;");
}

static void a_fifo_is_not_waited_for(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(at("/fifo"), 0600), 0);
	write_file("/logrotate.conf", "include @/fifo\n/a {\n}\n");
	says("2 /a;");
}

static void what_is_not_there_says_nothing(void **state)
{
	(void)state;
	says("");
	write_file("/logrotate.conf", "include /no/such\n{\n}\n} {\n\"\n");
	says("");
}

/* --- findings --- */

static struct check checked(const char *text, struct loaded *l, void (*look)(struct check *c))
{
	struct check c = { .conf = l, .uid = getuid() };
	struct buf problems;

	write_file("/spillway.yaml", text);
	buf_init(&problems, 10000);
	if (load_conf(at("/spillway.yaml"), l, &problems) < 0)
		fail_msg("%s", problems.data);
	buf_release(&problems);
	look(&c);
	loaded_release(l);
	return c;
}

static void look_at_rotation(struct check *c)
{
	check_rotation(c, at("/logrotate.conf"));
}

#define CONF(paths) "state_dir: @/state\nspool: {max_size: 1MiB, min_free: 0}\ninputs: [{topic: t, paths: [" paths "]}]\n" \
	"producer: {bootstrap.servers: 'h:1'}\n"

static void copytruncate_of_a_file_that_is_read_is_a_warning(void **state)
{
	struct loaded l = { 0 };

	(void)state;
	write_file("/a.log", "");
	write_file("/logrotate.conf", "@/*.log {\n\tcopytruncate\n}\n");
	assert_int_equal(checked(CONF("@/a.log"), &l, look_at_rotation).warnings, 1);
	assert_int_equal(checked(CONF("@/b.txt"), &l, look_at_rotation).warnings, 0);
	write_file("/logrotate.conf", "@/*.log {\n\tcopytruncate\n\tnocopytruncate\n\tcreate\n}\n");
	assert_int_equal(checked(CONF("@/a.log"), &l, look_at_rotation).warnings, 0);
}

static void a_path_without_a_file_yet_counts_too(void **state)
{
	struct loaded l = { 0 };

	(void)state;
	write_file("/logrotate.conf", "@/later.log {\n\tcopytruncate\n}\n");
	assert_int_equal(checked(CONF("@/*.log"), &l, look_at_rotation).warnings, 1);
}

static void good_place_has_no_warning_and_an_open_state_directory_has_one(void **state)
{
	struct loaded l = { 0 };

	(void)state;
	assert_int_equal(mkdir(at("/state"), 0700), 0);
	assert_int_equal(checked(CONF("@/*.log"), &l, check_place).warnings, 0);
	assert_int_equal(chmod(at("/state"), 0755), 0);
	assert_int_equal(checked(CONF("@/*.log"), &l, check_place).warnings, 1);
}

static void more_spool_than_there_is_room_for_is_a_warning(void **state)
{
	static const char text[] = "state_dir: @/state\nspool: {max_size: 9000000GiB, min_free: 0}\n"
		"inputs: [{topic: t, paths: [@/x]}]\nproducer: {bootstrap.servers: 'h:1'}\n";
	struct loaded l = { 0 };

	(void)state;
	assert_int_equal(checked(text, &l, check_place).warnings, 1);
}

static void secrets_that_others_read_are_warnings(void **state)
{
	static const char open_[] = CONF("@/x") "#  sasl.password: x\n", mentioned[] =
		"state_dir: @/state\nspool: {max_size: 1MiB, min_free: 0}\ninputs: [{topic: t, paths: [@/x]}]\n"
		"producer:\n  bootstrap.servers: h:1\n  security.protocol: SASL_PLAINTEXT\n  sasl.mechanism: PLAIN\n"
		"  sasl.username: u\n  sasl.password: ${file:@/password}\n";
	static const char inlined[] =
		"state_dir: @/state\nspool: {max_size: 1MiB, min_free: 0}\ninputs: [{topic: t, paths: [@/x]}]\n"
		"producer:\n  bootstrap.servers: h:1\n  security.protocol: SASL_PLAINTEXT\n  sasl.mechanism: PLAIN\n"
		"  sasl.username: u\n  sasl.password: secret\n";
	static const char included[] =
		"state_dir: @/state\nspool: {max_size: 1MiB, min_free: 0}\ninputs: [{topic: t, paths: [@/x]}]\ninclude: more.yaml\n"
		"producer:\n  bootstrap.servers: h:1\n  security.protocol: SASL_PLAINTEXT\n  sasl.mechanism: PLAIN\n"
		"  sasl.username: u\n";
	struct loaded l = { 0 };

	(void)state;
	umask(022);
	write_file("/password", "secret\n");
	assert_int_equal(checked(open_, &l, check_place).warnings, 0);
	assert_int_equal(checked(mentioned, &l, check_place).warnings, 1);
	assert_int_equal(chmod(at("/password"), 0600), 0);
	assert_int_equal(checked(mentioned, &l, check_place).warnings, 0);
	assert_int_equal(checked(inlined, &l, check_place).warnings, 1);
	write_file("/more.yaml", "producer:\n  sasl.password: secret\n");
	assert_int_equal(checked(included, &l, check_place).warnings, 1);
	assert_int_equal(chmod(at("/more.yaml"), 0600), 0);
	assert_int_equal(checked(included, &l, check_place).warnings, 0);
}

static void secrets_in_files_that_are_included_are_warnings_too(void **state)
{
	static const char main_[] = "state_dir: @/state\nspool: {max_size: 1MiB, min_free: 0}\ninclude: 'd/*.yaml'\n"
		"producer: {bootstrap.servers: 'h:1', security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, "
		"sasl.username: u}\n";
	struct loaded l = { 0 };

	(void)state;
	umask(022);
	assert_int_equal(mkdir(at("/d"), 0755), 0);
	write_file("/password", "secret\n");
	write_file("/d/a.yaml", "inputs: [{topic: t, paths: [@/x]}]\n");
	write_file("/d/b.yaml", "producer: {client.id: x, 'sasl.password': 'secret'}\n");
	assert_int_equal(checked(main_, &l, check_place).warnings, 1);
	assert_int_equal(chmod(at("/d/b.yaml"), 0600), 0);
	assert_int_equal(checked(main_, &l, check_place).warnings, 0);
	write_file("/d/b.yaml", "producer: {sasl.password: '${file:@/password}'}\n");
	assert_int_equal(checked(main_, &l, check_place).warnings, 1);
}

static void metrics_for_everybody_are_a_warning(void **state)
{
	static const struct { const char *listen; unsigned warnings; } rows[] = {
		{ "127.0.0.1:9845", 0 }, { "'[::1]:9845'", 0 }, { "unix:/run/x", 0 }, { "'off'", 0 },
		{ "0.0.0.0:9845", 1 }, { "'[::]:9845'", 1 }, { "10.1.2.3:9845", 1 },
	};
	struct loaded l = { 0 };
	char text[500];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(text, sizeof text, CONF("@/x") "metrics: {listen: %s}\n", rows[i].listen);
		assert_int_equal(checked(text, &l, check_place).warnings, rows[i].warnings);
	}
}

static void lines_of_one_kind_are_counted_and_the_first_error_decides(void **state)
{
	struct check c = { 0 };

	(void)state;
	check_ok(&c, "a", "b");
	check_warn(&c, "a", "%d\n", 1);
	assert_int_equal(c.exit_code, 0);
	check_error(&c, EXIT_UNAVAILABLE, "a", "b");
	check_error(&c, EXIT_PERMISSION, "a", "b");
	assert_int_equal(c.exit_code, EXIT_UNAVAILABLE);
	assert_int_equal(c.errors, 2);
	assert_int_equal(c.warnings, 1);
}

#define IN_TREE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		IN_TREE(rules_have_their_paths_and_the_defaults_before_them),
		IN_TREE(scripts_are_not_taken_for_directives),
		IN_TREE(directories_are_included_and_their_defaults_stay_in_them),
		IN_TREE(a_rule_may_stand_on_one_line_and_directives_share_one),
		IN_TREE(blanks_in_paths_may_be_escaped),
		IN_TREE(the_taboo_list_can_be_added_to_and_replaced),
		IN_TREE(a_fifo_is_not_waited_for),
		IN_TREE(what_is_not_there_says_nothing),
		IN_TREE(copytruncate_of_a_file_that_is_read_is_a_warning),
		IN_TREE(a_path_without_a_file_yet_counts_too),
		IN_TREE(good_place_has_no_warning_and_an_open_state_directory_has_one),
		IN_TREE(more_spool_than_there_is_room_for_is_a_warning),
		IN_TREE(secrets_that_others_read_are_warnings),
		IN_TREE(secrets_in_files_that_are_included_are_warnings_too),
		IN_TREE(metrics_for_everybody_are_a_warning),
		cmocka_unit_test(lines_of_one_kind_are_counted_and_the_first_error_decides),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}
