/* tail_remote.c - files on network file systems: what is said about them may be old, or wrong for a moment.
 *
 * A client of NFS or SMB caches sizes and pages; after a reconnect it may show a file smaller, empty or with other bytes. Taken for
 * a truncation that would be all its lines twice. So it is believed only when it was so for `pace.doubt`, and still is after
 * the file was opened anew, which asks the server.
 * Threads: tail. Failure: a file that cannot be opened anew is parked, and looked for by the next walk.
 */
#include "agent/base/log.h"
#include "agent/tail/identity.h"
#include "agent/tail/tail_inside.h"

/* Closed, and opened again by its path at its next turn. */
static void let_go(struct tail *t, struct file *f)
{
	fds_close(t, f);
	f->parked = true;
	f->at_end = false;
	t->window.file_id = 0;
}

void remote_stale(struct tail *t, struct file *f)
{
	log_debug("stale file handle, opening the file again", KS("path", f->path));
	let_go(t, f);
	t->rewalk = true;
}

bool remote_doubt(struct tail *t, struct file *f)
{
	int64_t now = t->loop.now_ms;

	if (!f->remote || f->suspect)		/* there was enough doubt before names were looked at once more */
		return false;
	f->at_end = false;			/* each walk looks again */
	if (!f->doubt_ms) {
		f->doubt_ms = now ? now : 1;
		log_debug("a network file system shows a file that shrank or changed, not believed yet", KS("path", f->path),
			  KI("read", f->offset), KI("size", f->size));
	}
	if (now - f->doubt_ms < t->pace.doubt)
		return true;
	f->doubt_ms = 0;
	let_go(t, f);
	if (!fds_wake(t, f))
		return true;
	if (file_shrank(f) || !identity_fits(f, f->head_len, f->head, f->offset, f->mark))
		return false;
	files_ready(t, f);
	return true;
}
