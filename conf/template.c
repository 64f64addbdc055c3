/* template.c - topic, key and header templates.
 *
 * Why no compiled form: most are expanded once a file, and for those of each record finding the next "%{" is the least of it.
 * Invariants
 *  (1) One table of names serves the check and the expansion, so what passes the check expands.
 *  (2) A value is data: %{ inside a path is not looked at again. What template_prepare puts in has "%{%}" for a percent sign.
 * Failure  ERR_CONFIG with words for a bad template, ERR_NOT_FOUND for a value that a record has not, ERR_BAD_DATA for values
 *	that make no topic.
 */
#include "conf/template.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/problem.h"

enum { TOPIC_MAX = 249, ENV_NAME_MAX = 255 };

/* n bytes of something that lives longer; s NULL: there is none. */
struct piece { const char *s; size_t n; };

static struct piece whole(const char *s)
{
	return (struct piece){ s, s ? strlen(s) : 0 };
}

static struct piece of_path(const struct template_values *v)
{
	return whole(v->path);
}

static struct piece of_file(const struct template_values *v)
{
	const char *slash = v->path ? strrchr(v->path, '/') : NULL;

	return whole(slash ? slash + 1 : v->path);
}

/* The name of the directory, "/" for the root. */
static struct piece of_dir(const struct template_values *v)
{
	const char *end = v->path ? strrchr(v->path, '/') : NULL, *begin = end;

	if (!end || end == v->path)
		return (struct piece){ v->path ? "/" : NULL, end ? 1 : 0 };
	while (begin > v->path && begin[-1] != '/')
		begin--;
	return (struct piece){ begin, (size_t)(end - begin) };
}

static struct piece of_host(const struct template_values *v)
{
	return whole(v->host);
}

static struct piece of_input(const struct template_values *v)
{
	return whole(v->input);
}

static struct piece of_percent(const struct template_values *v)
{
	(void)v;
	return whole("%");
}

enum scope { OF_AGENT, OF_FILE, OF_RECORD, OF_CONTENT };

static const struct name {
	const char *name;
	enum scope scope;
	struct piece (*get)(const struct template_values *v);	/* NULL: a number, or lookup knows */
	bool with_rest;				/* a prefix: a name of the user's own follows */
} names[] = {
	{ "path", OF_FILE, of_path, false }, { "file", OF_FILE, of_file, false }, { "dir", OF_FILE, of_dir, false },
	{ "host", OF_AGENT, of_host, false }, { "input", OF_AGENT, of_input, false }, { "env.", OF_AGENT, NULL, true },
	{ "offset", OF_RECORD, NULL, false }, { "stream", OF_RECORD, NULL, false }, { "time", OF_CONTENT, NULL, false },
	{ "field.", OF_CONTENT, NULL, true }, { "%", OF_FILE, of_percent, false },
};

static const struct name *name_of(struct piece inside)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		size_t n = strlen(names[i].name);

		if ((names[i].with_rest ? inside.n >= n : inside.n == n) && !memcmp(inside.s, names[i].name, n))
			return &names[i];
	}
	return NULL;
}

static bool is_env(const struct name *name)
{
	return name->scope == OF_AGENT && name->with_rest;
}

static bool topic_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

bool template_topic_legal(const char *name)
{
	size_t n = 0;

	while (topic_byte(name[n]))
		n++;
	return !name[n] && n > 0 && n <= TOPIC_MAX && strcmp(name, ".") && strcmp(name, "..");
}

/* --- taking apart --- */

/* The next %{...}: literal text before it, its inside and the text behind. */
struct part { struct piece literal, inside; const char *rest; };

/* 1: there is one; 0: only literal text is left; or an error. */
static int next_part(const char *tpl, struct part *ret, struct err *ret_err)
{
	const char *at = strstr(tpl, "%{"), *end;

	*ret = (struct part){ .literal = whole(tpl) };
	if (!at)
		return 0;
	end = strchr(at, '}');
	if (!end)
		return err_set(ret_err, ERR_CONFIG, "\"%%{\" without a \"}\"");
	ret->literal.n = (size_t)(at - tpl);
	ret->inside = (struct piece){ at + 2, (size_t)(end - at - 2) };
	ret->rest = end + 1;
	return 1;
}

bool template_per_record(const char *tpl, bool content)
{
	struct part part;

	for (; next_part(tpl, &part, NULL) == 1; tpl = part.rest) {
		const struct name *name = name_of(part.inside);

		if (name && name->scope >= (content ? OF_CONTENT : OF_RECORD))
			return true;
	}
	return false;
}

/* --- the check --- */

static const char *getenv_n(const char *name, size_t n)
{
	char copy[ENV_NAME_MAX + 1];

	if (n > ENV_NAME_MAX)
		return NULL;
	memcpy(copy, name, n);
	copy[n] = 0;
	return getenv(copy);
}

static int check_env(struct piece inside, struct err *ret_err)
{
	const char *name = inside.s + 4;
	size_t n = inside.n - 4;

	for (size_t i = 0; i < n || i == 0; i++)
		if (i == n || (!isalpha((unsigned char)name[i]) && name[i] != '_' && (i == 0 || !isdigit((unsigned char)name[i]))))
			return err_set(ret_err, ERR_CONFIG, "\"%%{%.*s}\" does not name an environment variable",
				       (int)(inside.n < 100 ? inside.n : 100), inside.s);
	if (!getenv_n(name, n))
		return err_set(ret_err, ERR_CONFIG, "environment variable \"%.*s\" is not set", (int)(n < 100 ? n : 100), name);
	return 0;
}

static bool field_legal(const char *s, size_t n)
{
	bool empty = true;

	for (size_t i = 0; i < n && n <= TEMPLATE_FIELD_MAX; i++) {
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f || s[i] == '{' || s[i] == '}')
			return false;
		if (s[i] == '.' && empty)
			return false;
		empty = s[i] == '.';
		if (s[i] == '\\' && (++i == n || (s[i] != '.' && s[i] != '\\')))
			return false;
	}
	return !empty;
}

static int check_field(const char *s, size_t n, const char *before, const char *behind, struct err *ret_err)
{
	if (field_legal(s, n))
		return 0;
	return err_set(ret_err, ERR_CONFIG, "\"%s%.*s%s\" does not name a field: names with dots between them, such as user.name; "
		       "a dot within a name is written \"\\.\"", before, (int)(n < 100 ? n : 100), s, behind);
}

int template_check_field(const char *path, struct err *ret_err)
{
	return check_field(path, strlen(path), "", "", ret_err);
}

static int unknown(struct piece inside, struct err *ret_err)
{
	static const char *const words[] = { "%{field.a}", "%{path}", "%{file}", "%{dir}", "%{host}", "%{input}", "%{offset}",
					     "%{stream}", "%{time}", NULL };
	int n = (int)(inside.n < 100 ? inside.n : 100);
	char word[64], hint[HINT_MAX];

	snprintf(word, sizeof word, "%%{%.*s}", n, inside.s);
	problem_hint(hint, sizeof hint, word, words);
	return err_set(ret_err, ERR_CONFIG, "unknown template \"%%{%.*s}\"%s", n, inside.s,
		       *hint ? hint : ", known are %{path} %{file} %{dir} %{host} %{input} %{env.NAME} %{offset} %{stream} %{time} "
		       "%{field.NAME}");
}

static int check_topic_text(struct piece p, struct err *ret_err)
{
	for (size_t i = 0; i < p.n; i++)
		if (!topic_byte(p.s[i]))
			return err_set(ret_err, ERR_CONFIG,
				       "a topic is made of letters, digits, \".\", \"_\" and \"-\" only");
	return 0;
}

static int check_name(struct piece inside, bool is_topic, struct err *ret_err)
{
	const struct name *name = name_of(inside);

	if (!name)
		return unknown(inside, ret_err);
	if (is_env(name))
		return check_env(inside, ret_err);
	if (name->with_rest)
		return check_field(inside.s + 6, inside.n - 6, "%{field.", "}", ret_err);
	return is_topic && name->get == of_percent ? check_topic_text(whole("%"), ret_err) : 0;
}

int template_check(const char *tpl, bool is_topic, struct err *ret_err)
{
	const char *all = tpl;
	struct part part;
	int rc;

	while ((rc = next_part(tpl, &part, ret_err)) == 1) {
		rc = is_topic ? check_topic_text(part.literal, ret_err) : 0;
		if (!rc)
			rc = check_name(part.inside, is_topic, ret_err);
		if (rc)
			return rc;
		tpl = part.rest;
	}
	if (!rc && is_topic)
		rc = check_topic_text(part.literal, ret_err);
	if (!rc && is_topic && tpl == all && !template_topic_legal(all))
		return err_set(ret_err, ERR_CONFIG, "a topic has 1 to %d characters and is not \".\" or \"..\"",
			       TOPIC_MAX);
	return rc;
}

/* --- putting together --- */

static int put_piece(struct buf *out, struct piece p)
{
	return p.s ? buf_put(out, p.s, p.n) : ERR_NOT_FOUND;
}

/* It was set when the template was checked. */
static struct piece of_env(struct piece inside)
{
	const char *s = getenv_n(inside.s + 4, inside.n - 4);

	return whole(s ? s : "");
}

static int put_name(struct piece inside, const struct template_values *v, struct buf *out)
{
	const struct name *name = name_of(inside);

	if (!name)
		return ERR_CONFIG;
	if (name->get)
		return put_piece(out, name->get(v));
	if (is_env(name))
		return put_piece(out, of_env(inside));
	if (!strcmp(name->name, "offset"))
		return v->offset < 0 ? ERR_NOT_FOUND : buf_printf(out, "%" PRId64, v->offset);
	return v->lookup ? v->lookup(v->lookup_arg, inside.s, inside.n, out) : ERR_NOT_FOUND;
}

int template_expand(const char *tpl, const struct template_values *v, struct buf *out)
{
	size_t from = out->len;
	struct part part;
	int rc;

	while ((rc = next_part(tpl, &part, NULL)) == 1) {
		rc = put_piece(out, part.literal);
		if (!rc)
			rc = put_name(part.inside, v, out);
		if (rc)
			break;
		tpl = part.rest;
	}
	if (!rc)
		rc = put_piece(out, part.literal);
	if (rc && out->data) {
		out->len = from;
		out->data[from] = 0;
	}
	return rc;
}

int template_expand_topic(const char *tpl, const struct template_values *v, struct buf *out)
{
	size_t from = out->len;
	int rc = template_expand(tpl, v, out);

	/* Text around the values was checked, so it stays; values that template_prepare put into it are made legal too. */
	for (size_t i = from; !rc && i < out->len; i++)
		if (!topic_byte(out->data[i]))
			out->data[i] = '_';
	if (!rc && (out->len == from || !template_topic_legal(out->data + from)))
		rc = ERR_BAD_DATA;
	return rc;
}

/* Text that is to stay text whatever stands behind it. */
static int put_text(struct buf *out, struct piece p)
{
	int rc = 0;

	for (size_t i = 0; i < p.n && rc == 0; i++) {
		bool opens = p.s[i] == '%' && (i + 1 == p.n || p.s[i + 1] == '{');

		rc = opens ? buf_puts(out, "%{%}") : buf_put(out, p.s + i, 1);
	}
	return rc;
}

static int prepare_name(struct piece inside, const struct template_values *v, struct buf *out)
{
	const struct name *name = name_of(inside);
	struct piece value;

	if (!name)
		return ERR_CONFIG;
	if (name->scope != OF_AGENT)
		return buf_printf(out, "%%{%.*s}", (int)inside.n, inside.s);
	value = is_env(name) ? of_env(inside) : name->get(v);
	return value.s ? put_text(out, value) : ERR_NOT_FOUND;
}

int template_prepare(const char *tpl, const struct template_values *v, struct buf *out)
{
	struct part part;
	int rc;

	while ((rc = next_part(tpl, &part, NULL)) == 1) {
		rc = put_text(out, part.literal);
		if (!rc)
			rc = prepare_name(part.inside, v, out);
		if (rc)
			return rc;
		tpl = part.rest;
	}
	return rc ? rc : put_piece(out, part.literal);
}
