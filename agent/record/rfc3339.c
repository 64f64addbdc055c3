/* rfc3339.c - see rfc3339.h. By hand: it is read once per line of a container. Pure. */
#include "agent/record/rfc3339.h"

#include <stdbool.h>

#define DAY_SECONDS 86400
#define SECOND_NS   1000000000

/* The `count` digits at p as a number; -1: one is none. */
static int digits(const uint8_t *p, int count)
{
	int v = 0;

	for (int i = 0; i < count; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = 10 * v + (p[i] - '0');
	}
	return v;
}

/* Days since 1970 in the Gregorian calendar; years begin in March, so that a leap day is a year's last. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = year - (month <= 2), m = month + (month > 2 ? -3 : 9);

	return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool read_date(const uint8_t *p, int64_t *ret_days)
{
	static const uint8_t lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = digits(p, 4), month = digits(p + 5, 2), day = digits(p + 8, 2);

	if (year < 1 || p[4] != '-' || month < 1 || month > 12 || p[7] != '-' || day < 1 || day > lengths[month - 1])
		return false;
	*ret_days = days_of(year, month, day);
	return true;
}

/* Z, or +hh:mm. Returns its length, or 0. */
static size_t read_zone(const uint8_t *p, size_t n, int *ret_seconds)
{
	int h, m;

	*ret_seconds = 0;
	if (n >= 1 && (p[0] | 32) == 'z')
		return 1;
	if (n < 6 || (p[0] != '+' && p[0] != '-') || p[3] != ':')
		return 0;
	h = digits(p + 1, 2);
	m = digits(p + 4, 2);
	if (h < 0 || h > 23 || m < 0 || m > 59)
		return 0;
	*ret_seconds = (p[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return 6;
}

size_t rfc3339_read(const void *text, size_t n, int64_t *ret_ns)
{
	const uint8_t *p = text;
	int64_t days, ns = 0, unit = SECOND_NS;
	int h, m, s, zone;
	size_t at = 19, z;

	if (n < 20 || !read_date(p, &days) || ((p[10] | 32) != 't' && p[10] != ' '))
		return 0;
	h = digits(p + 11, 2);
	m = digits(p + 14, 2);
	s = digits(p + 17, 2);
	if (h < 0 || h > 23 || p[13] != ':' || m < 0 || m > 59 || p[16] != ':' || s < 0 || s > 60)
		return 0;
	if (p[at] == '.') {
		for (at++; at < n && p[at] >= '0' && p[at] <= '9'; at++) {
			unit /= 10;
			ns += (p[at] - '0') * unit;
		}
		if (at == 20)
			return 0;
	}
	z = read_zone(p + at, n - at, &zone);
	if (!z || __builtin_mul_overflow(days * DAY_SECONDS + h * 3600 + m * 60 + s - zone, SECOND_NS, &days) ||
	    __builtin_add_overflow(days, ns, ret_ns))
		return 0;
	return at + z;
}
