/* positions.h - how far each file is finished, in memory, with what the running transaction did to it kept apart.
 *
 * The database holds the same as of the last commit (tables positions and files); spool.c writes what positions_changed
 * finds just before a commit. Nothing here touches SQLite.
 * Threads: the spool's owner.
 */
#ifndef SPILLWAY_SPOOL_POSITIONS_H
#define SPILLWAY_SPOOL_POSITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/list.h"
#include "agent/base/map.h"
#include "spool/markers.h"
#include "spool/range_set.h"

/* What a transaction began with. */
struct position_before {
	int64_t  safe;
	uint64_t marker;
	struct range_set done;
	struct markers markers;
};

/* Most belong to files that rest: what few need is apart. */
struct position {
	int64_t  id;			/* of the file */
	int64_t  safe;
	uint64_t marker;
	struct range_set done;		/* finished above safe */
	struct markers *markers;	/* what safe was before, now and then; NULL: none yet */

	/* Valid while `txn` is linked. */
	struct list txn;
	struct position_before *before;	/* NULL: added by this transaction */
	bool     gone;			/* by this transaction */
};

struct positions {
	struct map  by_id;
	struct list touched;		/* position.txn */
};

void positions_init(struct positions *p);
void positions_release(struct positions *p);

/* The live position or NULL. */
struct position *positions_get(const struct positions *p, int64_t file_id);
/* A position read from the database; takes over *done (emptied). 0 or ERR_NOMEM. */
int  positions_load(struct positions *p, int64_t file_id, int64_t safe, uint64_t marker, struct range_set *done,
		    const struct markers *markers);
/* All of these can be undone until positions_committed. 0 or ERR_NOMEM; unknown files are nothing to do.
 * positions_add: of an id that this transaction did not forget. */
int  positions_add(struct positions *p, int64_t file_id, int64_t safe, uint64_t marker);
int  positions_forget(struct positions *p, int64_t file_id);
int  positions_finish(struct positions *p, int64_t file_id, int64_t from, int64_t to, uint64_t marker);
/* By hand, forwards or back; what is finished above it is forgotten. */
int  positions_set(struct positions *p, int64_t file_id, int64_t safe, uint64_t marker);

const struct markers *positions_markers(const struct position *f);
/* Whether this touched position has to be written. */
bool positions_changed(const struct position *f);
void positions_committed(struct positions *p);
void positions_rolled_back(struct positions *p);

#endif
