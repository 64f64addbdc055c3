/* intake_journald.c - entries of systemd's journal. An entry is a record; its position is how many came before it.
 *
 * Why entries of all units are counted, and those of others passed over here: a count must mean the same whatever the
 * configuration says later, for what is unresolved is read again by it.
 * The cursor: some of those met on the way are kept with their counts; once a second the newest one whose count is finished is
 * saved. A restart goes on behind the saved one, and passes over what is finished or promised above it.
 * A cursor whose entry is gone (vacuumed while the agent was away) is a gap: it goes on with the first entry that is younger than
 * what was finished, under a new id, and the losses say so; how many there were nobody knows.
 * Threads: main opens, intake reads. Failure: an entry that cannot be read is passed over, and in the losses. It is not said each
 * time: where our own log goes to the journal that would never end.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/intake/intake_inside.h"

#define TURN   256			/* entries */
#define EVERY  256			/* entries between two marks */
#define MARKS  64			/* when there are more, every other one is dropped */

struct mark { int64_t at; char *cursor; };

struct from_journal {
	struct intake_input in;
	struct loop_fd fd;
	struct journal *journal;
	struct log_seldom broken, unreadable;
	bool   held;			/* the present entry is not taken yet */
	struct mark marks[MARKS];	/* by offset */
	size_t mark_count;
};

const char *intake_journal_dir(const struct conf_input *in)
{
	return in->directory;
}

bool intake_cut_entry(struct journal_entry *e, size_t max, bool skip, size_t *ret_lost)
{
	*ret_lost = e->len > max ? skip ? e->len : e->len - max : 0;
	e->len -= skip ? 0 : *ret_lost;
	return !*ret_lost || !skip;
}

/* --- where it begins --- */

static int set_cursor(struct intake_input *in, char *cursor, int64_t at)
{
	if (!cursor)
		return ERR_NOMEM;
	pthread_mutex_lock(&in->owner->mu);
	mem_free((char *)in->row.cursor);
	in->row.cursor = cursor;
	in->row.cursor_at = at;
	pthread_mutex_unlock(&in->owner->mu);
	return 0;
}

static int begin_new(struct intake_input *in, struct journal *j)
{
	int rc = in->conf->read_from == CONF_READ_END ? journal_seek_end(j) : 0;
	char *last;

	if (rc < 0 || in->conf->read_from != CONF_READ_END)
		return rc;
	last = journal_cursor(j);	/* none: the journal is empty, all that comes is new */
	return last ? set_cursor(in, last, 0) : 0;
}

/* What was promised to batches of the old id is read again by that, if it is there. */
static int begin_behind_gap(struct intake_input *in, struct journal *j)
{
	struct spool_loss l = { .ms = clock_wall_ms(), .reason = SPOOL_LOSS_JOURNAL, .topic = in->topic ? in->topic : "",
				.partition = in->conf->partition, .file_id = in->row.id, .path = in->shown,
				.from = in->row.safe, .to = in->row.safe };
	char *last = mem_strdup("");
	int rc;

	log_error("entries of the journal were removed before they were read, going on with the oldest that is left",
		  KS("input", in->conf->name));
	in->owner->hooks->loss(in->owner->hooks->arg, &l);
	rc = journal_seek(j, "");
	while (last && rc == 0 && (rc = journal_next(j)) > 0 && journal_time_us(j) <= in->row.marker) {
		mem_free(last);
		last = journal_cursor(j);
		rc = 0;
	}
	in->row.id = (*in->owner->conf.next_file_id)++;
	in->row.safe = 0;
	in->row.marker = 0;
	in->skip_count = 0;
	in->from = 0;
	if (rc < 0) {
		mem_free(last);
		return rc;
	}
	return set_cursor(in, last, 0);
}

static int begin(struct intake_input *in, struct journal *j, bool known)
{
	int rc = known ? journal_seek(j, in->row.cursor) : begin_new(in, j);

	if (known && !*in->row.cursor)
		return rc;
	return rc == ERR_NOT_FOUND ? begin_behind_gap(in, j) : rc;
}

static int open_journal(struct intake_input *in, struct err *ret_err)
{
	struct from_journal *s = (struct from_journal *)in;
	bool known = in->known;
	struct journal *j;
	struct err e;
	int rc = journal_open(intake_journal_dir(in->conf), &j, &e);

	s->fd.fd = -1;
	if (rc < 0)
		return err_set(ret_err, rc, "input %s: %s", in->conf->name, e.text);
	rc = begin(in, j, known);
	journal_close(j);
	if (rc < 0)
		return err_set(ret_err, rc, "input %s: cannot read the journal: %s", in->conf->name, err_text(rc));
	in->from = in->row.cursor_at;
	atomic_store(&in->read, in->from);
	intake_put_row(in);
	rereader_moved(in);
	/* After a salvage nobody knows what is finished; what the cursor has behind it is. */
	if (in->row.safe < in->row.cursor_at)
		in->owner->hooks->finished(in->owner->hooks->arg, &(struct spool_range){ .file_id = in->row.id,
			.from = in->row.safe, .to = in->row.cursor_at });
	return 0;
}

/* --- marks --- */

static void thin_out(struct from_journal *s)
{
	size_t n = 0;

	for (size_t k = 0; k < s->mark_count; k++) {
		if (k % 2)
			s->marks[n++] = s->marks[k];
		else
			mem_free(s->marks[k].cursor);
	}
	s->mark_count = n;
}

/* Behind the entry at which the journal stands. */
static void add_mark(struct from_journal *s)
{
	int64_t at = atomic_load(&s->in.read);
	char *cursor;

	if (s->mark_count && s->marks[s->mark_count - 1].at >= at)
		return;
	if (s->mark_count == MARKS)
		thin_out(s);
	cursor = journal_cursor(s->journal);
	if (cursor)
		s->marks[s->mark_count++] = (struct mark){ at, cursor };
}

/* Saves the newest that is finished. */
static void save_cursor(struct intake_input *in)
{
	struct from_journal *s = (struct from_journal *)in;
	int64_t safe = in->owner->hooks->safe(in->owner->hooks->arg, in->row.id);
	size_t n = 0;

	while (n < s->mark_count && s->marks[n].at <= safe)
		n++;
	if (!n)
		return;
	(void)set_cursor(in, s->marks[n - 1].cursor, s->marks[n - 1].at);
	for (size_t k = 0; k + 1 < n; k++)
		mem_free(s->marks[k].cursor);
	s->mark_count -= n;
	memmove(s->marks, s->marks + n, s->mark_count * sizeof s->marks[0]);
	intake_put_row(in);
	rereader_moved(in);
}

/* --- entries --- */

/* Whether the entry at this offset is finished or promised already. */
static bool is_skipped(struct intake_input *in, int64_t at)
{
	if (at < in->row.safe)
		return true;
	while (in->skip_next < in->skip_count && in->skips[in->skip_next].to <= at)
		in->skip_next++;
	return in->skip_next < in->skip_count && in->skips[in->skip_next].from <= at;
}

static void pass(struct intake_input *in, int64_t at)
{
	intake_turn_end(in);		/* what was passed over before it is finished apart */
	in->from = at + 1;
	atomic_store(&in->read, at + 1);
}

static int take(struct from_journal *s)
{
	struct intake_input *in = &s->in;
	struct journal_entry e;
	struct intake_message m = { .span = 1, .has_time = true };
	int64_t at = atomic_load(&in->read);
	size_t lost;
	uint64_t times;
	bool some;
	int rc;

	if (is_skipped(in, at)) {
		pass(in, at);
		return 0;
	}
	in->marker = journal_time_us(s->journal);
	if (!journal_is_of(s->journal, &in->conf->units)) {
		atomic_store(&in->read, at + 1);
		return 0;
	}
	rc = journal_read(s->journal, &e);
	if (rc < 0 && rc != ERR_NOMEM) {
		if ((times = log_seldom(&s->unreadable, clock_mono_ms())))
			log_error("entries of the journal cannot be read, they are passed over",
				  KS("input", in->conf->name), KE(rc), KI("times", times));
		intake_lost(in, SPOOL_LOSS_JOURNAL, 1, 1);
		return 0;
	}
	if (rc < 0) {
		intake_dry(in, rc);
		return rc;
	}
	some = intake_cut_entry(&e, (size_t)in->conf->max_line, in->conf->long_lines == CONF_LONG_SKIP, &lost);
	m.value = e.message;
	m.len = e.len;
	m.fields = e.fields;
	m.time_ns = (int64_t)e.time_us * 1000;
	if (some)
		rc = intake_take(in, &m);
	else
		atomic_store(&in->read, at + 1);
	json_decref(e.fields);
	if (lost && rc == 0) {
		struct spool_loss l = { .ms = clock_wall_ms(), .reason = SPOOL_LOSS_LONG_LINE,
					.topic = in->topic ? in->topic : "", .partition = in->conf->partition,
					.file_id = in->row.id, .path = in->shown, .from = at, .to = at + 1, .records = !some,
					.bytes = lost };

		in->owner->hooks->loss(in->owner->hooks->arg, &l);
	}
	return rc;
}

static void at_end(struct from_journal *s)
{
	struct intake_input *in = &s->in;

	if (atomic_load(&in->read) > in->row.cursor_at)
		add_mark(s);
	if (in->owner->conf.once || in->last)
		in->done = true;
}

static bool turn(struct intake_input *in)
{
	struct from_journal *s = (struct from_journal *)in;
	uint64_t times;
	int rc;

	if (in->last) {			/* the journal keeps the rest */
		in->done = true;
		return false;
	}
	for (int k = 0; k < TURN; k++) {
		rc = s->held ? 1 : journal_next(s->journal);
		if (rc < 0) {
			if ((times = log_seldom(&s->broken, clock_mono_ms())))
				log_error("cannot read the journal, trying again", KS("input", in->conf->name), KE(rc),
					  KI("times", times));
			if (in->owner->conf.once)	/* which would never end */
				intake_failed(in, rc);
			else
				intake_dry(in, rc);
			return false;
		}
		if (rc == 0) {
			at_end(s);
			return false;
		}
		s->held = true;
		if (take(s) < 0)
			return false;
		s->held = false;
		if (atomic_load(&in->read) % EVERY == 0)
			add_mark(s);
	}
	return true;
}

static void on_event(struct loop_fd *fd, uint32_t events)
{
	struct from_journal *s = container_of(fd, struct from_journal, fd);

	(void)events;
	journal_changed(s->journal);
	intake_ready(&s->in);
}

static int start(struct intake_input *in)
{
	struct from_journal *s = (struct from_journal *)in;
	struct err e;
	int rc = journal_open(intake_journal_dir(in->conf), &s->journal, &e), fd;

	if (rc < 0)
		return rc;
	fd = journal_fd(s->journal);
	if (fd < 0)
		return fd;
	rc = journal_seek(s->journal, in->row.cursor);
	if (rc == 0 || rc == ERR_NOT_FOUND)	/* not vacuumed between two moments */
		rc = loop_fd_add(&in->owner->loop, &s->fd, fd, EPOLLIN, on_event);
	intake_ready(in);
	return rc;
}

/* Nothing comes out of memory for it meanwhile; what has changed is told once more. */
static void pause_journal(struct intake_input *in, bool on)
{
	struct from_journal *s = (struct from_journal *)in;

	if (s->fd.fd >= 0)
		(void)loop_fd_mod(&s->fd, on ? 0 : EPOLLIN);
}

static void close_journal(struct intake_input *in)
{
	struct from_journal *s = (struct from_journal *)in;

	if (s->fd.loop)
		loop_fd_del(&s->fd);
	for (size_t k = 0; k < s->mark_count; k++)
		mem_free(s->marks[k].cursor);
	journal_close(s->journal);
}

const struct intake_kind intake_journald = {
	.size = sizeof(struct from_journal), .keeps = true, .open = open_journal, .start = start, .turn = turn,
	.pause = pause_journal, .tick = save_cursor, .close = close_journal,
};
