/* oauthbearer.c - the one message of OAUTHBEARER, and what a refusal says.
 *
 *	client     n,,^Aauth=Bearer TOKEN^A[NAME=VALUE^A]...^A
 *	server     nothing: good; or {"status": "...", "scope": "..."}, which the client answers with one ^A to hear the end
 */
#include "producer/oauthbearer.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define HEAD "n,,\x01" "auth=Bearer "

bool oauthbearer_token_good(const char *token, size_t n)
{
	static const char allowed[] = LETTERS "0123456789-._~+/=";

	for (size_t i = 0; i < n; i++)
		if (!token[i] || !strchr(allowed, token[i]))
			return false;
	return n > 0;
}

static int check_extension(const char *s, size_t n, struct err *ret_err)
{
	size_t name = strspn(s, LETTERS);

	if (!name || name >= n || s[name] != '=')
		return err_set(ret_err, ERR_CONFIG, "an extension is NAME=VALUE, its name letters only");
	if (name == 4 && !strncmp(s, "auth", 4))
		return err_set(ret_err, ERR_CONFIG, "an extension cannot be named auth");
	if (name + 1 == n)
		return err_set(ret_err, ERR_CONFIG, "extension %.*s has no value", (int)(name < 60 ? name : 60), s);
	for (size_t i = name + 1; i < n; i++)
		if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] > 0x7e)
			return err_set(ret_err, ERR_CONFIG, "extension %.*s has a value that cannot be sent",
				       (int)(name < 60 ? name : 60), s);
	return 0;
}

int oauthbearer_check_extensions(const char *extensions, struct err *ret_err)
{
	int rc = 0;

	if (!extensions || !*extensions)
		return 0;
	for (const char *s = extensions; rc == 0; s++) {
		size_t n = strcspn(s, ",");

		rc = check_extension(s, n, ret_err);
		s += n;
		if (!*s)
			break;
	}
	return rc;
}

char *oauthbearer_first(const char *token, const char *extensions)
{
	bool any = extensions && *extensions;
	char *out = mem_printf(HEAD "%s\x01%s%s\x01", token, any ? extensions : "", any ? "\x01" : "");

	for (char *p = out && any ? out + strlen(HEAD) + strlen(token) : NULL; p && *p; p++)
		if (*p == ',')
			*p = '\x01';
	return out;
}

static void copy_printable(char *ret, size_t cap, const json_t *text)
{
	const char *s = json_string_value(text);
	size_t n = 0;

	for (; s && *s && n < cap - 1; s++)
		ret[n++] = (char)(*s >= 0x20 && *s < 0x7f ? *s : '?');
	ret[n] = 0;
}

int oauthbearer_refused(const char *json, size_t n, struct err *ret_err)
{
	json_t *o = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL);
	char status[80], scope[80];

	copy_printable(status, sizeof status, json_object_get(o, "status"));
	copy_printable(scope, sizeof scope, json_object_get(o, "scope"));
	json_decref(o);
	if (!*status)
		return err_set(ret_err, ERR_BAD_DATA, "OAUTHBEARER: the broker refused the token without a reason");
	return err_set(ret_err, ERR_BAD_DATA, "OAUTHBEARER: the broker refused the token: %s%s%s%s", status,
		       *scope ? " (it wants the scope " : "", scope, *scope ? ")" : "");
}
