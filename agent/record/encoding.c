/* encoding.c - see encoding.h.
 *
 * Why the unit is found by converting LF: nobody has to list encodings; what iconv calls "utf-16le" has LF in two bytes, and
 * a line can only end where a unit does. An encoding whose LF is longer than four bytes, or none, is refused.
 * Why each line begins in the first state: a line that is built again begins nowhere else.
 * Names of a family ("utf-16") mean its big endian member once there is no byte order mark: iconv would look for one in each line.
 */
#include "agent/record/encoding.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

#define REPLACEMENT "\xef\xbf\xbd"
#define NO_CD ((iconv_t)-1)

static const struct { const char *name, *big, *little; size_t unit; } families[] = {
	{ "utf-16", "utf-16be", "utf-16le", 2 },
	{ "utf16", "utf-16be", "utf-16le", 2 },
	{ "ucs-2", "utf-16be", "utf-16le", 2 },
	{ "unicode", "utf-16be", "utf-16le", 2 },
	{ "utf-32", "utf-32be", "utf-32le", 4 },
	{ "utf32", "utf-32be", "utf-32le", 4 },
	{ "ucs-4", "utf-32be", "utf-32le", 4 },
};

static const struct { const char *name; uint8_t mark[4]; size_t n; } marks[] = {
	{ "utf-32be", { 0, 0, 0xfe, 0xff }, 4 },
	{ "utf-32le", { 0xff, 0xfe, 0, 0 }, 4 },
	{ "utf-16be", { 0xfe, 0xff }, 2 },
	{ "utf-16le", { 0xff, 0xfe }, 2 },
	{ "utf-8", { 0xef, 0xbb, 0xbf }, 3 },
	{ "utf8", { 0xef, 0xbb, 0xbf }, 3 },
};

static size_t mark_len(const char *name, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
		if (!strcasecmp(marks[i].name, name) && n >= marks[i].n && !memcmp(p, marks[i].mark, marks[i].n))
			return marks[i].n;
	return 0;
}

const char *encoding_resolve(const char *name, const uint8_t *p, size_t n, size_t *ret_skip)
{
	name = name && *name ? name : "utf-8";
	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
		if (strcasecmp(families[i].name, name) != 0)
			continue;
		if ((*ret_skip = mark_len(families[i].little, p, n)))
			return families[i].little;
		return (*ret_skip = mark_len(families[i].big, p, n)) ? families[i].big : NULL;
	}
	*ret_skip = mark_len(name, p, n);
	return NULL;
}

/* --- what an encoding is --- */

/* One ASCII character in the encoding. Returns its length, 0: it has none of at most `max` bytes. */
static size_t encode(iconv_t cd, char c, uint8_t *out, size_t max)
{
	size_t in_left = 1, left = max;
	char *in = &c, *to = (char *)out;

	iconv(cd, NULL, NULL, NULL, NULL);
	return iconv(cd, &in, &in_left, &to, &left) == (size_t)-1 ? 0 : max - left;
}

static void find_key(struct encoding *e)
{
	while (e->key + 1 < e->unit && e->lf[e->key] == 0)
		e->key++;
}

static int find_unit(struct encoding *e, struct err *ret_err)
{
	iconv_t to = iconv_open(e->name, "UTF-8"), from = iconv_open("UTF-8", e->name);
	int rc = 0;

	if (to == NO_CD || from == NO_CD) {
		rc = errno == ENOMEM ? err_set(ret_err, ERR_NOMEM, "out of memory")
				     : err_set(ret_err, ERR_CONFIG, "encoding: \"%s\" is not known here (see iconv -l)", e->name);
	} else {
		e->unit = encode(to, '\n', e->lf, sizeof e->lf);
		if (!e->unit || encode(to, '\r', e->cr, sizeof e->cr) != e->unit)
			rc = err_set(ret_err, ERR_CONFIG, "encoding: where lines end in \"%s\" cannot be told", e->name);
	}
	if (to != NO_CD)
		iconv_close(to);
	if (from != NO_CD)
		iconv_close(from);
	if (rc == 0)
		find_key(e);
	return rc;
}

int encoding_init(struct encoding *e, const char *name, struct err *ret_err)
{
	*e = (struct encoding){ .unit = 1, .lf = { '\n' }, .cr = { '\r' } };
	name = name && *name ? name : "utf-8";
	if (strlen(name) > ENCODING_NAME_MAX || strchr(name, '/'))
		return err_set(ret_err, ERR_CONFIG, "encoding: \"%.80s\" is no name of one", name);
	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
		if (!strcasecmp(families[i].name, name))
			name = families[i].big;
	memcpy(e->name, name, strlen(name));
	e->bytes = !strcasecmp(name, "utf-8") || !strcasecmp(name, "utf8");
	return e->bytes ? 0 : find_unit(e, ret_err);
}

/* --- lines --- */

/* memchr may find a byte in the middle of a unit, or of another character. */
size_t encoding_find(const struct encoding *e, const uint8_t *p, size_t n)
{
	const uint8_t *at = p + e->key;

	n -= n % e->unit;
	while (n && at < p + n && (at = memchr(at, e->lf[e->key], (size_t)(p + n - at)))) {
		size_t unit = (size_t)(at - p) - (size_t)(at - p) % e->unit;

		if (!memcmp(p + unit, e->lf, e->unit))
			return unit + e->unit;
		at++;
	}
	return 0;
}

static bool is_plain(const struct encoding *e)
{
	return e->unit == 1 && e->lf[0] == '\n' && e->cr[0] == '\r';
}

bool encoding_next(const struct encoding *e, const uint8_t *p, size_t n, size_t max, bool final, struct line *ret)
{
	size_t need = max + 2 * e->unit, span, len;

	if (is_plain(e))
		return line_next(p, n, max, final, ret);
	span = encoding_find(e, p, n < need ? n : need);
	len = span ? span - e->unit : n;
	if (span && len && !memcmp(p + len - e->unit, e->cr, e->unit))
		len -= e->unit;
	if (span ? len <= max : n < need && n <= max) {
		*ret = (struct line){ .value = p, .value_len = len, .span = span ? span : n };
		return span || (final && n);
	}
	*ret = (struct line){ .value = p, .value_len = max, .span = max, .piece = true };
	return span || n >= need || final;
}

/* --- UTF-8 --- */

void converter_init(struct converter *c)
{
	*c = (struct converter){ .cd = NO_CD };
}

void converter_release(struct converter *c)
{
	if (c->cd != NO_CD)
		iconv_close(c->cd);
	converter_init(c);
}

static int open_for(struct converter *c, const struct encoding *e)
{
	if (c->cd != NO_CD && !strcmp(c->name, e->name))
		return 0;
	converter_release(c);
	c->cd = iconv_open("UTF-8", e->name);
	memcpy(c->name, e->name, sizeof c->name);
	return c->cd == NO_CD ? ERR_NOMEM : 0;		/* it could be opened when the rules were made */
}

/* iconv until it stops. Returns 0 or errno. in NULL: what it still holds. */
static int run(iconv_t cd, char **in, size_t *left, struct buf *out)
{
	for (;;) {
		size_t room, rc;
		char *to;

		if (buf_reserve(out, in ? *left + *left / 2 + 16 : 16) < 0)
			return ENOMEM;
		to = out->data + out->len;
		room = out->cap - out->len - 1;
		rc = iconv(cd, in, left, &to, &room);
		out->len = (size_t)(to - out->data);
		out->data[out->len] = 0;
		if (rc != (size_t)-1)
			return 0;
		if (errno != E2BIG)
			return errno;
	}
}

int converter_put(struct converter *c, const struct encoding *e, const uint8_t *p, size_t n, struct buf *out, size_t *ret_used,
		  bool *ret_broken)
{
	char *in = (char *)(uintptr_t)p;
	size_t left = n;
	int rc = open_for(c, e);

	if (rc < 0)
		return rc;
	iconv(c->cd, NULL, NULL, NULL, NULL);
	while (left) {
		size_t skip = e->unit;

		rc = run(c->cd, &in, &left, out);
		if (rc == ENOMEM)
			return ERR_NOMEM;
		if (rc == 0 || (rc == EINVAL && ret_used))
			break;
		if (rc == EINVAL || skip > left)
			skip = left;
		in += skip;
		left -= skip;
		*ret_broken = true;
		if (buf_put(out, REPLACEMENT, 3) < 0)
			return ERR_NOMEM;
	}
	if (ret_used)
		*ret_used = n - left;
	return run(c->cd, NULL, NULL, out) == ENOMEM ? ERR_NOMEM : 0;
}
