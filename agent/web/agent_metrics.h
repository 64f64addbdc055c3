/* agent_metrics.h - the agent's own metrics, spillway_* and process_*. */
#ifndef SPILLWAY_AGENT_METRICS_H
#define SPILLWAY_AGENT_METRICS_H

#include "agent/metrics_text.h"
#include "agent/pipeline.h"
#include "agent/status.h"

#define AGENT_METRICS_REASONS 16
#define AGENT_METRICS_HUNG_MS 30000	/* no step of a thread that is not excused takes that long */
/* Paths that have rows of their own, those that lag most; the rest is summed. */
#define AGENT_METRICS_FILES   1000

/* What is remembered between two looks. Begins zeroed. */
struct agent_metrics {
	/* Entries of the losses are only ever added: each look goes on behind the last one. */
	bool     looked;		/* at all of them, once */
	int64_t  loss_id;
	uint64_t loss_entries[AGENT_METRICS_REASONS], loss_records[AGENT_METRICS_REASONS];
	uint64_t read;			/* the most so far: what is read again is taken out of the books' count, and a counter that
					 * goes down means a restart to Prometheus */
};

void agent_metrics_put(struct agent_metrics *a, struct pipeline *p, const struct status *s, struct metrics_text *t);
/* process_*, of this process; process_metrics.c. */
void process_metrics_put(struct metrics_text *t);

#endif
