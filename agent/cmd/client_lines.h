/* client_lines.h - the lines of files or of stdin, one after the other, each no longer than a limit. Thread: one. */
#ifndef SPILLWAY_CLIENT_LINES_H
#define SPILLWAY_CLIENT_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct client_lines {
	/* For messages: where the line that was given last stands. */
	const char *name;
	unsigned long number;

	/* Private. */
	char **files; int file_count, file_at;
	int    fd;
	char  *data;
	size_t len, at, cap, max;
	bool   eof, skipping;
};

enum lines_result { LINES_END, LINES_LINE, LINES_TOO_LONG, LINES_ERROR };

/* file_count 0: stdin, and so is "-". 0 or ERR_NOMEM. max: bytes of a line, without its end. */
int  client_lines_open(struct client_lines *l, char **files, int file_count, size_t max);
void client_lines_close(struct client_lines *l);
/* LINES_LINE: *ret_line, without LF and a CR before it, valid until the next call; a last line needs no LF.
 * LINES_TOO_LONG: the line is left out. LINES_ERROR: errno says why; the next call goes on with the next file.
 * An interrupting signal ends a read as the end of everything does. */
enum lines_result client_lines_next(struct client_lines *l, const char **ret_line, size_t *ret_n);

#endif
