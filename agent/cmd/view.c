/* view.c - see view.h.
 *
 * How it is drawn: over what is there, each line erased to its end, then everything below. So nothing flickers, and what was seen
 * last stays when it ends. A pipe or a terminal that cannot do that gets one picture after the other.
 * Threads: main, the only one.
 * Failure: while no agent answers, that is said, and for how long; whatever waiting does not mend (a forbidden socket) ends it.
 */
#define _GNU_SOURCE	/* ppoll */
#include "agent/cmd/view.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/cmd/cli.h"
#include "agent/control.h"
#include "agent/words.h"

#define EVERY_MS 1000
/* The cursor would jump about, and lines longer than the screen would move what is below. */
#define ENTER "\033[?25l\033[?7l\033[2J"
#define LEAVE "\033[?7h\033[?25h\n"

static bool screen;		/* drawn upon; set before signals are caught */

static bool is_screen(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

static void terminal_size(unsigned *width, unsigned *height)
{
	struct winsize w;

	*width = *height = 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0) {
		*width = w.ws_col;
		*height = w.ws_row;
	}
}

void view_of_stdout(struct status_view *ret, bool all)
{
	const char *no_color = getenv("NO_COLOR");
	unsigned height;

	*ret = (struct status_view){ .all = all, .color = is_screen() && !(no_color && *no_color) };
	terminal_size(&ret->width, &height);
}

void view_question(char question[VIEW_QUESTION_MAX], bool all)
{
	struct status_view v;

	view_of_stdout(&v, all);
	snprintf(question, VIEW_QUESTION_MAX, "status text width=%u%s%s", v.width, v.color ? " color" : "", all ? " all" : "");
}

int view_ask(const char *control, const char *question, struct buf *out, struct err *ret_err)
{
	static const char plain[] = "status text";
	int rc = control_ask(control, question, out, ret_err);

	if (rc < 0 || strncmp(question, plain, sizeof plain - 1) || out->len < 6 || memcmp(out->data, "error:", 6))
		return rc;
	buf_clear(out);
	return control_ask(control, plain, out, ret_err);
}

/* --- again and again --- */

/* Ends it wherever it is, also while an agent that hangs is waited for. There is nothing to clean but the terminal. */
static void on_end(int number)
{
	static const char cursor[] = LEAVE;

	(void)number;
	if (screen)
		(void)!write(STDOUT_FILENO, cursor, sizeof cursor - 1);
	_exit(EXIT_GOOD);
}

static void on_resize(int number)
{
	(void)number;			/* only cuts the waiting short */
}

/* A resize is only taken while waiting: an agent that is being asked is not to be cut short. */
static void catch_signals(void)
{
	struct sigaction end = { .sa_handler = on_end }, resize = { .sa_handler = on_resize };
	sigset_t held;

	sigemptyset(&end.sa_mask);
	sigemptyset(&resize.sa_mask);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGWINCH, &resize, NULL);
	sigemptyset(&held);
	sigaddset(&held, SIGWINCH);
	sigprocmask(SIG_BLOCK, &held, NULL);
}

/* What does not fit is left out, and that is said in the last line. */
static void draw(const char *text, size_t len, unsigned height)
{
	unsigned lines = 0, left = 0;
	const char *end = text + len;

	for (const char *p = text; p < end; p++)
		left += *p == '\n';
	fputs("\033[H", stdout);
	for (const char *p = text; p < end; lines++, left--) {
		size_t n = (size_t)(end - p);
		const char *lf = memchr(p, '\n', n);

		if (height > 1 && lines + 2 > height && left > 1) {
			printf("... %u more lines", left);
			break;
		}
		fwrite(p, 1, lf ? (size_t)(lf - p) : n, stdout);
		/* No line feed in the screen's last line: it would scroll. */
		fputs(lines + 1 == height ? "\033[K" : "\033[K\n", stdout);
		p = lf ? lf + 1 : end;
	}
	fputs("\033[K\033[J", stdout);
}

static void show(const struct buf *out)
{
	unsigned width, height;

	terminal_size(&width, &height);
	if (screen)
		draw(out->data, out->len, height);
	else
		fwrite(out->data, 1, out->len, stdout);
	fflush(stdout);
}

/* On a screen again each time; else once, and beside JSON on stderr. */
static void say_away(struct buf *out, const struct err *e, int64_t away_ms, bool first, bool json)
{
	char since[WORDS_MAX];

	if (!screen && !first)
		return;
	buf_clear(out);
	buf_puts(out, "no agent answers");
	if (screen)
		buf_printf(out, " for %s", words_time(since, (double)(clock_mono_ms() - away_ms) / 1000));
	buf_puts(out, ", waiting for one: ");
	words_put(out, e->text);
	buf_puts(out, "\n");
	if (json)
		fwrite(out->data, 1, out->len, stderr);
	else
		show(out);
}

/* Returns when to be here again: a second later, or than the resize that cut it short. */
static int64_t wait_until(int64_t ms)
{
	int64_t now = clock_mono_ms(), left = ms - now;
	struct timespec t = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
	sigset_t none;

	if (left <= 0)
		return now + EVERY_MS;
	sigemptyset(&none);
	return ppoll(NULL, 0, &t, &none) < 0 ? clock_mono_ms() + EVERY_MS : ms + EVERY_MS;
}

static bool is_passing(int rc)
{
	return rc >= 0 || rc == ERR_NOT_FOUND || rc == ERR_UNAVAILABLE || rc == ERR_IO || rc == -EAGAIN;
}

/* Until it ends by a signal, or by an error that waiting does not mend. */
static int watch(const char *control, bool json, bool all, struct buf *out, struct err *e)
{
	char question[VIEW_QUESTION_MAX] = "status json";
	int64_t away_ms = 0, next = clock_mono_ms() + EVERY_MS;
	int rc;

	for (;;) {
		if (!json)
			view_question(question, all);
		buf_clear(out);
		rc = view_ask(control, question, out, e);
		if (!is_passing(rc))
			return rc;
		if (rc >= 0) {
			away_ms = 0;
			show(out);
		} else {
			bool first = !away_ms;

			away_ms = first ? clock_mono_ms() : away_ms;
			say_away(out, e, away_ms, first, json);
		}
		if (ferror(stdout))
			return err_set(e, ERR_IO, "cannot write to stdout");
		next = wait_until(next);
	}
}

int view_watch(const char *control, bool json, bool all)
{
	struct buf out;
	struct err e;
	int rc;

	screen = is_screen() && !json;
	catch_signals();
	if (screen)
		fputs(ENTER, stdout);
	buf_init(&out, 256u << 20);
	rc = watch(control, json, all, &out, &e);
	buf_release(&out);
	if (screen)
		fputs(LEAVE, stdout);
	fprintf(stderr, "spillway: %s\n", e.text);
	return cli_exit_code(rc);
}
