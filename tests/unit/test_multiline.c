/* test_multiline.c - which lines belong together: patterns, and traces as runtimes print them. */
#include "tests/lib/unit.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/pattern.h"
#include "agent/record/multiline.h"

static struct buf out;

static struct multiline *made(const char *spec)
{
	json_t *o = json_loads(spec, 0, NULL);
	struct multiline *m = NULL;
	struct err e = { .text = "" };

	if (multiline_new(o, &m, &e) < 0)
		fail_msg("%s", e.text);
	json_decref(o);
	return m;
}

/* The text's lines, a '|' at the beginning of each message, then '+' for a line that belongs to the one before. */
static const char *marks(const char *spec, const char *text)
{
	struct pattern_room *room = pattern_room_new();
	struct multiline *m = made(spec);
	unsigned state = 0;

	buf_clear(&out);
	for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
		int is = multiline_line(m, room, &state, text, (size_t)(end - text));

		if (is == MULTILINE_OTHER) {
			state = 0;
			is = multiline_line(m, room, &state, text, (size_t)(end - text));
			assert_in_range(is, MULTILINE_ALONE, MULTILINE_FIRST);
		}
		buf_puts(&out, is == MULTILINE_ALONE || is == MULTILINE_FIRST ? "|" : "+");
		if (is == MULTILINE_ALONE || is == MULTILINE_LAST)
			state = 0;
	}
	multiline_free(m);
	pattern_room_free(room);
	return out.data;
}

#define CHECK(spec, text, want) assert_string_equal(marks(spec, text), want)

static void start_alone_takes_all_lines_up_to_the_next(void **state)
{
	(void)state;
	CHECK("{\"start\":\"^\\\\d\"}", "orphan\norphan\n1 a\n b\nc\n2 d\n", "|+|++|");
}

static void continue_alone_takes_lines_that_match(void **state)
{
	(void)state;
	CHECK("{\"continue\":\"^\\\\s\"}", " a\nb\n c\n d\ne\nf\n", "||++||");
}

static void end_alone_takes_all_lines_up_to_it(void **state)
{
	(void)state;
	CHECK("{\"end\":\";$\"}", "a\nb;\nc;\nd\n", "|+||");
}

static void start_and_continue_leave_other_lines_alone(void **state)
{
	(void)state;
	CHECK("{\"start\":\"^S\",\"continue\":\"^ \"}", "x\ny\nS\n a\nx\n b\n c\nS\nS\n", "|||+||+||");
}

static void start_and_end_leave_what_is_outside_alone(void **state)
{
	(void)state;
	CHECK("{\"start\":\"^S\",\"end\":\"E$\"}", "x\ny\nS\na\nE\nx\nS\nS\nb\nSE\nz\n", "|||++|||+||");
}

static void continue_and_end_take_what_matches_either(void **state)
{
	(void)state;
	CHECK("{\"continue\":\"^ \",\"end\":\"E$\"}", "a\n b\nE\n c\nx\nE\nE\n", "|++||+|");
}

static void all_three_take_start_first(void **state)
{
	(void)state;
	CHECK("{\"start\":\"^S\",\"continue\":\"^ \",\"end\":\"E$\"}", "S\n a\nE\nS\n a\nSE\nx\nS\n b\nx\n", "|++|+|||+|");
}

/* Without limits the first ones take longer than anyone waits for a line of 60 characters, the others for a long one. */
static void no_pattern_hangs(void **state)
{
	static const char *const specs[] = {
		"{\"start\":\"^(a+)+$\"}", "{\"start\":\"^(?:a|a?)+$\"}", "{\"end\":\"^(?:a?){60}a{60}$\"}",
		"{\"continue\":\"^(.*a){25}$\"}",
		"{\"start\":\"(a|aa)+[bc]\"}", "{\"end\":\"(.*)*(.*)*(.*)*x\"}", "{\"end\":\"a*[bc]\"}",
		"{\"preset\":\"java\"}", "{\"preset\":\"go\"}",
	};
	char *text = malloc(65536);

	(void)state;
	memset(text, 'a', 65536);
	memcpy(text + 60, "!\n", 2);
	memcpy(text + 65533, "!\n", 3);
	for (size_t i = 0; i < COUNT(specs); i++)
		assert_true(marks(specs[i], text)[0] == '|');		/* the alarm of test_main is the limit */
	free(text);
}

static void what_is_no_rule_is_refused_with_words(void **state)
{
	static const struct { const char *spec, *word; } rows[] = {
		{ "{}", "preset" }, { "{\"preset\":\"cobol\"}", "cobol" },
		{ "{\"start\":\"(\"}", "start" }, { "{\"end\":\"a{2,1}\"}", "end" },
		{ "{\"continue\":\"[\"}", "character" }, { "{\"max_lines\":3}", "start" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		json_t *o = json_loads(rows[i].spec, 0, NULL);
		struct multiline *m;
		struct err e;

		assert_int_equal(multiline_new(o, &m, &e), ERR_CONFIG);
		assert_non_null(strstr(e.text, rows[i].word));
		json_decref(o);
	}
}

/* --- traces --- */

#define JAVA "{\"preset\":\"java\"}"
#define PYTHON "{\"preset\":\"python\"}"
#define GO "{\"preset\":\"go\"}"
#define RUBY "{\"preset\":\"ruby\"}"
#define DOTNET "{\"preset\":\"dotnet\"}"

static void java_traces_stay_together_with_their_causes(void **state)
{
	(void)state;
	CHECK(JAVA,
	      "2026-11-21 09:00:00 INFO starting\n"
	      "Exception in thread \"main\" java.lang.IllegalStateException: A book has a null property\n"
	      "\tat com.example.myproject.Author.getBookIds(Author.java:38)\n"
	      "\tat com.example.myproject.Bootstrap.main(Bootstrap.java:14)\n"
	      "\tSuppressed: java.io.IOException: close failed\n"
	      "\t\tat com.example.R.close(R.java:3)\n"
	      "\t\t... 2 more\n"
	      "Caused by: java.lang.NullPointerException\n"
	      "\tat com.example.myproject.Book.getId(Book.java:22)\n"
	      "\tat com.example.myproject.Author.getBookIds(Author.java:35) ~[app.jar:1.0]\n"
	      "\t... 1 more\n"
	      "2026-11-21 09:00:01 INFO going on\n"
	      "2026-11-21 09:00:02 INFO and on\n", "||+++++++++||");
	CHECK(JAVA,
	      "org.postgresql.util.PSQLException: ERROR: duplicate key value\n"
	      "  Detail: Key (id)=(1) already exists.\n"
	      "\tat org.postgresql.core.v3.QueryExecutorImpl.receive(QueryExecutorImpl.java:2713)\n"
	      "\t... 33 common frames omitted\n"
	      "java.util.concurrent.TimeoutException\n"
	      "\tat java.base/java.util.concurrent.FutureTask.get(FutureTask.java:204)\n", "|+++|+");
	CHECK(JAVA,
	      "org.springframework.X: could not; nested exception is:\n"
	      "java.lang.RuntimeException: javax.mail.SendFailedException: Invalid Addresses;\n"
	      "  nested exception is:\n"
	      "com.sun.mail.smtp.SMTPAddressFailedException: 550 5.7.1\n"
	      "\tat com.sun.mail.smtp.X.y(X.java:1)\n", "||+++");
	CHECK(JAVA,
	      "\"main\" #1 prio=5 os_prio=0 tid=0x00007f nid=0x1 waiting on condition\n"
	      "   java.lang.Thread.State: TIMED_WAITING (sleeping)\n"
	      "\tat java.lang.Thread.sleep(Native Method)\n"
	      "\t- locked <0x000000076ab> (a java.lang.Object)\n"
	      "plain\n", "|+++|");
}

static void what_is_left_of_a_java_trace_stays_together(void **state)
{
	(void)state;
	CHECK(JAVA, "\tat a.B.c(B.java:1)\n\tat a.B.d(B.java:2)\nCaused by: a.Oops: x\n\tat a.B.c(B.java:1)\n", "|+++");
}

static void python_traces_stay_together_with_what_they_came_from(void **state)
{
	(void)state;
	CHECK(PYTHON,
	      "ERROR:root:it failed\n"
	      "Traceback (most recent call last):\n"
	      "  File \"/srv/app.py\", line 3, in f\n"
	      "    return d[\"k\"]\n"
	      "           ~^^^^^\n"
	      "KeyError: 'k'\n"
	      "\n"
	      "During handling of the above exception, another exception occurred:\n"
	      "\n"
	      "Traceback (most recent call last):\n"
	      "  File \"/srv/app.py\", line 9, in <module>\n"
	      "    main()\n"
	      "  File \"/srv/app.py\", line 6, in main\n"
	      "    raise ValueError(\"bad\") from e\n"
	      "ValueError: bad\n"
	      "INFO:root:going on\n", "||+++++++++++++|");
	CHECK(PYTHON,
	      "Traceback (most recent call last):\n"
	      "  File \"<stdin>\", line 1, in <module>\n"
	      "KeyboardInterrupt\n"
	      "Traceback (most recent call last):\n"
	      "  File \"<stdin>\", line 1, in <module>\n"
	      "django.db.utils.OperationalError: no\n"
	      "  with a note\n"
	      "2026 x\n", "|++|+++|");
	CHECK(PYTHON,
	      "  + Exception Group Traceback (most recent call last):\n"
	      "  |   File \"g.py\", line 4, in <module>\n"
	      "  |     raise ExceptionGroup(\"eg\", [ValueError(1), TypeError(2)])\n"
	      "  | ExceptionGroup: eg (2 sub-exceptions)\n"
	      "  +-+---------------- 1 ----------------\n"
	      "    | ValueError: 1\n"
	      "    +---------------- 2 ----------------\n"
	      "    | TypeError: 2\n"
	      "    +------------------------------------\n"
	      "INFO:root:x\n", "|++++++++|");
}

static void go_panics_stay_together_with_their_goroutines(void **state)
{
	(void)state;
	CHECK(GO,
	      "2026/11/21 09:00:00 starting\n"
	      "panic: runtime error: invalid memory address or nil pointer dereference [recovered]\n"
	      "\tpanic: again\n"
	      "[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x47f1a2]\n"
	      "\n"
	      "goroutine 1 [running]:\n"
	      "panic({0x4a5b60?, 0x4e4c90?})\n"
	      "\t/usr/local/go/src/runtime/panic.go:884 +0x213\n"
	      "main.(*T).do(0xc000012345, {0x1, 0x2})\n"
	      "\t/srv/main.go:9 +0x1d\n"
	      "main.main()\n"
	      "\t/srv/main.go:5 +0x17\n"
	      "\n"
	      "goroutine 7 [chan receive, 5 minutes]:\n"
	      "github.com/foo/bar%2ev1.Map[...](...)\n"
	      "\t/srv/bar.go:10\n"
	      "created by net/http.(*Server).Serve in goroutine 1\n"
	      "\t/usr/local/go/src/net/http/server.go:3086 +0x5cb\n"
	      "exit status 2\n"
	      "2026/11/21 09:00:01 starting\n", "||+++++++++++++++++|");
	CHECK(GO,
	      "fatal error: all goroutines are asleep - deadlock!\n"
	      "\n"
	      "goroutine 1 [chan receive]:\n"
	      "main.main()\n"
	      "\t/tmp/x.go:4 +0x4d\n"
	      "level=info msg=plain\n", "|++++|");
	CHECK(GO,
	      "2026/11/21 09:00:00 http: panic serving 127.0.0.1:1234: boom\n"
	      "goroutine 19 [running]:\n"
	      "net/http.(*conn).serve.func1()\n"
	      "\t/usr/local/go/src/net/http/server.go:1850 +0xbf\n"
	      "2026/11/21 09:00:01 plain\n", "|+++|");
	CHECK(GO,
	      "SIGQUIT: quit\n"
	      "PC=0x46e1e1 m=0 sigcode=0\n"
	      "\n"
	      "goroutine 0 gp=0x5a [idle]:\n"
	      "runtime.futex()\n"
	      "\t/usr/local/go/src/runtime/sys_linux_amd64.s:557 +0x21 fp=0x7ffd\n"
	      "\n"
	      "rax    0xca\n"
	      "rflags 0x246\n"
	      "cs     0x33\n", "|+++++++++");
}

static void ruby_errors_stay_together_with_their_causes(void **state)
{
	(void)state;
	CHECK(RUBY,
	      "I, [2026-11-21T09:00:00 #1]  INFO -- : up\n"
	      "t.rb:6:in `rescue in b': outer (RuntimeError)\n"
	      "\tfrom t.rb:3:in `b'\n"
	      "\tfrom t.rb:9:in `<main>'\n"
	      "t.rb:2:in 'Integer#/': divided by 0 (ZeroDivisionError)\n"
	      "\tfrom t.rb:4:in 'Object#b'\n"
	      "I, [2026-11-21T09:00:01 #1]  INFO -- : on\n", "||++++|");
	CHECK(RUBY,
	      "ActiveRecord::RecordNotFound (Couldn't find User with 'id'=1):\n"
	      "  \n"
	      "app/controllers/users_controller.rb:3:in `show'\n"
	      "config/initializers/x.rb:8:in `call'\n"
	      "Started GET\n", "|+++|");
	CHECK(RUBY,
	      "Traceback (most recent call last):\n"
	      "\t2: from t.rb:7:in `<main>'\n"
	      "\t1: from t.rb:4:in `a'\n"
	      "t.rb:2:in `b': no (RuntimeError)\n"
	      "x\n", "|+++|");
}

static void dotnet_exceptions_stay_together_with_inner_ones(void **state)
{
	(void)state;
	CHECK(DOTNET,
	      "info: Microsoft.Hosting.Lifetime[0]\n"
	      "Unhandled exception. System.InvalidOperationException: outer\n"
	      " ---> System.ArgumentNullException: Value cannot be null. (Parameter 'x')\n"
	      "   at App.Inner(String x) in /src/App.cs:line 20\n"
	      "   --- End of inner exception stack trace ---\n"
	      "   at App.Main(String[] args) in /src/App.cs:line 9\n"
	      "--- End of stack trace from previous location ---\n"
	      "   at App.<RunAsync>d__3.MoveNext()\n"
	      "plain\n"
	      "plain\n", "||++++++||");
	CHECK(DOTNET,
	      "System.AggregateException: One or more errors occurred. (a) (b)\n"
	      " ---> System.Exception: a\n"
	      "   at App.A()\n"
	      "   --- End of inner exception stack trace ---\n"
	      "   at App.Main()\n"
	      " ---> (Inner Exception #1) System.Exception: b\n"
	      "   at App.B()<---\n"
	      "\n"
	      " ---> (Inner Exception #2) System.Exception: c<---\n"
	      "\n"
	      "plain\n", "|+++++++++|");
}

static void lines_that_are_no_trace_are_messages_at_once(void **state)
{
	static const char *const specs[] = { JAVA, PYTHON, GO, RUBY, DOTNET };
	static const char text[] = "GET /index.html 200\n{\"level\":\"info\"}\n\n"
				   "2026-11-21 INFO x: y\n127.0.0.1 - - [x] \"GET\" 200 12\n";
	struct pattern_room *room = pattern_room_new();

	(void)state;
	for (size_t i = 0; i < COUNT(specs); i++) {
		struct multiline *m = made(specs[i]);

		for (const char *p = text, *end; (end = strchr(p, '\n')); p = end + 1) {
			unsigned none = 0;

			assert_int_equal(multiline_line(m, room, &none, p, (size_t)(end - p)), MULTILINE_ALONE);
		}
		multiline_free(m);
	}
	pattern_room_free(room);
}

static int setup(void **state)
{
	(void)state;
	buf_init(&out, 1 << 20);
	buf_puts(&out, "");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_release(&out);
	return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(start_alone_takes_all_lines_up_to_the_next),
	T(continue_alone_takes_lines_that_match),
	T(end_alone_takes_all_lines_up_to_it),
	T(start_and_continue_leave_other_lines_alone),
	T(start_and_end_leave_what_is_outside_alone),
	T(continue_and_end_take_what_matches_either),
	T(all_three_take_start_first),
	T(no_pattern_hangs),
	T(what_is_no_rule_is_refused_with_words),
	T(java_traces_stay_together_with_their_causes),
	T(what_is_left_of_a_java_trace_stays_together),
	T(python_traces_stay_together_with_what_they_came_from),
	T(go_panics_stay_together_with_their_goroutines),
	T(ruby_errors_stay_together_with_their_causes),
	T(dotnet_exceptions_stay_together_with_inner_ones),
	T(lines_that_are_no_trace_are_messages_at_once),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }
