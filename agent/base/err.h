/* err.h - what went wrong, as a number for code and as words for people.
 *
 * Functions that can fail return int: >= 0 good, negative one of enum err_code or -errno.
 * Words go into an optional last `struct err *ret_err`, filled only on failure.
 */
#ifndef SPILLWAY_ERR_H
#define SPILLWAY_ERR_H

#include <stdarg.h>

enum err_class { ERR_CLASS_RETRY, ERR_CLASS_REJECT, ERR_CLASS_LANE, ERR_CLASS_FATAL };

enum err_code {
	ERR_FIRST = -20000,
#define X(name, class, text) name,
#include "agent/base/err.def"
#undef X
	ERR_END
};

struct err {
	int  code;
	char text[480];
};

/* Fills *e (may be NULL) and returns code, so that `return err_set(e, ERR_CONFIG, ...)` reads well. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_setv(struct err *e, int code, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
/* Puts words before the text that is already there: "state_dir: permission denied". Returns e->code. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

const char *err_name(int code);		/* "ERR_AGAIN", "EIO" */
const char *err_text(int code);		/* the X-macro's text, or strerror */
enum err_class err_class(int code);	/* -errno is RETRY */

/* A bug of ours. Always on. */
#define ASSERT(x) do { if (__builtin_expect(!(x), 0)) assert_failed(#x, __FILE__, __LINE__); } while (0)
_Noreturn void assert_failed(const char *what, const char *file, int line);

#endif
