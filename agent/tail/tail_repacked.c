/* tail_repacked.c - compressed files that hold what was read before it was compressed.
 *
 * logrotate makes app.log.1.gz of app.log.1: another inode, the same content. When such a file is met for the first time,
 * its content's first bytes and its bytes before the position are compared with those of all files that are followed or
 * known. If it is a file that is followed, it waits: that one is read to its end. If it is one that nobody has any more,
 * it takes over its row: what was finished is skipped, what is in flight is built again from it, and the rest is read.
 *
 * Nothing of this may be decided before the plain file had its chance to be found, so compressed files that are not known
 * are put off until a walk, or a round of events, is over.
 *
 * Doubt: lines that come twice are better than lines that never come. So without the proof of a marker behind the first
 * KiB, or a name that fits, it is a new file.
 * Threads: tail. Failure: what cannot be looked at now is looked at by the next walk.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/tail/identity.h"
#include "agent/tail/opening.h"
#include "agent/tail/tail_inside.h"
#include "agent/tail/unpack.h"

#define LONG (16 << 20)
#define STRONG 256		/* so many equal first bytes prove something by themselves; fewer need a name that fits */

/* A compressed file that nobody follows. */
struct copy {
	struct list node;
	char    *path, *home;
	uint64_t dev, inode;
	int64_t  size, mtime_ns;	/* as of the last look */
	int64_t  seen_ms;		/* monotonic: it has been so since */
	int64_t  file_id;		/* waits for this file; 0: for more of itself */
	bool     asked;			/* unchanged for long enough: it was looked at since */
	bool     sure;			/* no need to look again while that is there */
};

enum verdict {
	NEW,		/* nothing is known of it */
	WAITS,		/* for what it was, or until it can be told */
	TAKES,		/* a row over */
};

static void copy_free(struct copy *c)
{
	if (!c)
		return;
	list_remove(&c->node);
	mem_free(c->path);
	mem_free(c->home);
	mem_free(c);
}

static struct copy *find_copy(const struct tail *t, const char *path)
{
	list_each(it, &t->put_off)
		if (!strcmp(list_entry(it, struct copy, node)->path, path))
			return list_entry(it, struct copy, node);
	list_each(it, &t->copies)
		if (!strcmp(list_entry(it, struct copy, node)->path, path))
			return list_entry(it, struct copy, node);
	return NULL;
}

bool packed_named(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && (!strcmp(dot, ".gz") || !strcmp(dot, ".zst") || !strcmp(dot, ".zstd"));
}

static int kind_at(const char *path, bool follow)
{
	struct stat st;
	int fd, kind;

	if (opening_open(path, follow, &fd, &st) < 0)
		return UNPACK_NONE;
	kind = unpack_kind(fd);
	close(fd);
	return kind;
}

bool packed_puts_off(struct tail *t, const char *path, const char *home, size_t input)
{
	struct copy *c;
	int kind;

	if (t->settling || !t->inputs[input].conf->compressed)
		return false;
	c = find_copy(t, path);
	if (!c) {
		kind = kind_at(path, t->inputs[input].conf->follow_symlinks);
		if (kind <= UNPACK_NONE && (kind != ERR_AGAIN || !packed_named(path)))
			return false;
		c = mem_new(struct copy);
		if (!c)
			return true;		/* met again by the next walk */
		list_init(&c->node);
		c->path = mem_strdup(path);
		c->home = mem_strdup(home);
	}
	list_remove(&c->node);
	if (c->path && c->home)
		list_push_back(&t->put_off, &c->node);
	else
		copy_free(c);
	return true;
}

/* --- what it holds --- */

struct content {
	struct file *f;
	const struct copy *c;
	uint8_t head[IDENTITY_HEAD];
	size_t  len;
	bool    growing;		/* its end was not seen, and it changed not long ago */
};

static void look_inside(struct tail *t, struct content *x)
{
	ssize_t n = file_pread(x->f, x->head, sizeof x->head, 0);

	x->len = n > 0 ? (size_t)n : 0;
	x->growing = unpack_size(x->f->unpack) < 0 && !unpack_trouble(x->f->unpack) && !t->conf.once &&
		     t->loop.now_ms - x->c->seen_ms < t->pace.flush;
}

/* logrotate's names begin with the name that the file had, without its last extension. */
static bool name_fits(const char *path, const char *origin)
{
	const char *a = strrchr(path, '/'), *b = strrchr(origin, '/'), *dot;
	size_t n;

	a = a ? a + 1 : path;
	b = b ? b + 1 : origin;
	dot = strrchr(b, '.');
	n = dot && dot > b ? (size_t)(dot - b) : strlen(b);
	return !strncmp(a, b, n);
}

static bool head_fits(const struct content *x, uint32_t len, uint64_t hash, const char *origin)
{
	return len && len <= x->len && identity_hash(x->head, len) == hash && (len >= STRONG || name_fits(x->c->path, origin));
}

/* Its first KiB was compared, and it says of itself that it is just so long: where it would take long to unpack, enough. */
static bool ends_at(const struct content *x, int64_t size)
{
	return size >= LONG && x->len == IDENTITY_HEAD && unpack_claims(x->f->unpack, size);
}

/* 1: the bytes before `offset` hash to this; 0: they do not; -1: it holds less; -2: as far as known by now. */
static int mark_fits(const struct content *x, int64_t offset, uint64_t mark)
{
	uint64_t h;
	int rc;

	if (!offset || ends_at(x, offset))
		return 1;
	rc = identity_read_marker(x->f, offset, &h);
	if (rc == 0)
		return !mark || h == mark;
	return rc == ERR_NOT_FOUND && !x->growing ? -1 : -2;
}

/* --- files that are followed --- */

/* Nothing was read of it yet, so its bytes themselves are compared. */
static bool same_bytes(const struct content *x, const struct file *g)
{
	uint8_t buf[IDENTITY_HEAD];
	ssize_t n = file_pread(g, buf, x->len, 0);

	return n > 0 && !memcmp(buf, x->head, (size_t)n) && (n >= STRONG || name_fits(x->c->path, g->origin));
}

/* It ends before g's position: then it is g's if its end is what g has there. */
static bool ends_within(const struct content *x, const struct file *g)
{
	int64_t size = unpack_size(x->f->unpack), end = size >= 0 ? size : unpack_reached(x->f->unpack);
	uint64_t mine, its;

	return identity_read_marker(x->f, end, &mine) == 0 && identity_read_marker(g, end, &its) == 0 && mine == its;
}

static bool is_as_long(const struct content *x, const struct file *g)
{
	struct stat st;

	return !g->unpack && slow_fstat(g->fd, &st) == 0 && ends_at(x, st.st_size);
}

/* A copy of g never holds more than g does. */
static bool is_longer(const struct content *x, const struct file *g)
{
	struct stat st;
	char c;

	return !g->unpack && slow_fstat(g->fd, &st) == 0 && file_pread(x->f, &c, 1, st.st_size) == 1;
}

/* As far as can be told without opening it. */
static bool may_be_of(const struct content *x, const struct file *g)
{
	if (g->head_len)
		return file_followed(g) && head_fits(x, g->head_len, g->head, g->origin);
	return g->fd >= 0 || (g->parked && name_fits(x->c->path, g->origin));
}

static bool is_of(struct tail *t, const struct content *x, struct file *g, bool *ret_sure)
{
	int fits;

	if (!may_be_of(x, g))
		return false;
	*ret_sure = false;
	if (!fds_wake(t, g))
		return true;		/* what became of it is found out by the next walk */
	if (!g->head_len && !same_bytes(x, g))
		return false;
	if (x->growing && x->len == IDENTITY_HEAD)
		return true;		/* as it is being written it would be unpacked again and again; g is read anyway */
	*ret_sure = true;
	if (is_as_long(x, g))
		return true;
	fits = mark_fits(x, g->offset, g->mark);
	if (fits == 0 || (fits == -1 && !ends_within(x, g)) || is_longer(x, g))
		return false;
	*ret_sure = fits == -1 || (fits == 1 && g->offset >= IDENTITY_HEAD + IDENTITY_TAIL);
	return true;
}

static const struct file *find_followed(struct tail *t, const struct content *x, bool *ret_sure)
{
	list_each(it, &t->files)
		if (is_of(t, x, list_entry(it, struct file, node), ret_sure))
			return list_entry(it, struct file, node);
	return NULL;
}

/* --- rows --- */

/* It is there, and could not be opened. */
static bool may_be_there(const struct tail *t, const struct known *k)
{
	const struct file *f = k->match ? files_by_inode(t, k->row.dev, k->row.inode) : NULL;

	return f && !file_followed(f);
}

/* It ends before what was finished of k: then one of the older markers may fit. */
static bool older_fits(const struct content *x, const struct known *k)
{
	for (size_t i = 0; i < k->marker_count; i++)
		if (k->markers[i].offset > 0 && mark_fits(x, k->markers[i].offset, k->markers[i].hash) == 1)
			return true;
	return false;
}

static enum verdict compare(const struct tail *t, const struct content *x, const struct known *k)
{
	int fits;

	if (!head_fits(x, k->row.fingerprint_len, k->row.fingerprint, known_origin(k)))
		return NEW;
	fits = mark_fits(x, k->row.safe, k->row.marker);
	if (fits == 1)
		return may_be_there(t, k) ? WAITS : TAKES;
	if (fits == -2 || (fits == -1 && older_fits(x, k)))
		return WAITS;
	return NEW;
}

static struct known *find_row(const struct tail *t, const struct content *x, enum verdict *ret)
{
	struct known *best = NULL;

	*ret = NEW;
	list_each(it, &t->known) {
		struct known *k = list_entry(it, struct known, node);
		enum verdict v = compare(t, x, k);

		if (v == NEW || (best && (v < *ret || (v == *ret && k->row.safe <= best->row.safe))))
			continue;
		best = k;
		*ret = v;
	}
	return best;
}

/* --- deciding --- */

static enum verdict judge(struct tail *t, struct copy *c, struct file *f, struct known **ret_k)
{
	struct content x = { .f = f, .c = c };
	const struct file *g;
	enum verdict v;

	c->file_id = 0;
	c->sure = false;
	look_inside(t, &x);
	g = find_followed(t, &x, &c->sure);
	if (g) {
		c->file_id = g->id;
		return WAITS;
	}
	*ret_k = find_row(t, &x, &v);
	if (v == NEW && x.growing && x.len < IDENTITY_HEAD)
		return WAITS;
	return v;
}

/* Nothing is new since it was told to wait. */
static bool still_waits(const struct tail *t, const struct copy *c)
{
	return c->sure && files_by_id(t, c->file_id);
}

/* What is there now, not opened yet, into f. false: nothing. */
static bool see(struct tail *t, struct copy *c, struct file *f)
{
	size_t input = find_input(t, c->home);
	int64_t mtime;
	struct stat st;

	if (input == SIZE_MAX || !find_stat(t, c->path, input, &st))
		return false;
	*f = (struct file){ .fd = -1, .path = c->path, .dev = st.st_dev, .inode = st.st_ino, .unpacks = true,
			    .follow = t->inputs[input].conf->follow_symlinks };
	mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	if (c->dev == st.st_dev && c->inode == st.st_ino && c->size == st.st_size && c->mtime_ns == mtime)
		return true;
	c->dev = st.st_dev;
	c->inode = st.st_ino;
	c->size = st.st_size;
	c->mtime_ns = mtime;
	c->seen_ms = t->loop.now_ms;
	c->sure = c->asked = false;
	return true;
}

static bool adopt(struct tail *t, const struct copy *c)
{
	struct file *f;

	t->settling = true;
	f = files_adopt(t, c->path, c->home);
	t->settling = false;
	return f != NULL;
}

static bool take_over(struct tail *t, const struct copy *c, struct known *k)
{
	if (k->row.inode == c->inode && k->row.dev == c->dev)
		return adopt(t, c);		/* its own, under another name */
	log_info("compressed file holds what was read of another one, it goes on there", KS("path", c->path),
		 KS("was", k->row.path), KI("file", k->row.id), KI("finished", k->row.safe));
	return known_retag(t, k, c->path, c->dev, c->inode) == 0 && adopt(t, c);
}

/* Returns whether it is to be kept in mind: nobody follows it. */
static bool decide(struct tail *t, struct copy *c)
{
	struct known *k = NULL;
	enum verdict v = WAITS;
	struct file f;

	if (!see(t, c, &f) || files_by_inode(t, c->dev, c->inode))
		return false;
	if (still_waits(t, c))
		return true;
	if (file_open(&f) < 0 || (!f.unpack && unpack_kind(f.fd) != ERR_AGAIN))
		v = NEW;
	else if (f.unpack)
		v = known_has(t, &f) ? NEW : judge(t, c, &f, &k);
	file_close(&f);
	if (v == WAITS) {
		packed_tick(t);
		log_debug("compressed file waits", KS("path", c->path), KI("for_file", c->file_id));
		return true;
	}
	if (v == TAKES)
		take_over(t, c, k);
	else
		adopt(t, c);
	return false;
}

static void free_all(struct list *copies)
{
	while (!list_empty(copies))
		copy_free(list_first(copies, struct copy, node));
}

void packed_settle(struct tail *t, bool walked)
{
	struct copy *c;

	if (walked)
		free_all(&t->copies);		/* those that are there were put off again */

	while ((c = list_first(&t->put_off, struct copy, node))) {
		list_remove(&c->node);
		list_push_back(&t->copies, &c->node);
		if (!decide(t, c))
			copy_free(c);
	}
}

void packed_wait_over(struct tail *t)
{
	list_each(it, &t->copies) {
		struct copy *c = list_entry(it, struct copy, node);

		if (c->asked || c->sure || t->loop.now_ms - c->seen_ms < t->pace.flush)
			continue;
		c->asked = true;
		t->rewalk = true;
	}
}

bool packed_claim(struct tail *t, struct known *k)
{
	int64_t id = k->row.id;

	list_each_safe(it, &t->put_off) {
		struct copy *c = list_entry(it, struct copy, node);
		struct file f;
		struct content x = { .f = &f, .c = c };
		bool is = false;

		if (!see(t, c, &f))
			continue;
		if (file_open(&f) == 0 && f.unpack) {
			look_inside(t, &x);
			is = compare(t, &x, k) == TAKES;
		}
		file_close(&f);
		if (!is)
			continue;
		take_over(t, c, k);
		copy_free(c);
		return files_by_id(t, id) != NULL;
	}
	return false;
}

void packed_release(struct tail *t)
{
	free_all(&t->put_off);
	free_all(&t->copies);
}
