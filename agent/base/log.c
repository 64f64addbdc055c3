/* log.c - one event, one line, one write.
 *
 * Invariants
 *  (1) a line is at most LINE_MAX_BYTES, the size that a pipe takes in one piece: lines of several threads never mix.
 *  (2) a line ends with its newline and is valid logfmt or JSON, also when it had to be cut ("truncated=true").
 *  (3) no byte below 0x20, no DEL and no C1 control of a value reaches the output: all values go through
 *      buf_put_json.
 *  (4) no allocation: an event can be reported when memory is short.
 * Threads: any. The settings are atomics, set before other threads start.
 * Failure: a line that cannot be written is lost; there is nowhere to say so.
 */
#include "agent/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/log_rate.h"

#define LINE_MAX_BYTES 4096
#define TAIL_BYTES     32	/* kept for "truncated" and the end of the line */
#define SELDOM_MS      60000
#define VALUE_MAX      1000	/* bytes of one value; a longer one is cut */

static const struct { const char *name; char priority; } levels[] = {
	[LOG_LEVEL_ERROR] = { "error", '3' },
	[LOG_LEVEL_WARN]  = { "warn", '4' },
	[LOG_LEVEL_INFO]  = { "info", '6' },
	[LOG_LEVEL_DEBUG] = { "debug", '7' },
};

static _Atomic int  max_level = LOG_LEVEL_INFO;
static _Atomic bool as_json, under_journal;

/* Whether stderr is the journal's: the variable names its device and inode, and is inherited by who has another stderr, too. */
static bool is_journal(const char *stream)
{
	unsigned long long dev, ino;
	struct stat st;
	char end;

	return stream && sscanf(stream, "%llu:%llu%c", &dev, &ino, &end) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == (dev_t)dev && st.st_ino == (ino_t)ino;
}

void log_setup(enum log_level level, bool json)
{
	max_level = (int)level;
	as_json = json;
	under_journal = is_journal(getenv("JOURNAL_STREAM"));
}

int log_level_parse(const char *name)
{
	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
		if (strcmp(name, levels[i].name) == 0)
			return (int)i;
	return -1;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= max_level;
}

uint64_t log_seldom(struct log_seldom *s, int64_t now_ms)
{
	uint64_t n = ++s->count;

	if (s->said_ms && now_ms - s->said_ms < SELDOM_MS)
		return 0;
	s->said_ms = now_ms;
	s->count = 0;
	return n;
}

/* A bare word in logfmt: nothing that a reader could take for a separator, a quote or an escape. */
static bool is_bare(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
			return false;
	}
	return n > 0;
}

/* The length of s cut to VALUE_MAX, at the start of a UTF-8 character. */
static size_t cut_len(const char *s)
{
	size_t n = strnlen(s, VALUE_MAX + 1);

	if (n <= VALUE_MAX)
		return n;
	n = VALUE_MAX;
	while (n > VALUE_MAX - 4 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return n;
}

struct line {
	struct buf b;
	size_t     start;	/* where the first field goes: behind "<N>" and "{" */
	bool       json;
	bool       cut;		/* something did not fit */
};

/* The separator and key= or "key": */
static void put_key(struct line *l, const char *key)
{
	if (l->b.len > l->start)
		buf_puts(&l->b, l->json ? "," : " ");
	if (l->json)
		buf_put_json(&l->b, key, SIZE_MAX);
	else
		buf_puts(&l->b, key);
	buf_puts(&l->b, l->json ? ":" : "=");
}

/* A field that did not fit leaves nothing behind. */
static void end_field(struct line *l, size_t mark)
{
	if (!l->b.failed)
		return;
	l->b.failed = false;
	l->b.len = mark;
	l->cut = true;
}

static void put_str(struct line *l, const char *key, const char *s, bool quote)
{
	size_t mark = l->b.len, n = cut_len(s);

	put_key(l, key);
	if (l->json || quote || !is_bare(s, n))
		buf_put_json(&l->b, s, n);
	else
		buf_put(&l->b, s, n);
	if (s[n])
		l->cut = true;
	end_field(l, mark);
}

static void put_num(struct line *l, const char *key, int64_t num)
{
	size_t mark = l->b.len;

	put_key(l, key);
	buf_printf(&l->b, "%" PRId64, num);
	end_field(l, mark);
}

/* RFC 3339 in UTC, milliseconds. */
static void put_time(struct line *l)
{
	char text[40], date[24];
	int64_t now = clock_wall_ms();
	time_t seconds = (time_t)(now / 1000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof text, "%s.%03dZ", date, (int)(now % 1000));
	put_str(l, "ts", text, false);
}

static void write_line(const char *line, size_t n)
{
	ssize_t done;

	do
		done = write(STDERR_FILENO, line, n);
	while (done < 0 && errno == EINTR);
}

static void put_line(enum log_level level, const char *msg, const struct log_field *f, size_t n)
{
	char bytes[LINE_MAX_BYTES];
	struct line l = {
		.b = { .data = bytes, .cap = sizeof bytes, .max = sizeof bytes - TAIL_BYTES },
		.json = as_json,
	};

	if (under_journal)
		buf_printf(&l.b, "<%c>", levels[level].priority);
	if (l.json)
		buf_puts(&l.b, "{");
	l.start = l.b.len;
	if (!under_journal)
		put_time(&l);
	put_str(&l, "level", levels[level].name, false);
	put_str(&l, "msg", msg, true);
	for (size_t i = 0; i < n; i++) {
		if (f[i].str)
			put_str(&l, f[i].key, f[i].str, false);
		else
			put_num(&l, f[i].key, f[i].num);
	}
	l.b.max = sizeof bytes - 1;
	if (l.cut)
		buf_puts(&l.b, l.json ? ",\"truncated\":true" : " truncated=true");
	buf_puts(&l.b, l.json ? "}\n" : "\n");
	write_line(l.b.data, l.b.len);
}

void log_tell_held(bool all)
{
	int64_t now = all ? INT64_MAX : clock_mono_ms();
	struct log_held h;

	while (log_rate_held(now, &h)) {
		struct log_field f[] = { KS("line", h.msg), KI("held_back", h.count), KS(h.key, h.value) };

		put_line(h.level, "a line that came too often was held back, it is written again from now on", f, h.key[0] ? 3 : 2);
	}
}

void log_write(enum log_level level, const char *msg, const struct log_field *f, size_t n)
{
	log_tell_held(false);
	if (level == LOG_LEVEL_DEBUG || log_rate_pass(level, msg, n ? f : NULL, clock_mono_ms()))
		put_line(level, msg, f, n);
}
