/* unpack.c - see unpack.h.
 *
 *	file -> in -> z or d -> back -> whoever reads
 *
 * `back` holds the content from back_from up to `out`, where the stream stands: at least the last BACK_KEEP bytes, so that a
 * reader that goes back to the beginning of a line finds it there. A point is where the stream can begin anew: between
 * two members or frames, or (gzip) a copy of zlib's whole state, which also carries the running checksum.
 *
 * Invariants
 *  (1) in[in_pos] is the byte of the file at in_at + in_pos, the next one that the stream gets.
 *  (2) out <= bad_at when there is damage, and out <= size when the end is known.
 *  (3) points are in order, points[0] is further than 0; each is at most where the stream once stood.
 * Failure: without memory nothing is lost, the same read may be tried again.
 */
#include "agent/tail/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"

#define IN_BYTES    65536
#define PIECE       65536u		/* made at once, at most */
#define BACK_KEEP   (384u << 10)	/* more than one look of the tail thread */
#define BACK_BYTES  (2 * BACK_KEEP)
#define HEAD_BYTES  1024
#define POINTS      8
#define POINT_EVERY (1 << 20)		/* of content; doubles each time that there are too many */
#define WINDOW_LOG  27
#define MAGIC       4

struct point {
	int64_t in, out;
	bool    mid;			/* z is a copy of the state */
	z_stream z;
};

/* Memory that is there only while somebody reads. */
struct work {
	uint8_t in[IN_BYTES], back[BACK_BYTES];
	z_stream z;
	bool     z_live;		/* z is to be ended */
	ZSTD_DCtx *d;
};

struct unpack {
	int fd;
	enum unpack_kind kind;
	struct work *work;
	int64_t in_at;
	size_t  in_pos, in_len;
	bool    between;		/* the next byte begins a member or frame, or is padding */
	bool    torn;			/* memory ran out in the middle of a step: the stream must go back */
	int64_t out, back_from;
	uint8_t head[HEAD_BYTES];
	size_t  head_len;
	int64_t reached, packed, size, bad_at;
	char    trouble[120];
	struct point *points[POINTS];
	size_t  point_count;
	int64_t point_every;
};

/* --- what kind --- */

/* 1: a member or frame of this kind begins so; 0: perhaps, with more bytes; -1: none does. */
static int begins(enum unpack_kind kind, const uint8_t *p, size_t n)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b, 8 }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd }, skip[] = { 0x50, 0x2a, 0x4d, 0x18 };

	if (kind == UNPACK_GZIP)
		return memcmp(p, gzip, n < 3 ? n : 3) ? -1 : n >= 3;
	if (!n || !memcmp(p, zstd, n < 4 ? n : 4))
		return n >= 4;
	if ((p[0] & 0xf0) == skip[0] && !memcmp(p + 1, skip + 1, (n < 4 ? n : 4) - 1))
		return n >= 4;
	return -1;
}

int unpack_kind(int fd)
{
	uint8_t p[MAGIC];
	ssize_t n;
	int gzip, zstd;

	do {
		n = slow_pread(fd, p, sizeof p, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	gzip = begins(UNPACK_GZIP, p, (size_t)n);
	zstd = begins(UNPACK_ZSTD, p, (size_t)n);
	if (gzip > 0 || zstd > 0)
		return gzip > 0 ? UNPACK_GZIP : UNPACK_ZSTD;
	return gzip == 0 || zstd == 0 ? ERR_AGAIN : UNPACK_NONE;
}

/* --- memory --- */

static void *z_alloc(void *arg, unsigned count, unsigned size)
{
	(void)arg;
	return mem_calloc(count, size);
}

static void z_free(void *arg, void *p)
{
	(void)arg;
	mem_free(p);
}

static void end_z(struct work *w)
{
	if (w->z_live)
		inflateEnd(&w->z);
	w->z_live = false;
}

static void point_free(struct point *p)
{
	if (p->mid)
		inflateEnd(&p->z);
	mem_free(p);
}

/* 1 or ERR_NOMEM. */
static int make_work(struct unpack *u)
{
	struct work *w = mem_alloc(sizeof *w);

	if (!w)
		return ERR_NOMEM;
	w->z_live = false;
	w->d = NULL;
	if (u->kind == UNPACK_ZSTD) {
		w->d = ZSTD_createDCtx();
		if (!w->d || ZSTD_isError(ZSTD_DCtx_setParameter(w->d, ZSTD_d_windowLogMax, WINDOW_LOG))) {
			ZSTD_freeDCtx(w->d);
			mem_free(w);
			return ERR_NOMEM;
		}
	}
	u->work = w;
	return 1;
}

void unpack_rest(struct unpack *u)
{
	while (u->point_count)
		point_free(u->points[--u->point_count]);
	u->point_every = POINT_EVERY;
	u->in_at = u->out = u->back_from = 0;
	u->in_pos = u->in_len = 0;
	u->between = true;
	u->torn = false;
	if (!u->work)
		return;
	end_z(u->work);
	ZSTD_freeDCtx(u->work->d);
	mem_free(u->work);
	u->work = NULL;
}

void unpack_anew(struct unpack *u)
{
	unpack_rest(u);
	u->head_len = 0;
	u->reached = u->packed = 0;
	u->size = u->bad_at = -1;
	u->trouble[0] = 0;
}

struct unpack *unpack_new(int fd, enum unpack_kind kind)
{
	struct unpack *u = mem_new(struct unpack);

	if (!u)
		return NULL;
	u->fd = fd;
	u->kind = kind;
	unpack_anew(u);
	return u;
}

void unpack_free(struct unpack *u)
{
	if (!u)
		return;
	unpack_rest(u);
	mem_free(u);
}

void unpack_reopened(struct unpack *u, int fd)
{
	u->fd = fd;
}

/* --- points --- */

static void thin_points(struct unpack *u)
{
	for (size_t i = 0; i < POINTS; i += 2) {
		point_free(u->points[i]);
		u->points[i / 2] = u->points[i + 1];
	}
	u->point_count = POINTS / 2;
	u->point_every *= 2;
}

/* Only on new ground, and only if there is memory: it saves time, no more. */
static void keep_point(struct unpack *u)
{
	int64_t last = u->point_count ? u->points[u->point_count - 1]->out : 0;
	struct point *p;

	if (u->out - last < u->point_every || (!u->between && u->kind != UNPACK_GZIP))
		return;
	p = mem_new(struct point);
	if (!p)
		return;
	p->in = u->in_at + (int64_t)u->in_pos;
	p->out = u->out;
	if (!u->between && inflateCopy(&p->z, &u->work->z) != Z_OK) {
		mem_free(p);
		return;
	}
	p->mid = !u->between;
	if (u->point_count == POINTS)
		thin_points(u);
	u->points[u->point_count++] = p;
}

/* The stream goes back to the last point that is not behind `at`. 1 or ERR_NOMEM. */
static int go_back(struct unpack *u, int64_t at)
{
	struct point *p = NULL;
	struct work *w = u->work;

	for (size_t i = 0; i < u->point_count && u->points[i]->out <= at; i++)
		p = u->points[i];
	end_z(w);
	if (p && p->mid) {
		if (inflateCopy(&w->z, &p->z) != Z_OK)
			return ERR_NOMEM;
		w->z_live = true;
	}
	if (w->d)
		ZSTD_DCtx_reset(w->d, ZSTD_reset_session_only);
	u->between = !(p && p->mid);
	u->torn = false;
	u->in_at = p ? p->in : 0;
	u->out = u->back_from = p ? p->out : 0;
	u->in_pos = u->in_len = 0;
	return 1;
}

/* --- the stream --- */

/* Returns how many bytes more there are, 0 at the file's end. */
static ssize_t fill(struct unpack *u)
{
	size_t rest = u->in_len - u->in_pos;
	ssize_t n;

	memmove(u->work->in, u->work->in + u->in_pos, rest);
	u->in_at += (int64_t)u->in_pos;
	u->in_pos = 0;
	u->in_len = rest;
	do {
		n = slow_pread(u->fd, u->work->in + rest, IN_BYTES - rest, u->in_at + (int64_t)rest);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	u->in_len += (size_t)n;
	return n;
}

static int damaged(struct unpack *u, const char *what)
{
	u->bad_at = u->out;
	snprintf(u->trouble, sizeof u->trouble, "%s", what);
	return ERR_BAD_DATA;
}

/* Between two members. 1: another one begins; 0: there is none, this is the end; ERR_AGAIN, ERR_BAD_DATA, -errno. */
static int next_member(struct unpack *u)
{
	bool first = u->in_at + (int64_t)u->in_pos == 0;
	ssize_t n = 1;
	int is;

	while (n > 0) {
		while (!first && u->in_pos < u->in_len && !u->work->in[u->in_pos])
			u->in_pos++;
		if (u->in_len - u->in_pos >= MAGIC)
			break;
		n = fill(u);
	}
	if (n < 0)
		return (int)n;
	if (u->in_pos == u->in_len && !first)
		return 0;
	is = begins(u->kind, u->work->in + u->in_pos, u->in_len - u->in_pos);
	if (is < 0)
		return damaged(u, first ? "it does not begin as it did" : "what follows its end is not compressed data");
	return is ? 1 : ERR_AGAIN;
}

static int begin_member(struct unpack *u)
{
	struct work *w = u->work;

	keep_point(u);
	if (u->kind == UNPACK_GZIP) {
		end_z(w);
		memset(&w->z, 0, sizeof w->z);
		w->z.zalloc = z_alloc;
		w->z.zfree = z_free;
		if (inflateInit2(&w->z, 16 + MAX_WBITS) != Z_OK)
			return ERR_NOMEM;
		w->z_live = true;
	}
	u->between = false;
	return 0;
}

/* One step of the stream, into n bytes at p. Returns how many it made; torn or bad_at say what is wrong behind them. */
static int step_gzip(struct unpack *u, uint8_t *p, size_t n)
{
	z_stream *z = &u->work->z;
	int rc;

	z->next_in = u->work->in + u->in_pos;
	z->avail_in = (unsigned)(u->in_len - u->in_pos);
	z->next_out = p;
	z->avail_out = (unsigned)n;
	rc = inflate(z, Z_NO_FLUSH);
	u->in_pos = u->in_len - z->avail_in;
	n -= z->avail_out;
	u->between = rc == Z_STREAM_END;
	u->out += (int64_t)n;
	u->torn = rc == Z_MEM_ERROR;
	if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR && !u->torn)
		damaged(u, z->msg ? z->msg : "it is not gzip data");
	return (int)n;
}

static int step_zstd(struct unpack *u, uint8_t *p, size_t n)
{
	ZSTD_inBuffer in = { u->work->in, u->in_len, u->in_pos };
	ZSTD_outBuffer out = { p, n, 0 };
	size_t rc = ZSTD_decompressStream(u->work->d, &out, &in);

	u->in_pos = in.pos;
	u->between = rc == 0;
	u->out += (int64_t)out.pos;
	if (!ZSTD_isError(rc))
		return (int)out.pos;
	u->torn = ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation;
	if (!u->torn)
		damaged(u, ZSTD_getErrorCode(rc) == ZSTD_error_frameParameter_windowTooLarge ?
			"it was compressed with a window larger than 128 MiB" : ZSTD_getErrorName(rc));
	return (int)out.pos;
}

/* As unpack_pread says, for what follows `out`. */
static int make_some(struct unpack *u, uint8_t *p, size_t n)
{
	for (;;) {
		ssize_t more;
		int rc;

		if (u->between) {
			rc = next_member(u);
			u->size = rc == 0 ? u->out : u->out >= u->size ? -1 : u->size;
			if (rc == 1)
				rc = begin_member(u);
			if (u->between)
				return rc;
		}
		/* What it has taken in already may make more, so it is asked before it is given more. */
		rc = u->kind == UNPACK_GZIP ? step_gzip(u, p, n) : step_zstd(u, p, n);
		if (rc)
			return rc;
		if (u->torn)
			return ERR_NOMEM;
		if (u->bad_at >= 0 && u->out >= u->bad_at)
			return ERR_BAD_DATA;
		if (u->between || u->in_pos < u->in_len)
			continue;
		more = fill(u);
		if (more <= 0)
			return more ? (int)more : ERR_AGAIN;
	}
}

/* Moves the stream by one piece. >0; 0: the end; what is wrong. */
static int advance(struct unpack *u)
{
	size_t have = (size_t)(u->out - u->back_from), drop;
	int64_t was = u->out;
	uint8_t *p;
	int n;

	if (u->bad_at >= 0 && u->out >= u->bad_at)
		return ERR_BAD_DATA;
	if (u->torn)
		return go_back(u, u->out);
	if (have + PIECE > BACK_BYTES) {
		drop = have - BACK_KEEP;
		memmove(u->work->back, u->work->back + drop, BACK_KEEP);
		u->back_from += (int64_t)drop;
		have = BACK_KEEP;
	}
	if (!u->between)
		keep_point(u);
	p = u->work->back + have;
	n = make_some(u, p, PIECE);
	if (n > 0 && was < HEAD_BYTES && was + n > (int64_t)u->head_len) {
		size_t room = HEAD_BYTES - (size_t)was;

		memcpy(u->head + was, p, (size_t)n < room ? (size_t)n : room);
		u->head_len = (size_t)was + ((size_t)n < room ? (size_t)n : room);
	}
	if (u->out > u->size)
		u->size = -1;		/* it grew by a member */
	if (u->out >= u->reached) {
		u->reached = u->out;
		u->packed = u->in_at + (int64_t)u->in_pos;
	}
	return n;
}

bool unpack_seek(struct unpack *u, int64_t at, int64_t most)
{
	int64_t until;

	if (at < (int64_t)u->head_len || (u->bad_at >= 0 && at >= u->bad_at))
		return true;
	if (!u->work && make_work(u) < 0)
		return true;		/* the read will tell */
	if (at < u->back_from && go_back(u, at) < 0)
		return true;
	until = u->out + most;
	while (u->out < at && u->out < until)
		if (advance(u) <= 0)
			return true;
	return u->out >= at;
}

bool unpack_claims(const struct unpack *u, int64_t size)
{
	uint8_t p[18];		/* the longest header of a zstd frame */
	struct stat st;
	ssize_t n;

	if (u->kind == UNPACK_ZSTD) {
		n = slow_pread(u->fd, p, sizeof p, 0);
		return n > 0 && ZSTD_getFrameContentSize(p, (size_t)n) == (unsigned long long)size;
	}
	return slow_fstat(u->fd, &st) == 0 && st.st_size > 18 && slow_pread(u->fd, p, 4, st.st_size - 4) == 4 &&
	       (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24) == (uint32_t)size;
}

ssize_t unpack_pread(struct unpack *u, void *buf, size_t n, int64_t at)
{
	size_t done = 0;
	int rc = 1;

	if (at < 0)
		return -EINVAL;
	while (done < n && rc > 0) {
		int64_t here = at + (int64_t)done, end = u->out;
		const uint8_t *from = NULL;

		if (here < (int64_t)u->head_len) {
			from = u->head + here;
			end = (int64_t)u->head_len;
		} else if (here >= u->back_from && here < u->out) {
			from = u->work->back + (here - u->back_from);
		}
		if (from) {
			size_t k = (size_t)(end - here) < n - done ? (size_t)(end - here) : n - done;

			memcpy((uint8_t *)buf + done, from, k);
			done += k;
		} else if (u->bad_at >= 0 && here >= u->bad_at) {
			rc = ERR_BAD_DATA;
		} else if (!u->work) {
			rc = make_work(u);
		} else {
			rc = here < u->out ? go_back(u, here) : advance(u);
		}
	}
	return done ? (ssize_t)done : rc > 0 ? 0 : rc;
}

int64_t unpack_packed(const struct unpack *u) { return u->packed; }
int64_t unpack_reached(const struct unpack *u) { return u->reached; }
int64_t unpack_size(const struct unpack *u) { return u->size; }
const char *unpack_trouble(const struct unpack *u) { return u->bad_at >= 0 ? u->trouble : NULL; }
