/* position.c - see position.h. One transaction each: the position and what is entered in the losses. */
#include "agent/cmd/position.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/record/assemble.h"
#include "agent/tail/file.h"
#include "agent/tail/identity.h"
#include "agent/tail/line_file.h"
#include "agent/status.h"
#include "agent/tail/unpack.h"

/* What is known of a path: the file that is there now, if it is one of them. */
struct known {
	const char *path;
	struct stat st;
	bool     there;
	struct { int64_t id, from, to; } *files;	/* with what is unread of each */
	size_t   n;
	bool     found;
	struct spool_file file;		/* its path is not kept */
};

static int see_file(void *arg, const struct spool_file *f)
{
	struct known *k = arg;
	void *v;

	if (strcmp(f->path, k->path))
		return 0;
	v = mem_grow(k->files, k->n, sizeof *k->files);
	if (!v)
		return ERR_NOMEM;
	k->files = v;
	k->files[k->n].id = f->id;
	k->files[k->n].from = f->safe;
	k->files[k->n++].to = f->gone_ms || f->size < f->safe ? f->safe : f->size;
	/* Device numbers may change with a boot; the bytes decide. A later id is a later life of the same inode. */
	if (k->there && f->inode == k->st.st_ino && (!k->found || f->id > k->file.id)) {
		k->file = *f;
		k->found = true;
	}
	return 0;
}

static int look_up(struct spool *s, const char *path, struct known *k, struct err *ret_err)
{
	int rc;

	*k = (struct known){ .path = path };
	k->there = lstat(path, &k->st) == 0;
	rc = spool_files_each(s, see_file, k, ret_err);
	if (rc == ERR_NOMEM)
		err_set(ret_err, rc, "out of memory");
	if (rc >= 0 && !k->n)
		rc = err_set(ret_err, ERR_BAD_DATA, "%s: no such file is known; `spillway positions ls` shows them", path);
	return rc;
}

static int end(struct spool *s, int rc, struct err *ret_err)
{
	if (rc >= 0)
		return spool_commit(s, ret_err);
	spool_rollback(s);
	return rc;
}

/* A file, and how its lines are written. */
struct unread { struct file *f; struct encoding encoding; };

static int enter(struct spool *s, int64_t id, const char *path, const struct unread *u, int64_t from, int64_t to,
		 const char *reason, struct err *ret_err)
{
	struct spool_loss l = { .ms = clock_wall_ms(), .reason = reason, .topic = "", .partition = -1, .file_id = id, .path = path,
				.from = from, .to = to, .bytes = (uint64_t)(to - from),
				.records = !u ? 0 : line_file_count(u->f, &u->encoding, from, to) };

	return from < to ? spool_loss_add(s, &l, ret_err) : 0;
}

/* --- set --- */

struct gaps { struct spool *s; const struct known *k; const struct unread *u; int64_t at, to, bytes; int rc; struct err *err; };

static int enter_gap(struct gaps *g, int64_t end)
{
	if (end > g->to)
		end = g->to;
	if (end > g->at) {
		g->bytes += end - g->at;
		g->rc = enter(g->s, g->k->file.id, g->k->path, g->u, g->at, end, SPOOL_LOSS_SKIPPED, g->err);
	}
	return g->rc;
}

/* What is finished above the position is not skipped. */
static int see_skip(void *arg, int64_t from, int64_t to)
{
	struct gaps *g = arg;
	int rc = enter_gap(g, from);

	if (to > g->at)
		g->at = to;
	return rc;
}

static int move(struct spool *s, const struct known *k, const struct unread *u, int64_t to, int64_t *ret_skipped,
		struct err *ret_err)
{
	struct gaps g = { .s = s, .k = k, .u = u, .at = k->file.safe, .to = to, .err = ret_err };
	uint64_t marker;
	int rc;

	if (identity_read_marker(u->f, to, &marker) < 0)
		marker = 0;
	rc = spool_begin(s, SPOOL_FULL, ret_err);
	if (rc < 0)
		return rc;
	rc = spool_skips_each(s, k->file.id, see_skip, &g);
	if (rc == ERR_NOMEM)
		err_set(ret_err, rc, "out of memory");
	if (rc >= 0)
		rc = enter_gap(&g, INT64_MAX);
	if (rc >= 0) {
		rc = spool_position_set(s, k->file.id, to, marker, ret_err);
		if (rc == ERR_BUSY)
			err_prefix(ret_err, "%s: lines of this file are in flight or in the spool, run the agent until they are "
				   "sent, or set it while it runs", k->path);
	}
	*ret_skipped = g.bytes;
	return end(s, rc, ret_err);
}

static bool fits(const struct known *k, struct file *f)
{
	int kind;

	if (identity_fits(f, k->file.fingerprint_len, k->file.fingerprint, 0, 0))
		return true;
	kind = unpack_kind(f->fd);		/* its position is one of its content, if it was read so */
	f->unpack = kind > UNPACK_NONE ? unpack_new(f->fd, (enum unpack_kind)kind) : NULL;
	return f->unpack && identity_fits(f, k->file.fingerprint_len, k->file.fingerprint, 0, 0);
}

static int64_t content_size(const struct file *f, int64_t size)
{
	char buf[16384];
	int64_t at = 0;
	ssize_t n;

	while (f->unpack && (n = file_pread(f, buf, sizeof buf, at)) > 0)
		at += n;
	return f->unpack ? at : size;
}

/* As its input says, and its byte order mark. */
static int read_encoding(const struct conf *conf, const struct known *k, struct unread *u, struct err *ret_err)
{
	size_t input = status_input_of(conf, k->path), skip;
	const char *name = input == SIZE_MAX ? NULL : conf->inputs[input].encoding, *marked;
	uint8_t mark[4] = { 0 };
	ssize_t n = name ? file_pread(u->f, mark, sizeof mark, 0) : 0;

	if (n < 0)
		return err_set(ret_err, (int)n, "cannot read %s", k->path);
	marked = assemble_resolve(name, mark, (size_t)n, &skip);
	return encoding_init(&u->encoding, marked ? marked : name, ret_err);
}

static int set_open(struct spool *s, const struct conf *conf, const struct known *k, struct unread *u, int64_t offset,
		    char *words, size_t n, struct err *ret_err)
{
	int64_t from = k->file.safe, size, to, skipped;
	const char *why;
	int rc;

	if (!fits(k, u->f))
		return err_set(ret_err, ERR_UNAVAILABLE, "%s: the file was written anew since it was read; the next start reads it "
			       "from its beginning", k->path);
	rc = read_encoding(conf, k, u, ret_err);
	if (rc < 0)
		return rc;
	size = content_size(u->f, k->st.st_size);
	to = line_file_begin(u->f, &u->encoding, offset < size ? offset : size);
	if (to < from && offset >= from)
		to = from;
	why = offset == to || offset == INT64_MAX ? "" : offset > size ? ", its end" : ", the next beginning of a line";
	if (to == from) {
		snprintf(words, n, "%s is at offset %lld already", k->path, (long long)to);
		return 0;
	}
	rc = move(s, k, u, to, &skipped, ret_err);
	if (rc < 0)
		return rc;
	if (to > from)
		snprintf(words, n, "%s goes on at offset %lld%s; %lld bytes are skipped, `spillway losses` shows them", k->path,
			 (long long)to, why, (long long)skipped);
	else
		snprintf(words, n, "%s goes on at offset %lld%s; %lld bytes are read again, what of them was sent comes twice",
			 k->path, (long long)to, why, (long long)(from - to));
	return 0;
}

static int set_known(struct spool *s, const struct conf *conf, const struct known *k, int64_t offset, char *words, size_t n,
		     struct err *ret_err)
{
	struct file f = { .end = -1 };
	struct unread u = { .f = &f };
	int rc;

	if (!k->found)
		return err_set(ret_err, ERR_UNAVAILABLE, k->there ?
			       "%s: another file is there than the one that was read, the next start reads it from its beginning" :
			       "%s: the file is not there any more, its position stays", k->path);
	f.fd = open(k->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (f.fd < 0)
		return err_set(ret_err, -errno, "cannot open %s: %s", k->path, strerror(errno));
	rc = set_open(s, conf, k, &u, offset, words, n, ret_err);
	file_close(&f);
	return rc;
}

int position_set(struct spool *s, const struct conf *conf, const char *path, int64_t offset, char *words, size_t n,
		 struct err *ret_err)
{
	struct known k;
	int rc = look_up(s, path, &k, ret_err);

	if (rc >= 0)
		rc = set_known(s, conf, &k, offset, words, n, ret_err);
	mem_free(k.files);
	return rc;
}

/* --- forget --- */

static int forget_all(struct spool *s, const struct known *k, char *words, size_t n, struct err *ret_err)
{
	int64_t bytes = 0;
	int rc = spool_begin(s, SPOOL_FULL, ret_err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < k->n && rc >= 0; i++) {
		rc = enter(s, k->files[i].id, k->path, NULL, k->files[i].from, k->files[i].to, SPOOL_LOSS_FORGOTTEN, ret_err);
		bytes += k->files[i].to - k->files[i].from;
		if (rc >= 0)
			rc = spool_file_forget(s, k->files[i].id, ret_err);
	}
	rc = end(s, rc, ret_err);
	if (rc >= 0)
		snprintf(words, n, "%s is forgotten; %lld bytes were not read, `spillway losses` shows them", k->path,
			 (long long)bytes);
	return rc;
}

int position_forget(struct spool *s, const struct conf *conf, const char *path, char *words, size_t n, struct err *ret_err)
{
	struct known k;
	int rc = look_up(s, path, &k, ret_err);

	if (rc >= 0 && k.there && status_input_of(conf, path) != SIZE_MAX)
		rc = err_set(ret_err, ERR_BUSY, "%s is there and an input matches it: forgotten, it would be read from its "
			     "beginning at the next start; `spillway positions set` says where to go on", path);
	if (rc >= 0)
		rc = forget_all(s, &k, words, n, ret_err);
	mem_free(k.files);
	return rc;
}
