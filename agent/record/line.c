/* line.c - splitting bytes into records. Bytes in, bytes out; no state.
 *
 * Why pure: a batch whose bytes are gone is built again from its source ranges, perhaps by another process. The rules
 * must give the same records from the same bytes, however they were cut into reads. So a piece of a long line is cut
 * only when max + 2 bytes were seen, which is what a line of exactly max bytes with CR LF takes.
 */
#include "agent/record/line.h"

#include <string.h>

static bool cut(const uint8_t *p, size_t len, size_t span, bool piece, struct line *ret)
{
	*ret = (struct line){ .value = p, .value_len = len, .span = span, .piece = piece };
	return true;
}

bool line_next(const uint8_t *p, size_t n, size_t max, bool final, struct line *ret)
{
	/* No need to look further for LF than a record can reach. */
	const uint8_t *lf = n ? memchr(p, '\n', n < line_need(max) ? n : line_need(max)) : NULL;
	size_t len;

	if (lf) {
		len = (size_t)(lf - p);
		if (len && p[len - 1] == '\r')
			len--;
		if (len <= max)
			return cut(p, len, (size_t)(lf - p) + 1, false, ret);
		return cut(p, max, max, true, ret);
	}
	if (n >= line_need(max) || (final && n > max))
		return cut(p, max, max, true, ret);
	if (final && n)
		return cut(p, n, n, false, ret);
	return false;
}
