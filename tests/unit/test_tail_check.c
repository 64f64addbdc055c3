/* test_tail_check.c - what `check` says of inputs: one line for each thing that may surprise. */
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/tail/tail.h"
#include "tests/lib/tree.h"

#define NOBODY 65534

static char root[64];

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/spillway-check-XXXXXX");
	return mkdtemp(root) && chmod(root, 0755) == 0 ? 0 : -1;
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

static void make_file(const char *name)
{
	int fd = open(at(name), O_CREAT | O_WRONLY, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static void make_link(const char *to, const char *name)
{
	char target[200];

	snprintf(target, sizeof target, "%s", at(to));
	assert_int_equal(symlink(target, at(name)), 0);
}

/* "@" stands for the directory. */
static char *with_root(const char *text)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (; *text; text++)
		buf_printf(&b, *text == '@' ? "%s" : "%.1s", *text == '@' ? root : text);
	return buf_detach(&b);
}

static int check(const char *inputs, struct buf *out)
{
	char *text = mem_printf("inputs:\n%sproducer: {bootstrap.servers: 'h:1'}\n", inputs), *whole = with_root(text);
	struct conf_problems p = { 0 };
	struct conf *c = NULL;
	int problems, warnings;

	if (conf_load_text("f.yaml", whole, strlen(whole), NULL, &c, &p) < 0)
		fail_msg("%s", p.v[0].text);
	buf_init(out, 1 << 20);
	problems = tail_check(c, out, &warnings);
	conf_free(c);
	mem_free(text);
	mem_free(whole);
	return problems;
}

/* Exactly these lines. */
static void says(const char *inputs, int problems, const char *want)
{
	char *text = with_root(want);
	struct buf out;
	int n = check(inputs, &out);

	assert_string_equal(out.data, text);
	assert_int_equal(n, problems);
	buf_release(&out);
	mem_free(text);
}

static void a_good_input_is_one_line_with_its_files(void **state)
{
	(void)state;
	make_file("/a.log");
	make_file("/b.log");
	make_file("/c.txt");
	says("  - {topic: t, name: n, paths: ['@/*.log', '@/a.*']}\n", 0, "ok:      input n: 2 files\n");
	says("  - {topic: t, name: n, paths: '@/{a,c}.*', exclude: '*.txt'}\n", 0, "ok:      input n: 1 file\n");
}

static void a_pattern_without_a_file_is_told_with_the_reason(void **state)
{
	(void)state;
	make_file("/a.log");
	make_file("/x.gz");
	make_link("/a.log", "/l.lnk");
	assert_int_equal(mkfifo(at("/p.fifo"), 0644), 0);
	says("  - {topic: t, name: n, paths: ['@/*.no', '@/*.gz', '@/*.lnk', '@/no/*/x.log', '@/{no,more}/a'], exclude: "
	    "'*.gz'}\n", 0,
	     "warning: input n: @/*.no: no file matches (yet)\n"
	     "warning: input n: @/*.gz: all that matches is excluded\n"
	     "warning: input n: @/*.lnk: only links match, and follow_symlinks is false: nothing is read\n"
	     "warning: input n: @/no/*/x.log: there is no directory @/no (yet)\n"
	     "warning: input n: @/no/a: there is no directory @/no (yet)\n"
	     "warning: input n: @/more/a: there is no directory @/more (yet)\n"
	     "warning: input n: @/l.lnk: a link, not read: follow_symlinks is false\n"
	     "ok:      input n: 0 files\n");
	says("  - {topic: t, name: n, paths: '@/p*'}\n", 0, "warning: input n: @/p.fifo: not a regular file, not read\n"
	     "ok:      input n: 0 files\n");
}

static void links_are_files_when_they_are_followed(void **state)
{
	(void)state;
	make_file("/a.log");
	make_link("/a.log", "/l.log");
	make_link("/gone", "/d.log");
	says("  - {topic: t, name: n, paths: '@/*.log', follow_symlinks: true}\n", 0,
	     "warning: input n: @/d.log: a link that leads nowhere now\nok:      input n: 1 file\n");
	says("  - {topic: t, name: n, paths: '@/a.log'}\n  - {topic: t, name: m, paths: '@/l.log', follow_symlinks: true}\n", 0,
	     "ok:      input n: 1 file\n"
	     "warning: input m: @/l.log: read by input n, which stands first\nok:      input m: 0 files\n");
}

static void a_file_of_two_inputs_belongs_to_the_first(void **state)
{
	char other[200];

	(void)state;
	make_file("/a.log");
	make_file("/b.log");
	make_file("/c.txt");
	says("  - {topic: t, name: n, paths: '@/*.log'}\n  - {topic: t, name: m, paths: '@/**'}\n", 0,
	     "ok:      input n: 2 files\n"
	     "warning: input m: @/a.log (and 1 more): read by input n, which stands first\n"
	     "ok:      input m: 1 file\n");
	snprintf(other, sizeof other, "%s", at("/c.txt"));
	assert_int_equal(link(other, at("/hard.log")), 0);
	says("  - {topic: t, name: n, paths: '@/hard.log'}\n  - {topic: t, name: m, paths: '@/c.txt'}\n", 0,
	     "ok:      input n: 1 file\n"
	     "warning: input m: @/c.txt: read by input n, which stands first\nok:      input m: 0 files\n");
}

static void old_and_compressed_files_are_told(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	(void)state;
	make_file("/a.log");
	make_file("/a.log.1");
	make_file("/a.log.2.gz");
	make_file("/a.log.3.zst");
	assert_int_equal(utimensat(AT_FDCWD, at("/a.log.1"), old, 0), 0);
	says("  - {topic: t, name: n, paths: '@/a.lo[g]', ignore_older: 1d}\n", 0, "ok:      input n: 1 file\n");
	says("  - {topic: t, name: n, paths: '@/a.log.1', ignore_older: 1d}\n", 0,
	     "warning: input n: @/a.log.1: older than ignore_older, not read until it is written to\nok:      input n: 1 file\n");
	says("  - {topic: t, name: n, paths: '@/a.log.2.gz'}\n", 0,
	     "warning: input n: @/a.log.2.gz: its name says that it is compressed: exclude it, or set compressed: true\n"
	     "ok:      input n: 1 file\n");
	says("  - {topic: t, name: n, paths: '@/*.{gz,zst}', compressed: true}\n", 0, "ok:      input n: 2 files\n");
}

static void what_cannot_be_read_is_a_problem_and_many_are_counted(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	for (int i = 0; i < 7; i++) {
		char name[20];

		snprintf(name, sizeof name, "/%d.log", i);
		make_file(name);
		assert_int_equal(chmod(at(name), 0), 0);
	}
	assert_int_equal(mkdir(at("/shut"), 0), 0);
	pid = fork();
	if (pid == 0) {				/* root could read all */
		struct buf out;
		char *line;
		int lines = 0;

		if (getuid() == 0 && setuid(NOBODY) < 0)
			_exit(10);
		if (check("  - {topic: t, name: n, paths: '@/*.log'}\n", &out) != 7)
			_exit(11);
		for (line = out.data; (line = strstr(line, ".log belongs to ")); line++)
			lines++;
		if (lines != 5 || !strstr(out.data, "error:   input n: and 2 more that cannot be read\n"
				     "ok:      input n: 7 files\n"))
			_exit(12);
		if (check("  - {topic: t, name: n, paths: ['@/shut/*.log', '@/shut/x/*.log']}\n", &out) != 2)
			_exit(13);
		_exit(strstr(out.data, "/shut: Permission denied: ") && strstr(out.data, "mode 0000: setfacl -m u:") &&
		      strstr(out.data, ":rx ") && strstr(out.data, "/shut/x: cannot be looked into") ? 0 : 14);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(chmod(at("/shut"), 0755), 0);
	assert_int_equal(status, 0);
}

static void inputs_without_files_say_what_they_take(void **state)
{
	(void)state;
	says("  - {topic: t, type: stdin}\n  - {topic: t, type: syslog, listen: 'udp:0.0.0.0:514'}\n"
	     "  - {topic: t, type: syslog, name: s, listen: 'unix:@/log'}\n  - {topic: t, type: syslog, name: x, listen: "
	     "'unix:@/no/log'}\n"
	     "  - {topic: t, type: journald}\n  - {topic: t, type: journald, name: j, units: [a.service, b.timer]}\n", 1,
	     "ok:      input stdin: reads stdin\n"
	     "ok:      input udp:0.0.0.0:514: listens for syslog on udp:0.0.0.0:514\n"
	     "ok:      input s: listens for syslog on unix:@/log\n"
	     "ok:      input x: listens for syslog on unix:@/no/log\n"
	     "error:   input x: @/no: there is no such directory for the socket\n"
	     "ok:      input journald: reads the journal, all of it\n"
	     "ok:      input j: reads the journal, only a.service, b.timer\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
	TEST(a_good_input_is_one_line_with_its_files),
	TEST(a_pattern_without_a_file_is_told_with_the_reason),
	TEST(links_are_files_when_they_are_followed),
	TEST(a_file_of_two_inputs_belongs_to_the_first),
	TEST(old_and_compressed_files_are_told),
	TEST(what_cannot_be_read_is_a_problem_and_many_are_counted),
	TEST(inputs_without_files_say_what_they_take),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}
