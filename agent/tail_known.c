/* tail_known.c - files of an earlier life: where to go on, what became of the ones that are not there.
 *
 * A row is matched by inode and device; where the device number changed (it may over a reboot), by inode alone. Then
 * fingerprint and marker must fit, else the inode was used again or the file was rewritten: a new file, read from 0.
 *
 * The row of a file that was closed here stays too: renamed back into the globs it goes on, and is not read twice.
 * Threads: tail (known_load: main, before it runs). Failure: a file that cannot be found is said loudly, once.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/identity.h"
#include "agent/tail_inside.h"

static void known_free(struct known *k)
{
	if (!k)
		return;
	mem_free((char *)k->row.path);
	mem_free((char *)k->row.origin);
	mem_free(k->skips);
	mem_free(k);
}

static struct known *known_new(const struct spool_file *row, const struct tail_skip *skips, size_t n)
{
	struct known *k = mem_new(struct known);

	if (!k)
		return NULL;
	list_init(&k->node);
	k->row = *row;
	k->row.path = mem_strdup(row->path);
	k->row.origin = mem_strdup(row->origin ? row->origin : row->path);
	k->skips = mem_array(struct tail_skip, n + 1);
	if (!k->row.path || !k->row.origin || !k->skips) {
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
}

int known_load(struct tail *t, const struct tail_known *from)
{
	struct known *k = known_new(&from->file, from->skips, from->skip_count);

	if (k)
		k->match = !(k->row.state == FILE_DELETED && k->row.gone_ms) && k->row.state <= FILE_DONE;
	if (k && known_add(t, k) == 0)
		return 0;
	known_free(k);
	return ERR_NOMEM;
}

/* --- going on --- */

static bool fits(const struct known *k, const struct file *f, bool same_dev)
{
	int64_t end = k->skip_count ? k->skips[k->skip_count - 1].to : 0;

	if (!k->match || (k->row.dev == f->dev) != same_dev)
		return false;
	/* A row that knows nothing of the content proves nothing on another device. */
	if (!same_dev && !k->row.fingerprint_len && !k->row.marker)
		return false;
	return f->size >= k->row.safe && f->size >= end &&
	       identity_fits(f->fd, k->row.fingerprint_len, k->row.fingerprint, k->row.safe, k->row.marker);
}

static struct known *find_fit(const struct tail *t, const struct file *f)
{
	for (int same_dev = 1; same_dev >= 0; same_dev--)
		for (struct known *k = map_get(&t->known_by_inode, &f->inode, sizeof f->inode); k; k = k->same_inode)
			if (fits(k, f, same_dev))
				return k;
	return NULL;
}

/* Says that this very file was another one before; its row is kept for what is still unfinished of it. */
static void say_rewritten(struct tail *t, const struct file *f)
{
	struct known *k = map_get(&t->known_by_inode, &f->inode, sizeof f->inode);

	for (; k; k = k->same_inode) {
		if (!k->match || k->row.dev != f->dev || strcmp(k->row.path, f->home))
			continue;
		log_warn("file is not what it was (truncated, rewritten or replaced), reading it from its beginning",
			 KS("path", f->path), KI("size", f->size), KI("safe", k->row.safe));
		k->match = false;
		k->row.state = FILE_DELETED;		/* nothing can go on here, in no later life either */
		k->row.gone_ms = clock_wall_ms();
		t->hooks->file_put(t->hooks->arg, &k->row);
	}
}

bool known_resume(struct tail *t, struct file *f)
{
	struct known *k = find_fit(t, f);

	if (!k) {
		say_rewritten(t, f);
		return false;
	}
	f->id = k->row.id;
	f->generation = k->row.generation;
	f->head_len = k->row.fingerprint_len;
	f->head = k->row.fingerprint;
	f->offset = k->row.safe;
	f->mark = k->row.marker;
	f->leading = f->offset == 0;
	if (f->offset && !f->mark && identity_read_marker(f->fd, f->offset, &f->mark) < 0)
		f->mark = 0;
	mem_free(f->origin);
	f->origin = (char *)k->row.origin;
	k->row.origin = NULL;
	f->skips = k->skips;
	f->skip_count = k->skip_count;
	k->skips = NULL;
	known_remove(t, k);
	known_free(k);
	return true;
}

int known_open(const struct tail *t, int64_t id, struct file *ret)
{
	const struct known *k = NULL;
	int rc = ERR_BAD_DATA;

	list_each(it, &t->known)
		if (list_entry(it, struct known, node)->row.id == id)
			k = list_entry(it, struct known, node);
	if (!k || !k->match)
		return rc;
	*ret = (struct file){ .fd = -1, .id = id, .path = (char *)k->row.path, .dev = k->row.dev, .inode = k->row.inode };
	if (file_open(ret) == 0) {
		if (fits(k, ret, true))
			return 0;
		close(ret->fd);
		ret->fd = -1;
	} else if (!k->row.gone_ms) {
		rc = ERR_UNAVAILABLE;
	}
	return rc;
}

/* --- looking for what is not at its path --- */

/* Looks for k's inode in a directory; deeper: in the directories below it, too. *ret_blind: it could not be looked into. */
static struct file *search_dir(struct tail *t, const struct known *k, const char *dir, bool deeper, bool *ret_blind)
{
	struct file *found = NULL;
	struct dirent *e;
	struct stat st;
	char *path;
	DIR *d = opendir(dir);

	*ret_blind |= !d;
	while (d && !found && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    (e->d_ino != k->row.inode && !(deeper && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN))))
			continue;
		path = mem_printf("%s/%s", dir, e->d_name);
		if (path && lstat(path, &st) == 0) {
			if (S_ISDIR(st.st_mode))
				found = deeper ? search_dir(t, k, path, false, &(bool){ false }) : NULL;
			else if (st.st_ino == k->row.inode)
				found = files_adopt(t, path, k->row.path);
		}
		mem_free(path);
	}
	if (d)
		closedir(d);
	return found;
}

static void give_up(struct tail *t, struct known *k)
{
	k->row.gone_ms = clock_wall_ms();
	if (k->row.safe < k->row.size || k->row.state == FILE_ROTATED)
		log_warn("file of an earlier run is gone, what was not finished of it cannot be read any more",
			 KS("path", k->row.path), KI("inode", k->row.inode), KI("finished", k->row.safe),
			 KI("last_size", k->row.size));
	else
		log_info("file of an earlier run is gone, it was finished as far as known", KS("path", k->row.path),
			 KI("inode", k->row.inode), KI("finished", k->row.safe));
	k->row.state = FILE_DONE;
	t->hooks->file_put(t->hooks->arg, &k->row);
}

static struct known *next_missing(const struct tail *t, int64_t after)
{
	struct known *best = NULL;

	list_each(it, &t->known) {
		struct known *k = list_entry(it, struct known, node);

		if (k->match && !k->row.gone_ms && k->row.id > after && (!best || k->row.id < best->row.id))
			best = k;
	}
	return best;
}

void known_search(struct tail *t)
{
	int64_t id = INT64_MIN;
	struct known *k;
	char *dir, *slash;
	bool blind;

	/* Oldest first: each finds its place before its successors. A found one is no longer in the list. */
	while ((k = next_missing(t, id))) {
		id = k->row.id;
		if (find_input(t, k->row.path, NULL) == SIZE_MAX) {
			log_warn("file of an earlier run is matched by no input any more, it waits", KS("path", k->row.path),
				 KI("finished", k->row.safe), KI("last_size", k->row.size));
			continue;
		}
		if (files_by_inode(t, k->row.dev, k->row.inode))
			continue;		/* it is there and cannot be opened yet */
		blind = false;
		dir = mem_strdup(k->row.path);
		slash = dir ? strrchr(dir, '/') : NULL;
		if (slash) {
			*slash = 0;
			search_dir(t, k, *dir ? dir : "/", true, &blind);
		}
		mem_free(dir);
		/* Still there: either it was not found, or it was found and did not fit. */
		if (blind)
			log_warn("directory of a file of an earlier run cannot be read, the file waits", KS("path", k->row.path),
				 KI("finished", k->row.safe), KI("last_size", k->row.size));
		else if (slash && !files_by_id(t, id))
			give_up(t, k);
	}
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
	k = known_new(&row, NULL, 0);
	if (!k)
		return;			/* its row is looked after by the next start */
	k->match = match;
	if (known_add(t, k) < 0)
		known_free(k);
}

void known_forget(struct tail *t)
{
	int64_t before = clock_wall_ms() - t->pace.keep_rows;

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

void known_release(struct tail *t)
{
	struct known *k;

	while ((k = list_first(&t->known, struct known, node))) {
		list_remove(&k->node);
		known_free(k);
	}
	map_release(&t->known_by_inode);
}
