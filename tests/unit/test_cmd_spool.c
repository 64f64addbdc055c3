/* test_cmd_spool.c - `spool export` and others against agents that answer in their own ways. */
#include "tests/lib/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/cmd/cli.h"

struct fixture {
	char dir[64], conf[96], socket[96];
	int listener;
	const char *const *answers;	/* one for each question, then NULL */
	pthread_t thread;
};

static void *agent(void *arg)
{
	struct fixture *f = arg;
	char question[128];

	for (size_t i = 0; f->answers[i]; i++) {
		int fd = accept(f->listener, NULL, NULL);

		if (fd < 0 || recv(fd, question, sizeof question, 0) <= 0 ||
		    send(fd, f->answers[i], strlen(f->answers[i]), MSG_NOSIGNAL) < 0)
			abort();
		close(fd);
	}
	return NULL;
}

static void open_agent(struct fixture *f, const char *const *answers)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	FILE *conf;

	*f = (struct fixture){ .dir = "/tmp/spillway-cmd-XXXXXX", .answers = answers };
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->conf, sizeof f->conf, "%s/c.yaml", f->dir);
	snprintf(f->socket, sizeof f->socket, "%s/s", f->dir);
	conf = fopen(f->conf, "w");
	assert_non_null(conf);
	fprintf(conf, "state_dir: %s\ncontrol: %s\ninputs: [{paths: [%s/*.log], topic: t}]\n"
		"producer: {bootstrap.servers: 'localhost:1'}\n", f->dir, f->socket, f->dir);
	assert_int_equal(fclose(conf), 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", f->socket);
	f->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(f->listener, 4), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, agent, f), 0);
}

/* Its exit code; what it printed is left in `out`. */
static int run_export(struct fixture *f, char *out, size_t n)
{
	char *words[] = { (char[]){ "export" } };
	struct options o = { .config = f->conf, .words = words, .word_count = 1, .rejected = true, .log_level = -1 };
	FILE *file = tmpfile();
	int saved = dup(1), rc;

	fflush(stdout);
	assert_true(saved >= 0 && file && dup2(fileno(file), 1) == 1);
	rc = cmd_spool(&o);
	fflush(stdout);
	assert_int_equal(dup2(saved, 1), 1);
	close(saved);
	rewind(file);
	out[fread(out, 1, n - 1, file)] = '\0';
	fclose(file);
	pthread_join(f->thread, NULL);
	close(f->listener);
	unlink(f->socket);
	unlink(f->conf);
	rmdir(f->dir);
	return rc;
}

static void pages_of_an_agent_are_put_together(void **state)
{
	const char *answers[] = { "5 0 1 1 1 0 8\n{\"a\":1}\n", "9 0 0 1 1 0 8\n{\"b\":2}\n", NULL };
	struct fixture f;
	char out[256];

	(void)state;
	open_agent(&f, answers);
	assert_int_equal(run_export(&f, out, sizeof out), 0);
	assert_string_equal(out, "{\"a\":1}\n{\"b\":2}\n");
}

/* People purge what they have exported. */
static void an_answer_that_breaks_off_is_no_good_export(void **state)
{
	const char *answers[] = { "5 0 1 1 1 0 8\n{\"a\":1}\n", "9 0 0 1 1 0 8\n{\"b", NULL };
	struct fixture f;
	char out[256];

	(void)state;
	open_agent(&f, answers);
	assert_int_equal(run_export(&f, out, sizeof out), EXIT_UNAVAILABLE);
}

static void what_an_agent_says_of_its_troubles_is_no_record(void **state)
{
	const char *answers[] = { "error: out of memory\n", NULL };
	struct fixture f;
	char out[256];

	(void)state;
	open_agent(&f, answers);
	assert_int_equal(run_export(&f, out, sizeof out), EXIT_UNAVAILABLE);
	assert_string_equal(out, "");
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_an_agent_are_put_together),
		cmocka_unit_test(an_answer_that_breaks_off_is_no_good_export),
		cmocka_unit_test(what_an_agent_says_of_its_troubles_is_no_record),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}
