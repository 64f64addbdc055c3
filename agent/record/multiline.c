/* multiline.c - see multiline.h.
 *
 * Both kinds are one machine: rows of (states in which it is tried, pattern, state that follows), the first that matches counts.
 * FRESH is the state before a group. A preset's rows that no other text looks like also begin one: what is left of a trace that
 * reached max_lines stays together.
 *
 * Patterns come from users, and lines from whoever can write a log: what bounds their steps is in agent/base/pattern.h. Out of
 * steps is no match, the same each time; out of memory is no verdict, so it is an error.
 */
#include "agent/record/multiline.h"

#include <jansson.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/pattern.h"

#define ROWS_MAX 24
#define IN(state) (1u << (state))
enum { FRESH = 0, NEW = 30, END = 31 };		/* states that follow: it begins another group, it is the last line */

struct row { unsigned from, to; const char *pattern; };

enum { EXCEPTION = 1, FRAMES, INNER, NESTED = INNER };
#define ANY_TRACE (IN(EXCEPTION) | IN(FRAMES))

static const struct row java[] = {
	{ IN(FRESH) | ANY_TRACE, FRAMES, "^\\s+(?:eval )?at \\S" },
	{ IN(FRESH) | ANY_TRACE, EXCEPTION, "^\\s*\\[?(?:Caused by|Suppressed|Wrapped by|CIRCULAR REFERENCE): ?" },
	{ IN(FRESH) | ANY_TRACE, FRAMES, "^\\s*\\.\\.\\. \\d+ (?:more|common frames omitted|frames? (?:truncated|excluded))" },
	{ ANY_TRACE, NESTED, "^\\s*(?:; )?nested exception is:?" },
	{ IN(NESTED), EXCEPTION, "[\\w$.](?:Exception|Error|Throwable)(?::|\\s*$)" },
	{ IN(EXCEPTION), EXCEPTION, "^\\s*$" },
	{ ANY_TRACE, FRAMES, "^\\s+\\S" },
	{ IN(FRESH), EXCEPTION, "^Exception in thread \"" },
	{ IN(FRESH), EXCEPTION, "^\".*\" (?:#\\d+ |daemon |prio=|os_prio=)" },
	{ IN(FRESH), EXCEPTION, "[\\w$.](?:Exception|Error|Throwable)(?::|\\s*$)" },
};

static const struct row dotnet[] = {
	{ IN(FRESH) | ANY_TRACE | IN(INNER), EXCEPTION, "^\\s*---> " },
	{ IN(FRESH) | ANY_TRACE | IN(INNER), FRAMES,
	  "^\\s*--- End of (?:inner exception stack trace|stack trace from previous location)" },
	{ ANY_TRACE, INNER, "<---\\s*$" },
	{ IN(FRESH) | ANY_TRACE, FRAMES, "^\\s+at \\S.*[(\\])]" },
	{ IN(EXCEPTION) | IN(INNER), INNER, "^\\s*$" },
	{ ANY_TRACE | IN(INNER), FRAMES, "^\\s+\\S" },
	{ IN(FRESH), EXCEPTION, "^Unhandled [Ee]xception[.:]" },
	{ IN(FRESH), EXCEPTION, "[\\w.](?:Exception|Error)(?: \\(0x[0-9A-Fa-f]+\\))?(?::|\\s*$)" },
};

enum { PY_TRACE = 1, PY_ERROR, PY_GAP, PY_BRIDGE };
static const struct row python[] = {
	{ IN(FRESH) | IN(PY_TRACE) | IN(PY_BRIDGE), PY_TRACE, "Traceback \\(most recent call last\\):\\s*$" },
	{ IN(FRESH) | IN(PY_TRACE), PY_TRACE, "^\\s+File \"[^\"]*\", line \\d" },
	{ IN(PY_TRACE), PY_ERROR, "^\\s+\\+-{12,}\\s*$" },
	{ IN(PY_TRACE), PY_TRACE, "^\\s+\\S" },
	{ IN(PY_TRACE), PY_ERROR, "^[A-Za-z_][\\w.]*(?::|\\s*$)" },
	{ IN(PY_ERROR), PY_ERROR, "^\\s+\\S" },
	{ IN(PY_ERROR), PY_GAP, "^\\s*$" },
	{ IN(PY_GAP), PY_BRIDGE, "^\\s*(?:During handling of the above exception, another exception occurred|"
	  "The above exception was the direct cause of the following exception):\\s*$" },
	{ IN(PY_BRIDGE), PY_BRIDGE, "^\\s*$" },
};

enum { GO_PANIC = 1, GO_GAP, GO_FRAMES };
#define GO_ANY (IN(GO_PANIC) | IN(GO_GAP) | IN(GO_FRAMES))
static const struct row go[] = {
	{ IN(FRESH) | GO_ANY, GO_FRAMES, "^goroutine \\d+ .*\\[.*\\]:\\s*$" },
	{ IN(FRESH) | GO_ANY, GO_FRAMES, "^runtime stack:\\s*$" },
	{ IN(FRESH) | GO_ANY, GO_FRAMES, "^created by \\S+" },
	{ IN(GO_PANIC) | IN(GO_GAP), GO_PANIC,
	  "^(?:\\[signal |PC=0x|r\\w{1,6}\\s+0x[0-9a-f]+|[cfg]s\\s+0x[0-9a-f]+|fatal error: |panic: )" },
	{ IN(GO_FRAMES), GO_FRAMES, "^(?:panic|[^\\s()]+\\.\\S*)\\(.*\\)\\s*$" },
	{ IN(GO_FRAMES), GO_FRAMES, "^(?:\\.\\.\\.|\\[originating from )" },
	{ GO_ANY, GO_GAP, "^\\s*$" },
	{ IN(GO_FRAMES), GO_FRAMES, "^\\s+\\S" },
	{ IN(GO_PANIC), GO_PANIC, "^\\s+\\S" },
	{ IN(GO_GAP) | IN(GO_FRAMES), GO_FRAMES, "^exit status \\d+\\s*$" },
	{ IN(FRESH), GO_PANIC, "\\bpanic: |http: panic serving " },
	{ IN(FRESH), GO_PANIC, "^(?:fatal error: |runtime: goroutine stack exceeds|unexpected fault address |SIG[A-Z]+: )" },
};

enum { RUBY_ERROR = 1, RUBY_FRAMES };
#define RUBY_ANY (IN(RUBY_ERROR) | IN(RUBY_FRAMES))
static const struct row ruby[] = {
	{ IN(FRESH) | RUBY_ANY, RUBY_FRAMES, "^\\s+(?:\\d+: )?from \\S.*:\\d+" },
	{ IN(FRESH) | RUBY_ANY, RUBY_FRAMES, "^\\s*\\S.*:\\d+:in [`'\"]" },
	{ IN(RUBY_ERROR), RUBY_ERROR, "^\\s*$" },
	{ RUBY_ANY, RUBY_FRAMES, "^\\s+\\S" },
	{ IN(FRESH), RUBY_ERROR, "^Traceback \\(most recent call last\\):\\s*$" },
	{ IN(FRESH), RUBY_ERROR, "^(?:[A-Z]\\w*::)*[A-Z]\\w*(?:Error|Exception|Invalid|NotFound|Timeout)(?: \\(.*|:.*)?\\s*$" },
};

static const struct { const char *name; const struct row *rows; size_t n; } presets[] = {
	{ "java", java, sizeof java / sizeof java[0] },
	{ "python", python, sizeof python / sizeof python[0] },
	{ "go", go, sizeof go / sizeof go[0] },
	{ "ruby", ruby, sizeof ruby / sizeof ruby[0] },
	{ "dotnet", dotnet, sizeof dotnet / sizeof dotnet[0] },
};

struct step { unsigned from, to; struct pattern *pattern; };	/* pattern NULL: any line */

struct multiline {
	struct step steps[ROWS_MAX];
	size_t count;
	uint32_t lines;
	size_t bytes;
};

/* --- made of a spec --- */

static int add(struct multiline *m, unsigned from, unsigned to, const char *key, const char *pattern, struct err *ret_err)
{
	struct step *s = &m->steps[m->count++];
	int rc;

	*s = (struct step){ .from = from, .to = to };
	rc = pattern ? pattern_new(pattern, &s->pattern, ret_err) : 0;
	if (rc == ERR_CONFIG)
		err_prefix(ret_err, "multiline: %s: ", key);
	return rc;
}

enum { OPEN = 1 };

/* Without a group, end stands before start: a line that is both is a group of one. What continues may begin a group too, as
 * what is left of one that reached max_lines does. */
static int add_patterns(struct multiline *m, const char *start, const char *more, const char *end, struct err *ret_err)
{
	const struct { bool there; unsigned from, to; const char *key, *pattern; } rows[] = {
		{ start, IN(OPEN), NEW, "start", start },
		{ end, IN(OPEN), END, "end", end },
		{ more, IN(OPEN), OPEN, "continue", more },
		{ !more, IN(OPEN), OPEN, NULL, NULL },
		{ end, IN(FRESH), END, "end", end },
		{ start, IN(FRESH), OPEN, "start", start },
		{ start && more, IN(FRESH), OPEN, "continue", more },
		{ !start || (!more && !end), IN(FRESH), OPEN, NULL, NULL },
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0] && rc == 0; i++)
		if (rows[i].there)
			rc = add(m, rows[i].from, rows[i].to, rows[i].key, rows[i].pattern, ret_err);
	return rc;
}

static int add_preset(struct multiline *m, const char *name, struct err *ret_err)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
		if (strcmp(presets[i].name, name) != 0)
			continue;
		for (size_t k = 0; k < presets[i].n && rc == 0; k++)
			rc = add(m, presets[i].rows[k].from, presets[i].rows[k].to, name, presets[i].rows[k].pattern, ret_err);
		return rc;
	}
	return err_set(ret_err, ERR_CONFIG, "multiline: preset: there is no \"%.60s\", only java, python, go, ruby and dotnet",
		       name);
}

static int64_t positive(const json_t *o, const char *key, int64_t otherwise)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) && json_integer_value(v) > 0 ? json_integer_value(v) : otherwise;
}

int multiline_new(const void *spec, struct multiline **ret, struct err *ret_err)
{
	const json_t *o = spec;
	const char *preset = json_string_value(json_object_get(o, "preset"));
	const char *start = json_string_value(json_object_get(o, "start")), *end = json_string_value(json_object_get(o, "end"));
	const char *more = json_string_value(json_object_get(o, "continue"));
	struct multiline *m;
	int rc;

	if (!preset && !start && !more && !end)
		return err_set(ret_err, ERR_CONFIG, "multiline: needs a preset, or start, continue or end");
	m = mem_new(struct multiline);
	if (!m)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	m->lines = (uint32_t)positive(o, "max_lines", MULTILINE_LINES);
	m->bytes = (size_t)positive(o, "max_bytes", MULTILINE_BYTES);
	rc = preset ? add_preset(m, preset, ret_err) : add_patterns(m, start, more, end, ret_err);
	if (rc < 0) {
		multiline_free(m);
		return rc;
	}
	*ret = m;
	return 0;
}

void multiline_free(struct multiline *m)
{
	for (size_t i = 0; m && i < m->count; i++)
		pattern_free(m->steps[i].pattern);
	mem_free(m);
}

uint32_t multiline_lines(const struct multiline *m) { return m->lines; }
size_t multiline_bytes(const struct multiline *m) { return m->bytes; }

/* --- lines --- */

/* 1, 0, ERR_NOMEM. */
static int matches(const struct step *s, struct pattern_room *room, const void *p, size_t n)
{
	int rc = s->pattern ? pattern_find(s->pattern, room, p, n, NULL, NULL, NULL) : 1;

	return rc == ERR_BAD_DATA ? 0 : rc;
}

int multiline_line(const struct multiline *m, struct pattern_room *room, unsigned *state, const void *p, size_t n)
{
	bool fresh = *state == FRESH;
	unsigned to = NEW;
	int rc = 0;

	/* The first row of the state that matches. */
	for (size_t i = 0; i < m->count && rc == 0; i++) {
		if (m->steps[i].from & IN(*state))
			rc = matches(&m->steps[i], room, p, n);
		to = rc > 0 ? m->steps[i].to : NEW;
	}
	if (rc < 0)
		return rc;
	if (to == NEW)
		return fresh ? MULTILINE_ALONE : MULTILINE_OTHER;
	if (to == END)
		return fresh ? MULTILINE_ALONE : MULTILINE_LAST;
	*state = to;
	return fresh ? MULTILINE_FIRST : MULTILINE_MORE;
}
