/* tail_cut.c - files that a power loss shortened.
 *
 * What was written shortly before is not on the disk: the file is shorter than it was read, or zeros stand where its end
 * was (the size was on the disk, the bytes were not). What the application wrote since stands behind that.
 * A file that was truncated and written anew looks alike, but for its first bytes: they decide. Where they are gone too,
 * a marker that still fits does.
 *
 * So it goes on at the newest offset whose marker fits. Bytes from there up to the damage may be what was sent, or new: they
 * are read again and entered as uncertain, for a line that comes twice is better than one that never comes. The zeros,
 * and the piece of a line before them, are skipped: that line was read as a whole.
 * The file gets a new id, with the skipped ranges finished under it: finished ranges of the old id may lie where new bytes
 * will be written now, and unresolved batches that refer to it are still to be built again, as far as their bytes are there.
 * Threads: tail.
 */
#include <string.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/tail/identity.h"
#include "agent/tail/tail_inside.h"

#define ZEROS_MIN 64		/* shorter runs are what a log may hold; unless the file ends in them */

/* --- where to go on --- */

enum head { HEAD_FITS, HEAD_GONE, HEAD_OTHER };

static enum head look_at_head(const struct file *f, const struct spool_file *row)
{
	uint8_t last;
	uint64_t h;

	if (row->fingerprint_len > IDENTITY_HEAD)
		return HEAD_OTHER;
	if (!row->fingerprint_len)
		return HEAD_FITS;		/* nothing is known that would not */
	if (!f->unpack && f->size < row->fingerprint_len)
		return HEAD_GONE;
	if (identity_read_head(f, row->fingerprint_len, &h) == 0 && h == row->fingerprint)
		return HEAD_FITS;
	return file_pread(f, &last, 1, row->fingerprint_len - 1) == 1 && !last ? HEAD_GONE : HEAD_OTHER;
}

static bool try_marker(const struct file *f, const struct spool_file *row, enum head head, int64_t offset, uint64_t hash)
{
	uint64_t h;

	if (offset <= 0 || (offset > f->size && !f->unpack) || !hash || (head != HEAD_FITS && offset >= row->fingerprint_len))
		return false;
	return identity_read_marker(f, offset, &h) == 0 && h == hash;
}

/* The end of the last whole line in the first bytes, which are as they were. */
static int64_t end_of_head(const struct file *f, uint32_t len)
{
	uint8_t buf[IDENTITY_HEAD];

	if (len < IDENTITY_HEAD)
		return len;		/* grows with the position until it is full */
	if (file_pread(f, buf, len, 0) != (ssize_t)len)
		return 0;
	while (len && buf[len - 1] != '\n')
		len--;
	return len;
}

bool cut_find(const struct file *f, const struct known *k, struct spool_marker *ret)
{
	const struct spool_file *row = &k->row;
	enum head head = look_at_head(f, row);

	if (head == HEAD_OTHER)
		return false;
	*ret = (struct spool_marker){ row->safe, row->marker };
	if (try_marker(f, row, head, ret->offset, ret->hash))
		return true;
	for (size_t i = 0; i < k->marker_count; i++) {
		*ret = k->markers[i];
		if (try_marker(f, row, head, ret->offset, ret->hash))
			return true;
	}
	if (head != HEAD_FITS || !row->fingerprint_len)
		return false;
	/* The head covers what was read, which need not be finished. */
	ret->offset = end_of_head(f, row->fingerprint_len);
	if (ret->offset > row->safe)
		ret->offset = row->safe;
	return identity_read_marker(f, ret->offset, &ret->hash) == 0;
}

/* --- what is there instead --- */

struct damage {
	int64_t sound;		/* up to here it may be what it was */
	int64_t line;		/* where the line begins that was cut; the end of what was read, if none was */
	int64_t from, to;	/* zeros; or the end of the file twice */
};

/* Looks for the first long run of zeros from `at` on that begins before `limit`, where reading had come to. */
static struct damage find_damage(const struct file *f, int64_t at, int64_t limit)
{
	struct damage d = { at, at, -1, -1 };
	uint8_t buf[16384];
	ssize_t n = 1;

	while ((d.from >= 0 || at < limit) && (n = file_pread(f, buf, sizeof buf, at)) > 0) {
		for (int64_t here = at; here < at + n; here++) {
			uint8_t c = buf[here - at];

			if (!c && d.from < 0 && here < limit)
				d.from = here;
			if (c && d.from >= 0) {
				d.to = here;
				if (here - d.from >= ZEROS_MIN)
					return d;
				d.from = -1;
			}
			if (c == '\n')
				d.sound = d.line = here + 1;
		}
		at += n;
	}
	d.to = at;
	if (d.from >= 0)
		return d;			/* zeros up to the end */
	d.from = at;
	if (n > 0)				/* all is there, but somewhere it is not what it was */
		d = (struct damage){ .line = limit, .from = limit };
	return d;
}

/* --- going on --- */

/* Ranges that were finished or promised are so still where the file is sound, and so is the line that was cut. */
static void keep_skips(struct file *f, const struct known *k, const struct damage *d)
{
	int rc = skip_add(&f->skips, &f->skip_count, d->line, d->to);

	for (size_t i = 0; i < k->skip_count && rc == 0; i++)
		if (k->skips[i].to <= d->sound && k->skips[i].to > f->offset)
			rc = skip_add(&f->skips, &f->skip_count, k->skips[i].from, k->skips[i].to);
	ASSERT(rc == 0);		/* without them lines would come twice, and nobody would know */
}

/* Returns the bytes that are read again although they may have been sent. */
static int64_t tell_again(struct tail *t, const struct file *f, const struct known *k, const struct damage *d)
{
	int64_t end = d->line < k->row.safe ? d->line : k->row.safe, from, to;
	int64_t bytes = skip_tell(t, f, f->offset, end, SPOOL_LOSS_UNCERTAIN, false);

	for (size_t i = 0; i < k->skip_count; i++) {
		from = k->skips[i].from > f->offset ? k->skips[i].from : f->offset;
		to = k->skips[i].to < d->line ? k->skips[i].to : d->line;
		if (k->skips[i].to > d->sound)
			bytes += skip_tell(t, f, from, to, SPOOL_LOSS_UNCERTAIN, false);
	}
	return bytes;
}

static void say(struct file *f, int64_t again, int64_t gone)
{
	log_warn("file lost its end, as by a power loss: reading goes on where it is as it was", KS("path", f->path),
		 KI("size", f->size), KI("offset", f->offset), KI("maybe_again_bytes", again), KI("read_and_gone_bytes", gone));
	mem_free(f->note);
	f->note = mem_printf("the file lost its end, as by a power loss: %lld bytes that were read before are no longer in it (not "
			     "lost if they were sent), %lld bytes are read again from offset %lld on and may be in Kafka twice",
			     (long long)gone, (long long)again, (long long)f->offset);
}

void cut_go_on(struct tail *t, struct file *f, const struct known *k, const struct spool_marker *at)
{
	int64_t last = k->skip_count ? k->skips[k->skip_count - 1].to : 0, end = last > k->row.safe ? last : k->row.safe;
	struct damage d = find_damage(f, at->offset, end);

	f->id = t->next_file_id++;
	f->generation = k->row.generation + 1;
	f->offset = at->offset;
	f->mark = at->hash;
	f->leading = at->offset == 0;
	keep_skips(f, k, &d);
	files_put(t, f, 0);		/* known before ranges of it are finished */
	skip_finish(t, f);
	say(f, tell_again(t, f, k, &d), end - d.from);
}
