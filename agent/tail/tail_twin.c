/* tail_twin.c - files that repeat the bytes of others: the copies that copytruncate makes, before the original is truncated.
 *
 * A new file may be a copy of one that is followed, and then its lines must not be sent again. Bytes decide: as long as
 * they are the same, nothing of the new file is read. It waits until the other one no longer holds them (tail_copy.c: it
 * was the copy), until they differ, or until it has not changed for 2 s: then it is a file of its own.
 *
 * Compared are the first bytes and those before one offset, in both files while both hold them, else with what is
 * remembered: fingerprint and markers. Candidates are found by their fingerprint, whatever they are called; what is shorter
 * than a fingerprint only where its name begins with the other's.
 *
 * A truncation is believed after one more look at names: copying came before it, so the copy is found before its
 * original is given up.
 * Threads: tail.
 */
#include <string.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/tail/tail_inside.h"

#define TICK_SHARE 8		/* of the time that a copy may be quiet */
#define TICK_MAX_MS 250
#define LOOKS 8			/* at a new file that grows faster than it is compared */

/* --- tables --- */

static struct list *bucket(struct list *heads, uint64_t hash)
{
	return &heads[hash % TWIN_HEADS];
}

void twin_unindex(struct tail *t, struct file *f)
{
	if (list_empty(&f->head_at))
		return;
	list_remove(&f->head_at);
	t->head_lens[f->head_at_len]--;
}

void twin_index(struct tail *t, struct file *f)
{
	twin_unindex(t, f);
	if (!f->head_len)
		return;
	f->head_at_len = f->head_len;
	t->head_lens[f->head_len]++;
	list_push_back(bucket(t->heads, f->head), &f->head_at);
}

void twin_unindex_known(struct tail *t, struct known *k)
{
	if (list_empty(&k->head_at))
		return;
	list_remove(&k->head_at);
	t->head_lens[k->row.fingerprint_len]--;
}

void twin_index_known(struct tail *t, struct known *k)
{
	if (!k->row.fingerprint_len || k->row.fingerprint_len > IDENTITY_HEAD)
		return;
	t->head_lens[k->row.fingerprint_len]++;
	list_push_back(bucket(t->known_heads, k->row.fingerprint), &k->head_at);
}

/* --- comparing --- */

void twin_trail(struct file *f)
{
	if (!f->offset || !f->mark || f->trail[0].offset == f->offset)
		return;
	memmove(&f->trail[1], &f->trail[0], sizeof f->trail - sizeof f->trail[0]);
	f->trail[0] = (struct spool_marker){ f->offset, f->mark };
}

static bool same_at(const struct file *a, const struct file *b, int64_t offset)
{
	uint64_t x, y;

	return identity_read_marker(a, offset, &x) == 0 && identity_read_marker(b, offset, &y) == 0 && x == y;
}

/* Both have `end` bytes. Those before offset are compared too, for somebody may have written over what is behind. */
static bool same_bytes(const struct file *a, const struct file *b, int64_t end, int64_t offset)
{
	uint32_t head = end < IDENTITY_HEAD ? (uint32_t)end : IDENTITY_HEAD;
	uint64_t x, y;

	return end > 0 && identity_read_head(a, head, &x) == 0 && identity_read_head(b, head, &y) == 0 && x == y &&
	       same_at(a, b, end) && (offset > end || same_at(a, b, offset));
}

/* Whether it still holds all that was read of it. */
static bool is_sound(const struct file *f, int64_t *ret_size)
{
	struct stat st;

	if (f->fd < 0 || slow_fstat(f->fd, &st) < 0 || st.st_size < f->offset)
		return false;
	*ret_size = st.st_size;
	return identity_fits(f, f->head_len, f->head, f->offset, f->mark);
}

static bool has_marker(const struct file *f, const struct spool_marker *m)
{
	uint64_t h;

	return m->hash && identity_read_marker(f, m->offset, &h) == 0 && h == m->hash;
}

/* n against what is remembered: the position, or the newest of some older ones that n reaches. Where nothing is finished yet,
 * something may be promised: then the first bytes say all there is to say. */
static bool repeats_memory(const struct file *n, uint32_t head_len, uint64_t head, struct spool_marker at,
			   const struct spool_marker *older, size_t count, struct twin *ret)
{
	if (!head_len || (n->size >= head_len && !identity_fits(n, head_len, head, 0, 0)))
		return false;
	if (!at.offset) {
		ret->same = head_len;
		ret->whole = true;
		return n->size >= head_len;
	}
	ret->whole = n->size >= at.offset;
	for (size_t i = 0; i < count && n->size < at.offset; i++)
		at = older[i];
	ret->same = at.offset;
	return at.offset && n->size >= at.offset && has_marker(n, &at);
}

static bool repeats(const struct file *n, const struct file *f, struct twin *ret)
{
	int64_t size, end;

	if (is_sound(f, &size)) {
		end = n->size < size ? n->size : size;
		ret->same = end;
		ret->whole = n->size >= f->offset;
		if (same_bytes(n, f, end, f->offset))
			return true;
		if (is_sound(f, &size))		/* it was while they were compared */
			return false;
	}
	return repeats_memory(n, f->head_len, f->head, (struct spool_marker){ f->offset, f->mark }, f->trail,
			      sizeof f->trail / sizeof f->trail[0], ret);
}

bool twin_repeats(const struct file *n, const struct file *f, struct twin *ret)
{
	struct file g = *f;
	bool rc;

	if (!file_followed(f) || f == n)
		return false;
	*ret = (struct twin){ .file = (struct file *)f };
	/* A closed one is opened for this moment, beside those that are counted: what is remembered of it may be too little. */
	if (f->fd < 0 && !f->unpack && !f->remote && file_open(&g) < 0)
		g.fd = -1;
	rc = repeats(n, &g, ret);
	if (f->fd < 0 && !f->unpack)
		file_close(&g);
	return rc;
}

bool twin_repeats_row(const struct file *n, const struct known *k, struct twin *ret)
{
	*ret = (struct twin){ .known = (struct known *)k };
	return repeats_memory(n, k->row.fingerprint_len, k->row.fingerprint,
			      (struct spool_marker){ k->row.safe, k->row.marker }, k->markers, k->marker_count, ret);
}

/* --- finding --- */

/* Calls fn for everything of a table whose fingerprint f has. */
static bool each_head(struct tail *t, const struct file *f, struct list *heads,
		      bool (*fn)(struct tail *t, struct list *at, uint32_t len, uint64_t head, const struct file *f,
				 struct twin *ret), struct twin *ret)
{
	uint8_t buf[IDENTITY_HEAD];
	ssize_t n = slow_pread(f->fd, buf, sizeof buf, 0);

	for (uint32_t len = 1; n > 0 && len <= (size_t)n; len++) {
		uint64_t h = t->head_lens[len] ? identity_hash(buf, len) : 0;

		if (!h)
			continue;
		list_each(it, bucket(heads, h))
			if (fn(t, it, len, h, f, ret))
				return true;
	}
	return false;
}

static bool try_file(struct tail *t, struct list *at, uint32_t len, uint64_t head, const struct file *f, struct twin *ret)
{
	const struct file *g = list_entry(at, struct file, head_at);

	(void)t;
	return g->head_len == len && g->head == head && g->state != FILE_DELETED && twin_repeats(f, g, ret);
}

static bool try_known(struct tail *t, struct list *at, uint32_t len, uint64_t head, const struct file *f, struct twin *ret)
{
	const struct known *k = list_entry(at, struct known, head_at);

	(void)t;
	return k->row.fingerprint_len == len && k->row.fingerprint == head && twin_repeats_row(f, k, ret);
}

/* One whose name is the beginning of f's: app.log for app.log.1 and app.log-20261121. */
static bool try_stems(struct tail *t, const struct file *f, struct twin *ret)
{
	char *name = mem_strdup(f->path), *slash = name ? strrchr(name, '/') : NULL;
	bool found = false;

	for (char *c = slash ? name + strlen(name) - 1 : NULL; c && c > slash + 1 && !found; c--) {
		const struct file *g;

		if (!strchr("._-", *c))
			continue;
		*c = 0;
		g = files_by_path(t, name);
		found = g && g->state != FILE_DELETED && twin_repeats(f, g, ret);
	}
	mem_free(name);
	return found;
}

static bool find_followed(struct tail *t, const struct file *f, struct twin *ret)
{
	return try_stems(t, f, ret) || each_head(t, f, t->heads, try_file, ret);
}

bool twin_find(struct tail *t, const struct file *f, struct twin *ret)
{
	return find_followed(t, f, ret) || each_head(t, f, t->known_heads, try_known, ret);
}

/* --- waiting --- */

static void arm(struct tail *t)
{
	int64_t every = t->pace.twin / TICK_SHARE;

	if (every > TICK_MAX_MS)
		every = TICK_MAX_MS;
	if (!timer_armed(&t->twin_timer))
		timer_set(&t->loop, &t->twin_timer, t->loop.now_ms + (every ? every : 1), twin_tick);
}

static bool hold(struct tail *t, struct file *f)
{
	if (list_empty(&f->twin))
		list_push_back(&t->twins, &f->twin);
	arm(t);
	return true;
}

static bool let_go(struct file *f)
{
	f->own = true;
	list_remove(&f->twin);
	return false;
}

/* What was compared may be old: while it was done, the copy was finished and its original truncated. */
static bool grew(struct tail *t, struct file *f, int64_t since)
{
	struct stat st;

	if (slow_fstat(f->fd, &st) == 0)
		file_changed(f, &st, t->loop.now_ms);
	return f->size > since;
}

bool twin_holds(struct tail *t, struct file *f)
{
	int looks = LOOKS;
	struct twin of;
	int64_t size;

	if (f->own || f->offset || !f->size || f->unpack)
		return false;
	if (f->copy_of)
		return copy_resolve(t, f) ? let_go(f) : hold(t, f);
	do {
		size = f->size;
		if (find_followed(t, f, &of))
			return hold(t, f);
	} while (--looks && grew(t, f, size));
	return let_go(f);
}

/* The other one does not hold those bytes any more: its next turn, for which it may wait long, decides whose copy f is. */
static bool decides_soon(struct tail *t, const struct file *f)
{
	struct twin of;
	int64_t size;

	if (!find_followed(t, f, &of) || of.file->unpack || of.file->done)
		return false;
	for (const struct file *p = of.file->pred; p; p = p->pred)
		if (p == f)
			return false;
	if (!fds_wake(t, of.file))
		return t->rewalk;		/* it is gone, or was renamed */
	if (is_sound(of.file, &size))
		return false;
	files_ready(t, of.file);
	return true;
}

void twin_tick(struct loop_timer *timer)
{
	struct tail *t = container_of(timer, struct tail, twin_timer);
	struct stat st;

	list_each_safe(it, &t->twins) {
		struct file *f = list_entry(it, struct file, twin);
		bool there = fds_wake(t, f) && slow_fstat(f->fd, &st) == 0;
		bool changed = there && file_changed(f, &st, t->loop.now_ms);

		if (there && !changed && !f->copy_of && t->loop.now_ms - f->changed_ms >= t->pace.twin && !decides_soon(t, f)) {
			log_info("file repeats another one, and is one of its own", KS("path", f->path), KI("size", f->size));
			let_go(f);
		}
		if (changed || f->own || f->copy_of)
			files_ready(t, f);
	}
	if (!list_empty(&t->twins))
		arm(t);
}

void twin_again(struct tail *t)
{
	list_each(it, &t->twins)
		files_ready(t, list_entry(it, struct file, twin));
}

bool twin_suspect(struct tail *t, struct file *f)
{
	if (f->suspect || t->conf.once)
		return false;
	f->suspect = true;
	list_remove(&f->twin);
	list_push_back(&t->suspects, &f->twin);
	tail_work(t);
	return true;
}

void twin_round(struct tail *t)
{
	struct file *f;

	if (list_empty(&t->suspects))
		return;
	if (watch_fd(t->watch) < 0 || watch_limited(t->watch) || t->rewalk)
		find_walk(t);
	else
		find_events(t);
	while ((f = list_first(&t->suspects, struct file, twin))) {
		list_remove(&f->twin);
		files_ready(t, f);
	}
}
