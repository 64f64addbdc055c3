/* template.c - topic and key templates.
 *
 * Why no compiled form: a template is expanded once a file, not once a line.
 * Invariants
 *  (1) One table of names serves the check and the expansion, so what passes the check expands.
 *  (2) A value is data: %{ inside a path is not looked at again.
 * Failure  ERR_CONFIG with words for a bad template, ERR_BAD_DATA for values that make no topic.
 */
#include "conf/template.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "conf/problem.h"

enum { TOPIC_MAX = 249 };

/* A value as a piece of the path or of another string. */
struct piece { const char *s; size_t n; };

static struct piece whole(const char *s)
{
	return (struct piece){ s, strlen(s) };
}

static struct piece of_path(const struct template_values *v)
{
	return whole(v->path);
}

static struct piece of_file(const struct template_values *v)
{
	const char *slash = strrchr(v->path, '/');

	return whole(slash ? slash + 1 : v->path);
}

/* The name of the directory, "/" for the root. */
static struct piece of_dir(const struct template_values *v)
{
	const char *end = strrchr(v->path, '/'), *begin = end;

	if (!end || end == v->path)
		return (struct piece){ "/", end ? 1 : 0 };
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

static const struct { const char *name; struct piece (*get)(const struct template_values *v); } names[] = {
	{ "path", of_path }, { "file", of_file }, { "dir", of_dir }, { "host", of_host }, { "input", of_input },
};

/* What the interface names for later versions: exact, or with a dot and more behind. */
static const char *const soon[] = { "offset", "field" };

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

static bool is_env(const char *inside)
{
	return !strncmp(inside, "env.", 4);
}

static int check_env(const char *inside, struct err *ret_err)
{
	const char *name = inside + 4;

	for (const char *p = name; *p || p == name; p++)
		if (!isalpha((unsigned char)*p) && *p != '_' && (p == name || !isdigit((unsigned char)*p)))
			return err_set(ret_err, ERR_CONFIG, "\"%%{%.100s}\" does not name an environment variable",
				       inside);
	if (!getenv(name))
		return err_set(ret_err, ERR_CONFIG, "environment variable \"%.100s\" is not set", name);
	return 0;
}

static int unknown(const char *inside, struct err *ret_err)
{
	static const char *const words[] = { "%{path}", "%{file}", "%{dir}", "%{host}", "%{input}", NULL };
	char word[64], hint[HINT_MAX];

	for (size_t i = 0; i < sizeof soon / sizeof soon[0]; i++) {
		size_t n = strlen(soon[i]);

		if (!strncmp(inside, soon[i], n) && (!inside[n] || inside[n] == '.'))
			return err_set(ret_err, ERR_CONFIG, "\"%%{%.100s}\" is not supported yet", inside);
	}
	snprintf(word, sizeof word, "%%{%s}", inside);
	problem_hint(hint, sizeof hint, word, words);
	return err_set(ret_err, ERR_CONFIG, "unknown template \"%%{%.100s}\"%s", inside,
		       *hint ? hint : ", known are %{path} %{file} %{dir} %{host} %{input} %{env.NAME}");
}

static int check_name(const char *inside, struct err *ret_err)
{
	if (is_env(inside))
		return check_env(inside, ret_err);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (!strcmp(inside, names[i].name))
			return 0;
	return unknown(inside, ret_err);
}

/* The next %{...}: literal text before it, its inside (to be freed) and the text behind. */
struct part { size_t literal; char *inside; const char *rest; };

/* 1: there is one; 0: only literal text is left; or an error. */
static int next_part(const char *tpl, struct part *ret, struct err *ret_err)
{
	const char *at = strstr(tpl, "%{"), *end;

	*ret = (struct part){ .literal = strlen(tpl) };
	if (!at)
		return 0;
	end = strchr(at, '}');
	if (!end)
		return err_set(ret_err, ERR_CONFIG, "\"%%{\" without a \"}\"");
	ret->inside = mem_strndup(at + 2, (size_t)(end - at - 2));
	if (!ret->inside)
		return ERR_NOMEM;
	ret->literal = (size_t)(at - tpl);
	ret->rest = end + 1;
	return 1;
}

static int check_topic_text(const char *s, size_t n, struct err *ret_err)
{
	for (size_t i = 0; i < n; i++)
		if (!topic_byte(s[i]))
			return err_set(ret_err, ERR_CONFIG,
				       "a topic is made of letters, digits, \".\", \"_\" and \"-\" only");
	return 0;
}

int template_check(const char *tpl, bool is_topic, struct err *ret_err)
{
	const char *all = tpl;
	struct part part;
	int rc;

	while ((rc = next_part(tpl, &part, ret_err)) == 1) {
		rc = is_topic ? check_topic_text(tpl, part.literal, ret_err) : 0;
		if (!rc)
			rc = check_name(part.inside, ret_err);
		mem_free(part.inside);
		if (rc)
			return rc;
		tpl = part.rest;
	}
	if (!rc && is_topic)
		rc = check_topic_text(tpl, part.literal, ret_err);
	if (!rc && is_topic && tpl == all && !template_topic_legal(all))
		return err_set(ret_err, ERR_CONFIG, "a topic has 1 to %d characters and is not \".\" or \"..\"",
			       TOPIC_MAX);
	return rc;
}

static int put_value(struct buf *out, struct piece p, bool is_topic)
{
	size_t from = out->len;
	int rc = buf_put(out, p.s, p.n);

	for (size_t i = from; !rc && is_topic && i < out->len; i++)
		if (!topic_byte(out->data[i]))
			out->data[i] = '_';
	return rc;
}

static int put_name(const char *inside, const struct template_values *v, bool is_topic, struct buf *out)
{
	if (is_env(inside)) {
		const char *s = getenv(inside + 4);

		return put_value(out, whole(s ? s : ""), is_topic);
	}
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (!strcmp(inside, names[i].name))
			return put_value(out, names[i].get(v), is_topic);
	return ERR_CONFIG;
}

static int expand(const char *tpl, const struct template_values *v, bool is_topic, struct buf *out)
{
	struct part part;
	int rc;

	while ((rc = next_part(tpl, &part, NULL)) == 1) {
		rc = buf_put(out, tpl, part.literal);
		if (!rc)
			rc = put_name(part.inside, v, is_topic, out);
		mem_free(part.inside);
		if (rc)
			return rc;
		tpl = part.rest;
	}
	return rc ? rc : buf_put(out, tpl, part.literal);
}

int template_expand(const char *tpl, const struct template_values *v, struct buf *out)
{
	return expand(tpl, v, false, out);
}

int template_expand_topic(const char *tpl, const struct template_values *v, struct buf *out)
{
	size_t from = out->len;
	int rc = expand(tpl, v, true, out);

	if (!rc && (out->len == from || !template_topic_legal(out->data + from)))
		rc = ERR_BAD_DATA;
	return rc;
}

bool template_per_record(const char *tpl, bool content)
{
	return strstr(tpl, "%{field.") || strstr(tpl, "%{stream}") || strstr(tpl, "%{time}") || (!content && strstr(tpl, "%{offset}"));
}
