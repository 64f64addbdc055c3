/* tail_find.c - names: events and walks say where something may have happened, a look says what is there.
 *
 * Why by looking: an event only says that something happened to a name; it may be long past. So events make a list of
 * names, and each is looked at with lstat once the kernel's queue is empty. What a name *was* is needed in one case only:
 * a file created and renamed between two looks (rotated twice) is found under a name that no glob matches. The pair
 * MOVED_FROM/MOVED_TO carries the matched name (`home`) along.
 *
 * Invariants
 *  (1) after the look at a name, by_path has the file that was there at that moment, and no other.
 *  (2) a walk looks at every matching name and at every name that a followed file had: lost events cost only time.
 * Threads: tail. Failure: a name that cannot be noted makes the next round walk.
 */
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/tail_inside.h"

struct look {
	struct list node;
	char *path, *home;		/* home: the matched name that this file had a moment ago, or NULL */
};

size_t find_input(const struct tail *t, const char *path, size_t *ret_other)
{
	size_t found = SIZE_MAX;

	if (ret_other)
		*ret_other = SIZE_MAX;
	for (size_t i = 0; i < t->conf.conf->input_count; i++) {
		const struct tail_input *in = &t->inputs[i];
		bool match = false;

		for (size_t j = 0; j < in->paths.n && !match; j++)
			match = glob_match(in->paths.v[j], path);
		for (size_t j = 0; j < in->exclude.n && match; j++)
			match = !glob_excludes(in->exclude.v[j], path);
		if (!match)
			continue;
		if (found == SIZE_MAX)
			found = i;
		else if (ret_other)
			*ret_other = i;
		if (!ret_other || *ret_other != SIZE_MAX)
			return found;
	}
	return found;
}

/* --- looking --- */

static void touch(struct tail *t, struct file *f, const struct stat *st)
{
	f->round = t->round;
	f->blocked = false;
	if (f->fd < 0)
		files_open(t, f);
	else if (file_changed(f, st, t->loop.now_ms) || f->state == FILE_FAILED || !f->at_end)
		files_ready(t, f);
}

/* Whether f's own path still leads to it: then another path to it is a hard link. */
static bool still_there(const struct file *f)
{
	struct stat st;

	return lstat(f->path, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->inode;
}

static void look(struct tail *t, const char *path, const char *home)
{
	struct file *f = files_by_path(t, path), *g = NULL;
	struct stat st;
	bool there = lstat(path, &st) == 0 && S_ISREG(st.st_mode);

	if (there)
		g = files_by_inode(t, st.st_dev, st.st_ino);
	if (f && f != g) {
		files_detach(t, f);
		f = NULL;
	}
	if (g && g != f && !still_there(g))
		files_attach(t, g, path);
	if (g) {
		touch(t, g, &st);
		return;
	}
	if (there && (home || find_input(t, path, NULL) != SIZE_MAX))
		g = files_adopt(t, path, home ? home : path);
	/* It took its place under its first name; where it is now may match too. */
	if (g && strcmp(g->home, path) && find_input(t, path, NULL) != SIZE_MAX)
		files_attach(t, g, path);
}

static void look_free(struct look *l)
{
	mem_free(l->path);
	mem_free(l->home);
	mem_free(l);
}

static void look_add(struct tail *t, const char *path, const char *home)
{
	struct look *l = map_get(&t->looks_by_path, path, strlen(path));

	if (!l) {
		l = mem_new(struct look);
		if (l)
			l->path = mem_strdup(path);
		if (!l || !l->path || map_put(&t->looks_by_path, path, strlen(path), l) < 0) {
			if (l)
				look_free(l);
			t->rewalk = true;
			return;
		}
		list_push_back(&t->looks, &l->node);
	}
	if (home) {
		mem_free(l->home);
		l->home = mem_strdup(home);
		list_remove(&l->node);		/* in the order of the last move: rotation moves the oldest first */
		list_push_back(&t->looks, &l->node);
	}
}

/* What moves away takes the matched name along that it has, or had a moment ago. */
static void on_moved_from(struct tail *t, const char *path, uint32_t cookie)
{
	struct look *l = map_get(&t->looks_by_path, path, strlen(path));
	bool matched = find_input(t, path, NULL) != SIZE_MAX;

	mem_free(t->moved.home);
	t->moved.cookie = cookie;
	t->moved.home = NULL;
	/* Renamed twice before it was ever opened: its first name says whose successor it is, though the second matches too. */
	if (l && l->home) {
		t->moved.home = l->home;
		l->home = NULL;
	} else if (matched) {
		t->moved.home = mem_strdup(path);
	}
	if (matched || files_by_path(t, path))
		look_add(t, path, NULL);
}

static void on_event(void *arg, enum watch_what what, const char *path, uint32_t cookie)
{
	struct tail *t = arg;
	struct file *f;

	switch (what) {
	case WATCH_TREE:
		t->rewalk = true;
		return;
	case WATCH_MOVED_FROM:
		on_moved_from(t, path, cookie);
		return;
	case WATCH_MOVED_TO:
		look_add(t, path, cookie && cookie == t->moved.cookie ? t->moved.home : NULL);
		return;
	case WATCH_CHANGED:
	case WATCH_NAME:
		f = files_by_path(t, path);
		if (f && what == WATCH_CHANGED && f->fd >= 0)
			files_ready(t, f);
		else if (f || find_input(t, path, NULL) != SIZE_MAX)
			look_add(t, path, NULL);
		return;
	}
}

static void look_at_all(struct tail *t)
{
	struct look *l;

	while ((l = list_first(&t->looks, struct look, node))) {
		list_remove(&l->node);
		map_del(&t->looks_by_path, l->path, strlen(l->path));
		look(t, l->path, l->home);
		look_free(l);
	}
}

void find_events(struct tail *t)
{
	/* Again after looking: a rename between events and look has left its events by now, and its new file was not read yet. */
	for (int i = 0; i < 8 && watch_read(t->watch, on_event, t); i++)
		look_at_all(t);
	if (watch_overflowed(t->watch)) {
		log_debug("events were lost, looking at everything");
		t->rewalk = true;
	}
}

/* --- walks --- */

static void on_dir(void *arg, const char *path)
{
	struct tail *t = arg;

	watch_dir(t->watch, path);
}

static void on_file(void *arg, const char *path)
{
	struct tail *t = arg;
	size_t input = find_input(t, path, NULL);
	struct file *f = files_by_path(t, path);

	if (input == SIZE_MAX)
		return;			/* excluded */
	if (!f || f->round != t->round)
		t->inputs[input].matched++;
	if (!f || f->round != t->round)
		look(t, path, NULL);
}

static void on_dir_failed(void *arg, const char *path, int rc)
{
	struct tail *t = arg;

	if (t->warned_dir)
		return;
	t->warned_dir = true;
	log_warn("cannot read a directory, its files are not followed", KS("path", path), KE(rc));
}

static void walk_inputs(struct tail *t)
{
	struct glob_visitor v = { .arg = t, .dir = on_dir, .file = on_file, .failed = on_dir_failed };

	watch_begin(t->watch);
	for (size_t i = 0; i < t->conf.conf->input_count; i++)
		t->inputs[i].matched = 0;
	for (size_t i = 0; i < t->conf.conf->input_count; i++)
		for (size_t j = 0; j < t->inputs[i].paths.n; j++)
			glob_walk(t->inputs[i].paths.v[j], &v);
	watch_end(t->watch);
}

void find_walk(struct tail *t)
{
	int64_t began = clock_mono_ms();

	t->rewalk = false;
	t->round++;
	walk_inputs(t);
	list_each_safe(it, &t->files) {
		struct file *f = list_entry(it, struct file, node);

		if (f->round != t->round && files_by_path(t, f->path) == f)
			look(t, f->path, NULL);
	}
	if (watch_limited(t->watch) && !t->warned_limit) {
		t->warned_limit = true;
		log_warn("inotify limit reached (fs.inotify.max_user_watches, max_user_instances), looking at files every second");
	}
	known_expire(t);
	t->walked_ms = clock_mono_ms();
	t->walk_ms = t->walked_ms - began;
}

void find_release(struct tail *t)
{
	struct look *l;

	while ((l = list_first(&t->looks, struct look, node))) {
		list_remove(&l->node);
		look_free(l);
	}
	mem_free(t->moved.home);
	map_release(&t->looks_by_path);
}
