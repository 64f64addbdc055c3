/* test_assemble_random.c - random files of every kind against a naive model: in any cuts, begun anew behind any message, and each
 * message out of its own spans. SEED=7 COUNT=30000 in the environment: others, and more. */
#include "tests/lib/unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/record/assemble.h"
#include "agent/base/buf.h"
#include "agent/base/rng.h"

#define EVENTS_MAX 4096
#define SPANS_MAX 4096

/* --- what came out --- */

struct event { bool lost; struct message_span spans[64]; uint32_t span_count; char *text, *value; };
struct events { struct event v[EVENTS_MAX]; size_t n; };

static void events_clear(struct events *e)
{
	for (size_t i = 0; i < e->n; i++) {
		free(e->v[i].text);
		free(e->v[i].value);
	}
	e->n = 0;
}

static void put_spans(struct buf *b, const struct message_span *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		buf_printf(b, "%s%lld-%lld", i ? "," : "", (long long)s[i].from, (long long)s[i].to);
}

static const char *const streams[] = { "", "stdout", "stderr" };

/* Everything of it but `piece`, which a message alone does not know. */
static char *text_of(const struct message *m)
{
	struct buf b;

	buf_init(&b, 1 << 24);
	put_spans(&b, m->spans, m->span_count);
	buf_printf(&b, " %s %u %lld%s ", streams[m->stream], m->lines, m->has_time ? (long long)m->time_ns : -1,
		   m->broken ? " broken" : "");
	buf_put_json(&b, (const char *)m->value, m->value_len);
	return buf_detach(&b);
}

/* strndup would look for a NUL behind it. */
static char *copy_of(const void *p, size_t n)
{
	char *copy = malloc(n + 1);

	assert_non_null(copy);
	memcpy(copy, p, n);
	copy[n] = 0;
	return copy;
}

static void collect(struct assembly *a, struct events *e)
{
	struct message m;
	int rc;

	while ((rc = assembly_next(a, &m)) == 1) {
		struct event *v = &e->v[e->n++];

		assert_true(e->n < EVENTS_MAX);
		*v = (struct event){ .lost = !m.value };
		if (v->lost) {
			assert_true(m.lost.from < m.lost.to);
			v->spans[v->span_count++] = m.lost;
			continue;
		}
		assert_int_equal(m.lost.from, m.lost.to);
		assert_in_range(m.span_count, 1, COUNT(v->spans));
		memcpy(v->spans, m.spans, m.span_count * sizeof *m.spans);
		v->span_count = m.span_count;
		v->text = text_of(&m);
		v->value = copy_of(m.value, m.value_len);
	}
	assert_int_equal(rc, 0);
}

struct file { const uint8_t *p; size_t n; const uint8_t *done; };	/* done: a byte for each that is finished; NULL: none */

static bool inside(const struct assemble_rules *r, const struct file *f, size_t at)
{
	size_t lead = assemble_lead(r) < at ? assemble_lead(r) : at;

	return assemble_inside(r, f->p + at - lead, lead, (int64_t)at);
}

static size_t region_end(const struct file *f, size_t at)
{
	while (at < f->n && !(f->done && f->done[at]))
		at++;
	return at;
}

/* Feeds what is not finished, in random cuts of at most `step`. Bytes are copied to memory of their own, for ASan to see. */
static void drive(struct assembly *a, const struct assemble_rules *r, const struct file *f, bool last, size_t step, uint64_t *seed,
		  struct events *e)
{
	bool begun = false;

	for (size_t at = 0; at < f->n; ) {
		size_t end = region_end(f, at);

		if (end == at) {
			at++;
			continue;
		}
		if (begun)
			assembly_jump(a, (int64_t)at, inside(r, f, at));
		else
			assembly_begin(a, r, (int64_t)at, inside(r, f, at));
		begun = true;
		while (at < end) {
			size_t n = 1 + rng_next(seed) % step;
			uint8_t *copy;

			n = n < end - at ? n : end - at;
			copy = memcpy(malloc(n), f->p + at, n);
			assembly_feed(a, copy, n, last && at + n == f->n);
			collect(a, e);
			free(copy);
			at += n;
		}
	}
	if (!begun)
		assembly_begin(a, r, (int64_t)f->n, false);
	if (!last)
		return;
	if (f->n && f->done && f->done[f->n - 1]) {
		assembly_jump(a, (int64_t)f->n + 1, false);
		collect(a, e);
	}
	assembly_end(a);
	collect(a, e);
}

/* --- the model: the same promises, written down as plainly as can be --- */

struct kind {
	const char *encoding;		/* NULL: utf-8; utf-16le, iso-8859-1 */
	int format, length;		/* enum assemble_format, enum assemble_long */
	const char *start, *more, *end;	/* "^S", "^ ", "E$", or NULL */
	size_t max, max_bytes;
	uint32_t max_lines;
};

static bool has_groups(const struct kind *k) { return k->start || k->more || k->end; }

static struct assemble_rules *rules_of(const struct kind *k)
{
	static const char *const formats[] = { "raw", "docker", "cri", "auto" }, *const lengths[] = { "split", "truncate", "skip" };
	json_t *o = json_pack("{s:s,s:s}", "format", formats[k->format], "long", lengths[k->length]);
	struct assemble_rules *r = NULL;
	struct err e = { .text = "" };
	char *text;

	if (k->encoding)
		json_object_set_new(o, "encoding", json_string(k->encoding));
	if (has_groups(k))
		json_object_set_new(o, "multiline", json_pack("{s:s*,s:s*,s:s*,s:I,s:I}", "start", k->start,
								  "continue", k->more, "end",
				    k->end, "max_lines", (json_int_t)k->max_lines, "max_bytes", (json_int_t)k->max_bytes));
	text = json_dumps(o, JSON_COMPACT);
	if (assemble_rules_new(text, (int64_t)k->max, &r, &e) < 0)
		fail_msg("%s: %s", text, e.text);
	free(text);
	json_decref(o);
	return r;
}

struct m_line {		/* a line of the file, then without its frame */
	struct message_span span;
	bool cut, cr, broken, part;
	int stream;
	int64_t time;	/* -1: none */
	char *s;
	size_t n;
};

struct m_open {		/* an open chain or group */
	bool on, over, broken;
	struct message_span spans[256];
	uint32_t span_count, lines;
	struct message_span lost[256];
	uint32_t lost_count;
	int64_t time;
	char *s;
	size_t n;
};

struct model {
	const struct kind *k;
	const uint8_t *p;
	size_t n;
	bool last;
	struct m_open chains[3], groups[3];
	struct events *out;
};

static void append(char **s, size_t *n, const void *p, size_t more)
{
	*s = realloc(*s, *n + more + 1);
	if (more)
		memcpy(*s + *n, p, more);
	*n += more;
	(*s)[*n] = 0;
}

static void m_lost(struct model *m, struct message_span s)
{
	struct event *v = &m->out->v[m->out->n++];

	*v = (struct event){ .lost = true, .spans = { s }, .span_count = 1 };
}

static void m_span(struct message_span *spans, uint32_t *n, struct message_span s)
{
	if (*n && spans[*n - 1].to == s.from)
		spans[*n - 1].to = s.to;
	else
		spans[(*n)++] = s;
	assert_true(*n < 256);
}

static void m_give(struct model *m, struct m_open *g, int stream)
{
	struct event *v = &m->out->v[m->out->n++];
	struct message msg = {
		.value = (uint8_t *)(g->s ? g->s : ""), .value_len = g->n, .spans = g->spans,
		.span_count = g->span_count, .lines = g->lines,
		.has_time = g->time >= 0, .time_ns = g->time, .stream = (enum message_stream)stream, .broken = g->broken,
	};

	assert_in_range(g->span_count, 1, 64);
	*v = (struct event){ .span_count = g->span_count, .text = text_of(&msg), .value = copy_of(g->s ? g->s : "", g->n) };
	memcpy(v->spans, g->spans, g->span_count * sizeof *g->spans);
	free(g->s);
	*g = (struct m_open){ .on = false };
}

static bool is_start(const struct kind *k, const struct m_open *l) { return k->start && l->n && l->s[0] == 'S'; }
static bool is_more(const struct kind *k, const struct m_open *l) { return k->more && l->n && l->s[0] == ' '; }
static bool is_end(const struct kind *k, const struct m_open *l) { return k->end && l->n && l->s[l->n - 1] == 'E'; }

/* A whole line, as a chain that ended. */
static void m_group(struct model *m, struct m_open *l, int stream, bool cut)
{
	const struct kind *k = m->k;
	struct m_open *g = &m->groups[stream];
	bool closes;

	l->lines = 1;
	if (g->on && (g->n + 1 + l->n > k->max_bytes || is_start(k, l) || (!is_end(k, l) && k->more && !is_more(k, l))))
		m_give(m, g, stream);
	closes = !has_groups(k) || cut || is_end(k, l);
	if (!g->on) {
		if (k->start && !is_start(k, l) && !is_more(k, l) && (k->more || k->end))
			closes = true;
		*g = *l;
		*l = (struct m_open){ .on = false };
	} else {
		append(&g->s, &g->n, "\n", 1);
		append(&g->s, &g->n, l->s, l->n);
		for (uint32_t i = 0; i < l->span_count; i++)
			m_span(g->spans, &g->span_count, l->spans[i]);
		g->broken |= l->broken;
		g->lines++;
		free(l->s);
		*l = (struct m_open){ .on = false };
	}
	if (closes || g->lines >= k->max_lines || g->n >= k->max_bytes)
		m_give(m, g, stream);
}

static void m_chain_end(struct model *m, int stream, bool cut)
{
	struct m_open c = m->chains[stream];
	bool skip = c.over && m->k->length == ASSEMBLE_SKIP;

	m->chains[stream] = (struct m_open){ .on = false };
	if (skip) {
		for (uint32_t i = 0; i < c.span_count; i++)
			m_lost(m, c.spans[i]);
		free(c.s);
		c.s = NULL;
	}
	struct message_span lost[256];
	uint32_t n = c.lost_count;
	memcpy(lost, c.lost, sizeof lost);
	if (!skip)
		m_group(m, &c, stream, cut || c.over);
	for (uint32_t i = 0; i < n; i++)
		m_lost(m, lost[i]);
}

static int m_oldest(const struct model *m, int64_t *ret)
{
	int best = -1;

	*ret = INT64_MAX;
	for (int i = 0; i < 3; i++) {
		const struct m_open *o = m->groups[i].on ? &m->groups[i] : &m->chains[i];

		if (o->on && o->spans[0].from < *ret) {
			*ret = o->spans[0].from;
			best = i;
		}
	}
	return best;
}

static void m_line(struct model *m, struct m_line *l)
{
	const struct kind *k = m->k;
	size_t bound = has_groups(k) && k->max_bytes > k->max ? k->max_bytes : k->max;
	struct m_open *c = &m->chains[l->stream];
	int64_t begin;
	int old;

	while ((old = m_oldest(m, &begin)) >= 0 && l->span.to - begin > (int64_t)(4 * bound)) {
		if (m->groups[old].on)
			m_give(m, &m->groups[old], old);
		else
			m_chain_end(m, old, false);
	}
	if (c->on && (c->over || c->n + l->n > k->max)) {
		if (k->length == ASSEMBLE_SPLIT) {
			m_chain_end(m, l->stream, true);
		} else {
			size_t room = c->over || k->length == ASSEMBLE_SKIP ? 0 : k->max - c->n;

			c->over = true;
			if (room) {
				l->n = room;
			} else {
				m_span(c->lost, &c->lost_count, l->span);
				goto added;
			}
		}
	}
	if (!c->on)
		*c = (struct m_open){ .on = true, .time = l->time };
	append(&c->s, &c->n, l->s, l->n);
	m_span(c->spans, &c->span_count, l->span);
	c->broken |= l->broken;
added:
	if (!l->part || l->cut)
		m_chain_end(m, l->stream, l->cut);
}

static const struct { const char *text; int64_t ns; } times[] = {
	{ "2016-10-06T00:17:09.669794202Z", 1475713029669794202 }, { "2026-11-21T10:00:00+01:00", 1795251600000000000 },
};

static int64_t m_time(const char *s, size_t n)
{
	for (size_t i = 0; i < COUNT(times); i++)
		if (n == strlen(times[i].text) && !memcmp(s, times[i].text, n))
			return times[i].ns;
	return -1;
}

static bool m_docker(struct m_line *l, bool strict)
{
	json_t *o = json_loadb(l->s, l->n, JSON_ALLOW_NUL, NULL), *log = json_object_get(o, "log");
	const char *stream = json_string_value(json_object_get(o, "stream")), *time = json_string_value(json_object_get(o, "time"));
	bool ok = json_is_string(log) && (!strict || (stream && time));

	if (ok) {
		free(l->s);
		l->s = NULL;
		l->n = 0;
		append(&l->s, &l->n, json_string_value(log), json_string_length(log));
		l->part = !l->n || l->s[l->n - 1] != '\n';
		l->n -= !l->part;
		l->n -= !l->part && l->n && l->s[l->n - 1] == '\r';
		l->stream = stream && !strcmp(stream, "stdout") ? 1 : stream && !strcmp(stream, "stderr") ? 2 : 0;
		l->time = time ? m_time(time, strlen(time)) : -1;
	}
	json_decref(o);
	return ok;
}

static bool m_cri(struct m_line *l)
{
	char *word[3], *at = l->s;
	size_t tag;

	for (int i = 0; i < 2; i++) {
		word[i] = at;
		at = memchr(at, ' ', (size_t)(l->s + l->n - at));
		if (!at)
			return false;
		at++;
	}
	l->time = m_time(word[0], (size_t)(word[1] - word[0] - 1));
	l->stream = !strncmp(word[1], "stdout ", 7) ? 1 : !strncmp(word[1], "stderr ", 7) ? 2 : 0;
	tag = strcspn(at, " :\r");
	if (l->time < 0 || !l->stream || tag != 1 || (*at != 'P' && *at != 'F') || (at[1] == '\r' && at[2])) {
		l->stream = 0;
		l->time = -1;
		return false;
	}
	l->part = *at == 'P';
	at = memchr(at, ' ', (size_t)(l->s + l->n - at));
	l->n = at ? (size_t)(l->s + l->n - at - 1) : 0;
	memmove(l->s, at ? at + 1 : "", l->n);
	l->n -= !l->part && l->n && l->s[l->n - 1] == '\r';
	return true;
}

static void put_char(struct m_line *l, uint32_t c)
{
	char b[4];

	if (c < 0x80) {
		b[0] = (char)c;
		append(&l->s, &l->n, b, 1);
	} else if (c < 0x800) {
		b[0] = (char)(0xc0 | c >> 6), b[1] = (char)(0x80 | (c & 63));
		append(&l->s, &l->n, b, 2);
	} else if (c < 0x10000) {
		b[0] = (char)(0xe0 | c >> 12), b[1] = (char)(0x80 | (c >> 6 & 63)), b[2] = (char)(0x80 | (c & 63));
		append(&l->s, &l->n, b, 3);
	} else {
		b[0] = (char)(0xf0 | c >> 18), b[1] = (char)(0x80 | (c >> 12 & 63)), b[2] = (char)(0x80 | (c >> 6 & 63));
		b[3] = (char)(0x80 | (c & 63));
		append(&l->s, &l->n, b, 4);
	}
}

static void m_text(const struct kind *k, struct m_line *l, const uint8_t *p, size_t n, bool drop_half)
{
	append(&l->s, &l->n, "", 0);
	if (!k->encoding)
		append(&l->s, &l->n, p, n);
	else if (!strcmp(k->encoding, "iso-8859-1"))
		for (size_t i = 0; i < n; i++)
			put_char(l, p[i]);
	else
		for (size_t i = 0; i < n; i += 2) {
			uint32_t u = i + 1 < n ? (uint32_t)(p[i] | p[i + 1] << 8) : 0;
			bool high = u >= 0xd800 && u < 0xdc00;

			if (i + 1 >= n || (high && i + 3 >= n)) {
				if (drop_half)
					return;
				l->broken = true;
				put_char(l, 0xfffd);
				return;
			}
			if (high && (p[i + 3] & 0xfc) == 0xdc) {
				put_char(l, 0x10000 + ((u - 0xd800) << 10) + ((uint32_t)(p[i + 2] | p[i + 3] << 8) - 0xdc00));
				i += 2;
			} else if (u >= 0xd800 && u < 0xe000) {
				l->broken = true;
				put_char(l, 0xfffd);
			} else {
				put_char(l, u);
			}
		}
}

static void m_one(struct model *m, struct m_line *l)
{
	int f = m->k->format;

	l->time = -1;
	if (!(f == ASSEMBLE_DOCKER && m_docker(l, false)) && !(f == ASSEMBLE_CRI && m_cri(l)) &&
	    !(f == ASSEMBLE_AUTO && (l->s[0] == '{' ? m_docker(l, true) : m_cri(l))) && l->cr)
		l->n--;
	m_line(m, l);
	free(l->s);
}

static void m_end(struct model *m)
{
	int64_t begin;
	int old;

	while ((old = m_oldest(m, &begin)) >= 0) {
		if (m->chains[old].on)
			m_chain_end(m, old, false);
		else
			m_give(m, &m->groups[old], old);
	}
}

static void model(struct model *m)
{
	const struct kind *k = m->k;
	size_t u = k->encoding && !strcmp(k->encoding, "utf-16le") ? 2 : 1, max = k->max - k->max % u;

	for (size_t s = 0; s < m->n; ) {
		size_t left = m->n - s, i = 0, len, next;
		struct m_line l = { .cut = false };
		bool lf, cr;

		while (i + u <= left && !(m->p[s + i] == '\n' && (u == 1 || !m->p[s + i + 1])))
			i += u;
		lf = i + u <= left;
		len = lf ? i : left;
		cr = lf && len && m->p[s + len - u] == '\r' && (u == 1 || !m->p[s + len - 1]);
		if (lf ? len - (cr ? u : 0) <= max : left < max + 2 * u && !(m->last && left > max)) {
			if (!lf && !m->last)
				break;
			l.cr = cr && k->format != ASSEMBLE_RAW;
			m_text(k, &l, m->p + s, len - (cr && !l.cr ? u : 0), !lf && len == max && k->length == ASSEMBLE_TRUNCATE);
			next = s + len + (lf ? u : 0);
		} else {
			size_t rest = lf ? s + i + u : m->last ? m->n : m->n - left % u;

			l.cut = true;
			next = rest;
			if (k->length == ASSEMBLE_SKIP) {
				if (k->format == ASSEMBLE_RAW)
					m_end(m);
				m_lost(m, (struct message_span){ (int64_t)s, (int64_t)rest });
				s = next;
				continue;
			}
			len = max;
			if (k->length == ASSEMBLE_SPLIT && u == 2 && len > 2 && (m->p[s + len - 1] & 0xfc) == 0xd8)
				len -= 2;
			m_text(k, &l, m->p + s, len, k->length == ASSEMBLE_TRUNCATE);
			if (k->length == ASSEMBLE_SPLIT)
				next = s + len;
		}
		l.span = (struct message_span){ (int64_t)s, (int64_t)(l.cut ? s + len : next) };
		m_one(m, &l);
		if ((size_t)l.span.to < next)
			m_lost(m, (struct message_span){ l.span.to, (int64_t)next });
		s = next;
	}
	if (m->last)
		m_end(m);
}

/* --- random files --- */

static size_t pick(uint64_t *seed, size_t n) { return rng_next(seed) % n; }

static void put_word(struct buf *b, uint64_t *seed, size_t most)
{
	static const char *const words[] = { "S", " ", "E", "x", "yy", "long word", "\t", "\r", "\xc3\xa9" };

	for (size_t n = pick(seed, most); n; n--)
		buf_puts(b, words[pick(seed, COUNT(words))]);
}

static void put_docker(struct buf *b, uint64_t *seed)
{
	static const char *const escapes[] = { "", "\\n", "\\r\\n", "\\r", "\\n", "\\t\\u00e9\\ud83d\\ude00\\\"\\n",
						"\\\\", "\\n" };
	struct buf w;

	buf_init(&w, 1 << 16);
	put_word(&w, seed, 12);
	for (size_t i = 0; i < w.len; i++)
		if (w.data[i] == '\r' || w.data[i] == '\t')
			w.data[i] = '.';
	buf_printf(b, "{\"log\":\"%s%s\",", w.len ? w.data : "", escapes[pick(seed, COUNT(escapes))]);
	if (!pick(seed, 6))
		buf_puts(b, "\"attrs\":{\"a\":[1,{\"b\":\"}\\\"\"}],\"log\":\"no\"},");
	buf_printf(b, "\"stream\":\"%s\",\"time\":\"%s\"}%s\n", streams[1 + pick(seed, 2)], times[pick(seed, 2)].text,
		   pick(seed, 8) ? "" : "\r");
	buf_release(&w);
}

static void put_cri(struct buf *b, uint64_t *seed)
{
	static const char *const tags[] = { "P", "F", "F", "P:x", "F:a:b", "F" };

	buf_printf(b, "%s %s %s ", times[pick(seed, 2)].text, streams[1 + pick(seed, 2)], tags[pick(seed, COUNT(tags))]);
	put_word(b, seed, 12);
	buf_puts(b, pick(seed, 8) ? "\n" : "\r\n");
}

static void put_plain(struct buf *b, uint64_t *seed)
{
	put_word(b, seed, pick(seed, 12) ? 8 : 60);
	buf_puts(b, pick(seed, 4) ? "\n" : "\r\n");
}

static void random_file(const struct kind *k, uint64_t *seed, struct buf *b)
{
	buf_clear(b);
	for (size_t i = 3 + pick(seed, 30); i; i--) {
		bool frame = k->format != ASSEMBLE_RAW && pick(seed, 12);

		if (frame && (k->format == ASSEMBLE_DOCKER || (k->format == ASSEMBLE_AUTO && pick(seed, 2))))
			put_docker(b, seed);
		else if (frame)
			put_cri(b, seed);
		else
			put_plain(b, seed);
	}
	b->len -= pick(seed, 3) ? 0 : pick(seed, b->len < 9 ? b->len : 9);
	if (k->encoding && !strcmp(k->encoding, "utf-16le")) {
		static const uint16_t units[] = { 0xd83d, 0xde00, 0x0a0a, 0x0a00, 0x00e9, 0xd800, 0x4e0a };
		struct buf wide;

		buf_init(&wide, 1 << 20);
		for (size_t i = 0; i < b->len; i++) {
			bool odd = (k->format == ASSEMBLE_RAW || k->format == ASSEMBLE_CRI) && !pick(seed, 30);
			uint16_t c = !odd ? (uint16_t)(uint8_t)b->data[i] : units[pick(seed, COUNT(units))];

			buf_put(&wide, &c, 2);
			if (c == 0xd83d)
				buf_put(&wide, &units[1], 2);
		}
		wide.len -= wide.len && !pick(seed, 4);
		buf_clear(b);
		buf_put(b, wide.data, wide.len);
		buf_release(&wide);
	}
}

static void random_kind(uint64_t *seed, struct kind *k)
{
	static const char *const encodings[] = { NULL, NULL, NULL, "utf-16le", "iso-8859-1" };

	*k = (struct kind){ .format = (int)pick(seed, 4), .length = (int)pick(seed, 3), .max_lines = UINT32_MAX,
			    .max_bytes = SIZE_MAX };
	k->encoding = encodings[pick(seed, COUNT(encodings))];
	k->max = k->format == ASSEMBLE_RAW ? 1 + pick(seed, 60) : 60 + pick(seed, 120);
	if (k->encoding && k->encoding[0] == 'u')
		k->max = k->max * 2 + pick(seed, 2);
	if (pick(seed, 2)) {
		k->start = pick(seed, 2) ? "^S" : NULL;
		k->more = pick(seed, 2) ? "^ " : NULL;
		k->end = pick(seed, 2) ? "E$" : NULL;
		if (has_groups(k)) {
			k->max_lines = (uint32_t)(1 + pick(seed, 8));
			k->max_bytes = 1 + pick(seed, 200);
		}
	}
}

/* --- comparing --- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Messages in order (or sorted), then lost bytes, merged. */
static void render(const struct events *e, size_t from, bool sorted, struct buf *out)
{
	static uint8_t lost[1 << 16];
	static char *rows[EVENTS_MAX];
	size_t n = 0;

	memset(lost, 0, sizeof lost);
	buf_clear(out);
	buf_puts(out, "");
	for (size_t i = from; i < e->n; i++) {
		if (e->v[i].lost)
			memset(lost + e->v[i].spans[0].from, 1, (size_t)(e->v[i].spans[0].to - e->v[i].spans[0].from));
		else
			rows[n++] = e->v[i].text;
	}
	if (sorted)
		qsort(rows, n, sizeof *rows, by_text);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s\n", rows[i]);
	for (size_t i = 0; i < sizeof lost; i++)
		if (lost[i] && (!i || !lost[i - 1]))
			buf_printf(out, "lost from %zu\n", i);
		else if (!lost[i] && i && lost[i - 1])
			buf_printf(out, "lost to %zu\n", i);
}

static struct events got, want, again;
static struct buf got_text, want_text;

static void same(const struct events *g, size_t g_from, const struct events *w, size_t w_from, bool sorted, const char *what,
		 uint64_t seed)
{
	render(g, g_from, sorted, &got_text);
	render(w, w_from, sorted, &want_text);
	if (strcmp(got_text.data, want_text.data) != 0) {
		fprintf(stderr, "%s--- not\n%s", got_text.data, want_text.data);
		fail_msg("%s, seed %llu", what, (unsigned long long)seed);
	}
}

/* A message out of its own spans is that message. */
static void check_alone(struct assembly *a, const struct assemble_rules *r, const struct buf *b, uint64_t *seed, uint64_t name)
{
	static uint8_t done[1 << 16];

	for (size_t i = 0; i < got.n; i++) {
		const struct event *v = &got.v[i];
		struct file f = { .p = (uint8_t *)b->data, .done = done };

		if (v->lost)
			continue;
		memset(done, 1, sizeof done);
		for (uint32_t s = 0; s < v->span_count; s++)
			memset(done + v->spans[s].from, 0, (size_t)(v->spans[s].to - v->spans[s].from));
		f.n = (size_t)v->spans[v->span_count - 1].to;
		events_clear(&again);
		drive(a, r, &f, true, 64, seed, &again);
		if (again.n != 1 || again.v[0].lost || strcmp(again.v[0].text, v->text) != 0)
			fail_msg("alone, seed %llu: %zu, %s\n--- not\n%s", (unsigned long long)name, again.n,
				 again.n && again.v[0].text ? again.v[0].text : "lost", v->text);
	}
}

/* With the first k events finished, a new stretch gives the others. Where one chain is lost in several, all of them are finished
 * first: what is left of it would be a line of its own. */
static void check_restart(struct assembly *a, const struct assemble_rules *r, const struct buf *b, uint64_t *seed, uint64_t name)
{
	static uint8_t done[1 << 16];
	struct file f = { .p = (uint8_t *)b->data, .n = b->len, .done = done };

	memset(done, 0, sizeof done);
	for (size_t i = 0; i < got.n; i++) {
		const struct event *v = &got.v[i];

		for (uint32_t s = 0; s < v->span_count; s++) {
			assert_null(memchr(done + v->spans[s].from, 1, (size_t)(v->spans[s].to - v->spans[s].from)));
			memset(done + v->spans[s].from, 1, (size_t)(v->spans[s].to - v->spans[s].from));
		}
		if (assemble_streams(r) && i + 1 < got.n && got.v[i + 1].lost)
			continue;
		events_clear(&again);
		drive(a, r, &f, true, 64, seed, &again);
		same(&again, 0, &got, i + 1, assemble_streams(r), "begun anew", name);
	}
	assert_true(!b->len || !memchr(done, 0, b->len));
}

static void random_files_agree_with_the_model_in_any_cuts_and_from_any_message(void **state)
{
	const char *from = getenv("SEED"), *count = getenv("COUNT");
	uint64_t first = from ? strtoull(from, NULL, 10) : 1, n = count ? strtoull(count, NULL, 10) : 600;
	struct assembly *a = assembly_new();
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	buf_init(&got_text, 1 << 24);
	buf_init(&want_text, 1 << 24);
	for (uint64_t name = first; name < first + n; name++) {
		uint64_t seed = name * 2654435761u;
		struct assemble_rules *r;
		struct kind k;

		random_kind(&seed, &k);
		random_file(&k, &seed, &b);
		r = rules_of(&k);
		for (int last = 0; last < 2; last++) {
			struct model *m = calloc(1, sizeof *m);
			struct file f = { .p = (uint8_t *)b.data, .n = b.len };

			*m = (struct model){ .k = &k, .p = f.p, .n = f.n, .last = last, .out = &want };
			events_clear(&want);
			model(m);
			for (int i = 0; i < 3; i++)
				free(m->chains[i].s), free(m->groups[i].s);
			free(m);
			for (size_t step = 1; step < 2000; step = step * 7 + 1) {
				events_clear(&got);
				drive(a, r, &f, last, step, &seed, &got);
				same(&got, 0, &want, 0, false, last ? "whole" : "open", name);
			}
			check_alone(a, r, &b, &seed, name);
		}
		check_restart(a, r, &b, &seed, name);
		assemble_rules_free(r);
	}
	events_clear(&got);
	events_clear(&want);
	events_clear(&again);
	buf_release(&got_text);
	buf_release(&want_text);
	buf_release(&b);
	assembly_free(a);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(random_files_agree_with_the_model_in_any_cuts_and_from_any_message),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }
