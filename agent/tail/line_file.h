/* line_file.h - lines of a file that nobody reads: where they begin, how many there are. */
#ifndef SPILLWAY_LINE_FILE_H
#define SPILLWAY_LINE_FILE_H

#include <stdint.h>

struct file;

/* A beginning of a line: `at`, or the next one, or that of the unfinished last line. at: at most the file's size. */
int64_t line_file_begin(const struct file *f, int64_t at);
/* Lines that end in [from, to); guessed from the first 64 MiB of them if there is more: whoever asks has others waiting. */
uint64_t line_file_count(const struct file *f, int64_t from, int64_t to);

#endif
