/* tail_known.c - files of an earlier life: where to go on, what became of the ones that are not there.
 *
 * A row is matched by inode and device; where the device number changed (it may over a reboot), by inode alone. Then
 * fingerprint and marker must fit, else the inode was used again or the file was rewritten: a new file, read from 0.
 * After another boot a device number proves nothing any more, and young file systems number their first files alike: then
 * the file must be on the device to which the row's path leads now.
 *
 * The row of a file that was closed here stays too: renamed back into the globs it goes on, and is not read twice.
 * Threads: tail (known_load: main, before it runs).
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/tail/identity.h"
#include "agent/tail/tail_inside.h"

static void known_free(struct known *k)
{
	if (!k)
		return;
	mem_free((char *)k->row.path);
	mem_free((char *)k->row.origin);
	mem_free(k->skips);
	mem_free(k->markers);
	mem_free(k);
}

static struct known *known_new(const struct spool_file *row, const struct tail_skip *skips, size_t n)
{
	struct known *k = mem_new(struct known);
	bool moved = row->origin && strcmp(row->origin, row->path);
	size_t room = 1;

	if (!k)
		return NULL;
	while (room < n)		/* as mem_grow would have: a file adds to them */
		room *= 2;
	list_init(&k->node);
	list_init(&k->head_at);
	k->row = *row;
	k->row.path = mem_strdup(row->path);
	k->row.origin = moved ? mem_strdup(row->origin) : NULL;
	k->skips = n ? mem_array(struct tail_skip, room) : NULL;
	if (!k->row.path || (moved && !k->row.origin) || (n && !k->skips)) {
		known_free(k);
		return NULL;
	}
	if (n)
		memcpy(k->skips, skips, n * sizeof *skips);
	k->skip_count = n;
	return k;
}

static int known_add(struct tail *t, struct known *k)
{
	k->same_inode = map_get(&t->known_by_inode, &k->row.inode, sizeof k->row.inode);
	if (map_put(&t->known_by_inode, &k->row.inode, sizeof k->row.inode, k) < 0)
		return ERR_NOMEM;
	twin_index_known(t, k);
	list_push_back(&t->known, &k->node);
	return 0;
}

static void known_remove(struct tail *t, struct known *k)
{
	struct known *first = map_get(&t->known_by_inode, &k->row.inode, sizeof k->row.inode), **at;

	for (at = &first; *at && *at != k; at = &(*at)->same_inode)
		;
	if (*at)
		*at = k->same_inode;
	if (first)
		map_put(&t->known_by_inode, &k->row.inode, sizeof k->row.inode, first);
	else
		map_del(&t->known_by_inode, &k->row.inode, sizeof k->row.inode);
	list_remove(&k->node);
	twin_unindex_known(t, k);
}

int known_load(struct tail *t, const struct tail_known *from)
{
	struct known *k = known_new(&from->file, from->skips, from->skip_count);

	if (k && from->marker_count) {
		k->markers = mem_array(struct spool_marker, from->marker_count);
		k->marker_count = k->markers ? from->marker_count : 0;		/* a help, nothing rests on them */
		if (k->markers)
			memcpy(k->markers, from->markers, k->marker_count * sizeof *k->markers);
	}
	if (k) {
		k->match = !(k->row.state == FILE_DELETED && k->row.gone_ms) && k->row.state <= FILE_DONE;
		k->other_boot = t->conf.other_boot;
		if (k->row.gone_ms > t->began_wall_ms)	/* the clock was ahead */
			k->row.gone_ms = t->began_wall_ms;
	}
	if (k && known_add(t, k) == 0)
		return 0;
	known_free(k);
	return ERR_NOMEM;
}

/* --- going on --- */

/* The device to which k's path leads now. false: its directory is gone. */
static bool present_dev(const struct known *k, uint64_t *ret)
{
	char *dir = mem_strdup(k->row.path), *slash = dir ? strrchr(dir, '/') : NULL;
	struct stat st;
	bool there;

	if (slash)
		slash[slash == dir] = 0;
	there = slash && slow_stat(dir, &st) == 0;
	if (there)
		*ret = st.st_dev;
	mem_free(dir);
	return there;
}

/* Nothing was finished of it, and it is not there: whoever has its inode now is more likely another. */
static bool left_nothing(const struct tail *t, const struct known *k)
{
	return (k->row.gone_ms || k->row.state == FILE_DELETED) && !k->skip_count && t->hooks->safe(t->hooks->arg, k->row.id) <= 0;
}

/* How much says that this row is f's, before its content is looked at. 0: it is not. */
static int claim(const struct tail *t, const struct known *k, const struct file *f)
{
	bool blank = !k->row.fingerprint_len && !k->row.marker;		/* such a row proves nothing elsewhere */
	uint64_t dev;

	if (!k->match || k->row.inode != f->inode || (blank && left_nothing(t, k)))
		return 0;
	if (!k->other_boot)
		return k->row.dev == f->dev ? 2 : !blank;
	if (!strcmp(k->row.path, f->path))
		return 2;
	if (present_dev(k, &dev))
		return dev == f->dev;
	return !blank;
}

static bool fits(const struct known *k, const struct file *f)
{
	int64_t end = k->skip_count ? k->skips[k->skip_count - 1].to : 0;

	/* The way to a compressed file's position may be long: the first read there compares what lies before it. */
	if (f->unpack)
		return identity_fits(f, k->row.fingerprint_len, k->row.fingerprint, 0, 0);
	return f->size >= k->row.safe && f->size >= end &&
	       identity_fits(f, k->row.fingerprint_len, k->row.fingerprint, k->row.safe, k->row.marker);
}

static struct known *find_fit(const struct tail *t, const struct file *f)
{
	struct known *best = NULL;
	int most = 0, much;

	for (struct known *k = map_get(&t->known_by_inode, &f->inode, sizeof f->inode); k; k = k->same_inode) {
		much = claim(t, k, f);
		if (much > most && fits(k, f)) {
			best = k;
			most = much;
		}
	}
	return best;
}

bool known_has(const struct tail *t, const struct file *f)
{
	return find_fit(t, f) != NULL;
}

/* Says that this very file was another one before; its row is kept for what is still unfinished of it. */
static void say_rewritten(struct tail *t, const struct file *f)
{
	struct known *k = map_get(&t->known_by_inode, &f->inode, sizeof f->inode);

	for (; k; k = k->same_inode) {
		if (!k->match || (k->row.dev != f->dev && !k->other_boot) || strcmp(k->row.path, f->home))
			continue;
		log_warn("file is not what it was (truncated, rewritten or replaced), reading it from its beginning",
			 KS("path", f->path), KI("size", f->size), KI("safe", k->row.safe));
		k->match = false;
		k->lost = t->first_walk;		/* a copy may be found of it */
		if (!k->lost)
			known_gone(t, k);
	}
}

/* f is the file of this row. Rows of its other generations find it where it is now: batches of theirs may be built again. */
static void inherit(struct tail *t, struct file *f, const struct known *k)
{
	struct known *other = map_get(&t->known_by_inode, &k->row.inode, sizeof k->row.inode);

	for (; other; other = other->same_inode)
		if (other != k && other->row.dev == k->row.dev)
			other->row.dev = f->dev;
	file_set_path(f, &f->origin, known_origin(k));		/* no memory: the path that it has now */
}

void known_take(struct tail *t, struct file *f, struct known *k)
{
	f->id = k->row.id;
	f->generation = k->row.generation;
	f->head_len = k->row.fingerprint_len;
	f->head = k->row.fingerprint;
	f->offset = k->row.safe;
	f->mark = k->row.marker;
	f->leading = f->offset == 0;
	if (f->offset && !f->mark && identity_read_marker(f, f->offset, &f->mark) < 0)
		f->mark = 0;
	for (size_t i = 0; i < k->marker_count && i < sizeof f->trail / sizeof f->trail[0]; i++)
		f->trail[i] = k->markers[i];
	mem_free(f->skips);
	f->skips = k->skips;
	f->skip_count = k->skip_count;
	k->skips = NULL;
	packed_resume(f, &k->row);
	known_remove(t, k);
	known_free(k);
}

void known_gone(struct tail *t, struct known *k)
{
	k->match = false;
	k->row.state = FILE_DELETED;
	k->row.gone_ms = clock_wall_ms();
	t->hooks->file_put(t->hooks->arg, &k->row);
}

void known_move(struct tail *t, struct known *k, const struct file *f)
{
	known_remove(t, k);
	k->row.dev = f->dev;
	k->row.inode = f->inode;
	ASSERT(known_add(t, k) == 0);
}

/* It lost its end: it goes on as a new generation, and the row stays for the batches that refer to it. */
static bool go_on_cut(struct tail *t, struct file *f, struct known *k)
{
	struct spool_marker at;

	if (!cut_find(f, k, &at))
		return false;
	inherit(t, f, k);
	k->row.dev = f->dev;
	k->row.size = k->row.safe;
	known_gone(t, k);
	cut_go_on(t, f, k, &at);
	return true;
}

static bool resume_cut(struct tail *t, struct file *f)
{
	struct known *first = map_get(&t->known_by_inode, &f->inode, sizeof f->inode);

	for (int much = 2; much > 0; much--)
		for (struct known *k = first; k; k = k->same_inode)
			if (k->other_boot && claim(t, k, f) == much && go_on_cut(t, f, k))
				return true;
	return false;
}

bool known_resume(struct tail *t, struct file *f)
{
	struct known *k = find_fit(t, f);

	if (k) {
		inherit(t, f, k);
		known_take(t, f, k);
		return true;
	}
	if (!resume_cut(t, f))
		return say_rewritten(t, f), false;
	return true;
}

struct known *known_by_id(const struct tail *t, int64_t id)
{
	list_each(it, &t->known)
		if (list_entry(it, struct known, node)->row.id == id)
			return list_entry(it, struct known, node);
	return NULL;
}

struct file *known_heir(const struct tail *t, int64_t id)
{
	const struct known *k = known_by_id(t, id);
	struct file *f = k && !k->match ? files_by_inode(t, k->row.dev, k->row.inode) : NULL;

	return f && file_followed(f) ? f : NULL;
}

bool known_is_at(const struct tail *t, const struct known *k, const char *path, const struct stat *st)
{
	struct file f = { .fd = -1, .path = (char *)path, .dev = st->st_dev, .inode = st->st_ino,
			  .follow = find_follows(t, path), .unpacks = packed_unpacks(t, k->row.path) };
	struct spool_marker at;
	const struct known *best;
	bool is;

	if (file_open(&f) < 0)
		return true;		/* tried again, and looked at, when it can be opened */
	best = find_fit(t, &f);
	is = best == k;
	if (!best && k->other_boot && claim(t, k, &f))
		is = cut_find(&f, k, &at);	/* a power loss left less of it than was read */
	file_close(&f);
	return is;
}

int known_retag(struct tail *t, struct known *k, const char *path, uint64_t dev, uint64_t inode)
{
	char *copy = mem_strdup(path);

	if (!copy)
		return ERR_NOMEM;
	known_remove(t, k);
	if (!k->row.origin)
		k->row.origin = k->row.path;
	else
		mem_free((char *)k->row.path);
	k->row.path = copy;
	k->row.dev = dev;
	k->row.inode = inode;
	k->row.gone_ms = 0;
	k->match = true;
	k->other_boot = false;
	return known_add(t, k);
}

int known_open(const struct tail *t, int64_t id, struct file *ret)
{
	const struct known *k = known_by_id(t, id);
	int rc = ERR_BAD_DATA;
	struct stat st;

	if (!k || !k->match)
		return rc;
	if (!gates_pass_soon(t, k->row.path))
		return ERR_UNAVAILABLE;
	*ret = (struct file){ .fd = -1, .id = id, .path = (char *)k->row.path, .origin = (char *)known_origin(k),
			      .dev = k->row.dev, .inode = k->row.inode,
			      .follow = find_follows(t, k->row.path), .unpacks = packed_unpacks(t, k->row.path) };
	if (k->other_boot && (ret->follow ? stat : lstat)(ret->path, &st) == 0)
		ret->dev = st.st_dev;
	if (file_open(ret) == 0) {
		if (claim(t, k, ret) && fits(k, ret))
			return 0;
		file_close(ret);
	} else if (!k->row.gone_ms) {
		rc = ERR_UNAVAILABLE;
	}
	return rc;
}

bool known_unread(const struct tail *t, const struct stat *st)
{
	const uint64_t inode = st->st_ino;
	const struct known *k;

	for (k = map_get(&t->known_by_inode, &inode, sizeof inode); k; k = k->same_inode)
		if (k->match && (k->row.dev == st->st_dev || k->other_boot) && k->row.safe != st->st_size)
			return true;
	return false;
}

/* --- rows of files that are gone --- */

void known_keep(struct tail *t, const struct file *f, bool match, int64_t gone_ms)
{
	struct spool_file row;
	struct known *k;

	file_row(f, &row);
	row.gone_ms = gone_ms;
	row.size = f->offset;		/* what can be finished of it */
	row.state = match ? FILE_DONE : FILE_DELETED;
	t->hooks->file_put(t->hooks->arg, &row);
	/* Where it goes on some day, what was handed over above its position is not read again. */
	k = known_new(&row, f->skips + f->skip_next, match ? f->skip_count - f->skip_next : 0);
	if (!k)
		return;			/* its row is looked after by the next start */
	k->match = match;
	if (known_add(t, k) < 0)
		known_free(k);
}

int known_let_go(struct tail *t, const struct file *f)
{
	struct spool_file row;
	struct known *k;

	file_row(f, &row);
	k = known_new(&row, f->skips + f->skip_next, f->skip_count - f->skip_next);
	if (!k)
		return ERR_NOMEM;
	k->match = true;
	if (known_add(t, k) < 0) {
		known_free(k);
		return ERR_NOMEM;
	}
	t->hooks->file_put(t->hooks->arg, &row);
	return 0;
}

/* A clock that jumps, forwards or back, must not end a row before its time: the same file would be read again. */
static int64_t steady_wall_ms(const struct tail *t)
{
	int64_t now = clock_wall_ms(), passed = t->began_wall_ms + clock_mono_ms() - t->began_ms;

	return now < passed ? now : passed;
}

void known_expire(struct tail *t)
{
	int64_t before = steady_wall_ms(t) - t->pace.keep_rows;

	list_each_safe(it, &t->known) {
		struct known *k = list_entry(it, struct known, node);

		if (!k->row.gone_ms || k->row.gone_ms > before)
			continue;
		if (k->row.state != FILE_DONE && t->hooks->safe(t->hooks->arg, k->row.id) < k->row.size)
			continue;
		t->hooks->file_forget(t->hooks->arg, k->row.id);
		known_remove(t, k);
		known_free(k);
	}
}

size_t known_forget(struct tail *t, const char *path, int64_t *bytes)
{
	size_t n = 0;

	list_each_safe(it, &t->known) {
		struct known *k = list_entry(it, struct known, node);
		struct file f = { .fd = -1, .id = k->row.id, .path = (char *)k->row.path, .skips = k->skips,
				  .skip_count = k->skip_count };

		if (strcmp(k->row.path, path))
			continue;
		if (k->match && !k->row.gone_ms)
			*bytes += skip_tell(t, &f, k->row.safe, k->row.size, SPOOL_LOSS_FORGOTTEN, false);
		t->hooks->file_forget(t->hooks->arg, k->row.id);
		known_remove(t, k);
		known_free(k);
		n++;
	}
	return n;
}

void known_release(struct tail *t)
{
	struct known *k;

	while ((k = list_first(&t->known, struct known, node))) {
		list_remove(&k->node);
		known_free(k);
	}
	map_release(&t->known_by_inode);
}
