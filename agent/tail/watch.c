/* watch.c - inotify on directories.
 *
 * Why directories: one watch sees every file of it, created, renamed or written; 10,000 files of a directory cost one.
 *
 * Invariants
 *  (1) by_wd and by_path hold the same directories. Two paths to one directory share the kernel's watch: an event is
 *      delivered with each of them (files are told apart by inode, so nothing is read twice).
 *  (2) a directory that was renamed away and made anew gets a new descriptor at the next round: inotify_add_watch is
 *      called for every directory in every round.
 * Threads: the owner's. Failure: ENOSPC and EMFILE set `limited`; a lost event sets `overflow`. Both mean that the
 *	caller has to look for itself; nothing is lost by it.
 */
#include "agent/tail/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/base/beat.h"
#include "agent/base/err.h"
#include "agent/base/map.h"
#include "agent/base/mem.h"

#define MASK (IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | \
	      IN_ONLYDIR)

struct watch_entry {
	int      wd;
	uint32_t round;		/* the last round that asked for it */
	char    *path;
	struct watch_entry *same;	/* another path to this directory */
};

struct watch {
	int  fd;
	bool limited, overflow;
	uint32_t round;
	struct map by_wd, by_path;
};

int watch_open(struct watch **ret_w)
{
	struct watch *w = mem_new(struct watch);

	if (!w)
		return ERR_NOMEM;
	map_init(&w->by_wd);
	map_init(&w->by_path);
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	w->limited = w->fd < 0;
	*ret_w = w;
	return 0;
}

static void entry_drop(struct watch *w, struct watch_entry *e)
{
	struct watch_entry *first = map_get(&w->by_wd, &e->wd, sizeof e->wd), **at;

	for (at = &first; *at && *at != e; at = &(*at)->same)
		;
	if (*at) {
		*at = e->same;
		if (!first || map_put(&w->by_wd, &e->wd, sizeof e->wd, first) < 0)
			map_del(&w->by_wd, &e->wd, sizeof e->wd);
	}
	if (map_get(&w->by_path, e->path, strlen(e->path)) == e)
		map_del(&w->by_path, e->path, strlen(e->path));
	mem_free(e->path);
	mem_free(e);
}

static void entry_end(struct watch *w, struct watch_entry *e)
{
	int wd = e->wd;

	entry_drop(w, e);
	if (!map_get(&w->by_wd, &wd, sizeof wd))
		inotify_rm_watch(w->fd, wd);		/* may have ended by itself */
}

void watch_close(struct watch *w)
{
	struct watch_entry *e;
	size_t it = 0;

	if (!w)
		return;
	while ((e = map_next(&w->by_path, &it)))
		entry_drop(w, e);
	map_release(&w->by_wd);
	map_release(&w->by_path);
	if (w->fd >= 0)
		close(w->fd);
	mem_free(w);
}

int watch_fd(const struct watch *w)
{
	return w->fd;
}

void watch_begin(struct watch *w)
{
	w->round++;
	if (w->fd < 0)
		w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);	/* others gave one back? */
	w->limited = w->fd < 0;
}

static void entry_add(struct watch *w, const char *path, int wd)
{
	struct watch_entry *e = mem_new(struct watch_entry);

	if (e)
		*e = (struct watch_entry){ .wd = wd, .round = w->round, .path = mem_strdup(path),
					   .same = map_get(&w->by_wd, &wd, sizeof wd) };
	if (e && e->path && map_put(&w->by_wd, &wd, sizeof wd, e) == 0 &&
	    map_put(&w->by_path, path, strlen(path), e) == 0)
		return;
	w->limited = true;		/* no memory: like a directory that cannot be watched */
	if (e && e->path)
		entry_drop(w, e);
	else
		mem_free(e);
}

void watch_dir(struct watch *w, const char *path)
{
	struct watch_entry *e = map_get(&w->by_path, path, strlen(path));
	int wd;

	if (w->fd < 0 || (e && e->round == w->round))
		return;
	beat_into("looking for a directory");
	wd = inotify_add_watch(w->fd, path, MASK);
	beat_out();
	if (wd < 0) {
		/* Others (gone meanwhile, not readable) are the walker's to report. */
		w->limited |= errno == ENOSPC || errno == ENOMEM;
		return;
	}
	if (e && e->wd == wd) {
		e->round = w->round;
		return;
	}
	if (e)
		entry_end(w, e);		/* the path has another directory now */
	entry_add(w, path, wd);
}

void watch_end(struct watch *w)
{
	struct watch_entry *e;
	size_t it = 0;

	while ((e = map_next(&w->by_path, &it))) {
		if (e->round != w->round)
			entry_end(w, e);
	}
}

static void deliver_name(const struct watch_entry *e, const struct inotify_event *ev, watch_fn *fn, void *arg)
{
	enum watch_what what = WATCH_NAME;
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s/%s", e->path[1] ? e->path : "", ev->name);

	if (n < 0 || (size_t)n >= sizeof path)
		return;			/* cannot be opened by that name either */
	if (ev->mask & IN_MODIFY)
		what = WATCH_CHANGED;
	else if (ev->mask & IN_MOVED_FROM)
		what = WATCH_MOVED_FROM;
	else if (ev->mask & IN_MOVED_TO)
		what = WATCH_MOVED_TO;
	fn(arg, what, path, ev->cookie);
}

static void deliver_to(const struct watch_entry *e, const struct inotify_event *ev, watch_fn *fn, void *arg)
{
	if (ev->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) {
		fn(arg, WATCH_TREE, e->path, 0);
	} else if (ev->mask & IN_ISDIR) {
		if (!(ev->mask & IN_ATTRIB) || ev->len)
			fn(arg, WATCH_TREE, e->path, 0);
	} else if (ev->len) {
		deliver_name(e, ev, fn, arg);
	}
}

static void deliver(struct watch *w, const struct inotify_event *ev, watch_fn *fn, void *arg)
{
	struct watch_entry *e = map_get(&w->by_wd, &ev->wd, sizeof ev->wd), *next;

	if (ev->mask & IN_Q_OVERFLOW)
		w->overflow = true;
	for (; e; e = next) {
		next = e->same;
		if (ev->mask & IN_IGNORED)
			entry_drop(w, e);
		else
			deliver_to(e, ev, fn, arg);
	}
}

unsigned watch_read(struct watch *w, watch_fn *fn, void *arg)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *ev;
	unsigned count = 0;
	ssize_t n;

	while (w->fd >= 0 && (n = read(w->fd, buf, sizeof buf)) > 0) {
		for (const char *p = buf; p < buf + n; p += sizeof *ev + ev->len) {
			ev = (const struct inotify_event *)(const void *)p;
			deliver(w, ev, fn, arg);
			count++;
		}
	}
	return count;
}

bool watch_overflowed(struct watch *w)
{
	bool was = w->overflow;

	w->overflow = false;
	return was;
}

bool watch_limited(const struct watch *w)
{
	return w->limited;
}

static void forget(void *arg, enum watch_what what, const char *path, uint32_t cookie)
{
	(void)arg, (void)what, (void)path, (void)cookie;
}

void watch_overflow(struct watch *w)
{
	watch_read(w, forget, NULL);
	w->overflow = true;
}
