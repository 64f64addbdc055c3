/* words.h - numbers and texts for people at a terminal.
 *
 * What comes from outside (names of files, words of brokers) cannot play with the terminal: control characters, bytes that are no
 * UTF-8 and marks that turn the direction of writing are shown as \xNN.
 */
#ifndef SPILLWAY_WORDS_H
#define SPILLWAY_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"

#define WORDS_MAX 32

/* "0 B", "4.1 MiB"; "0.4 s", "12 s", "3 h 20 min"; "1,234,567". Return buf. */
char *words_size(char buf[WORDS_MAX], double bytes);
char *words_time(char buf[WORDS_MAX], double seconds);
char *words_count(char buf[WORDS_MAX], uint64_t n);

/* Returns the columns that it takes. */
size_t words_put(struct buf *o, const char *s);
/* What words_put made, in columns; escape sequences take none. */
size_t words_columns(const char *s, size_t n);
/* The same, in lines of at most `width` columns (0: one line) that begin with `indent` spaces, but for the first, which begins at
 * column `at`. Ends with a line feed. */
void words_wrap(struct buf *o, const char *s, unsigned width, unsigned at, unsigned indent);

/* A table: cells a row, a row a line. The last column is not padded, but cut at the front where the width ends. */
struct words_table {
	struct buf cells;		/* NUL behind each; made printable */
	unsigned   indent, columns, count, right;	/* count: of cells; right: bits of columns that are aligned there */
	unsigned   widths[8];
};
void words_table_init(struct words_table *t, unsigned indent, unsigned columns, unsigned right);
void words_cell(struct words_table *t, const char *color, const char *text);	/* color: "" or an escape sequence */
void words_table_put(struct words_table *t, unsigned width, struct buf *o);	/* and releases it */

#endif
