/* render.c - a YAML subtree as compact JSON: how a value that is a list or a section reaches the producer.
 *
 * Bare true, false, null and JSON's numbers stay what they are, every other scalar is a text. ${...} is replaced, and gives a
 * text. The depth is bounded by the reader of YAML.
 */
#include "conf/load.h"

#include <string.h>

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool is_number(const char *s)
{
	static const char digits[] = "0123456789";
	size_t n;

	s += *s == '-';
	n = strspn(s, digits);
	if (!n || (*s == '0' && n > 1))
		return false;
	s += n;
	if (*s == '.') {
		n = strspn(s + 1, digits);
		if (!n)
			return false;
		s += n + 1;
	}
	if (*s == 'e' || *s == 'E') {
		s += 1 + (s[1] == '+' || s[1] == '-');
		n = strspn(s, digits);
		if (!n)
			return false;
		s += n;
	}
	return !*s;
}

static bool put_scalar(struct loader *l, struct yaml_node *v, struct buf *out)
{
	const char *text = load_text(l, v);

	if (!text)
		return false;
	if (yaml_is_null(v))
		buf_puts(out, "null");
	else if (!v->quoted && (!strcmp(text, "true") || !strcmp(text, "false") || is_number(text)))
		buf_puts(out, text);
	else
		buf_put_json(out, text, SIZE_MAX);
	return true;
}

bool load_json(struct loader *l, struct yaml_node *v, struct buf *out, bool *ret_masked)
{
	bool is_map = v->kind == YAML_MAP, good = true;

	if (v->kind == YAML_SCALAR) {
		good = put_scalar(l, v, out);
		*ret_masked |= v->masked;
		return good;
	}
	buf_puts(out, is_map ? "{" : "[");
	for (size_t i = 0; i < v->count; i++) {
		buf_puts(out, i ? "," : "");
		if (is_map) {
			buf_put_json(out, v->pairs[i].key->text, SIZE_MAX);
			buf_puts(out, ":");
		}
		good &= load_json(l, v->pairs[i].value, out, ret_masked);
	}
	buf_puts(out, is_map ? "}" : "]");
	return good;
}
