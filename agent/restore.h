/* restore.h - what the state database knows of files and routes, copied for the tailers before the threads start. */
#ifndef SPILLWAY_RESTORE_H
#define SPILLWAY_RESTORE_H

#include "agent/tail/tail.h"
#include "spool/spool.h"

struct restored {
	struct tail_known  *files;
	size_t              file_count;
	struct tail_known  *streams;		/* what is no file (intake.h) */
	size_t              stream_count;
	struct spool_route *routes;
	size_t              route_count;
	int64_t             next_file_id;
};

int  restored_read(struct spool *s, struct restored *ret, struct err *ret_err);
void restored_release(struct restored *r);

#endif
