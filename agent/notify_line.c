/* notify_line.c - the one line of `systemctl status`: what the agent does, why if it does not ship, how full the spool is. */
#include <string.h>

#include "agent/notify.h"
#include "agent/status.h"

#define REASON_BYTES 200	/* of the first reason; `spillway status` has them all */

static int64_t behind(const struct status *s)
{
	int64_t sum = 0;

	for (size_t i = 0; i < s->file_count; i++)
		sum += s->files[i].size > s->files[i].safe ? s->files[i].size - s->files[i].safe : 0;
	return sum;
}

static void put_size(struct buf *out, int64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double n = (double)bytes / 1024;
	size_t u = 0;

	if (bytes < 1024) {
		buf_printf(out, "%d bytes", (int)bytes);
		return;
	}
	for (; n >= 1024 && u + 1 < sizeof units / sizeof units[0]; u++)
		n /= 1024;
	buf_printf(out, "%.1f %s", n, units[u]);
}

static void put_reason(struct buf *out, const struct status *s)
{
	const char *reason = s->reasons.len ? s->reasons.data : "";

	if (!*reason)
		return;
	buf_printf(out, ": %.*s", REASON_BYTES, reason);
	if (strlen(reason) > REASON_BYTES)
		buf_puts(out, "...");
}

void notify_line(const struct status *s, struct buf *out)
{
	const struct spool_totals *t = &s->books.totals;

	buf_puts(out, s->state);
	put_reason(out, s);
	buf_printf(out, "%s%zu %s, ", s->reasons.len ? "; " : ", ", s->file_count, s->file_count == 1 ? "file" : "files");
	put_size(out, behind(s));
	buf_puts(out, " behind");
	if (t->rows && t->max_size > 0)
		buf_printf(out, "; spool %d %%", (int)(t->bytes * 100 / (uint64_t)t->max_size));
}
