/* journal.h - systemd's journal as it is needed here: entries one after the other, from a cursor on.
 *
 * Built without libsystemd (make JOURNALD=0) journal_open answers ERR_CONFIG and says so; nothing else is called then.
 * Calling sequence: journal_open, one of journal_seek*, journal_next and what asks about the entry, journal_close.
 * Threads: one for each struct.
 */
#ifndef SPILLWAY_JOURNALD_H
#define SPILLWAY_JOURNALD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "conf/conf.h"

struct journal;

/* dir NULL: the system's. Words in *ret_err. */
int  journal_open(const char *dir, struct journal **ret, struct err *ret_err);
void journal_close(struct journal *j);		/* NULL is fine */
/* Readable when something has changed: then journal_changed. -errno. */
int  journal_fd(struct journal *j);
void journal_changed(struct journal *j);

/* All: 0 or -errno. The next entry is the one behind this cursor's; "": the first. ERR_NOT_FOUND: that entry is not there any
 * more, and the next is the first that is behind where it was. */
int  journal_seek(struct journal *j, const char *cursor);
int  journal_seek_end(struct journal *j);	/* the next is one that does not exist yet */
/* 1; 0: there is none yet. */
int  journal_next(struct journal *j);

/* Of the entry that journal_next went to. */
uint64_t journal_time_us(struct journal *j);	/* its wall time, never 0 */
char *journal_cursor(struct journal *j);	/* mem_free; NULL: out of memory */
/* Whether it is of one of these units, or about one (no units: always). */
bool journal_is_of(struct journal *j, const struct conf_strings *units);

struct journal_entry {
	const uint8_t *message; size_t len;	/* MESSAGE; until the next call */
	json_t *fields;				/* the others by their names: text, or an array of texts; json_decref it */
	uint64_t time_us;
};
/* 0; ERR_NOMEM; -errno: it cannot be read (damaged). */
int  journal_read(struct journal *j, struct journal_entry *ret);

#endif
