/* syslog.c - see syslog.h.
 *
 * Invariant: every part lies within the message, and nothing is read behind its end. All numbers are read digit by digit with a
 * bound, so no length of the outside is ever computed with.
 */
#include "agent/intake/syslog.h"

#include <string.h>
#include <time.h>

#include "agent/base/buf.h"
#include "agent/base/mem.h"
#include "agent/record/timestamp.h"

#define DAY_S 86400
#define TEXT_MAX (8ull << 30)	/* the longest message there is, each byte escaped */

struct in { const uint8_t *p; size_t n; };

static const char *const facilities[] = {
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit",
	"alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
};
static const char *const severities[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static void skip(struct in *in, size_t n)
{
	in->p += n;
	in->n -= n;
}

static bool take(struct in *in, uint8_t c)
{
	if (!in->n || in->p[0] != c)
		return false;
	skip(in, 1);
	return true;
}

/* Exactly n digits. */
static bool number(struct in *in, size_t n, int *ret)
{
	int v = 0;

	if (in->n < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_digit(in->p[i]))
			return false;
		v = v * 10 + (in->p[i] - '0');
	}
	skip(in, n);
	*ret = v;
	return true;
}

/* "<0>" to "<191>". */
static bool pri(struct in *in, struct syslog *s)
{
	int v = 0;
	size_t i = 1;

	if (in->n < 3 || in->p[0] != '<')
		return false;
	for (; i < in->n && i < 4 && is_digit(in->p[i]); i++)
		v = v * 10 + (in->p[i] - '0');
	if (i == 1 || i >= in->n || in->p[i] != '>' || v > 191)
		return false;
	s->facility = v / 8;
	s->severity = v % 8;
	skip(in, i + 1);
	return true;
}

/* --- times --- */

static bool in_range(const struct tm *t)
{
	return t->tm_mon >= 0 && t->tm_mon < 12 && t->tm_mday >= 1 && t->tm_mday <= 31 && t->tm_hour < 24 && t->tm_min < 60 &&
	       t->tm_sec <= 60;
}

static bool clock_of(struct in *in, struct tm *t)
{
	return number(in, 2, &t->tm_hour) && take(in, ':') && number(in, 2, &t->tm_min) && take(in, ':') &&
	       number(in, 2, &t->tm_sec);
}

/* Nanoseconds of seconds that an int64_t can take, with room for any zone. */
static void set_time(struct syslog *s, int64_t at_s, int64_t ns)
{
	s->has_time = at_s > -9000000000 && at_s < 9000000000;
	s->time_ns = s->has_time ? at_s * 1000000000 + ns : 0;
}

/* Behind the seconds. Digits beyond nanoseconds are passed over. */
static int64_t fraction(struct in *in)
{
	int64_t ns = 0, unit = 100000000;

	if (!in->n || in->p[0] != '.')
		return 0;
	skip(in, 1);
	while (in->n && is_digit(in->p[0])) {
		ns += (in->p[0] - '0') * unit;
		unit /= 10;
		skip(in, 1);
	}
	return ns;
}

/* RFC 3339, up to a blank or the end. */
static bool rfc3339(struct in *in, struct syslog *s)
{
	bool fits;
	int64_t ns;
	size_t n = timestamp_rfc3339(in->p, in->n, &fits, &ns);

	if (!n || in->p[10] == ' ' || (n < in->n && in->p[n] != ' '))
		return false;
	s->timestamp = (struct syslog_part){ in->p, n };
	s->has_time = fits;
	s->time_ns = fits ? ns : 0;
	skip(in, n);
	return true;
}

/* The year of that date which is closest: logs are late rather than early, and clocks go wrong. */
static int64_t nearest_year(const struct tm *in, int64_t now_s)
{
	time_t now = (time_t)now_s;
	struct tm t = *in, local;
	int64_t at, best = 0;

	if (!localtime_r(&now, &local))
		return now_s;
	for (int year = local.tm_year - 1; year <= local.tm_year + 1; year++) {
		t = *in;
		t.tm_year = year;
		t.tm_isdst = -1;
		at = (int64_t)mktime(&t);
		if (year == local.tm_year - 1 || (at <= now_s + 31 * DAY_S))
			best = at;
	}
	return best;
}

/* "Oct  1 22:14:15", "Oct 11 22:14:15.123", "Oct 01 2003 22:14:15". */
static bool rfc3164_time(struct in *in, int64_t now_s, struct syslog *s)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const struct in before = *in;
	struct tm t = { .tm_mon = -1 };
	struct in with_year;
	int64_t ns, at;
	int year = 0;

	for (int m = 0; m < 12 && in->n >= 4; m++)
		if (!memcmp(in->p, months + 3 * m, 3) && in->p[3] == ' ')
			t.tm_mon = m;
	if (t.tm_mon < 0)
		return false;
	skip(in, 4);
	if (!(take(in, ' ') ? number(in, 1, &t.tm_mday) : number(in, 2, &t.tm_mday) || number(in, 1, &t.tm_mday)) ||
	    !take(in, ' '))
		goto no;
	with_year = *in;
	if (number(&with_year, 4, &year) && take(&with_year, ' '))
		*in = with_year;
	else
		year = 0;
	if (!clock_of(in, &t))
		goto no;
	ns = fraction(in);
	if (!in_range(&t) || (in->n && in->p[0] != ' ' && in->p[0] != ':'))
		goto no;
	s->timestamp = (struct syslog_part){ before.p, before.n - in->n };
	t.tm_year = year - 1900;
	t.tm_isdst = -1;
	at = year ? (int64_t)mktime(&t) : nearest_year(&t, now_s);
	set_time(s, at, ns);
	return true;
no:
	*in = before;
	return false;
}

/* --- RFC 5424 --- */

/* Printable, up to a blank, which is taken too. "-": there is none. */
static bool word(struct in *in, size_t max, struct syslog_part *ret)
{
	size_t n = 0;

	while (n < in->n && n <= max && in->p[n] > ' ' && in->p[n] < 127)
		n++;
	if (!n || n > max || n >= in->n || in->p[n] != ' ')
		return false;
	*ret = (struct syslog_part){ in->p, n };
	if (n == 1 && in->p[0] == '-')
		*ret = (struct syslog_part){ 0 };
	skip(in, n + 1);
	return true;
}

/* SD-NAME: printable but = ] " and blanks. */
static bool name(struct in *in, struct syslog_part *ret)
{
	size_t n = 0;

	while (n < in->n && in->p[n] > ' ' && in->p[n] < 127 && in->p[n] != '=' && in->p[n] != ']' && in->p[n] != '"')
		n++;
	*ret = (struct syslog_part){ in->p, n };
	skip(in, n);
	return n > 0;
}

/* name="value", with \" \\ \] inside. */
static bool param(struct in *in, struct syslog_part *ret_name, struct syslog_part *ret_value)
{
	size_t n = 0;

	if (!name(in, ret_name) || !take(in, '=') || !take(in, '"'))
		return false;
	while (n < in->n && in->p[n] != '"')
		n += in->p[n] == '\\' && n + 1 < in->n ? 2 : 1;
	if (n >= in->n)
		return false;
	*ret_value = (struct syslog_part){ in->p, n };
	skip(in, n + 1);
	return true;
}

/* One [id name="value"...]. fn may be NULL. */
static bool element(struct in *in, bool (*fn)(void *arg, struct syslog_part id, struct syslog_part n, struct syslog_part v),
		    void *arg)
{
	struct syslog_part id, n, v;

	if (!take(in, '[') || !name(in, &id))
		return false;
	if (fn && !fn(arg, id, (struct syslog_part){ 0 }, (struct syslog_part){ 0 }))
		return false;
	while (take(in, ' ')) {
		if (!param(in, &n, &v) || (fn && !fn(arg, id, n, v)))
			return false;
	}
	return take(in, ']');
}

static bool structured(struct in *in, struct syslog *s)
{
	const struct in before = *in;

	if (in->n && in->p[0] == '-' && (in->n == 1 || in->p[1] == ' ')) {
		skip(in, 1);
		return true;
	}
	while (in->n && in->p[0] == '[')
		if (!element(in, NULL, NULL))
			goto no;
	if (in->n == before.n || (in->n && in->p[0] != ' '))
		goto no;
	s->data = (struct syslog_part){ before.p, before.n - in->n };
	return true;
no:
	*in = before;
	return false;
}

static void rest(struct in *in, struct syslog *s)
{
	if (in->n >= 3 && !memcmp(in->p, "\xef\xbb\xbf", 3))
		skip(in, 3);
	s->text = (struct syslog_part){ in->p, in->n };
}

static bool rfc5424(struct in in, struct syslog *s)
{
	struct syslog got = *s;

	if (!take(&in, '1') || !take(&in, ' '))
		return false;
	if (in.n >= 2 && in.p[0] == '-' && in.p[1] == ' ')
		skip(&in, 1);
	else if (!rfc3339(&in, &got))
		return false;
	if (!take(&in, ' ') || !word(&in, 255, &got.hostname) || !word(&in, 48, &got.appname) ||
	    !word(&in, 128, &got.procid) || !word(&in, 32, &got.msgid))
		return false;
	if (structured(&in, &got))	/* else what should be some stands before the text */
		(void)take(&in, ' ');
	got.version = 1;
	rest(&in, &got);
	*s = got;
	return true;
}

/* --- RFC 3164 --- */

static bool tag_byte(uint8_t c)
{
	return c > ' ' && c < 127 && c != ':' && c != '[' && c != ']';
}

/* "name:", "name[pid]:", "name[pid] ". What else may be a tag cannot be told from text. */
static bool tag(struct in *in, struct syslog *s)
{
	size_t n = 0, end;

	while (n < in->n && tag_byte(in->p[n]))
		n++;
	if (!n || n >= in->n)
		return false;
	end = n;
	if (in->p[n] == '[') {
		while (end < in->n && in->p[end] > ' ' && in->p[end] != ']')
			end++;
		if (end >= in->n || in->p[end] != ']')
			return false;
		s->procid = (struct syslog_part){ in->p + n + 1, end - n - 1 };
		end++;
	} else if (in->p[n] != ':') {
		return false;
	}
	s->appname = (struct syslog_part){ in->p, n };
	skip(in, end);
	(void)take(in, ':');
	(void)take(in, ' ');
	return true;
}

static void rfc3164(struct in in, int64_t now_s, struct syslog *s)
{
	struct in after;

	if (!rfc3339(&in, s) && !rfc3164_time(&in, now_s, s)) {
		(void)tag(&in, s);	/* many devices send no time */
		rest(&in, s);
		return;
	}
	(void)take(&in, ':');		/* Cisco's */
	(void)take(&in, ' ');
	if (!tag(&in, s)) {		/* what syslog(3) writes has no host */
		after = in;
		if (word(&after, 255, &s->hostname))
			in = after;
		(void)tag(&in, s);
	}
	rest(&in, s);
}

void syslog_parse(const uint8_t *p, size_t n, int64_t now_s, struct syslog *ret)
{
	struct in in = { p, n };

	*ret = (struct syslog){ .facility = -1, .severity = -1 };
	if (!pri(&in, ret))
		rest(&in, ret);
	else if (!rfc5424(in, ret))
		rfc3164(in, now_s, ret);
}

/* --- fields --- */

json_t *syslog_text(const void *p, size_t n)
{
	json_t *t = json_stringn(n ? p : "", n);
	struct buf b;

	if (t || buf_is_utf8(p, n))
		return t;
	buf_init(&b, TEXT_MAX);
	if (buf_put_json(&b, p, n) == 0)
		t = json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	buf_release(&b);
	return t;
}

/* Names and ids are ASCII. */
static bool set(json_t *o, const char *key, size_t key_len, const void *p, size_t n)
{
	return json_object_setn_new(o, key, key_len, syslog_text(p, n)) == 0;
}

static bool set_part(json_t *o, const char *key, const struct syslog_part *v)
{
	return !v->n || set(o, key, strlen(key), v->p, v->n);
}

static bool set_param(void *arg, struct syslog_part id, struct syslog_part n, struct syslog_part v)
{
	json_t *all = arg, *one = json_object_getn(all, (const char *)id.p, id.n);
	uint8_t *plain;
	size_t len = 0;
	bool good;

	if (!one && json_object_setn_new(all, (const char *)id.p, id.n, one = json_object()) < 0)
		return false;
	if (!n.n)
		return true;
	plain = mem_alloc(v.n + 1);
	if (!plain)
		return false;
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == '\\' && i + 1 < v.n && (v.p[i + 1] == '"' || v.p[i + 1] == '\\' || v.p[i + 1] == ']'))
			i++;
		plain[len++] = v.p[i];
	}
	good = set(one, (const char *)n.p, n.n, plain, len);
	mem_free(plain);
	return good;
}

static bool set_data(json_t *o, const struct syslog *s)
{
	struct in in = { s->data.p, s->data.n };
	json_t *all = s->data.n ? json_object() : NULL;

	if (!s->data.n)
		return true;
	if (json_object_set_new(o, "structured_data", all) < 0)
		return false;
	while (in.n)
		if (!element(&in, set_param, all))
			return false;
	return true;
}

json_t *syslog_fields(const struct syslog *s)
{
	json_t *o = json_object();

	if (o && (s->facility < 0 || (json_object_set_new(o, "facility", json_string(facilities[s->facility])) == 0 &&
				      json_object_set_new(o, "severity", json_string(severities[s->severity])) == 0)) &&
	    set_part(o, "timestamp", &s->timestamp) && set_part(o, "hostname", &s->hostname) &&
	    set_part(o, "appname", &s->appname) && set_part(o, "procid", &s->procid) && set_part(o, "msgid", &s->msgid) &&
	    set_data(o, s) && set(o, "text", 4, s->text.p, s->text.n))
		return o;
	json_decref(o);
	return NULL;
}
