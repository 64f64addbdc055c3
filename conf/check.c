/* check.c - see check.h.
 *
 * Why here and not where the texts are used: a fault is told with its line and column, together with all others, before
 *	anything starts.
 * Threads: any; no state.
 */
#include "conf/check.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "agent/base/pattern.h"
#include "conf/braces.h"
#include "conf/problem.h"
#include "conf/template.h"

int check_pattern(const char *text, struct err *ret_err)
{
	struct pattern *p = NULL;
	struct err why;
	int rc = pattern_new(text, &p, &why);

	pattern_free(p);
	return rc == ERR_CONFIG ? err_set(ret_err, rc, "\"%.200s\" is not a pattern: %.200s", text, why.text) : rc;
}

static int no_more(void *arg, const char *text, struct err *ret_err)
{
	(void)arg, (void)text, (void)ret_err;
	return 0;
}

int check_glob(const char *text, struct err *ret_err)
{
	return braces_expand(text, no_more, NULL, ret_err);
}

/* --- names --- */

/* What people mean most; iconv knows some thousand names. */
static const char *const encodings[] = {
	"utf-8", "utf-16", "utf-16le", "utf-16be", "utf-32", "utf-32le", "utf-32be", "us-ascii", "latin1", "iso-8859-1",
	"iso-8859-2", "iso-8859-15", "windows-1250", "windows-1251", "windows-1252", "koi8-r", "shift_jis", "euc-jp", "euc-kr",
	"gb18030", "gbk", "big5", NULL
};

int check_encoding(const char *text, struct err *ret_err)
{
	char hint[HINT_MAX];
	iconv_t cd = (iconv_t)-1;

	errno = EINVAL;
	if (!strchr(text, '/'))		/* "//IGNORE" is an order to iconv and no name */
		cd = iconv_open("UTF-8", text);
	if (cd != (iconv_t)-1) {
		iconv_close(cd);
		return 0;
	}
	if (errno == ENOMEM)
		return ERR_NOMEM;
	problem_hint(hint, sizeof hint, text, encodings);
	return err_set(ret_err, ERR_CONFIG, "iconv knows no encoding \"%.80s\"%s", text,
		       *hint ? hint : ", `iconv --list` names those that it does");
}

static bool topic_glob_byte(char c)
{
	const char one[] = { c, 0 };

	return strchr("*?[]!^", c) || template_topic_legal(c == '.' ? "-" : one);
}

int check_topic_glob(const char *text, struct err *ret_err)
{
	for (const char *p = text; *p; p++)
		if (!topic_glob_byte(*p))
			return err_set(ret_err, ERR_CONFIG, "\"%.80s\" can be no topic: topics are made of letters, digits, \".\", "
				       "\"_\" and \"-\" (and *, ? and [] stand for some of them)", text);
	return 0;
}

/* systemd's own tools add ".service"; a match in the journal is exact. */
int check_unit(const char *text, struct err *ret_err)
{
	static const char *const kinds[] = { ".service", ".socket", ".device", ".mount", ".automount", ".swap", ".target", ".path",
					     ".timer", ".slice", ".scope", NULL };
	const char *dot = strrchr(text, '.');

	if (strpbrk(text, "*?["))
		return err_set(ret_err, ERR_CONFIG, "\"%.80s\" is not the name of one unit: there are no wildcards, list each",
			       text);
	if (strpbrk(text, "/ \t"))
		return err_set(ret_err, ERR_CONFIG, "\"%.80s\" is not the name of a unit", text);
	for (size_t i = 0; dot && dot > text && kinds[i]; i++)
		if (!strcmp(dot, kinds[i]))
			return 0;
	return err_set(ret_err, ERR_CONFIG, "\"%.80s\" does not say what kind of unit it is (did you mean \"%.60s.service\"?)",
		       text, text);
}

/* --- times --- */

int check_time_format(const char *text, struct err *ret_err)
{
	static const char *const names[] = { "rfc3339", "unix", "unix_ms", "unix_ns", NULL };
	const char *p = text;
	char hint[HINT_MAX];

	for (size_t i = 0; names[i]; i++)
		if (!strcmp(text, names[i]))
			return 0;
	if (!strchr(text, '%')) {
		problem_hint(hint, sizeof hint, text, names);
		return err_set(ret_err, ERR_CONFIG, "\"format\" must be rfc3339, unix, unix_ms, unix_ns or strptime's (such as "
			       "\"%%Y-%%m-%%d %%H:%%M:%%S\"), not \"%.80s\"%s", text, hint);
	}
	for (; (p = strchr(p, '%')); p += 2)
		if (!p[1] || !strchr("YymdejHkIlMSfpbBhaAzZsDFRTnt%", p[1]))
			return err_set(ret_err, ERR_CONFIG, "\"%.80s\": a time has no \"%%%.1s\"; known are %%Y %%y %%m %%d %%e "
				       "%%j %%H %%k %%I %%l %%M %%S %%f %%p %%b %%B %%h %%a %%A %%z %%Z %%s %%D %%F %%R %%T %%n "
				       "%%t %%%%", text, p + 1);
	return 0;
}
