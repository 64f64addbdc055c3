/* tail_search.c - files of an earlier life that are not at their path: looked for once, after the first walk.
 *
 * A file that was rotated while nobody ran is in the same directory, or in one below it, under another name.
 * Threads: tail. Failure: a file that cannot be found is said loudly, once.
 */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/beat.h"
#include "agent/base/slow.h"
#include "agent/tail/tail_inside.h"

/* Looks for k's inode in a directory; deeper: in the directories below it, too. *ret_blind: it could not be looked into. */
static struct file *search_dir(struct tail *t, const struct known *k, const char *dir, bool deeper, bool *ret_blind)
{
	struct file *found = NULL;
	struct dirent *e;
	struct stat st;
	char *path;
	DIR *d = slow_opendir(dir);

	*ret_blind |= !d;
	while (d && !found && (e = slow_readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    (e->d_ino != k->row.inode && !(deeper && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN))))
			continue;
		path = mem_printf("%s/%s", dir, e->d_name);
		if (path && slow_lstat(path, &st) == 0) {
			if (S_ISDIR(st.st_mode))
				found = deeper ? search_dir(t, k, path, false, &(bool){ false }) : NULL;
			else if (S_ISREG(st.st_mode) && st.st_ino == k->row.inode && known_is_at(t, k, path, &st))
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

/* It is there and cannot be opened. */
static bool not_open_yet(const struct tail *t, const struct known *k)
{
	const struct file *f = k->other_boot ? files_by_path(t, k->row.path) : files_by_inode(t, k->row.dev, k->row.inode);

	return f && f->inode == k->row.inode && f->fd < 0;
}

/* Where its path, a link, leads now: what a link is turned away from is most often beside what it is turned to. */
static void search_target(struct tail *t, const struct known *k)
{
	char real[PATH_MAX], *slash;

	if (!find_follows(t, k->row.path) || !slow_realpath(k->row.path, real))
		return;
	slash = strrchr(real, '/');
	slash[slash == real] = 0;
	search_dir(t, k, real, false, &(bool){ false });
}

/* It is there, and ignore_older keeps it closed. */
static bool is_ignored(struct tail *t, const struct known *k)
{
	size_t input = find_input(t, k->row.path);
	struct stat st;

	return input != SIZE_MAX && find_stat(t, k->row.path, input, &st) && st.st_ino == k->row.inode &&
	       (st.st_dev == k->row.dev || k->other_boot) && find_ignored(t, input, &st);
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
		beat();			/* one each: 100,000 that are gone take their time */
		if (find_input(t, k->row.path) == SIZE_MAX) {
			if (!t->reloading)
				log_warn("file of an earlier run is matched by no input any more, it waits",
					 KS("path", k->row.path), KI("finished", k->row.safe), KI("last_size", k->row.size));
			continue;
		}
		if (!gates_pass(t, k->row.path) || not_open_yet(t, k) || is_ignored(t, k))
			continue;
		blind = false;
		dir = mem_strdup(k->row.path);
		slash = dir ? strrchr(dir, '/') : NULL;
		if (slash) {
			*slash = 0;
			search_dir(t, k, *dir ? dir : "/", true, &blind);
			if (!files_by_id(t, id))
				search_target(t, k);
		}
		mem_free(dir);
		/* Still there: either it was not found, or it was found and did not fit. */
		if (blind)
			log_warn("directory of a file of an earlier run cannot be read, the file waits", KS("path", k->row.path),
				 KI("finished", k->row.safe), KI("last_size", k->row.size));
		else if (slash && !files_by_id(t, id) && !copy_resume(t, k) && !packed_claim(t, k))
			give_up(t, k);
	}
}
