/* sample_print.c - see sample_print.h.
 *
 * Bytes that are no printable text are escaped (\n, \xff), so that a line of the file stays one line and cannot do anything to a
 * terminal. As JSON lines: bytes that are no UTF-8 are base64, as in the other lists.
 */
#include "agent/cmd/sample_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/pattern.h"
#include "agent/record/text_json.h"

#define RECORDS 10
#define OTHERS 10			/* filtered, rejected, lost, notes: of each kind */
#define SHOWN 2000			/* bytes of a text, for people */

static size_t rune(const uint8_t *s, size_t n)
{
	size_t len = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;

	return len <= n && buf_is_utf8(s, len) ? len : 0;
}

static void put_escaped(struct buf *o, const void *data, size_t n)
{
	const uint8_t *s = data, *end = s + (n < SHOWN ? n : SHOWN);

	while (s < end) {
		size_t len = rune(s, (size_t)(end - s));
		bool c1 = len == 2 && s[0] == 0xc2 && s[1] < 0xa0;

		if (*s == '\\')
			buf_puts(o, "\\\\");
		else if (*s == '\n' || *s == '\t')
			buf_puts(o, *s == '\n' ? "\\n" : "\\t");
		else if (!len || c1 || *s < 0x20 || *s == 0x7f)
			buf_printf(o, "\\x%02x", *s);
		else
			buf_put(o, s, len);
		s += len && !c1 ? len : 1;
	}
	if (n > SHOWN)
		buf_printf(o, "... (%zu bytes)", n);
}

static void put_line(struct buf *o, const char *what, const void *data, size_t n)
{
	buf_printf(o, "  %s: ", what);
	put_escaped(o, data, n);
	buf_puts(o, "\n");
}

/* Where it stands: {"from":0,"to":57 or "bytes 0 to 57". */
static void put_place(struct sample_print *p, const char *what, const struct message_span *first, const struct message_span *last)
{
	if (p->json)
		buf_printf(p->out, "{\"from\":%" PRId64 ",\"to\":%" PRId64, first->from, last->to);
	else
		buf_printf(p->out, "%s: bytes %" PRId64 " to %" PRId64, what, first->from, last->to);
}

static void say_lost(struct sample_print *p)
{
	if (p->left_out.from < p->left_out.to && p->lost++ < OTHERS) {
		put_place(p, "lost", &p->left_out, &p->left_out);
		buf_puts(p->out, p->json ? ",\"lost\":\"long_lines\"}\n" : ", longer than max_line (long_lines)\n");
	}
	p->left_out = (struct message_span){ 0 };
}

static void put_message(struct sample_print *p, const char *what, const struct message *m)
{
	say_lost(p);
	put_place(p, what, &m->spans[0], &m->spans[m->span_count - 1]);
}

void sample_print_begin(struct sample_print *p, const char *path, const char *input, bool is_its_own)
{
	if (p->json)
		return;
	text_put_printable(p->out, path);
	buf_puts(p->out, is_its_own ? ", read by input " : ": no input matches it; as it would be read by input ");
	text_put_printable(p->out, input);
	buf_puts(p->out, "\n");
}

static void json_record(struct buf *o, const char *topic, const struct lane_record *r)
{
	json_put_text(o, "topic", topic);
	buf_puts(o, ",");
	json_put_bytes(o, "key", r->key, r->key_len);
	buf_puts(o, ",");
	json_put_bytes(o, "value", r->value, r->value_len);
	buf_puts(o, ",\"headers\":[");
	for (size_t i = 0; i < r->header_count; i++) {
		buf_puts(o, i ? ",{" : "{");
		json_put_bytes(o, "name", r->headers[i].name, strlen(r->headers[i].name));
		buf_puts(o, ",");
		json_put_bytes(o, "value", r->headers[i].value, r->headers[i].value_len);
		buf_puts(o, "}");
	}
	buf_puts(o, "]}\n");
}

static void text_record(struct buf *o, const char *topic, const struct lane_record *r)
{
	buf_puts(o, "\n");
	put_line(o, "topic", topic, strlen(topic));
	if (r->key)
		put_line(o, "key", r->key, r->key_len);
	for (size_t i = 0; i < r->header_count; i++) {
		const struct producer_header *h = &r->headers[i];

		buf_puts(o, "  header ");
		put_escaped(o, h->name, strlen(h->name));
		buf_puts(o, ": ");
		put_escaped(o, h->value ? h->value : "", h->value ? h->value_len : 0);
		buf_puts(o, "\n");
	}
	if (r->value)
		put_line(o, "value", r->value, r->value_len);
	else
		buf_puts(o, "  value: none\n");
}

void sample_print_record(struct sample_print *p, const struct message *m, const char *topic, const struct lane_record *r)
{
	char what[32];

	snprintf(what, sizeof what, "record %zu", ++p->records);
	put_message(p, what, m);
	(p->json ? json_record : text_record)(p->out, topic, r);
}

/* --- what becomes no record --- */

static void put_refused(struct sample_print *p, const char *what, const struct message *m, const char *why)
{
	put_message(p, what, m);
	if (p->json) {
		json_put_text(p->out, what, why);
		buf_puts(p->out, ",");
		json_put_bytes(p->out, "value", m->value, m->value_len);
		buf_puts(p->out, "}\n");
	} else {
		buf_puts(p->out, ", ");
		text_put_printable(p->out, why);
		buf_puts(p->out, "\n");
		put_line(p->out, "value", m->value, m->value_len);
	}
}

/* The first pattern of the list that is in the message, or NULL. */
static const char *find(const struct conf_strings *list, const struct message *m)
{
	struct pattern_room *room = pattern_room_new();
	const char *found = NULL;

	for (size_t i = 0; room && i < list->n && !found; i++) {
		struct pattern *p = NULL;

		if (pattern_new(list->v[i], &p, NULL) == 0 && pattern_find(p, room, m->value, m->value_len, NULL, NULL, NULL) == 1)
			found = list->v[i];
		pattern_free(p);
	}
	pattern_room_free(room);
	return found;
}

void sample_print_filtered(struct sample_print *p, const struct conf_input *in, const struct message *m)
{
	const char *excluded = NULL;
	char why[300];

	if (p->filtered++ >= OTHERS)
		return;
	if (in->include_lines.n && !find(&in->include_lines, m))
		snprintf(why, sizeof why, "no pattern of include_lines is in it");
	else if ((excluded = find(&in->exclude_lines, m)))
		snprintf(why, sizeof why, "exclude_lines: %.200s", excluded);
	else
		snprintf(why, sizeof why, "dropped by an interceptor");
	put_refused(p, "filtered", m, why);
}

void sample_print_rejected(struct sample_print *p, const struct message *m, const char *why)
{
	if (p->rejected++ < OTHERS)
		put_refused(p, "rejected", m, why);
}

void sample_print_lost(struct sample_print *p, const struct message_span *lost)
{
	if (lost->from != p->left_out.to)
		say_lost(p);
	if (p->left_out.from == p->left_out.to)
		p->left_out = *lost;
	p->left_out.to = lost->to;
}

void sample_print_note(struct sample_print *p, const char *text)
{
	if (!text || p->notes++ >= OTHERS)
		return;
	say_lost(p);
	if (p->json) {
		buf_puts(p->out, "{\"note\":");
		buf_put_json(p->out, text, SIZE_MAX);
		buf_puts(p->out, "}\n");
	} else {
		buf_puts(p->out, "note: ");
		text_put_printable(p->out, text);
		buf_puts(p->out, "\n");
	}
}

bool sample_print_enough(const struct sample_print *p)
{
	return p->records >= RECORDS;
}

void sample_print_end(struct sample_print *p, int64_t bytes)
{
	say_lost(p);
	if (p->json)
		return;
	buf_printf(p->out, "%zu %s, %zu filtered, %zu rejected, of the first %" PRId64 " bytes\n", p->records,
		   p->records == 1 ? "record" : "records", p->filtered, p->rejected, bytes);
}
