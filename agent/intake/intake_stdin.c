/* intake_stdin.c - lines of standard input.
 *
 * A pipe is read when the loop says so, and never more than it holds: the descriptor stays as it was given to us, blocking, for
 * others may share it. A file or a device that cannot be polled always has something, or is at its end.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/intake/intake_inside.h"

#define PIECE 65536
#define LAST_BYTES (1u << 20)		/* read at the end, from a writer that never stops */

struct from_stdin {
	struct intake_input in;
	struct loop_fd fd;
	struct frame_rules rules;
	struct intake_frames frames;
	struct intake_lines lines;
	struct loop_timer timer;	/* the open group ends */
	int64_t  heard_ms;
	bool     end_due;
	uint8_t *buf;
	size_t   n, cap;
	size_t   at_the_end;		/* bytes read since the end began */
	int      failed;		/* the end came with this error */
	bool     eof, polled;
};

static int open_stdin(struct intake_input *in, struct err *ret_err)
{
	struct from_stdin *s = (struct from_stdin *)in;

	s->fd.fd = -1;
	s->rules = (struct frame_rules){ .max = (size_t)in->conf->max_line, .how = in->conf->long_lines };
	s->cap = frame_need(&s->rules) + PIECE;
	s->buf = mem_alloc(s->cap);
	return s->buf && intake_lines_open(in, &s->lines) == 0 ? 0 : err_set(ret_err, ERR_NOMEM, "out of memory");
}

static void on_event(struct loop_fd *fd, uint32_t events)
{
	(void)events;
	intake_ready(&container_of(fd, struct from_stdin, fd)->in);
}

static int start(struct intake_input *in)
{
	struct from_stdin *s = (struct from_stdin *)in;
	int rc = loop_fd_add(&in->owner->loop, &s->fd, STDIN_FILENO, EPOLLIN, on_event);

	s->polled = rc == 0;
	if (rc == -EPERM)		/* cannot be polled */
		rc = 0;
	intake_ready(in);
	return rc;
}

/* True: something was read, or its end was. */
static bool read_some(struct from_stdin *s)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, 0) <= 0)
		return false;
	n = read(STDIN_FILENO, s->buf + s->n, s->cap - s->n < PIECE ? s->cap - s->n : PIECE);
	if (n < 0 && errno != EINTR && errno != EAGAIN)
		s->failed = -errno;
	if (n < 0)
		s->eof = s->failed < 0;
	else
		s->eof = n == 0;
	s->n += n > 0 ? (size_t)n : 0;
	s->heard_ms = s->in.owner->loop.now_ms;
	s->at_the_end += s->in.last && n > 0 ? (size_t)n : 0;
	return n > 0 || s->eof;
}

static void on_timer(struct loop_timer *t)
{
	struct from_stdin *s = container_of(t, struct from_stdin, timer);

	s->end_due = true;
	intake_ready(&s->in);
}

/* So long after the last byte an open group is complete. */
static void arm_timer(struct from_stdin *s)
{
	int64_t ms = recipe_timeout_ms(s->in.recipe);

	if (ms >= 0 && intake_lines_open_group(&s->lines))
		timer_set(&s->in.owner->loop, &s->timer, s->heard_ms + ms, on_timer);
}

static void consume(struct from_stdin *s, bool final)
{
	size_t used;

	if (s->lines.assembly)
		used = intake_lines_take(&s->in, &s->lines, s->buf, s->n, final, s->end_due);
	else
		used = intake_frames(&s->in, &s->frames, &s->rules, s->buf, s->n, final);
	s->n -= used;
	memmove(s->buf, s->buf + used, s->n);
}

static bool turn(struct intake_input *in)
{
	struct from_stdin *s = (struct from_stdin *)in;
	bool more = false;

	consume(s, s->eof);
	if (in->dry)
		return false;
	s->end_due = false;
	if (!s->eof)
		more = read_some(s);
	if (in->last && (!more || s->at_the_end >= LAST_BYTES))
		s->eof = true;
	consume(s, s->eof);
	if (s->eof && !in->dry) {
		loop_fd_del(&s->fd);
		in->done = true;
		if (s->failed)
			intake_failed(in, s->failed);
	}
	if (!s->eof && s->lines.assembly)
		arm_timer(s);
	return more;
}

static void pause_stdin(struct intake_input *in, bool on)
{
	struct from_stdin *s = (struct from_stdin *)in;

	if (s->polled && on)		/* not only without events: that a pipe was closed is always told */
		loop_fd_del(&s->fd);
	else if (s->polled && s->fd.fd < 0 && !in->done)
		(void)loop_fd_add(&in->owner->loop, &s->fd, STDIN_FILENO, EPOLLIN, on_event);
}

/* The descriptor is everybody's: only what was read of it is to be moved. */
static bool take_over(struct intake_input *in, struct intake_input *was, bool settled)
{
	struct from_stdin *s = (struct from_stdin *)in, *old = (struct from_stdin *)was;
	uint8_t *buf = s->buf;

	if (settled || s->lines.assembly || old->lines.assembly || s->rules.max != old->rules.max || s->rules.how != old->rules.how)
		return settled;
	loop_fd_del(&old->fd);
	s->buf = old->buf;
	s->n = old->n;
	s->frames = old->frames;
	old->buf = buf;
	old->n = 0;
	return true;
}

static size_t left(struct intake_input *in)
{
	return ((struct from_stdin *)in)->n;
}

static void close_stdin(struct intake_input *in)
{
	struct from_stdin *s = (struct from_stdin *)in;

	if (s->fd.loop)
		loop_fd_del(&s->fd);
	if (timer_armed(&s->timer))
		timer_cancel(&in->owner->loop, &s->timer);
	intake_lines_close(&s->lines);
	mem_free(s->buf);
}

const struct intake_kind intake_stdin = {
	.size = sizeof(struct from_stdin), .open = open_stdin, .start = start, .turn = turn, .pause = pause_stdin, .left = left,
	.close = close_stdin, .take_over = take_over,
};
