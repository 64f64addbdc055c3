/* tail_show.c - what people see of the tail thread: rows and reasons.
 * Threads: tail, or main when the thread does not run. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/tail/tail_inside.h"
#include "agent/record/text_json.h"

#define REASONS_MAX 20

static const char *const state_names[] = { "active", "rotated", "deleted", "done", "failed" };

const char *tail_state_name(uint8_t state)
{
	return state < sizeof state_names / sizeof state_names[0] ? state_names[state] : "unknown";
}

static bool is_waiting(const struct file *f)
{
	return f->blocked || (f->dest && f->dest->dry && !list_empty(&f->turn));
}

static void say_reason(const struct file *f, char *buf, size_t n)
{
	if (f->blocked && f->error == ERR_SPOOL_FULL)
		snprintf(buf, n, "the line at offset %lld is not what value.serializer takes, no room to set it aside",
			 (long long)f->offset);
	else if (f->blocked && f->error == ERR_LANES)
		snprintf(buf, n, "the line at offset %lld would need one topic more than max_lanes", (long long)f->offset);
	else if (f->blocked)
		snprintf(buf, n, "a line at offset %lld fits no request", (long long)f->offset);
	else if (f->state == FILE_FAILED && f->error == ERR_CONFIG)
		snprintf(buf, n, "the key is not what key.serializer takes");
	else if (f->state == FILE_FAILED && f->error == -EMLINK)
		snprintf(buf, n, "a hard link in a directory that others write: somebody may have made it who must not read it");
	else if (f->state == FILE_FAILED && f->error == -EPERM)
		snprintf(buf, n, "a link of one user to a file of another, or not permitted");
	else if (f->state == FILE_FAILED)
		snprintf(buf, n, "%s", err_text(f->error));
	else if (is_waiting(f) && f->dest->held && f->dest->waits)
		snprintf(buf, n, "its lines are not spooled (when_full: wait), it is read on when its topic takes lines again");
	else if (is_waiting(f) && f->dest->held)
		snprintf(buf, n, "its topic is held, and what it may keep in memory and spool is used up");
	else if (is_waiting(f))
		snprintf(buf, n, "no memory left in buffer.memory, or no metadata of the topic yet");
	else if (f->retired)
		snprintf(buf, n, "no input reads it any more, what was read is delivered");
	else if (f->pred)
		snprintf(buf, n, "the file that had this name before is read first");
	else
		buf[0] = 0;
}

static int show_file(struct tail *t, const struct file *f, struct tail_file_info *ret)
{
	struct stat st;
	const char *state = tail_state_name((uint8_t)f->state);
	int64_t safe = t->hooks->safe(t->hooks->arg, f->id);

	*ret = (struct tail_file_info){ .path = mem_strdup(f->path), .input = f->input, .dev = f->dev, .inode = f->inode,
					.file_id = f->id, .size = f->size, .read = f->offset, .waits = is_waiting(f) };
	if (!ret->path)
		return ERR_NOMEM;
	if (f->fd >= 0 && !f->remote && slow_fstat(f->fd, &st) == 0)
		ret->size = file_size(f, &st);
	if (f->state == FILE_ACTIVE && ret->waits)
		state = "waiting";
	else if ((f->state == FILE_ROTATED || f->state == FILE_DELETED || f->end >= 0) && f->offset >= ret->size &&
		 safe >= ret->size)
		state = "done";
	ret->lag_ms = lag_of(t, f, safe);
	snprintf(ret->state, sizeof ret->state, "%s", state);
	say_reason(f, ret->reason, sizeof ret->reason);
	return 0;
}

uint64_t tail_read_bytes(const struct tail *t)
{
	return t->read_bytes;
}

void show_files(struct tail *t, struct tail_list *ret)
{
	*ret = (struct tail_list){ .v = mem_array(struct tail_file_info, list_count(&t->files) + 1) };
	if (!ret->v) {
		ret->rc = ERR_NOMEM;
		return;
	}
	list_each(it, &t->files) {
		ret->rc = show_file(t, list_entry(it, struct file, node), &ret->v[ret->n]);
		if (ret->rc < 0)
			return;
		ret->n++;
	}
}

char *show_reasons(struct tail *t)
{
	char reason[160];
	unsigned left = REASONS_MAX;
	struct buf b;

	buf_init(&b, 65536);
	if (watch_limited(t->watch))
		buf_puts(&b, "inotify limit reached: files are looked at every second\n");
	notes_show(t, &b);
	list_each(it, &t->files) {
		const struct file *f = list_entry(it, struct file, node);

		if (f->state != FILE_FAILED && !f->blocked && !f->note)
			continue;
		if (!left--) {
			buf_puts(&b, "and more files\n");
			break;
		}
		say_reason(f, reason, sizeof reason);
		text_put_printable(&b, f->path);
		buf_printf(&b, ": %s\n", f->note && !reason[0] ? f->note : reason);
	}
	return b.len ? buf_detach(&b) : mem_strdup("");
}
