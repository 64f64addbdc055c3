/* base64.c - strict base64 decoding.
 *
 * Why not EVP_DecodeBlock: it skips blanks, counts padding as bytes and takes bits that nobody encoded.
 */
#include "producer/base64.h"

#include "agent/base/err.h"

static int digit(enum base64_kind kind, char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (kind == BASE64_URL ? '-' : '+'))
		return 62;
	return c == (kind == BASE64_URL ? '_' : '/') ? 63 : -1;
}

int base64_decode(enum base64_kind kind, const char *s, size_t n, void *ret, size_t cap)
{
	uint8_t *out = ret;
	uint32_t bits = 0;
	int have = 0;
	size_t len = 0;

	if (kind == BASE64_STANDARD) {
		if (n % 4)
			return ERR_BAD_DATA;
		for (int pad = 0; pad < 2 && n && s[n - 1] == '='; pad++)
			n--;
	}
	if (n % 4 == 1)
		return ERR_BAD_DATA;
	for (size_t i = 0; i < n; i++) {
		int d = digit(kind, s[i]);

		if (d < 0)
			return ERR_BAD_DATA;
		bits = (bits << 6 | (uint32_t)d) & 0xfff;
		have += 6;
		if (have < 8)
			continue;
		if (len == cap)
			return ERR_BAD_DATA;
		have -= 8;
		out[len++] = (uint8_t)(bits >> have);
	}
	return bits & ((1u << have) - 1) ? ERR_BAD_DATA : (int)len;
}
