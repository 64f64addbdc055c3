/* timestamp.c - see timestamp.h.
 *
 * Why not strptime(3): its %s and its tm go through the time zone, its names through the locale, and it knows no fractions. The
 * same line must be the same time in another process, on another machine.
 * Days are counted by the calendar that has always been (proleptic Gregorian), in years that begin in March.
 */
#include "agent/record/timestamp.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define NS 1000000000
#define EXPONENT_MAX 100

struct moment {
	int year, month, day, yday, hour, hour12, minute, second, pm, offset_s;
	int64_t ns;			/* of the second */
	bool    has_epoch;
	int64_t epoch;
};

struct text { const char *at, *end; };

/* --- the calendar --- */

static int64_t days_before(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year, era, in_era, day_of_year;

	era = (y >= 0 ? y : y - 399) / 400;
	in_era = y - era * 400;
	day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + day_of_year - 719468;
}

static void date_of(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, in_era = z - era * 146097;
	int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int day_of_year = (int)(in_era - (365 * y + y / 4 - y / 100)), m = (5 * day_of_year + 2) / 153;

	*ret_day = day_of_year - (153 * m + 2) / 5 + 1;
	*ret_month = m < 10 ? m + 3 : m - 9;
	*ret_year = y + era * 400 + (*ret_month <= 2);
}

static int days_of_month(int year, int month)
{
	static const char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

static bool is_date(const struct moment *m)
{
	return m->month >= 1 && m->month <= 12 && m->day >= 1 && m->day <= days_of_month(m->year, m->month);
}

static int to_ns(int64_t seconds, int64_t ns, int64_t *ret_ns)
{
	int64_t v;

	return __builtin_mul_overflow(seconds, (int64_t)NS, &v) || __builtin_add_overflow(v, ns, ret_ns) ? ERR_BAD_DATA : 0;
}

static int finish(struct moment *m, int64_t *ret_ns)
{
	int64_t days;

	if (m->has_epoch)
		return to_ns(m->epoch, m->ns, ret_ns);
	if (m->hour12)
		m->hour = m->hour12 % 12 + (m->pm ? 12 : 0);
	if (m->yday) {
		if (m->yday > 365 + (days_of_month(m->year, 2) == 29))
			return ERR_BAD_DATA;
		days = days_before(m->year, 1, 1) + m->yday - 1;
	} else {
		if (!is_date(m))
			return ERR_BAD_DATA;
		days = days_before(m->year, m->month, m->day);
	}
	return to_ns(days * 86400 + m->hour * 3600 + m->minute * 60 + m->second - m->offset_s, m->ns, ret_ns);
}

/* --- pieces of text --- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool take(struct text *t, const char *set)
{
	if (t->at == t->end || !*t->at || !strchr(set, *t->at))
		return false;
	t->at++;
	return true;
}

static bool digits(struct text *t, int least, int most, int *ret)
{
	int n = 0, v = 0;

	for (; n < most && t->at < t->end && is_digit(*t->at); n++)
		v = v * 10 + (*t->at++ - '0');
	*ret = v;
	return n >= least;
}

static bool fraction(struct text *t, int64_t *ret_ns)
{
	int64_t unit = NS / 10;
	const char *from = t->at;

	for (*ret_ns = 0; t->at < t->end && is_digit(*t->at); unit /= 10)
		*ret_ns += unit * (*t->at++ - '0');
	return t->at > from;
}

/* Z, +01:00, +0100, +01. */
static bool zone(struct text *t, int *ret_offset_s)
{
	int h, m = 0, sign;

	*ret_offset_s = 0;
	if (take(t, "Zz"))
		return true;
	if (t->at == t->end || (*t->at != '+' && *t->at != '-'))
		return false;
	sign = *t->at++ == '-' ? -1 : 1;
	if (!digits(t, 2, 2, &h))
		return false;
	if (take(t, ":") ? !digits(t, 2, 2, &m) : t->at < t->end && is_digit(*t->at) && !digits(t, 2, 2, &m))
		return false;
	*ret_offset_s = sign * (h * 3600 + m * 60);
	return h <= 23 && m <= 59;
}

/* --- rfc3339 --- */

/* 2026-11-21T10:00:00.25, with one of these for T, one of those for the point. */
static bool date_and_time(struct text *t, const char *separators, const char *points, struct moment *m)
{
	return digits(t, 4, 4, &m->year) && take(t, "-") && digits(t, 2, 2, &m->month) && take(t, "-") &&
	       digits(t, 2, 2, &m->day) && take(t, separators) && digits(t, 2, 2, &m->hour) && take(t, ":") &&
	       digits(t, 2, 2, &m->minute) && take(t, ":") && digits(t, 2, 2, &m->second) &&
	       (!take(t, points) || fraction(t, &m->ns)) && is_date(m) && m->hour <= 23 && m->minute <= 59 && m->second <= 60;
}

/* As people write it. */
static int read_rfc3339(struct text t, int64_t *ret_ns)
{
	struct moment m = { 0 };
	bool ok = date_and_time(&t, "Tt _", ".,", &m) && (t.at == t.end || zone(&t, &m.offset_s)) && t.at == t.end;

	return ok ? finish(&m, ret_ns) : ERR_BAD_DATA;
}

size_t timestamp_rfc3339(const void *p, size_t n, bool *ret_fits, int64_t *ret_ns)
{
	const size_t z = 1, hours_and_minutes = 6;
	struct text t = { p, (const char *)p + n };
	struct moment m = { 0 };
	const char *from;
	size_t len;

	if (!date_and_time(&t, "Tt ", ".", &m))
		return 0;
	from = t.at;
	if (!zone(&t, &m.offset_s))
		return 0;
	len = (size_t)(t.at - from);
	*ret_fits = finish(&m, ret_ns) == 0;
	return len == z || len == hours_and_minutes ? (size_t)(t.at - (const char *)p) : 0;
}

/* --- numbers --- */

/* text times 10^scale, cut. Digit for digit: no double holds nanoseconds since 1970. */
static int read_number(struct text t, int scale, int64_t *ret_ns)
{
	bool negative = take(&t, "-"), dotted = false;
	const char *from = t.at, *end;
	int64_t whole = 0, places, v = 0;
	int exponent = 0, sign;

	for (; t.at < t.end && (is_digit(*t.at) || (*t.at == '.' && !dotted)); t.at++) {
		dotted |= *t.at == '.';
		whole += !dotted;
	}
	end = t.at;
	if (end == from || !is_digit(*from) || !is_digit(end[-1]))
		return ERR_BAD_DATA;
	if (take(&t, "eE")) {
		sign = take(&t, "-") ? -1 : 1;
		if (sign > 0)
			take(&t, "+");
		if (!digits(&t, 1, 3, &exponent))
			return ERR_BAD_DATA;
		exponent *= sign;
	}
	if (t.at != t.end || exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX)
		return ERR_BAD_DATA;
	places = whole + exponent + scale;
	for (const char *p = from; places > 0; places--) {
		if (p < end && *p == '.')
			p++;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, p < end ? *p - '0' : 0, &v))
			return ERR_BAD_DATA;
		p += p < end;
	}
	*ret_ns = negative ? -v : v;
	return 0;
}

/* --- strptime's --- */

enum says { SAYS_YEAR = 1, SAYS_MONTH = 2, SAYS_DAY = 4, SAYS_YDAY = 8, SAYS_EPOCH = 16, SAYS_HOUR12 = 32, SAYS_HALF = 64 };

static bool read_year2(struct text *t, struct moment *m)
{
	if (!digits(t, 1, 2, &m->year))
		return false;
	m->year += m->year < 69 ? 2000 : 1900;
	return true;
}

/* One of n names; in full or its first three letters. */
static int name(struct text *t, const char *const *names, int n)
{
	for (int i = 0; i < n; i++) {
		size_t len = strlen(names[i]), left = (size_t)(t->end - t->at);

		if (left >= len && !strncasecmp(t->at, names[i], len))
			t->at += len;
		else if (left >= 3 && !strncasecmp(t->at, names[i], 3))
			t->at += 3;
		else
			continue;
		return i;
	}
	return -1;
}

static bool read_month(struct text *t, struct moment *m)
{
	static const char *const names[] = { "January", "February", "March", "April", "May", "June", "July", "August",
					     "September", "October", "November", "December" };

	m->month = name(t, names, 12) + 1;
	return m->month > 0;
}

static bool read_weekday(struct text *t, struct moment *m)
{
	static const char *const names[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };

	(void)m;
	return name(t, names, 7) >= 0;
}

static bool read_half(struct text *t, struct moment *m)
{
	m->pm = t->at < t->end && (*t->at | 32) == 'p';
	return take(t, "aApP") && take(t, "mM");
}

static bool read_zone(struct text *t, struct moment *m)
{
	return zone(t, &m->offset_s);
}

static bool read_utc(struct text *t, struct moment *m)
{
	size_t left = (size_t)(t->end - t->at);
	size_t n = left >= 3 && (!strncasecmp(t->at, "UTC", 3) || !strncasecmp(t->at, "GMT", 3)) ? 3 : 0;

	(void)m;
	t->at += n;
	return n || take(t, "Zz");
}

static bool read_epoch(struct text *t, struct moment *m)
{
	bool negative = take(t, "-");
	const char *from = t->at;

	for (; t->at < t->end && is_digit(*t->at); t->at++)
		if (__builtin_mul_overflow(m->epoch, 10, &m->epoch) || __builtin_add_overflow(m->epoch, *t->at - '0', &m->epoch))
			return false;
	if (negative)
		m->epoch = -m->epoch;
	m->has_epoch = true;
	return t->at > from;
}

static bool read_fraction(struct text *t, struct moment *m)
{
	return fraction(t, &m->ns);
}

static const struct directive {
	char c;
	uint8_t says;
	bool (*read)(struct text *t, struct moment *m);	/* or: a number of at most so many digits, between least and most */
	size_t offset;
	int width, least, most;
	const char *means;				/* or: the same as this */
} directives[] = {
#define NUMBER(c, says, member, width, least, most) { c, says, NULL, offsetof(struct moment, member), width, least, most, NULL }
#define READ(c, says, f) { c, says, f, 0, 0, 0, 0, NULL }
#define SAME(c, text) { c, 0, NULL, 0, 0, 0, 0, text }
	NUMBER('Y', SAYS_YEAR, year, 4, 0, 9999), NUMBER('m', SAYS_MONTH, month, 2, 1, 12), NUMBER('d', SAYS_DAY, day, 2, 1, 31),
	NUMBER('e', SAYS_DAY, day, 2, 1, 31), NUMBER('j', SAYS_YDAY, yday, 3, 1, 366), NUMBER('H', 0, hour, 2, 0, 23),
	NUMBER('k', 0, hour, 2, 0, 23), NUMBER('I', SAYS_HOUR12, hour12, 2, 1, 12), NUMBER('l', SAYS_HOUR12, hour12, 2, 1, 12),
	NUMBER('M', 0, minute, 2, 0, 59), NUMBER('S', 0, second, 2, 0, 60),
	READ('y', SAYS_YEAR, read_year2), READ('b', SAYS_MONTH, read_month), READ('B', SAYS_MONTH, read_month),
	READ('h', SAYS_MONTH, read_month), READ('a', 0, read_weekday), READ('A', 0, read_weekday), READ('p', SAYS_HALF, read_half),
	READ('z', 0, read_zone), READ('Z', 0, read_utc), READ('s', SAYS_EPOCH, read_epoch), READ('f', 0, read_fraction),
	SAME('D', "%m/%d/%y"), SAME('F', "%Y-%m-%d"), SAME('R', "%H:%M"), SAME('T', "%H:%M:%S"), SAME('n', " "), SAME('t', " "),
#undef NUMBER
#undef READ
#undef SAME
};

static const struct directive *directive_of(char c)
{
	for (size_t i = 0; i < sizeof directives / sizeof directives[0]; i++)
		if (directives[i].c == c)
			return &directives[i];
	return NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_blanks(struct text *t)
{
	while (t->at < t->end && is_blank(*t->at))
		t->at++;
}

static bool fits(struct text *t, const char *format, struct moment *m);

static bool read_one(struct text *t, const struct directive *d, struct moment *m)
{
	int *number = (int *)(void *)((char *)m + d->offset);

	if (d->means)
		return fits(t, d->means, m);
	if (d->read)
		return d->read(t, m);
	skip_blanks(t);
	return digits(t, 1, d->width, number) && *number >= d->least && *number <= d->most;
}

static bool fits(struct text *t, const char *format, struct moment *m)
{
	for (; *format; format++) {
		if (is_blank(*format)) {
			skip_blanks(t);
		} else if (*format == '%' && *++format != '%') {
			if (!read_one(t, directive_of(*format), m))
				return false;
		} else if (t->at == t->end || *t->at++ != *format) {
			return false;
		}
	}
	return true;
}

static int read_format(const char *format, struct text t, int64_t *ret_ns)
{
	struct moment m = { 0 };

	if (!fits(&t, format, &m))
		return ERR_BAD_DATA;
	skip_blanks(&t);
	return t.at == t.end ? finish(&m, ret_ns) : ERR_BAD_DATA;
}

/* --- the face --- */

static const struct { const char *name; int scale; } numbers[] = { { "unix", 9 }, { "unix_ms", 6 }, { "unix_ns", 0 } };

static int says_of(const char *format, unsigned *ret, struct err *ret_err)
{
	for (; *format; format++) {
		const struct directive *d;
		int rc;

		if (*format != '%' || *++format == '%')
			continue;
		d = *format ? directive_of(*format) : NULL;
		if (!d)
			return err_set(ret_err, ERR_CONFIG, "a time has no \"%%%.1s\"; known are %%Y %%y %%m %%d %%e %%j %%H %%k "
				       "%%I %%l %%M %%S %%f %%p %%b %%B %%h %%a %%A %%z %%Z %%s %%D %%F %%R %%T %%n "
				       "%%t %%%%", format);
		rc = d->means ? says_of(d->means, ret, ret_err) : 0;
		if (rc < 0)
			return rc;
		*ret |= d->says;
	}
	return 0;
}

int timestamp_check(const char *format, struct err *ret_err)
{
	unsigned says = 0;
	int rc;

	if (!strcmp(format, "rfc3339"))
		return 0;
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (!strcmp(format, numbers[i].name))
			return 0;
	if (!strchr(format, '%'))
		return err_set(ret_err, ERR_CONFIG, "a time's format is rfc3339, unix, unix_ms, unix_ns, or strptime's, such as "
			       "\"%%Y-%%m-%%d %%H:%%M:%%S\"");
	rc = says_of(format, &says, ret_err);
	if (rc < 0 || (says & SAYS_EPOCH))
		return rc;
	if (!(says & SAYS_YEAR))
		return err_set(ret_err, ERR_CONFIG, "a time without its year cannot be told: the same line must be the same time "
			       "next year");
	if (!(says & SAYS_YDAY) && (says & (SAYS_MONTH | SAYS_DAY)) != (SAYS_MONTH | SAYS_DAY))
		return err_set(ret_err, ERR_CONFIG, "a time needs its month and day, %%m and %%d or %%j");
	if (!(says & SAYS_HOUR12) != !(says & SAYS_HALF))
		return err_set(ret_err, ERR_CONFIG, "%%I and %%p need each other");
	return 0;
}

int timestamp_read(const char *format, const char *text, size_t n, int64_t *ret_ns)
{
	struct text t = { text, text + n };

	if (!n)
		return ERR_BAD_DATA;
	if (!strcmp(format, "rfc3339"))
		return read_rfc3339(t, ret_ns);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (!strcmp(format, numbers[i].name))
			return read_number(t, numbers[i].scale, ret_ns);
	return read_format(format, t, ret_ns);
}

/* The last `width` digits of v, and what stands behind them. */
static char *put_digits(char *p, int64_t v, int width, char behind)
{
	for (int i = width; i-- > 0; v /= 10)
		p[i] = (char)('0' + v % 10);
	p[width] = behind;
	return p + width + 1;
}

int timestamp_put(struct buf *out, int64_t ns)
{
	int64_t s = ns / NS, rest = ns % NS, days, year;
	int month, day, second;
	char text[40], *p = text;

	if (rest < 0) {
		rest += NS;
		s--;
	}
	days = s / 86400 - (s % 86400 < 0);
	second = (int)(s - days * 86400);
	date_of(days, &year, &month, &day);
	p = put_digits(p, year, 4, '-');
	p = put_digits(p, month, 2, '-');
	p = put_digits(p, day, 2, 'T');
	p = put_digits(p, second / 3600, 2, ':');
	p = put_digits(p, second / 60 % 60, 2, ':');
	p = put_digits(p, second % 60, 2, '.');
	p = put_digits(p, rest, 9, 'Z');
	return buf_put(out, text, (size_t)(p - text));
}
