/* fields.c - see fields.h.
 *
 * Why no tree: one allocates for each value, to be asked for one or two of them. A line is checked once, then walked over once
 * for where its members stand; objects within it are walked over when they are asked for: about a ninth of the time of a tree.
 * Invariants
 *  (1) nothing below fields_there is called for text that is no valid object: the walk trusts it to end where it should.
 *  (2) what fields_put makes of a line is no longer than the line.
 * Threads: see fields.h. Failure: text that is no object has no fields; ERR_NOMEM.
 */
#include "agent/record/fields.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/record/text_json.h"
#include "conf/template.h"
#include "producer/json.h"

void fields_begin(struct fields *f, const void *message, size_t n, const void *given)
{
	f->text = message;
	f->end = n ? f->text + n : f->text;
	f->given = given;
	f->are = given ? FIELDS_THERE : FIELDS_UNKNOWN;
	f->index = FIELDS_NO_INDEX;
	f->count = 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *blanks(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

bool fields_there(struct fields *f)
{
	size_t at;

	if (f->are != FIELDS_UNKNOWN)
		return f->are == FIELDS_THERE;
	while (f->text < f->end && is_blank(*f->text))
		f->text++;
	while (f->end > f->text && is_blank(f->end[-1]))
		f->end--;
	f->are = f->text < f->end && *f->text == '{' &&
		 json_valid_within(f->text, (size_t)(f->end - f->text), FIELDS_DEPTH_MAX, &at) ? FIELDS_THERE : FIELDS_NONE;
	return f->are == FIELDS_THERE;
}

/* --- strings of valid JSON --- */

/* p: at the quote that begins it. Returns what is behind the one that ends it. */
static const char *string_end(const char *p)
{
	for (p++;; p += 2) {
		while (*p != '"' && *p != '\\')
			p++;
		if (*p == '"')
			return p + 1;
	}
}

static uint32_t hex4(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
	return v;
}

static bool is_high(uint32_t c)
{
	return c >= 0xd800 && c < 0xdc00;
}

static bool is_low(uint32_t c)
{
	return c >= 0xdc00 && c < 0xe000;
}

/* p: at the backslash of \uXXXX. How many bytes of the text say one character, *ret; a lone half says U+FFFD. */
static size_t read_u(const char *p, const char *end, uint32_t *ret)
{
	uint32_t c = hex4(p + 2), low;

	*ret = c;
	if (is_high(c) && end - p >= 12 && p[6] == '\\' && p[7] == 'u' && is_low(low = hex4(p + 8))) {
		*ret = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		return 12;
	}
	if (is_high(c) || is_low(c))
		*ret = 0xfffd;
	return 6;
}

static size_t utf8_put(uint32_t c, char out[4])
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint32_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = n; i-- > 1; c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(lead[n] | c);
	return n;
}

/* p: at a backslash. Its character into out, *ret_n bytes; returns what is behind. */
static const char *read_escape(const char *p, const char *end, char out[4], size_t *ret_n)
{
	static const char shorts[] = "b\bf\fn\nr\rt\t";
	uint32_t c;
	size_t n;

	if (p[1] == 'u') {
		n = read_u(p, end, &c);
		*ret_n = utf8_put(c, out);
		return p + n;
	}
	out[0] = p[1];
	for (size_t i = 0; i < sizeof shorts - 1; i += 2)
		if (p[1] == shorts[i])
			out[0] = shorts[i + 1];
	*ret_n = 1;
	return p + 2;
}

/* The text between two quotes. */
static int put_decoded(const char *p, const char *end, struct buf *out)
{
	int rc = 0;

	while (p < end && rc == 0) {
		const char *to = memchr(p, '\\', (size_t)(end - p));
		char c[4];
		size_t n;

		rc = buf_put(out, p, (size_t)((to ? to : end) - p));
		p = to ? read_escape(to, end, c, &n) : end;
		if (to && rc == 0)
			rc = buf_put(out, c, n);
	}
	return rc;
}

static bool same_text(const char *p, const char *end, const char *name, size_t n)
{
	char c[4];
	size_t k;

	if ((size_t)(end - p) < n)
		return false;			/* taking escapes out makes no text longer */
	if (!memchr(p, '\\', (size_t)(end - p)))
		return (size_t)(end - p) == n && !memcmp(p, name, n);
	while (p < end) {
		k = 1;
		c[0] = *p;
		p = *p == '\\' ? read_escape(p, end, c, &k) : p + 1;
		if (k > n || memcmp(c, name, k))
			return false;
		name += k;
		n -= k;
	}
	return n == 0;
}

/* --- values of valid JSON --- */

static const char *container_end(const char *p)
{
	int depth = 0;

	do {
		switch (*p) {
		case '"':
			p = string_end(p);
			continue;
		case '{': case '[':
			depth++;
			break;
		case '}': case ']':
			depth--;
			break;
		}
		p++;
	} while (depth);
	return p;
}

static const char *value_end(const char *p)
{
	if (*p == '"')
		return string_end(p);
	if (*p == '{' || *p == '[')
		return container_end(p);
	while (*p != ',' && *p != '}' && *p != ']' && !is_blank(*p))
		p++;
	return p;
}

struct member { const char *name, *name_end, *value; };

/* p: at the quote of a member's name. Returns where the next one's is, or the brace that ends the object. */
static const char *read_member(const char *p, struct member *ret)
{
	ret->name = p + 1;
	p = string_end(p);
	ret->name_end = p - 1;
	ret->value = blanks(blanks(p) + 1);
	p = blanks(value_end(ret->value));
	return *p == ',' ? blanks(p + 1) : p;
}

/* object: at its "{". The value of the last member of that name, or NULL. */
static const char *find_member(const char *object, const char *name, size_t n)
{
	const char *p = blanks(object + 1), *found = NULL;
	struct member m;

	while (*p == '"') {
		p = read_member(p, &m);
		if (same_text(m.name, m.name_end, name, n))
			found = m.value;
	}
	return found;
}

static void index_members(struct fields *f)
{
	const char *p = blanks(f->text + 1), *from = f->text;
	struct member m;

	f->index = (size_t)(f->end - from) > UINT32_MAX ? FIELDS_TOO_MANY : FIELDS_INDEXED;
	for (f->count = 0; *p == '"' && f->index == FIELDS_INDEXED; f->count++) {
		if (f->count == FIELDS_INDEX) {
			f->index = FIELDS_TOO_MANY;
			break;
		}
		p = read_member(p, &m);
		f->members[f->count] = (struct fields_member){ (uint32_t)(m.name - from), (uint32_t)(m.name_end - from),
							       (uint32_t)(m.value - from) };
	}
}

static const char *find_first(struct fields *f, const char *name, size_t n)
{
	if (f->index == FIELDS_NO_INDEX)
		index_members(f);
	if (f->index == FIELDS_TOO_MANY)
		return find_member(f->text, name, n);
	for (uint32_t i = f->count; i-- > 0; )
		if (same_text(f->text + f->members[i].name, f->text + f->members[i].name_end, name, n))
			return f->text + f->members[i].value;
	return NULL;
}

static int put_scalar(const char *p, struct buf *out)
{
	const char *end = value_end(p);

	if (*p == '{' || *p == '[' || *p == 'n')
		return ERR_NOT_FOUND;
	return *p == '"' ? put_decoded(p + 1, end - 1, out) : buf_put(out, p, (size_t)(end - p));
}

/* --- paths --- */

/* The next name of a path, without its backslashes. *path moves behind it and its dot. */
static size_t next_name(const char **path, const char *end, char *ret)
{
	const char *p = *path;
	size_t n = 0;

	for (; p < end && *p != '.' && n < TEMPLATE_FIELD_MAX; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		ret[n++] = *p;
	}
	ret[n] = 0;
	*path = p < end ? p + 1 : p;
	return n;
}

static int text_of_line(struct fields *f, const char *path, const char *end, struct buf *out)
{
	char name[TEMPLATE_FIELD_MAX + 1];
	size_t n = next_name(&path, end, name);
	const char *at = find_first(f, name, n);

	while (at && path < end) {
		n = next_name(&path, end, name);
		at = *at == '{' ? find_member(at, name, n) : NULL;
	}
	return at ? put_scalar(at, out) : ERR_NOT_FOUND;
}

/* --- what was given --- */

static int text_of_given(const json_t *o, const char *path, const char *end, struct buf *out)
{
	char name[TEMPLATE_FIELD_MAX + 1];

	while (path < end) {
		next_name(&path, end, name);
		o = json_object_get(o, name);
	}
	if (json_is_string(o))
		return buf_put(out, json_string_value(o), json_string_length(o));
	if (!o || json_is_null(o) || json_is_object(o) || json_is_array(o))
		return ERR_NOT_FOUND;
	return json_put_value(out, o, JSON_ENCODE_ANY);
}

/* --- the face --- */

int fields_text(struct fields *f, const char *path, size_t n, struct buf *out)
{
	if (!fields_there(f) || !n)
		return ERR_NOT_FOUND;
	return f->given ? text_of_given(f->given, path, path + n, out) : text_of_line(f, path, path + n, out);
}

/* A string as it stands, but for lone halves of surrogate pairs. Returns what is behind it. */
static const char *copy_string(const char *p, char **to)
{
	const char *end = string_end(p);
	char *at = *to;
	uint32_t c;
	size_t n;

	memcpy(at, p, (size_t)(end - p));
	*to += end - p;
	while ((p = memchr(p, '\\', (size_t)(end - p)))) {
		n = p[1] == 'u' ? read_u(p, end, &c) : 2;
		if (p[1] == 'u' && c == 0xfffd)
			memcpy(*to - (end - p), "\\ufffd", 6);
		p += n;
	}
	return end;
}

int fields_put(struct fields *f, struct buf *out)
{
	const char *p;
	char *to;

	if (!fields_there(f))
		return 0;
	if (f->given)
		return json_put_value(out, f->given, JSON_COMPACT | JSON_SORT_KEYS);
	p = f->text;
	if (buf_reserve(out, (size_t)(f->end - p)) < 0)
		return ERR_NOMEM;
	to = out->data + out->len;
	while (p < f->end) {
		if (*p == '"')
			p = copy_string(p, &to);
		else if (is_blank(*p))
			p++;
		else
			*to++ = *p++;
	}
	out->len = (size_t)(to - out->data);
	*to = 0;
	return 0;
}
