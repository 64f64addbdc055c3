/* client_lines.c - see client_lines.h. Why not getline: a file without a line end must not become memory. */
#include "agent/cmd/client_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"

#define READ_BYTES 65536u

int client_lines_open(struct client_lines *l, char **files, int file_count, size_t max)
{
	static char *standard_input[] = { "-" };

	*l = (struct client_lines){ .files = file_count ? files : standard_input, .file_count = file_count ? file_count : 1,
				    .fd = -1, .max = max, .cap = max + 2 + READ_BYTES };
	l->data = mem_alloc(l->cap);
	return l->data ? 0 : ERR_NOMEM;
}

static void close_file(struct client_lines *l)
{
	if (l->fd > STDIN_FILENO)
		close(l->fd);
	l->fd = -1;
	l->file_at++;
}

void client_lines_close(struct client_lines *l)
{
	if (l->fd >= 0)
		close_file(l);
	mem_free(l->data);
	*l = (struct client_lines){ .fd = -1 };
}

static int open_file(struct client_lines *l)
{
	const char *name = l->files[l->file_at];
	bool standard = !strcmp(name, "-");

	l->name = standard ? "stdin" : name;
	l->number = 0;
	l->len = l->at = 0;
	l->eof = l->skipping = false;
	l->fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	if (l->fd < 0)
		l->file_at++;
	return l->fd < 0 ? -1 : 0;
}

static int read_more(struct client_lines *l)
{
	ssize_t n;

	memmove(l->data, l->data + l->at, l->len - l->at);
	l->len -= l->at;
	l->at = 0;
	n = read(l->fd, l->data + l->len, l->cap - l->len);
	if (n < 0)
		return -1;
	l->len += (size_t)n;
	l->eof = n == 0;
	return 0;
}

/* Takes `n` bytes and the `end` behind them off the buffer. */
static enum lines_result give(struct client_lines *l, size_t n, size_t end, const char **ret_line, size_t *ret_n)
{
	bool whole = !l->skipping;

	*ret_line = l->data + l->at;
	*ret_n = n && end && l->data[l->at + n - 1] == '\r' ? n - 1 : n;
	l->at += n + end;
	l->skipping = false;
	l->number++;
	return whole && *ret_n <= l->max ? LINES_LINE : LINES_TOO_LONG;
}

enum lines_result client_lines_next(struct client_lines *l, const char **ret_line, size_t *ret_n)
{
	for (;;) {
		const char *end;

		if (l->fd < 0 && l->file_at >= l->file_count)
			return LINES_END;
		if (l->fd < 0 && open_file(l) < 0)
			return LINES_ERROR;
		end = memchr(l->data + l->at, '\n', l->len - l->at);
		if (end)
			return give(l, (size_t)(end - l->data) - l->at, 1, ret_line, ret_n);
		if (l->eof && (l->len > l->at || l->skipping))
			return give(l, l->len - l->at, 0, ret_line, ret_n);
		if (l->eof) {
			close_file(l);
			continue;
		}
		if (l->len - l->at > l->max + 1) {
			l->skipping = true;
			l->at = l->len;
		}
		if (read_more(l) < 0) {
			bool interrupted = errno == EINTR;

			close_file(l);
			if (!interrupted)
				return LINES_ERROR;
			l->file_at = l->file_count;	/* what was read of the last line is not a line */
		}
	}
}
