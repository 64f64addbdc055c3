/* line_file.h - lines of a file that nobody reads: where they begin, how many there are. */
#ifndef SPILLWAY_LINE_FILE_H
#define SPILLWAY_LINE_FILE_H

#include <stdint.h>

#include "agent/record/encoding.h"

struct file;

/* encoding NULL: LF is one byte, as in UTF-8.
 * A beginning of a line: `at`, or the next one, or that of the unfinished last line. at: at most the file's size. */
int64_t line_file_begin(const struct file *f, const struct encoding *e, int64_t at);
/* Behind the last LF before `at`; 0: there is none, or bytes before `at` cannot be read. */
int64_t line_file_last(const struct file *f, const struct encoding *e, int64_t at);
/* Lines that end in [from, to); guessed from the first 64 MiB of them if there is more: whoever asks has others waiting. */
uint64_t line_file_count(const struct file *f, const struct encoding *e, int64_t from, int64_t to);

#endif
