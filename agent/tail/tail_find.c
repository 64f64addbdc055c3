/* tail_find.c - names: events and walks say where something may have happened, a look says what is there.
 *
 * Why by looking: an event only says that something happened to a name; it may be long past. So events make a list of
 * names, and each is looked at with lstat once the kernel's queue is empty. What a name *was* is needed in one case only:
 * a file created and renamed between two looks (rotated twice) is found under a name that no glob matches. The pair
 * MOVED_FROM/MOVED_TO carries the matched name (`home`) along.
 *
 * A link that is followed has the file to which it leads; its target may have names that match nothing (tail_links.c).
 *
 * Invariants
 *  (1) after the look at a name, by_path has the file that was there at that moment, and no other.
 *  (2) a walk looks at every matching name and at every name that a followed file had: lost events cost only time.
 * Threads: tail. Failure: a name that cannot be noted makes the next round walk.
 */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/tail/remote.h"
#include "agent/tail/tail_inside.h"

struct look {
	struct list node;
	char *path, *home;		/* home: the matched name that this file had a moment ago, or NULL */
};

size_t find_input(const struct tail *t, const char *path)
{
	for (size_t i = 0; i < t->conf.conf->input_count; i++) {
		const struct tail_input *in = &t->inputs[i];
		bool match = false;

		for (size_t j = 0; j < in->paths.n && !match; j++)
			match = glob_match(in->paths.v[j], path);
		for (size_t j = 0; j < in->exclude.n && match; j++)
			match = !glob_excludes(in->exclude.v[j], path);
		if (match)
			return i;
	}
	return SIZE_MAX;
}

bool find_follows(const struct tail *t, const char *path)
{
	size_t input = find_input(t, path);

	return input != SIZE_MAX && t->inputs[input].conf->follow_symlinks;
}

/* --- looking --- */

/* What is at a path. */
enum sight {
	SIGHT_NOTHING,
	SIGHT_FILE,
	SIGHT_ODD,		/* neither file nor link */
	SIGHT_LINK,		/* that its input does not follow */
};

#define EVENTS_ROUNDS 8			/* looks between two rounds of turns */
#define EVENTS_RENAMES 1000		/* the same while files are renamed */

static enum sight see(struct tail *t, const char *path, const char *home, struct stat *ret_st)
{
	if (slow_lstat(path, ret_st) < 0)
		return SIGHT_NOTHING;
	if (S_ISLNK(ret_st->st_mode)) {
		if (!find_follows(t, home ? home : path))
			return SIGHT_LINK;
		links_add(t, path);		/* before: what it leads to may come between */
		if (slow_stat(path, ret_st) < 0)
			return SIGHT_NOTHING;
	}
	return S_ISREG(ret_st->st_mode) ? SIGHT_FILE : SIGHT_ODD;
}

bool find_stat(struct tail *t, const char *path, size_t input, struct stat *ret_st)
{
	if (slow_lstat(path, ret_st) < 0)
		return false;
	if (S_ISLNK(ret_st->st_mode) && (!t->inputs[input].conf->follow_symlinks || slow_stat(path, ret_st) < 0))
		return false;
	return S_ISREG(ret_st->st_mode);
}

bool find_ignored(const struct tail *t, size_t input, const struct stat *st)
{
	const struct conf_input *in = t->inputs[input].conf;

	if (!in->ignore_older_ms || clock_wall_ms() - (int64_t)st->st_mtim.tv_sec * 1000 <= in->ignore_older_ms)
		return false;
	/* Once: later it is to begin behind what it holds now. */
	if (t->first_walk && t->first_start && in->read_from == CONF_READ_END)
		return false;
	return !known_unread(t, st);
}

static void touch(struct tail *t, struct file *f, const struct stat *st)
{
	f->round = t->round;
	f->blocked = false;
	t->holes |= f->has_hole;
	if (!file_followed(f))
		files_open(t, f);
	else if (file_changed(f, st, t->loop.now_ms) || f->has_hole || f->state == FILE_FAILED || !f->at_end)
		files_ready(t, f);
}

/* Of several names that a file has, it is followed under one that an input matches. */
static bool is_better_name(const struct tail *t, const struct file *g, const char *path)
{
	return !file_is_at(g, g->path) || (find_input(t, g->path) == SIZE_MAX && find_input(t, path) != SIZE_MAX);
}

/* ret_file: what is followed there, or NULL. */
static enum sight look(struct tail *t, const char *path, const char *home, struct file **ret_file)
{
	struct file *f = files_by_path(t, path), *g = NULL;
	struct stat st;
	enum sight sight = see(t, path, home, &st);
	bool there = sight == SIGHT_FILE;
	size_t input;

	if (there)
		g = files_by_inode(t, st.st_dev, st.st_ino);
	if (f && f != g) {
		files_detach(t, f);
		f = NULL;
	}
	if (g && g != f && is_better_name(t, g, path))
		files_attach(t, g, path);
	*ret_file = g;
	if (g) {
		if (g->retired)
			reload_revive(t, g);
		touch(t, g, &st);
		return sight;
	}
	input = there ? find_input(t, home ? home : path) : SIZE_MAX;
	if (input != SIZE_MAX && !find_ignored(t, input, &st))
		g = files_adopt(t, path, home ? home : path);
	/* It took its place under its first name; where it is now may match too. */
	if (g && strcmp(g->home, path) && find_input(t, path) != SIZE_MAX)
		files_attach(t, g, path);
	*ret_file = g;
	return sight;
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

/* In the directory of this path: f's name there now. NULL: it has none. */
static char *search_beside(const struct file *f, const char *path)
{
	char *dir = mem_strdup(path), *slash = dir ? strrchr(dir, '/') : NULL, *found = NULL;
	struct dirent *e;
	DIR *d;

	if (slash)
		slash[slash == dir] = 0;
	d = slash ? slow_opendir(dir) : NULL;
	while (d && !found && (e = slow_readdir(d))) {
		if (e->d_ino != f->inode)
			continue;
		found = mem_printf("%s/%s", slash == dir ? "" : dir, e->d_name);
		if (found && !file_is_at(f, found)) {
			mem_free(found);
			found = NULL;
		}
	}
	if (d)
		closedir(d);
	mem_free(dir);
	return found;
}

char *find_name(const struct file *f)
{
	char *found = search_beside(f, f->path), real[PATH_MAX];

	if (!found && f->follow && slow_realpath(f->path, real))
		found = search_beside(f, real);
	return found;
}

bool find_again(struct tail *t, struct file *f)
{
	char *path = NULL;

	/* What moved to where somebody watches is still to be looked at. */
	list_each(it, &t->looks) {
		const struct look *l = list_entry(it, struct look, node);

		if (!l->home || strcmp(l->home, f->path) || !file_is_at(f, l->path))
			continue;
		path = mem_strdup(l->path);
		break;
	}
	if (!path)
		path = find_name(f);
	if (!path)
		return false;
	files_attach(t, f, path);
	mem_free(path);
	return fds_wake(t, f);
}

/* What moves away takes the matched name along that it has, or had a moment ago. */
static void on_moved_from(struct tail *t, const char *path, uint32_t cookie)
{
	struct look *l = map_get(&t->looks_by_path, path, strlen(path));
	bool matched = find_input(t, path) != SIZE_MAX;
	const char *link = matched ? NULL : links_home(t, path);

	if (cookie == t->moved.cookie && t->moved.home && !matched)
		return;			/* the same directory under another name */
	mem_free(t->moved.home);
	t->moved.cookie = cookie;
	t->moved.home = NULL;
	/* Renamed twice before it was ever opened: its first name says whose successor it is, though the second matches too. */
	if (l && l->home) {
		t->moved.home = l->home;
		l->home = NULL;
	} else if (matched || link) {
		t->moved.home = mem_strdup(link ? link : path);
	}
	if (matched || files_by_path(t, path))
		look_add(t, path, NULL);
}

static void look_at_link(struct tail *t, const char *link)
{
	look_add(t, link, NULL);
}

/* Most of what happens: it was written. */
static void read_link(struct tail *t, const char *link)
{
	struct file *f = files_by_path(t, link);

	if (f && f->fd >= 0)
		files_ready(t, f);
	else
		look_add(t, link, NULL);
}

static void on_event(void *arg, enum watch_what what, const char *path, uint32_t cookie)
{
	struct tail *t = arg;
	struct file *f;

	t->renamed |= what == WATCH_MOVED_FROM || what == WATCH_MOVED_TO;
	if (what != WATCH_TREE)
		links_each(t, path, what == WATCH_CHANGED ? read_link : look_at_link);
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
		else if (f || find_input(t, path) != SIZE_MAX)
			look_add(t, path, NULL);
		return;
	}
}

static void look_at_all(struct tail *t)
{
	struct file *f;
	struct look *l;

	while ((l = list_first(&t->looks, struct look, node))) {
		list_remove(&l->node);
		map_del(&t->looks_by_path, l->path, strlen(l->path));
		look(t, l->path, l->home, &f);
		look_free(l);
	}
	packed_settle(t, false);
}

void find_events(struct tail *t)
{
	/* Again after looking: a rename between events and look has left its events by now, and its new file was not read yet. As
	 * long as there are such, for the file that has the name now may be many rotations younger than the next event. */
	for (int i = 0; i < EVENTS_ROUNDS || (t->renamed && i < EVENTS_RENAMES); i++) {
		t->renamed = false;
		if (!watch_read(t->watch, on_event, t))
			break;
		look_at_all(t);
	}
	if (watch_overflowed(t->watch)) {
		log_debug("events were lost, looking at everything");
		t->overflows++;
		t->rewalk = t->blind = true;
	}
}

/* --- walks --- */

void find_dir(struct tail *t, const char *path)
{
	enum conf_watch how = t->walking ? t->walking->conf->watch : CONF_WATCH_AUTO;
	bool remote;

	beat_into("asking a file system");
	remote = how == CONF_WATCH_AUTO && remote_path(path);
	beat_out();
	if (how == CONF_WATCH_POLL || remote)
		t->polling = true;
	else
		watch_dir(t->watch, path);
}

static void on_dir(void *arg, const char *path)
{
	if (!files_in_state_dir(arg, path))
		find_dir(arg, path);
}

static void on_file(void *arg, const char *path)
{
	struct tail *t = arg;
	size_t input = find_input(t, path);
	struct file *f = files_by_path(t, path);

	if (input == SIZE_MAX) {
		t->walking->excluded++;
		return;
	}
	if (!f || f->round != t->round) {
		enum sight sight = look(t, path, NULL, &f);

		if (sight == SIGHT_ODD)
			notes_say(t, path, "not a regular file, not read", 0);
		t->inputs[input].links += sight == SIGHT_LINK;
		t->inputs[input].matched += sight == SIGHT_FILE;
	}
	if (f && !f->retired && &t->inputs[f->input] != t->walking)
		notes_shared(t, path, f->input);
}

static void on_dir_failed(void *arg, const char *path, int rc)
{
	notes_say(arg, path, "cannot read a directory, its files are not followed", rc);
}

static bool all_pass(const struct tail *t, const struct tail_input *in)
{
	bool pass = true;

	for (size_t j = 0; j < in->paths.n; j++)
		pass &= gates_pass(t, in->paths.v[j]);
	return pass;
}

static void walk_inputs(struct tail *t)
{
	struct glob_visitor v = { .arg = t, .dir = on_dir, .file = on_file, .failed = on_dir_failed };

	watch_begin(t->watch);
	links_clear(t);
	t->polling = t->holes = false;
	for (size_t i = 0; i < t->conf.conf->input_count; i++)
		if (all_pass(t, &t->inputs[i]))
			notes_begin(&t->inputs[i]);
	for (size_t i = 0; i < t->conf.conf->input_count; i++) {
		struct tail_input *in = &t->inputs[i];

		t->walking = in;
		for (size_t j = 0; j < in->paths.n; j++)
			if (gates_pass(t, in->paths.v[j])) {
				glob_walk(in->paths.v[j], &v);
				notes_missing(t, in->paths.v[j]);
			}
	}
	t->walking = NULL;
	watch_end(t->watch);
}

static void say_limit(struct tail *t)
{
	bool limited = watch_limited(t->watch);

	if (limited && !t->warned_limit)
		log_warn("inotify limit reached (fs.inotify.max_user_watches, max_user_instances), looking at files every second");
	else if (!limited && t->warned_limit)
		log_info("inotify watches all directories again");
	t->warned_limit = limited;
}

void find_walk(struct tail *t)
{
	int64_t began = clock_mono_ms();

	t->rewalk = false;
	t->round++;
	t->walks++;
	walk_inputs(t);
	list_each_safe(it, &t->files) {
		struct file *f = list_entry(it, struct file, node);

		if (f->round != t->round && files_by_path(t, f->path) == f && gates_pass(t, f->path))
			look(t, f->path, NULL, &f);
	}
	if (!t->first_walk)
		packed_settle(t, true);
	notes_inputs(t);
	gates_say(t);
	notes_end(t);
	say_limit(t);
	if (!t->first_walk)
		missed_look(t, t->blind || t->polling || watch_limited(t->watch) || watch_fd(t->watch) < 0);
	t->blind = false;
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
