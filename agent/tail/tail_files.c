/* tail_files.c - the files that are followed: tables, opening, successors, rename and deletion, the end.
 *
 * Invariants
 *  (1) by_inode has every file; by_path every file whose present path is known; by_id every open one; by_home the last
 *      file that each matched path had, while it is open.
 *  (2) an open file pins its inode: the same (dev, inode) is the same file.
 *  (3) a file is a successor of the one that had its home before: not read before that one was read up to what it held
 *      when the successor was first seen. Chains follow age, so there is no circle.
 * States	ACTIVE <-> ROTATED -> DELETED -> closed; FAILED -> ACTIVE [opened or read again]
 * Threads: tail. Failure: what cannot be opened stays as FILE_FAILED; no memory: the next walk finds the file again.
 */
#define _GNU_SOURCE		/* memrchr */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/tail/identity.h"
#include "agent/tail/line_file.h"
#include "agent/tail/tail_inside.h"

/* --- tables --- */

struct inode_key { uint64_t dev, inode; };

struct file *files_by_inode(const struct tail *t, uint64_t dev, uint64_t inode)
{
	struct inode_key k = { dev, inode };

	return map_get(&t->by_inode, &k, sizeof k);
}

struct file *files_by_id(const struct tail *t, int64_t id)
{
	return map_get(&t->by_id, &id, sizeof id);
}

struct file *files_by_path(const struct tail *t, const char *path)
{
	return map_get(&t->by_path, path, strlen(path));
}

/* Takes f out of a table if it is what stands there. */
static void map_drop(struct map *m, const void *key, size_t n, const struct file *f)
{
	if (map_get(m, key, n) == f)
		map_del(m, key, n);
}

void files_put(struct tail *t, struct file *f, int64_t gone_ms)
{
	struct spool_file row;

	file_row(f, &row);
	row.gone_ms = gone_ms;
	t->hooks->file_put(t->hooks->arg, &row);
	twin_index(t, f);
}

/* --- turns --- */

void files_look_away(struct tail *t, struct file *f)
{
	if (list_empty(&f->away))
		list_push_back(&t->away, &f->away);
	if (!timer_armed(&t->away_timer))
		timer_set(&t->loop, &t->away_timer, t->loop.now_ms + t->pace.away, t->away_timer.fn);
}

static void away_begin(struct tail *t, struct file *f, enum file_state state)
{
	f->state = state;
	f->away_ms = clock_mono_ms();
	files_look_away(t, f);
}

/* Renamed, and still matched: it was rotated if another file has its first name. */
static bool is_renamed(const struct file *f)
{
	return strcmp(f->home, f->origin) != 0;
}

static bool is_superseded(const struct tail *t, const struct file *f)
{
	const struct file *g = is_renamed(f) ? files_by_path(t, f->origin) : NULL;

	return g && g != f && file_followed(g);
}

void files_watch_end(struct tail *t, struct file *f)
{
	if (f->state == FILE_ACTIVE && is_renamed(f) && list_empty(&f->away))
		away_begin(t, f, FILE_ACTIVE);
}

void files_ready(struct tail *t, struct file *f)
{
	bool live;

	if (!file_followed(f) || f->retired)
		return;
	lag_look(t, f);
	files_watch_end(t, f);
	if (f->pred || f->done || f->blocked || !list_empty(&f->turn) || packed_waits(t, f))
		return;
	/* What one event brought is not to wait for a backlog, but not to overtake what was before it either. */
	live = f->at_end || (!f->started && !f->pred_id && f->size <= WINDOW_BYTES);
	list_push_back(live ? &t->live : &t->ready, &f->turn);
	tail_work(t);
}

void files_pass(struct tail *t, struct file *f)
{
	twin_trail(f);
	list_each_safe(it, &f->heirs) {
		struct file *heir = list_entry(it, struct file, heir);

		if (!order_passed(f, heir->pred_size))
			continue;
		order_none(heir);
		files_ready(t, heir);
		files_pass(t, heir);	/* an empty one passes the word on */
	}
}

/* --- where a file is --- */

void files_table(struct tail *t, struct file *f)
{
	struct inode_key k = { f->dev, f->inode };

	map_put(&t->by_inode, &k, sizeof k, f);
	map_put(&t->by_path, f->path, strlen(f->path), f);
}

void files_drop(struct tail *t, struct file *f)
{
	struct inode_key k = { f->dev, f->inode };
	struct file *at;
	size_t it = 0;

	map_drop(&t->by_path, f->path, strlen(f->path), f);
	map_drop(&t->by_inode, &k, sizeof k, f);
	map_drop(&t->by_id, &f->id, sizeof f->id, f);
	while ((at = map_next(&t->by_home, &it))) {
		const struct map_slot *s = &t->by_home.slots[it - 1];

		if (at == f)
			map_del(&t->by_home, map_key(s), s->key_len);
	}
	list_remove(&f->node);
	list_remove(&f->turn);
	list_remove(&f->away);
	list_remove(&f->twin);
	twin_unindex(t, f);
	list_remove(&f->packed);
	list_remove(&f->group);
	list_remove(&f->border);
	if (f->pred)
		order_none(f);
	fds_close(t, f);
	file_close(f);
	f->parked = false;
	files_pass(t, f);
	file_free(f);
	if (!list_empty(&t->copies))
		t->rewalk = true;		/* one of them may have waited for it */
}

/* The file is no longer at its path. */
void files_detach(struct tail *t, struct file *f)
{
	enum file_state state;
	struct stat st;

	if (f->parked && find_again(t, f))
		return;
	map_drop(&t->by_path, f->path, strlen(f->path), f);
	if (f->parked) {
		fds_gone(t, f);
		return;
	}
	if (f->fd < 0) {
		files_drop(t, f);
		return;
	}
	if (slow_fstat(f->fd, &st) < 0)
		return;
	file_changed(f, &st, t->loop.now_ms);
	state = st.st_nlink ? FILE_ROTATED : FILE_DELETED;
	if (f->state != state)
		away_begin(t, f, state);
	if (!st.st_nlink)
		copy_deleted(t, f);
	log_debug(st.st_nlink ? "file was renamed" : "file was deleted", KS("path", f->path), KI("file", f->id));
	files_put(t, f, 0);
	files_ready(t, f);
}

/* The file is at this path now. */
void files_attach(struct tail *t, struct file *f, const char *path)
{
	bool matched = find_input(t, path) != SIZE_MAX;

	map_drop(&t->by_path, f->path, strlen(f->path), f);
	if (file_set_path(f, &f->path, path) < 0 || map_put(&t->by_path, path, strlen(path), f) < 0)
		return;			/* no memory: found again by the next walk */
	if (matched && file_followed(f)) {
		f->state = FILE_ACTIVE;
		if (!f->retired)
			list_remove(&f->away);	/* files_ready puts it there again if its end is waited for */
		file_set_path(f, &f->home, path);
		map_put(&t->by_home, path, strlen(path), f);
	} else if (f->state == FILE_ACTIVE) {
		away_begin(t, f, FILE_ROTATED);
	}
	if (file_followed(f))
		files_put(t, f, 0);
	files_ready(t, f);
}

/* --- opening --- */

void files_failed(struct tail *t, struct file *f, int rc, const char *what)
{
	bool again = f->error == rc;

	f->error = rc;
	f->state = FILE_FAILED;
	list_remove(&f->turn);
	files_pass(t, f);
	if (!again)
		log_warn(what, KS("path", f->path), KE(rc));
}

/* read_from: end. A file that is there at the very first start begins behind its last LF. */
static void start_at_end(struct file *f, int64_t end)
{
	f->offset = line_file_last(f, route_encoding(f), end < f->size ? end : f->size);
	f->leading = f->offset == 0;
	if (identity_read_marker(f, f->offset, &f->mark) < 0)
		f->offset = 0;			/* it shrinks: then its beginning is new */
}

bool files_open(struct tail *t, struct file *f)
{
	int64_t began = f->size;		/* as of when it was first seen */
	int rc = fds_open(t, f);

	if (rc == 0 && (rc = route_file(t, f)) < 0)
		file_close(f);
	if (rc == -ESTALE || rc == -ENOENT) {
		f->error = rc;			/* nothing to say: the next walk finds the other one */
		t->rewalk = true;
	}
	if (rc < 0) {
		files_failed(t, f, rc, rc == ERR_BAD_DATA ? "no legal topic for this file, its lines wait" :
			    rc == ERR_CONFIG ? "the key is not what key.serializer takes, the lines of this file wait" :
			    rc == ERR_LANES ? "too many topics, the lines of this file wait" : "cannot open file, trying again");
		return false;
	}
	fds_opened(t, f);
	f->state = strcmp(f->path, f->home) ? FILE_ROTATED : FILE_ACTIVE;
	f->error = 0;
	f->changed_ms = clock_mono_ms();
	if (!known_resume(t, f)) {
		f->id = t->next_file_id++;
		if (f->unpack)
			packed_begin(f);
		else if (f->from_end)
			start_at_end(f, began);
	}
	map_put(&t->by_id, &f->id, sizeof f->id, f);
	if (f->state == FILE_ROTATED)
		away_begin(t, f, FILE_ROTATED);
	file_check_head(f);
	files_put(t, f, 0);
	order_place(t, f);
	packed_follow(t, f);
	files_ready(t, f);
	return true;
}

bool files_in_state_dir(const struct tail *t, const char *path)
{
	const char *state_dir = t->conf.conf->state_dir;
	char *dir = mem_strdup(path);
	struct stat own, st;
	bool in = false;

	if (dir && state_dir && slow_stat(state_dir, &own) == 0) {
		for (char *end = dir + strlen(dir); end && !in; end = strrchr(dir, '/')) {
			*end = 0;
			in = slow_stat(*dir ? dir : "/", &st) == 0 && st.st_dev == own.st_dev && st.st_ino == own.st_ino;
		}
	}
	mem_free(dir);
	return in;
}

/* What we write is no log: each commit would make lines that make a commit. */
static bool is_our_own(struct tail *t, const char *path)
{
	if (!files_in_state_dir(t, path))
		return false;
	if (!t->warned_state)
		log_warn("an input matches files in state_dir, they are not read", KS("path", path),
			 KS("state_dir", t->conf.conf->state_dir));
	t->warned_state = true;
	return true;
}

struct file *files_adopt(struct tail *t, const char *path, const char *home)
{
	struct inode_key k;
	size_t input;
	struct stat st;
	struct file *f;

	input = find_input(t, home);
	if (input != SIZE_MAX && is_our_own(t, path))
		return NULL;
	if (input == SIZE_MAX || !find_stat(t, path, input, &st) || files_by_inode(t, st.st_dev, st.st_ino))
		return NULL;
	if (packed_puts_off(t, path, home, input))
		return NULL;
	f = file_new(path, home);
	if (!f)
		return NULL;
	k = (struct inode_key){ f->dev = st.st_dev, f->inode = st.st_ino };
	f->input = input;
	f->follow = t->inputs[input].conf->follow_symlinks;
	f->from_end = t->first_walk && t->first_start && t->inputs[input].conf->read_from == CONF_READ_END;
	f->size = st.st_size;
	f->unpacks = t->inputs[input].conf->compressed;
	f->round = t->round;
	list_push_back(&t->files, &f->node);
	if (map_put(&t->by_inode, &k, sizeof k, f) < 0 || map_put(&t->by_path, path, strlen(path), f) < 0) {
		files_drop(t, f);
		return NULL;
	}
	files_open(t, f);
	return f;
}

/* --- the end of a file --- */

static void close_file(struct tail *t, struct file *f)
{
	bool deleted = f->state == FILE_DELETED;

	log_info(deleted ? "deleted file is finished" : "rotated file is finished", KS("path", f->path), KI("file", f->id),
		 KI("size", f->size));
	f->state = FILE_DONE;
	known_keep(t, f, !deleted, clock_wall_ms());
	files_drop(t, f);
}

static void away_look(struct tail *t, struct file *f)
{
	int64_t now = t->loop.now_ms, quiet, idle;
	struct stat st;

	if (slow_fstat(f->fd, &st) < 0)
		return;
	if (f->state == FILE_ROTATED && st.st_nlink == 0) {
		f->state = FILE_DELETED;
		f->away_ms = now;
		files_put(t, f, 0);
	}
	if (file_changed(f, &st, now) || !f->at_end) {
		files_ready(t, f);
		return;
	}
	quiet = now - (f->changed_ms > f->away_ms ? f->changed_ms : f->away_ms);
	idle = f->state == FILE_DELETED ? t->pace.deleted_idle : t->pace.rotated_idle;
	if (f->offset < f->size && quiet >= t->pace.flush && (f->state != FILE_ACTIVE || is_superseded(t, f))) {
		f->flush = true;
		f->flush_size = f->size;
		files_ready(t, f);
	} else if (f->state == FILE_ACTIVE && f->offset >= f->size && quiet >= t->pace.flush) {
		list_remove(&f->away);
	} else if (f->state != FILE_ACTIVE && f->offset >= f->size && quiet >= idle &&
		   (!f->offset || t->hooks->safe(t->hooks->arg, f->id) >= f->offset)) {
		close_file(t, f);
	}
}

void files_away(struct tail *t)
{
	list_each_safe(it, &t->away) {
		struct file *f = list_entry(it, struct file, away);

		if (f->retired) {
			reload_end(t, f);
			continue;
		}
		if (f->remote && !gates_pass(t, f->path))
			continue;
		if (f->parked && !file_is_at(f, f->path))
			files_detach(t, f);
		else if (fds_wake(t, f) && (!f->unpack || f->end >= 0))
			away_look(t, f);
	}
}

void files_release(struct tail *t)
{
	struct file *f;

	while ((f = list_first(&t->files, struct file, node))) {
		list_remove(&f->node);
		file_free(f);
	}
	map_release(&t->by_path);
	map_release(&t->by_home);
	map_release(&t->by_inode);
	map_release(&t->by_id);
}
