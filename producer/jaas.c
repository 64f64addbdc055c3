/* jaas.c - sasl.jaas.config, as Java's client reads it.
 *
 *	CLASS FLAG [NAME=VALUE]... ;
 *
 * Words end at blanks, ';', '=' and quotes. "..." and '...' hold everything, with Java's escapes after a backslash. Comments
 * are Java's, before a word. Where Java goes on in silence (a string that the line ends, a second module, an option that is
 * given twice) this is an error: such a value is always a mistake.
 *
 * Invariant: words show names of classes and options at most. Memory that held values is wiped.
 */
#include "producer/jaas.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "agent/base/mem.h"

#define KEY "sasl.jaas.config"
#define KAFKA_SECURITY "org.apache.kafka.common.security."
#define OPTIONS_MAX 64
#define SHOWN 80		/* bytes of a name in words */

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_STRING, TOKEN_EQUALS, TOKEN_SEMICOLON };

/* One token at a time: text is its decoded value, in a buffer as long as the whole value. */
struct lexer { const char *p; char *text; size_t len; enum token_kind kind; };

static const struct { const char *name; enum jaas_module module; } modules[] = {
	{ KAFKA_SECURITY "plain.PlainLoginModule", JAAS_PLAIN },
	{ KAFKA_SECURITY "scram.ScramLoginModule", JAAS_SCRAM },
	{ KAFKA_SECURITY "oauthbearer.OAuthBearerLoginModule", JAAS_OAUTHBEARER },
};

#define ALTERNATIVES "use SCRAM-SHA-512, OAUTHBEARER or client certificates (SSL)"
static const struct { const char *part, *why; } refused[] = {
	{ "Krb5LoginModule", "Kerberos is not supported; " ALTERNATIVES },
	{ "iam.IAMLoginModule", "AWS_MSK_IAM is not supported; MSK also takes SCRAM-SHA-512 and client certificates (SSL)" },
	{ "LdapLoginModule", "it is for whoever checks passwords; " ALTERNATIVES },
};

static int bad(struct err *ret_err, const char *what)
{
	return err_set(ret_err, ERR_CONFIG, KEY ": %s", what);
}

/* --- tokens --- */

static bool is_blank(char c)
{
	return c && (unsigned char)c <= ' ';
}

/* Behind blanks and comments; NULL: a comment without an end. */
static const char *skip(const char *p)
{
	for (;;) {
		while (is_blank(*p))
			p++;
		if (p[0] == '/' && p[1] == '/') {
			p += strcspn(p, "\r\n");
		} else if (p[0] == '/' && p[1] == '*') {
			p = strstr(p + 2, "*/");
			if (!p)
				return NULL;
			p += 2;
		} else {
			return p;
		}
	}
}

/* What stands behind a backslash, as a byte; *p ends up behind it. */
static char unescape(const char **p)
{
	static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
	const char *s = *p, *named = strchr(from, *s);
	int v = 0;

	if (*s >= '0' && *s <= '7') {
		size_t most = *s <= '3' ? 3 : 2;

		for (size_t i = 0; i < most && *s >= '0' && *s <= '7'; i++)
			v = v * 8 + (*s++ - '0');
		*p = s;
		return (char)v;
	}
	*p = s + 1;
	return named ? to[named - from] : *s;
}

static int read_string(struct lexer *l, struct err *ret_err)
{
	char quote = *l->p++;

	while (*l->p != quote) {
		char c = *l->p++;

		if (c == '\\' && *l->p)
			c = unescape(&l->p);
		else if (c == '\n' || c == '\r' || !c)
			return bad(ret_err, "a quoted value has no end");
		if (!c)
			return bad(ret_err, "a quoted value holds a NUL byte");
		l->text[l->len++] = c;
	}
	l->p++;
	return 0;
}

static int next_token(struct lexer *l, struct err *ret_err)
{
	size_t n;
	int rc = 0;

	l->len = 0;
	l->p = skip(l->p);
	if (!l->p)
		return bad(ret_err, "a comment has no end");
	if (!*l->p) {
		l->kind = TOKEN_END;
	} else if (*l->p == ';' || *l->p == '=') {
		l->kind = *l->p++ == ';' ? TOKEN_SEMICOLON : TOKEN_EQUALS;
	} else if (*l->p == '"' || *l->p == '\'') {
		l->kind = TOKEN_STRING;
		rc = read_string(l, ret_err);
	} else {
		l->kind = TOKEN_WORD;
		for (n = 0; l->p[n] && !is_blank(l->p[n]) && !strchr(";=\"'", l->p[n]); n++)
			;
		memcpy(l->text, l->p, n);
		l->len = n;
		l->p += n;
	}
	l->text[l->len] = 0;
	return rc;
}

/* --- the parts --- */

static int read_module(struct lexer *l, struct jaas *j, struct err *ret_err)
{
	int rc = next_token(l, ret_err);
	bool is_class;

	if (rc < 0)
		return rc;
	if (l->kind != TOKEN_WORD)
		return bad(ret_err, "it begins with a login module, such as " KAFKA_SECURITY "scram.ScramLoginModule");
	for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++)
		if (!strcmp(l->text, modules[i].name)) {
			j->module = modules[i].module;
			return 0;
		}
	if (strchr(l->p, '{') || strchr(l->text, '{'))
		return bad(ret_err, "give the login module alone, without a section's name and braces");
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		if (strstr(l->text, refused[i].part))
			return err_set(ret_err, ERR_CONFIG, KEY ": %.*s: %s", SHOWN, l->text, refused[i].why);
	is_class = strstr(l->text, "Module") != NULL;		/* else it may be the password alone */
	return err_set(ret_err, ERR_CONFIG, KEY ": unknown login module%s%.*s, there are: plain.PlainLoginModule, "
		       "scram.ScramLoginModule and oauthbearer.OAuthBearerLoginModule of org.apache.kafka.common.security",
		       is_class ? " " : "", is_class ? SHOWN : 0, l->text);
}

static int read_flag(struct lexer *l, struct err *ret_err)
{
	static const char *const flags[] = { "required", "requisite", "sufficient", "optional" };
	int rc = next_token(l, ret_err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; l->kind == TOKEN_WORD && i < sizeof flags / sizeof flags[0]; i++)
		if (!strcasecmp(l->text, flags[i]))
			return 0;
	return bad(ret_err, "the word \"required\" is missing behind the login module");
}

static int add_option(struct jaas *j, char *name, const struct lexer *l)
{
	struct jaas_option *v = mem_grow(j->options, j->option_count, sizeof *v);
	char *value = v ? mem_strdup(l->text) : NULL;

	if (v)
		j->options = v;
	if (!value) {
		mem_free(name);
		return ERR_NOMEM;
	}
	v[j->option_count++] = (struct jaas_option){ name, value };
	return 0;
}

static int bad_value(const char *name, struct err *ret_err)
{
	return err_set(ret_err, ERR_CONFIG, KEY ": option %.*s has no value", SHOWN, name);
}

/* NAME is the token of now. A stray piece of a value could stand there: only a name's characters are shown. */
static int read_option(struct lexer *l, struct jaas *j, struct err *ret_err)
{
	char *name;
	int rc;

	if (l->kind != TOKEN_WORD || strspn(l->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") < l->len)
		return bad(ret_err, "NAME=VALUE or ; is expected (a value with blanks, quotes, = or ; needs quotes)");
	if (jaas_option(j, l->text))
		return err_set(ret_err, ERR_CONFIG, KEY ": option %.*s is given twice", SHOWN, l->text);
	if (j->option_count == OPTIONS_MAX)
		return bad(ret_err, "there are too many options");
	name = mem_strdup(l->text);
	if (!name)
		return ERR_NOMEM;
	rc = next_token(l, ret_err);
	if (rc == 0 && l->kind != TOKEN_EQUALS)
		rc = bad(ret_err, "NAME=VALUE or ; is expected (a value with blanks, quotes, = or ; needs quotes)");
	if (rc == 0)
		rc = next_token(l, ret_err);
	if (rc == 0 && l->kind != TOKEN_WORD && l->kind != TOKEN_STRING)
		rc = bad_value(name, ret_err);
	if (rc < 0) {
		mem_free(name);
		return rc;
	}
	return add_option(j, name, l);
}

static int read_all(struct lexer *l, struct jaas *j, struct err *ret_err)
{
	int rc = read_module(l, j, ret_err);

	if (rc == 0)
		rc = read_flag(l, ret_err);
	while (rc == 0) {
		rc = next_token(l, ret_err);
		if (rc == 0 && l->kind == TOKEN_END)
			return bad(ret_err, "the ; at its end is missing");
		if (rc == 0 && l->kind == TOKEN_SEMICOLON)
			break;
		if (rc == 0)
			rc = read_option(l, j, ret_err);
	}
	if (rc == 0)
		rc = next_token(l, ret_err);
	if (rc == 0 && l->kind != TOKEN_END)
		return bad(ret_err, "one login module is taken, something follows its ;");
	return rc;
}

int jaas_parse(const char *text, struct jaas *ret, struct err *ret_err)
{
	size_t cap = strlen(text) + 1;
	struct lexer l = { .p = text, .text = mem_alloc(cap) };
	struct jaas j = { .options = NULL };
	int rc = l.text ? read_all(&l, &j, ret_err) : ERR_NOMEM;

	if (l.text)
		OPENSSL_cleanse(l.text, cap);
	mem_free(l.text);
	if (rc == ERR_NOMEM)
		err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	if (rc < 0) {
		jaas_release(&j);
		return rc;
	}
	*ret = j;
	return 0;
}

void jaas_release(struct jaas *j)
{
	for (size_t i = 0; i < j->option_count; i++) {
		OPENSSL_cleanse(j->options[i].value, strlen(j->options[i].value));
		mem_free(j->options[i].value);
		mem_free(j->options[i].name);
	}
	mem_free(j->options);
	*j = (struct jaas){ .options = NULL };
}

const char *jaas_option(const struct jaas *j, const char *name)
{
	for (size_t i = 0; i < j->option_count; i++)
		if (!strcmp(j->options[i].name, name))
			return j->options[i].value;
	return NULL;
}
