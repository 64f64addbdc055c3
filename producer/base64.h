/* base64.h - strict base64 (RFC 4648): what a server says must be right to the bit. Encoding is EVP_EncodeBlock. Pure. */
#ifndef SPILLWAY_BASE64_H
#define SPILLWAY_BASE64_H

#include <stddef.h>
#include <stdint.h>

enum base64_kind {
	BASE64_STANDARD,	/* + and /, padded */
	BASE64_URL,		/* - and _, not padded, as in a JWT */
};

/* Bytes written to ret (at most cap), or ERR_BAD_DATA: a wrong character, padding or length, or more than cap. */
int base64_decode(enum base64_kind kind, const char *s, size_t n, void *ret, size_t cap);

#endif
