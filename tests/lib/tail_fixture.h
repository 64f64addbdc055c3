/* tail_fixture.h - the real tail thread on a real directory, with a producer that only remembers (lane_double.h). */
#ifndef SPILLWAY_TESTS_TAIL_FIXTURE_H
#define SPILLWAY_TESTS_TAIL_FIXTURE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/tail/identity.h"
#include "agent/tail/tail_inside.h"
#include "tests/lib/lane_double.h"
#include "tests/lib/tree.h"
#include "tests/lib/unit.h"

struct fixture {
	char dir[64];
	struct producer *p;
	struct tail *t;
	struct conf conf;
	struct conf_input in[2];
	char *paths[2], *excludes[1];
	bool once, other_boot;
	int64_t reconcile;
	int64_t idle;		/* rotated and deleted files are closed after so long at their end */
	struct tail_known known[3];
	size_t known_count;
	int64_t next_id;
	const char *spec, *key_serializer;	/* spec: of both inputs, NULL: lines as they are */
	const char *specs[2];
};

/* --- the fixture --- */

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	log_setup(LOG_LEVEL_ERROR, false);
	snprintf(f->dir, sizeof f->dir, "/tmp/spillway-tail-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->p = double_new(4u << 20);
	f->conf = (struct conf){ .inputs = f->in, .input_count = 1 };
	for (int i = 0; i < 2; i++) {
		f->in[i] = (struct conf_input){ .name = i ? (char *)"second" : (char *)"first", .paths = { &f->paths[i], 1 },
						.max_line = 1000, .topic = (char *)"t-%{input}", .partition = -1 };
		f->paths[i] = malloc(256);
		assert_non_null(f->paths[i]);
		snprintf(f->paths[i], 256, "%s/*.log", f->dir);
	}
	f->conf.max_lanes = 1000;
	f->reconcile = 600000;
	f->idle = 600000;	/* a slow machine must not look like a quiet file */
	f->next_id = 1;
	*state = f;
	return 0;
}

static inline void open_tail(struct fixture *f)
{
	struct tail_conf c = { .conf = &f->conf, .producer = f->p, .hooks = double_hooks(f->p), .known = f->known,
			       .known_count = f->known_count, .routes = f->p->routes, .route_count = f->p->route_count,
			       .next_file_id = f->next_id, .once = f->once, .other_boot = f->other_boot,
			       .hostname = "host", .specs = f->specs,
			       .key_serializer = f->key_serializer };
	struct err err;

	f->specs[0] = f->specs[1] = f->spec ? f->spec : "";
	assert_int_equal(tail_open(&c, &f->t, &err), 0);
	f->t->pace = (struct tail_pace){ .piece = 60000, .flush = 100, .rotated_idle = f->idle, .deleted_idle = f->idle / 2,
					 .away = 10, .poll = 20, .answer = 60000, .gate = 20000,
					 .retry = 20, .reconcile = f->reconcile, .keep_rows = 7 * 86400000LL, .twin = 200 };
}

static inline void start(struct fixture *f)
{
	open_tail(f);
	assert_int_equal(tail_start(f->t), 0);
}

static inline void stop(struct fixture *f)
{
	tail_stop(f->t);
	f->next_id = f->t->next_file_id;
	tail_close(f->t);
	f->t = NULL;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	tail_close(f->t);
	double_free(f->p);
	assert_int_equal(tree_remove(f->dir), 0);
	free(f->paths[0]);
	free(f->paths[1]);
	free(f);
	return 0;
}

/* --- doing things to files --- */

static const char *at(const struct fixture *f, const char *name)
{
	static _Thread_local char path[32][512];
	static _Thread_local int next;
	char *s = path[next++ % 32];

	snprintf(s, sizeof path[0], "%s/%s", f->dir, name);
	return s;
}

static inline int open_log(const struct fixture *f, const char *name)
{
	int fd = open(at(f, name), O_WRONLY | O_CREAT | O_APPEND, 0644);

	assert_true(fd >= 0);
	return fd;
}

static inline void put_bytes(int fd, const void *p, size_t n)
{
	assert_int_equal(write(fd, p, n), n);
}

static inline void put(int fd, const char *text)
{
	put_bytes(fd, text, strlen(text));
}

static inline void append(const struct fixture *f, const char *name, const char *text)
{
	int fd = open_log(f, name);

	put(fd, text);
	close(fd);
}

static inline void move(const struct fixture *f, const char *from, const char *to)
{
	assert_int_equal(rename(at(f, from), at(f, to)), 0);
}

/* --- waiting and looking --- */

static inline bool has_records(struct producer *p, void *arg)
{
	return p->record_count >= *(size_t *)arg;
}

/* Everything that was handed over, as "<value>" each. */
static inline void all_values(struct producer *p, struct buf *out)
{
	buf_init(out, 1u << 20);
	buf_puts(out, "");
	pthread_mutex_lock(&p->mu);
	for (size_t i = 0; i < p->record_count; i++)
		buf_printf(out, "<%s>", p->records[i].value);
	pthread_mutex_unlock(&p->mu);
}

static inline void expect_n(struct fixture *f, const char *want, size_t n)
{
	struct buf all;
	bool same;

	double_wait(f->p, has_records, &n);
	all_values(f->p, &all);
	same = !strcmp(all.data, want);
	if (!same)
		print_error("got %s\n", all.data);
	buf_release(&all);
	assert_true(same);
}

/* want: "<one><two>" */
static inline void expect(struct fixture *f, const char *want)
{
	size_t n = 0;

	for (const char *c = want; *c; c++)
		n += *c == '<';
	expect_n(f, want, n);
}

/* Ranges of each file id touch from `from` on, and markers are those of the bytes. A failure leaves the function, so nothing is
 * asserted under the lock. */
static inline void check_ranges(struct producer *p, int64_t id, int64_t from)
{
	struct source_range bad = { .count = 0 };
	bool good = true;

	pthread_mutex_lock(&p->mu);
	for (size_t i = 0; i < p->record_count && good; i++) {
		const struct source_range *s = &p->records[i].source;

		if (s->file_id != id)
			continue;
		good = s->from == from && s->to > s->from && s->count == 1;
		bad = *s;
		from = good ? s->to : from;
	}
	pthread_mutex_unlock(&p->mu);
	if (!good)
		fail_msg("a range is %lld-%lld with count %u, where one from %lld on should be", (long long)bad.from,
			 (long long)bad.to, bad.count, (long long)from);
}

static inline bool file_is(struct fixture *f, const char *name, const char *state, int64_t *ret_id)
{
	struct tail_file_info *v;
	bool found = false;
	size_t n;

	assert_int_equal(tail_files(f->t, &v, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(v[i].path, at(f, name)) && !strcmp(v[i].state, state)) {
			found = true;
			if (ret_id)
				*ret_id = v[i].file_id;
		}
		mem_free(v[i].path);
	}
	mem_free(v);
	return found;
}

/* Each look waits for a round of the thread. */
static inline void expect_file(struct fixture *f, const char *name, const char *state, int64_t *ret_id)
{
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until;)
		if (file_is(f, name, state, ret_id))
			return;
	fail_msg("%s never was %s", name, state);
}

static inline void expect_seen(struct fixture *f, const char *name)
{
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until;)
		if (file_is(f, name, "active", NULL) || file_is(f, name, "waiting", NULL))
			return;
	fail_msg("%s was never seen", name);
}

struct want_row { int64_t id; uint8_t state; bool gone; };

static inline bool has_row(struct producer *p, void *arg)
{
	const struct want_row *w = arg;
	const struct double_file *d = double_file(p, w->id);

	return d && d->state == w->state && (d->gone_ms != 0) == w->gone;
}

static inline void expect_row(struct fixture *f, int64_t id, enum file_state state, bool gone)
{
	struct want_row w = { id, (uint8_t)state, gone };

	assert_true(double_wait(f->p, has_row, &w));
}

static inline bool is_paused(struct producer *p, void *arg)
{
	(void)arg;
	return p->paused;
}

/* The thread stands still in the middle of a round: what happens now it sees all at once. */
static inline void pause_thread(struct fixture *f)
{
	pthread_mutex_lock(&f->p->mu);
	f->p->pause = true;
	pthread_mutex_unlock(&f->p->mu);
	append(f, "zz-pause.log", "");
	assert_true(double_wait(f->p, is_paused, NULL));
}

static inline void resume_thread(struct fixture *f)
{
	pthread_mutex_lock(&f->p->mu);
	f->p->pause = false;
	pthread_cond_broadcast(&f->p->changed);
	pthread_mutex_unlock(&f->p->mu);
}

static inline bool was_refused(struct producer *p, void *arg)
{
	return p->refused > *(uint64_t *)arg;
}

static inline void expect_refusal(struct fixture *f)
{
	uint64_t before;

	pthread_mutex_lock(&f->p->mu);
	before = f->p->refused;
	pthread_mutex_unlock(&f->p->mu);
	assert_true(double_wait(f->p, was_refused, &before));
}

/* --- an earlier life --- */

static inline void remember(struct fixture *f, size_t i, const char *name, int64_t id, int64_t safe)
{
	struct spool_file *row = &f->known[i].file;
	struct stat st;
	int fd = open(at(f, name), O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*row = (struct spool_file){ .id = id, .path = at(f, name), .dev = st.st_dev, .inode = st.st_ino, .size = st.st_size,
				    .fingerprint_len = safe < IDENTITY_HEAD ? (uint32_t)safe : IDENTITY_HEAD, .safe = safe };
	assert_int_equal(identity_read_head(&(struct file){ .fd = fd }, row->fingerprint_len, &row->fingerprint), 0);
	assert_int_equal(identity_read_marker(&(struct file){ .fd = fd }, safe, &row->marker), 0);
	close(fd);
	f->known_count = i + 1;
	f->next_id = id + 1;
}

/* --- building batches again --- */

static inline struct batch *batch_of_records(struct fixture *f, size_t from, size_t to)
{
	struct batch *b = batch_new(0, 1234567);

	assert_non_null(b);
	for (size_t i = from; i < to; i++) {
		const struct double_record *r = &f->p->records[i];

		assert_int_equal(batch_append(b, f->p->budget, BUDGET_APPEND, 0, r->key_null ? NULL : r->key, strlen(r->key),
					      r->value, r->n, r->headers, r->header_count, -1), 0);
		for (uint32_t k = 0; k < r->part_count; k++)
			assert_int_equal(batch_add_source(b, &r->parts[k]), 0);
		assert_int_equal(batch_add_source(b, &r->source), 0);
	}
	batch_seal_crc(b);
	return b;
}

static inline bool was_loaded(struct producer *p, void *arg)
{
	return p->loaded >= *(int *)arg;
}

#endif
