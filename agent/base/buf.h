/* buf.h - a byte buffer that grows up to a ceiling given at creation.
 *
 * Invariant: data[len] == 0 whenever data != NULL, so text needs no extra step.
 * Errors stick: after a failed put every later put fails too, so callers check once, at the end (buf.failed).
 */
#ifndef SPILLWAY_BUF_H
#define SPILLWAY_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char  *data;
	size_t len, cap, max;
	bool   failed;
};

void  buf_init(struct buf *b, size_t max);
void  buf_release(struct buf *b);
void  buf_clear(struct buf *b);			/* len = 0, failed = false, memory kept */
int   buf_reserve(struct buf *b, size_t more);	/* 0 or ERR_NOMEM */
int   buf_put(struct buf *b, const void *p, size_t n);
int   buf_puts(struct buf *b, const char *s);
int   buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int   buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* A JSON string with its quotes; n = SIZE_MAX means strlen. Invalid UTF-8 becomes U+FFFD. */
int   buf_put_json(struct buf *b, const char *s, size_t n);
/* Base64 with its quotes. */
int   buf_put_base64(struct buf *b, const void *p, size_t n);
bool  buf_is_utf8(const void *p, size_t n);
/* Gives the storage away (mem_free it) and leaves b empty. NULL when nothing was put or it failed. */
char *buf_detach(struct buf *b);

#endif
