/* tail_missed.c - generations of a rotated file that came and went while nobody looked.
 *
 * Nobody looks while the agent does not run, between two polls, and when events were lost. A file may be rotated several
 * times then. The last generation is at its path, the one that was followed is found by its inode; those in between are
 * found by their names: that of the file, one of ". - _", and a number or a date, and what compressing put behind that.
 *
 * Those that an input matches are followed anyway and only get their place: behind the one that was followed, before the one that
 * is there now, oldest first. Times and numbers are all there is to tell their age.
 * Those that no input matches are somebody else's files for all we know. So they are followed only if the name that they
 * begin with has another file than before, whose predecessor is there under a name of the same kind, and they are younger than
 * that one, not excluded, not compressed, and no copy of what is known.
 * Threads: tail. Failure: what cannot be looked at is not followed.
 */
#define _GNU_SOURCE		/* statx */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/tail/tail_inside.h"

#define NUMBER_DIGITS 4			/* longer ones are dates */
#define GENERATIONS_MAX 1024		/* of one name, in one look */

struct generation {
	char   *path;
	struct file *file;
	int64_t mtime_ns;
};

struct generations { struct generation v[GENERATIONS_MAX]; size_t n; };

/* The length of a name without what compressing has put behind it. */
static size_t stem(const char *path)
{
	return packed_named(path) ? (size_t)(strrchr(path, '.') - path) : strlen(path);
}

/* What rotation puts behind a name: "1", "20261121", "2026-11-21T10:00:00Z", "20261121-1763712000", "old". */
static bool is_rotation(const char *name, const char *path, size_t len)
{
	size_t n = strlen(name);
	const char *rest = path + n;

	if (strncmp(path, name, n) || len < n + 2 || !strchr(".-_", *rest))
		return false;
	rest++;
	len -= n + 1;
	return (len == 3 && !strncmp(rest, "old", len)) ||
	       (strcspn(rest, "0123456789") < len && strspn(rest, "0123456789.-_:TZ") >= len);
}

/* The number that makes such a name of this one, -1: it is a date or "old". */
static int number_of(const char *name, const char *path)
{
	const char *rest = path + strlen(name) + 1;
	size_t n = strspn(rest, "0123456789");
	int number = 0;

	if (!n || n > NUMBER_DIGITS || rest[n])
		return -1;
	while (*rest)
		number = number * 10 + (*rest++ - '0');
	return number;
}

/* Dates look alike but for their digits. */
static bool same_form(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(strchr("0123456789", *a) && strchr("0123456789", *b)))
			return false;
	return !*a && !*b;
}

/* Both are what one rotation makes of a name. Numbers are counted down to the newest file, or up without a gap. */
static bool same_kind(const char *name, const char *path, const char *pred)
{
	int n = number_of(name, path), m = number_of(name, pred);
	struct stat st;
	bool there;

	if (path[strlen(name)] != pred[strlen(name)] || (n < 0) != (m < 0))
		return false;
	if (n < 0)
		return same_form(path, pred);
	while (++m < n) {
		char *between = mem_printf("%s%c%d", name, pred[strlen(name)], m);

		there = between && slow_lstat(between, &st) == 0;
		mem_free(between);
		if (!there)
			return false;
	}
	return true;
}

/* Names of equal age: app.log.2 is older than app.log.1, app.log-20261120 than app.log-20261121. */
static int by_name(const char *a, const char *b)
{
	size_t n = stem(a), m = stem(b);
	const char *x = a + n, *y = b + m;

	while (x > a && x[-1] >= '0' && x[-1] <= '9')
		x--;
	while (y > b && y[-1] >= '0' && y[-1] <= '9')
		y--;
	n -= (size_t)(x - a);
	m -= (size_t)(y - b);
	if (!n || !m || n > NUMBER_DIGITS || m > NUMBER_DIGITS)
		return strcmp(a, b);
	return n != m ? (n < m) - (n > m) : strncmp(y, x, n);
}

static int by_age(const void *a, const void *b)
{
	const struct generation *x = a, *y = b;

	if (x->mtime_ns != y->mtime_ns)
		return x->mtime_ns < y->mtime_ns ? -1 : 1;
	return by_name(x->path, y->path);
}

static void sort(struct generations *g)
{
	qsort(g->v, g->n, sizeof g->v[0], by_age);
}

/* --- those that no input matches --- */

static const struct { uint8_t n, bytes[6]; } packed[] = {
	{ 2, { 0x1f, 0x8b } }, { 4, { 0x28, 0xb5, 0x2f, 0xfd } }, { 3, "BZh" }, { 6, { 0xfd, '7', 'z', 'X', 'Z', 0 } },
	{ 4, { 0x04, 0x22, 0x4d, 0x18 } }, { 4, { 'P', 'K', 3, 4 } },
};

static bool is_packed(int fd)
{
	uint8_t head[6];
	ssize_t n = slow_pread(fd, head, sizeof head, 0);

	for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++)
		if (n >= packed[i].n && !memcmp(head, packed[i].bytes, packed[i].n))
			return true;
	return false;
}

/* When it was made; 0: the file system does not say. */
static int64_t born_ns(int fd)
{
	struct statx sx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &sx) < 0 || !(sx.stx_mask & STATX_BTIME))
		return 0;
	return sx.stx_btime.tv_sec * 1000000000LL + sx.stx_btime.tv_nsec;
}

static bool is_excluded(const struct tail *t, size_t input, const char *path)
{
	const struct tail_input *in = input != SIZE_MAX ? &t->inputs[input] : NULL;	/* of a retired file */

	if (!in)
		return true;
	for (size_t i = 0; i < in->exclude.n; i++)
		if (glob_excludes(in->exclude.v[i], path))
			return true;
	return false;
}

static bool is_younger(const struct file *m, const struct file *pred)
{
	int64_t a = born_ns(m->fd), b = born_ns(pred->fd);

	return m->mtime_ns >= pred->mtime_ns && (!a || !b || a >= b);
}

/* Whether this is a generation between pred and what has its name now. */
static bool is_missed(struct tail *t, const struct file *f, const struct file *pred, const char *path, int64_t *ret_mtime_ns)
{
	struct file m = { .fd = -1, .path = (char *)path };
	struct twin of;
	struct stat st;
	bool is;

	if (find_input(t, path) != SIZE_MAX || is_excluded(t, f->input, path) || slow_lstat(path, &st) < 0 ||
	    !S_ISREG(st.st_mode) || files_by_inode(t, st.st_dev, st.st_ino))
		return false;
	m.dev = st.st_dev;
	m.inode = st.st_ino;
	if (file_open(&m) < 0)
		return false;
	is = m.size && is_younger(&m, pred) && !is_packed(m.fd) && !twin_find(t, &m, &of);
	*ret_mtime_ns = m.mtime_ns;
	close(m.fd);
	return is;
}

static void look_beside(struct tail *t, const struct file *f, const struct file *pred, const char *pred_path,
			struct generations *g)
{
	char *dir = mem_strdup(f->path), *slash = dir ? strrchr(dir, '/') : NULL;
	struct dirent *e;
	DIR *d;

	if (slash)
		*slash = 0;
	d = slash ? slow_opendir(*dir ? dir : "/") : NULL;
	while (d && g->n < GENERATIONS_MAX && (e = slow_readdir(d))) {
		char *path = mem_printf("%s/%s", dir, e->d_name);
		struct generation *at = &g->v[g->n];

		if (path && is_rotation(f->path, path, strlen(path)) && same_kind(f->path, path, pred_path) &&
		    is_missed(t, f, pred, path, &at->mtime_ns)) {
			at->path = path;
			g->n++;
		} else {
			mem_free(path);
		}
	}
	if (d)
		closedir(d);
	mem_free(dir);
}

static void find_missed(struct tail *t, const struct file *f, const struct file *pred, struct generations *g)
{
	char *path = file_is_at(pred, pred->path) ? mem_strdup(pred->path) : find_name(pred);

	if (path && is_rotation(f->path, path, strlen(path)))
		look_beside(t, f, pred, path, g);
	mem_free(path);
}

static void follow_missed(struct tail *t, struct generations *g, const char *home)
{
	for (size_t i = 0; i < g->n; i++) {
		if (files_adopt(t, g->v[i].path, home))
			log_info("a file that was rotated while nobody looked is read too", KS("path", g->v[i].path),
				 KS("of", home));
		mem_free(g->v[i].path);
	}
	g->n = 0;
}

/* --- their order --- */

static bool is_unread(const struct file *f)
{
	return file_followed(f) && !f->started && !f->offset && !f->copy_of;
}

static bool is_new(const struct tail *t, const struct file *f)
{
	return is_unread(f) && f->id >= t->conf.next_file_id;
}

/* Those after the one with this id: what is before that has its place, and may be unread for long (no memory, a border). */
static void find_followed(const struct tail *t, const struct file *f, int64_t after, struct generations *g)
{
	list_each(it, &t->files) {
		struct file *m = list_entry(it, struct file, node);
		size_t len = m->unpack ? stem(m->path) : strlen(m->path);

		if (m != f && g->n < GENERATIONS_MAX - 1 && m->id > after && is_new(t, m) && is_rotation(f->path, m->path, len))
			g->v[g->n++] = (struct generation){ m->path, m, m->mtime_ns };
	}
}

/* The oldest has the smallest id, and so on; f is the last of them. */
static void order_ids(struct tail *t, struct generations *g)
{
	for (size_t i = 0; i < g->n; i++) {
		size_t least = i;

		for (size_t j = i + 1; j < g->n; j++)
			if (g->v[j].file->id < g->v[least].file->id)
				least = j;
		if (least != i)
			order_exchange(t, g->v[i].file, g->v[least].file);
	}
}

static void chain(struct tail *t, struct generations *g, struct file *pred)
{
	order_ids(t, g);
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i].file->pred)
			order_none(g->v[i].file);
	for (size_t i = 0; i < g->n; i++) {
		struct file *m = g->v[i].file;

		if (pred)
			order_after(pred, m);
		if (m->pred)
			list_remove(&m->turn);
		(void)file_set_path(m, &m->origin, g->v[g->n - 1].file->origin);	/* no memory: the path that it has now */
		files_watch_end(t, m);
		files_put(t, m, 0);
		files_ready(t, m);
		pred = m;
	}
}

static void look(struct tail *t, struct file *f, bool blind, struct generations *g)
{
	int64_t after = f->pred_id;		/* what is found here may come between */
	struct file *pred = fds_by_id(t, after);

	g->n = 0;
	if (blind && pred && pred->fd >= 0) {
		find_missed(t, f, pred, g);
		sort(g);
		follow_missed(t, g, f->home);
	}
	find_followed(t, f, after, g);
	if (!g->n)
		return;
	sort(g);
	g->v[g->n++] = (struct generation){ f->path, f, f->mtime_ns };
	chain(t, g, pred);
}

void missed_look(struct tail *t, bool blind)
{
	struct generations *g = NULL;

	list_each(it, &t->files) {
		struct file *f = list_entry(it, struct file, node);

		if (!is_unread(f) || f->skip_count || strcmp(f->path, f->home) || (is_new(t, f) && !f->pred_id))
			continue;
		if (!g)
			g = mem_new(struct generations);
		if (g)
			look(t, f, blind, g);
	}
	mem_free(g);
}
