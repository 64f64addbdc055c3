/* print.c - the effective configuration as YAML.
 *
 * Why: `check --print` shows what the defaults made of a file, and a test proves that the reader reads it back.
 * Invariants
 *  (1) Driven by the same table as the reader: no key can be forgotten.
 *  (2) Secret fields print as "***".
 *  (3) `include` is not printed: what it brought is there already.
 *  (4) A default that the agent may still change (it has a set_offset) prints as a comment, so that reading it back
 *      does not make it explicit.
 * Failure  out->failed.
 */
#include <inttypes.h>
#include <string.h>

#include "agent/base/units.h"
#include "conf/conf.h"
#include "conf/keys.h"
#include "conf/load.h"

/* Everything that YAML could take for something else is quoted. */
static bool is_plain(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-");

	return n && !s[n] && *s != '-' && *s != '.' && strcmp(s, "null");
}

/* The code point at *s, and *s behind it; U+FFFD for a byte that is no UTF-8. */
static uint32_t next_rune(const unsigned char **s)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = *s;
	int more = *p < 0x80 ? 0 :
		   *p >= 0xc2 && *p < 0xe0 ? 1 :
		   (*p & 0xf0) == 0xe0 ? 2 :
		   (*p & 0xf8) == 0xf0 ? 3 : -1;
	uint32_t r = more > 0 ? *p & (0x3fu >> more) : *p;

	(*s)++;
	for (int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0xfffd;
		r = r << 6 | (p[i] & 0x3fu);
	}
	if (more < 0 || r < least[more] || r > 0x10ffff || (r >= 0xd800 && r < 0xe000))
		return 0xfffd;
	*s += more;
	return r;
}

/* What libyaml would not take as it is, or would take for the end of a line. */
static bool needs_escape(uint32_t r)
{
	return r < 0x20 || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffe ||
	       r == 0xffff;
}

static void put_quoted(struct buf *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	buf_puts(out, "\"");
	while (*s) {
		const unsigned char *from = s;
		uint32_t r = next_rune(&s);

		if (r == '"' || r == '\\')
			buf_printf(out, "\\%c", (char)r);
		else if (needs_escape(r))
			buf_printf(out, "\\u%04" PRIX32, r);
		else if (r == 0xfffd)
			buf_puts(out, "\xef\xbf\xbd");
		else
			buf_put(out, from, (size_t)(s - from));
	}
	buf_puts(out, "\"");
}

static void put_text(struct buf *out, const char *s)
{
	if (is_plain(s))
		buf_puts(out, s);
	else
		put_quoted(out, s);
}

static void put_list(const struct conf *c, struct buf *out, const struct conf_strings *list)
{
	buf_puts(out, "[");
	for (size_t i = 0; i < list->n; i++) {
		buf_puts(out, i ? ", " : "");
		put_text(out, load_is_masked(c, &list->v[i]) ? "***" : list->v[i]);
	}
	buf_puts(out, "]");
}

static void put_templates(const struct conf *c, struct buf *out, const struct conf_pairs *list)
{
	buf_puts(out, "{");
	for (size_t i = 0; i < list->n; i++) {
		buf_puts(out, i ? ", " : "");
		put_text(out, list->names[i]);
		buf_puts(out, ": ");
		put_text(out, load_is_masked(c, &list->values[i]) ? "***" : list->values[i]);
	}
	buf_puts(out, "}");
}

static void put_number(struct buf *out, const struct conf_key *k, const void *base)
{
	int64_t value = keys_number(k, base);
	const char *name = keys_choice_name(k, value);
	char text[32];

	if (name)
		buf_puts(out, name);
	else if (k->type == KEY_SIZE)
		buf_puts(out, units_print_size(text, sizeof text, value));
	else if (k->type == KEY_TIME)
		buf_puts(out, units_print_time(text, sizeof text, value));
	else
		buf_printf(out, "%" PRId64, value);
}

static bool is_set(const struct conf_key *k, const void *base)
{
	return *((const bool *)base + k->set_offset);
}

static bool is_unset(const struct conf_key *k, const void *base);

static bool all_unset(const struct key_section *s, const void *base)
{
	const struct conf_key *k = s->keys;

	while (k->name && is_unset(k, base))
		k++;
	return !k->name;
}

/* Nothing to say: an unset text, or a number outside of its bounds, which stands for "absent"; a section of such. */
static bool is_unset(const struct conf_key *k, const void *base)
{
	const void *field = keys_field(k, base);

	switch (k->type) {
	case KEY_TEXT:
	case KEY_PATH:
	case KEY_TOPIC:
	case KEY_TEMPLATE:
		return !*(char *const *)field && !(k->flags & KEY_OFF);
	case KEY_NUMBER:
		return k->size && !k->choices && keys_number(k, base) < k->min;
	case KEY_SECTION:
		return k->set_offset ? !is_set(k, base) : all_unset(k->section, base);
	default:
		return false;
	}
}

static void put_value(const struct conf *c, struct buf *out, const struct conf_key *k, const void *base)
{
	const void *field = keys_field(k, base);

	if (k->size && load_is_masked(c, field)) {
		put_text(out, "***");
		return;
	}
	switch (k->type) {
	case KEY_TEXT:
	case KEY_PATH:
	case KEY_TOPIC:
	case KEY_TEMPLATE:
		put_text(out, *(char *const *)field ? *(char *const *)field : "off");	/* KEY_OFF */
		break;
	case KEY_TEXTS:
	case KEY_PATHS:
		put_list(c, out, field);
		break;
	case KEY_TEMPLATES:
		put_templates(c, out, field);
		break;
	default:
		if (k->size)
			put_number(out, k, base);
		else
			put_text(out, k->def);
	}
}

static void put_key(const struct conf *c, struct buf *out, const struct conf_key *k, const void *base, int indent);

static void put_section(const struct conf *c, struct buf *out, const struct key_section *s, const void *base,
			int indent);

static void put_inputs(const struct conf *c, struct buf *out)
{
	for (size_t i = 0; i < c->input_count; i++) {
		const struct conf_input *in = &c->inputs[i];

		buf_puts(out, "  -\n");
		for (const struct conf_key *k = keys_input.keys; k->name; k++)
			if (keys_takes(k, in->type) && !is_unset(k, in))
				put_key(c, out, k, in, 4);
	}
}

static void put_key(const struct conf *c, struct buf *out, const struct conf_key *k, const void *base, int indent)
{
	bool is_default = k->set_offset && !is_set(k, base);	/* never a section: that would not be printed */

	buf_printf(out, "%*s%s%s:", indent, "", is_default ? "# " : "", k->name);
	if (k->type == KEY_SECTION) {
		buf_puts(out, "\n");
		put_section(c, out, k->section, base, indent + 2);
	} else if (k->type == KEY_INPUTS) {
		buf_puts(out, "\n");
		put_inputs(c, out);
	} else {
		buf_puts(out, " ");
		put_value(c, out, k, base);
		buf_puts(out, "\n");
	}
}

static void put_section(const struct conf *c, struct buf *out, const struct key_section *s, const void *base,
			int indent)
{
	for (const struct conf_key *k = s->keys; k->name; k++)
		if (k->type != KEY_PRODUCER && !(k->flags & KEY_BESIDE) && !is_unset(k, base))
			put_key(c, out, k, base, indent);
}

static bool is_ascii(const char *s)
{
	while (*s >= 0x20 && *s < 0x7f)
		s++;
	return !*s;
}

/* JSON in one line is YAML, but for characters that YAML takes for ends of lines: then it is a text, which reads back too. */
void conf_print_producer(const struct conf *c, const char *name, const char *value, bool is_json, struct buf *out)
{
	for (size_t i = 0; i < c->producer_masked.n; i++)
		if (!strcmp(c->producer_masked.v[i], name)) {
			value = "***";
			is_json = false;
		}
	buf_printf(out, "  %s: ", name);
	if (is_json && is_ascii(value))
		buf_puts(out, value);
	else
		put_text(out, value);
	buf_puts(out, "\n");
}

void conf_print(const struct conf *c, struct buf *out)
{
	put_section(c, out, &keys_top, c, 0);
}
