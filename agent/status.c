/* status.c - gathers what status_write (status_write.c) prints. See status.h. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/record/glob.h"
#include "agent/status.h"

#define SPOOL_WAIT_MS 500		/* status is asked for when something is wrong: it has to answer */
#define ACK_FRESH_MS 5000	/* acks this young mean that the broker takes what is spooled */

static void add_reason(struct status *s, const char *text)
{
	if (text && *text)
		buf_put(&s->reasons, text, strlen(text) + 1);
}

/* --- from the state database; state thread or offline --- */

static int gather_lane(void *arg, const struct spool_lane *l)
{
	struct status *s = arg;
	struct status_lane *v = mem_grow(s->lanes, s->lane_count, sizeof *v);

	if (!v)
		return ERR_NOMEM;
	s->lanes = v;
	v[s->lane_count++] = (struct status_lane){ mem_strdup(l->topic), l->partition, l->rows, l->records, l->bytes };
	return 0;
}

/* What spool.min_free leaves. On the state thread: a file system may take its time. */
static int64_t disk_room(const struct conf *c)
{
	struct statvfs fs;

	if (c->spool.min_free <= 0 || statvfs(c->state_dir, &fs) < 0)
		return INT64_MAX;
	return (int64_t)((uint64_t)fs.f_bavail * fs.f_frsize) - c->spool.min_free;
}

static void gather_spool(void *arg, struct spool *spool)
{
	struct status *s = arg;
	struct err e;

	s->rc = spool_lanes_each(spool, gather_lane, s, &e);
	if (s->rc < 0)
		add_reason(s, e.text);
	s->room = disk_room(s->conf);
}

/* --- from a running agent --- */

static int take_files(struct pipeline *p, struct status *s, struct tail_file_info *f, size_t n)
{
	void *v = mem_realloc(s->files, (s->file_count + n + 1) * sizeof *s->files);

	if (v)
		s->files = v;
	for (size_t i = 0; i < n && v; i++) {
		struct status_file *to = &s->files[s->file_count++];
		int64_t safe = state_safe(p->state, f[i].file_id);

		if (safe > f[i].read)		/* since the tail thread answered, more was read and finished */
			safe = f[i].read;
		*to = (struct status_file){ f[i].path, f[i].input, f[i].dev, f[i].inode, f[i].size, f[i].read,
			safe < 0 ? 0 : safe, "", f[i].waits, 0 };
		to->lag_s = to->safe < to->size ? (double)f[i].lag_ms / 1000 : 0;
		memcpy(to->state, f[i].state, sizeof to->state);
	}
	for (size_t i = 0; i < n && !v; i++)
		mem_free(f[i].path);
	mem_free(f);
	return v ? 0 : ERR_NOMEM;
}

static int gather_files(struct pipeline *p, struct status *s)
{
	struct tail_file_info *f;
	size_t n;
	int rc = tail_files(p->tail, &f, &n);

	if (rc == ERR_TIMEOUT) {
		s->files_unknown = true;
		add_reason(s, "the tail thread does not answer: nothing is known about files");
	} else if (rc >= 0) {
		rc = take_files(p, s, f, n);
		if (rc < 0)
			return rc;
	} else {
		return rc;
	}
	rc = intake_files(p->intake, &f, &n);
	return rc < 0 ? rc : take_files(p, s, f, n);
}

static int gather_producer(struct pipeline *p, struct status *s)
{
	int rc = producer_stat(p->producer, &s->producer);

	if (rc != ERR_TIMEOUT)
		return rc;
	s->producer.last_ack_ms = -1;
	s->producer_unknown = true;
	add_reason(s, "the sender thread does not answer: nothing is known about brokers and topics");
	return 0;
}

static bool any_waiting(const struct status *s)
{
	for (size_t i = 0; i < s->file_count; i++)
		if (s->files[i].waits)
			return true;
	return false;
}

static const char *live_state(const struct pipeline *p, const struct status *s)
{
	const struct producer_stat *ps = &s->producer;
	bool acking = ps->any_broker_up && ps->last_ack_ms >= 0 && clock_mono_ms() - ps->last_ack_ms < ACK_FRESH_MS;

	if (atomic_load(&p->stopped))
		return "stopped";
	if (atomic_load(&p->stopping))
		return "stopping";
	if (!acking && s->books.totals.full && p->conf->conf->spool.when_full != CONF_FULL_DROP_NEWEST && any_waiting(s))
		return "blocked";
	if (!s->books.totals.rows)
		return "shipping";
	return acking ? "draining" : "spilling";
}

/* Of text with a line for each; frees it. */
static void add_reasons(struct status *s, char *lines)
{
	for (char *line = lines, *end; line && *line; line = end) {
		end = line + strcspn(line, "\n");
		if (*end)
			*end++ = '\0';
		add_reason(s, line);
	}
	mem_free(lines);
}

static void gather_reasons(struct pipeline *p, struct status *s)
{
	struct buf text;
	char trouble[480];

	buf_init(&text, 4096);
	add_reason(s, p->not_reloaded);
	for (size_t i = 0; i < s->producer.lane_count; i++) {
		const struct producer_lane_stat *l = &s->producer.lanes[i];

		buf_clear(&text);
		if (l->held && buf_printf(&text, "topic %s is held: %s%s", l->topic, l->reason, l->full ?
					  "; its share of buffer.memory and spool.max_size is used up, its files wait" : "") >= 0)
			add_reason(s, text.data);
	}
	for (size_t i = 0; i < s->producer.broker_count; i++) {
		const struct producer_broker_stat *b = &s->producer.brokers[i];

		buf_clear(&text);
		if (b->error[0] && buf_printf(&text, "broker %s:%d: %s", b->host, b->port, b->error) >= 0)
			add_reason(s, text.data);
	}
	add_reason(s, s->producer.security_note);
	buf_release(&text);
	if (!s->files_unknown)
		add_reasons(s, tail_reasons(p->tail));
	add_reasons(s, intake_reasons(p->intake));
	if (!books_balanced(&s->books))
		add_reason(s, "the books do not balance; this is a bug of spillway, please report it");
	add_reason(s, p->needs_restart);
	state_trouble(p->state, trouble, sizeof trouble);
	add_reason(s, trouble);
}

static void look_ahead(const struct pipeline *p, struct status *s)
{
	const struct spool_totals *t = &s->books.totals;
	struct history_rates ahead;
	int64_t left = t->max_size - (int64_t)(t->bytes + t->rejected_bytes);

	s->room = left < s->room ? left : s->room;
	s->room = s->room > 0 && !t->full ? s->room : 0;
	history_rates(&p->history, &s->rates);
	history_ahead(&p->history, &ahead);
	s->full_in_s = t->rows ? history_full_in(&ahead, s->room) : -1;
	s->drained_in_s = history_drained_in(&ahead, t->bytes);
}

int status_online(struct pipeline *p, enum status_what what, struct status *ret)
{
	int rc;

	*ret = (struct status){ .conf = p->conf->conf, .now_ms = clock_wall_ms(), .history = &p->history,
				.room = INT64_MAX };
	buf_init(&ret->reasons, 1 << 20);
	rc = gather_files(p, ret);
	if (rc >= 0 && what != STATUS_POSITIONS)
		rc = gather_producer(p, ret);
	if (rc >= 0 && what != STATUS_POSITIONS && !state_ask_within(p->state, gather_spool, ret, SPOOL_WAIT_MS))
		add_reason(ret, "the disk of the state directory is slow: the spool has not answered yet");
	books_snapshot(&p->books, &ret->books);
	look_ahead(p, ret);
	ret->uptime_s = (double)(clock_mono_ms() - p->started_ms) / 1000;
	ret->line_splits = tail_split_lines(p->tail);
	ret->state = live_state(p, ret);
	ret->pid = strcmp(ret->state, "stopped") ? getpid() : 0;
	if (what != STATUS_POSITIONS)
		gather_reasons(p, ret);
	if (rc < 0)
		status_release(ret);
	return rc;
}

void status_sample(struct pipeline *p)
{
	struct books_snapshot b;

	intake_sample(p->intake, clock_mono_ms());
	books_snapshot(&p->books, &b);
	history_add(&p->history, &(struct history_sample){
		.ms = clock_mono_ms(), .read = b.read, .acked = b.acked, .read_bytes = tail_read_bytes(p->tail),
		.spooled = b.spooled, .spool_bytes = b.totals.bytes });
}

/* --- from a directory --- */

static bool input_matches(const struct conf_input *in, const char *path)
{
	for (size_t i = 0; i < in->exclude.n; i++)
		if (glob_excludes(in->exclude.v[i], path))
			return false;
	for (size_t i = 0; i < in->paths.n; i++)
		if (glob_match(in->paths.v[i], path))
			return true;
	return false;
}

size_t status_input_of(const struct conf *c, const char *path)
{
	for (size_t i = 0; i < c->input_count; i++)
		if (input_matches(&c->inputs[i], path))
			return i;
	return SIZE_MAX;
}

static size_t input_named(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->input_count; i++)
		if (!strcmp(c->inputs[i].name, name))
			return i;
	return SIZE_MAX;
}

static int gather_known(void *arg, const struct spool_file *f)
{
	struct status *s = arg;
	struct status_file *v = mem_grow(s->files, s->file_count, sizeof *v);

	if (!v)
		return ERR_NOMEM;
	s->files = v;
	v[s->file_count++] = (struct status_file){ mem_strdup(f->path), f->cursor ? input_named(s->conf, f->origin) :
		status_input_of(s->conf, f->path), f->dev, f->inode,
		f->size > f->safe ? f->size : f->safe, f->safe, f->safe, "done", false, 0 };
	if (f->size > f->safe)
		memcpy(v[s->file_count - 1].state, "waiting", 8);
	return 0;
}

int status_offline(const struct conf *conf, struct status *ret, struct err *ret_err)
{
	struct spool_conf sc = { .dir = conf->state_dir, .max_size = conf->spool.max_size,
		.min_free = conf->spool.min_free, .read_only = true };
	struct spool_totals *t = &ret->books.totals;
	struct spool *spool;
	int rc = spool_open(&sc, &spool, ret_err);

	if (rc < 0)
		return rc;
	*ret = (struct status){ .conf = conf, .state = "stopped", .now_ms = clock_wall_ms(), .room = INT64_MAX,
				.full_in_s = -1, .drained_in_s = -1 };
	buf_init(&ret->reasons, 1 << 20);
	spool_totals(spool, t);
	ret->books.acked = t->acked;
	ret->books.spooled = t->records;
	ret->books.rejected = t->rejected;
	ret->books.dropped = t->dropped;
	ret->books.filtered = t->filtered;
	ret->books.read = t->acked + t->records + t->rejected + t->dropped;
	rc = spool_files_each(spool, gather_known, ret, ret_err);
	if (rc >= 0)
		gather_spool(ret, spool);
	spool_close(spool);
	if (rc < 0)
		status_release(ret);
	return rc;
}

void status_release(struct status *s)
{
	for (size_t i = 0; i < s->file_count; i++)
		mem_free(s->files[i].path);
	for (size_t i = 0; i < s->lane_count; i++)
		mem_free(s->lanes[i].topic);
	mem_free(s->files);
	mem_free(s->lanes);
	producer_stat_release(&s->producer);
	buf_release(&s->reasons);
	*s = (struct status){ 0 };
}
