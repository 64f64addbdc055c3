/* metrics_text.h - metrics as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0.
 *
 * Rows of one name come together: HELP and TYPE stand before the first of them.
 */
#ifndef SPILLWAY_METRICS_TEXT_H
#define SPILLWAY_METRICS_TEXT_H

#include "agent/base/buf.h"
#include "producer/producer.h"

/* Begins with `last` as NULL. open: OpenMetrics. */
struct metrics_text { struct buf *out; const char *client_id; const char *last; bool open; };
struct metrics_label { const char *name, *value; };

/* All of a producer's. 0 or a public code. */
int  metrics_text_all(struct producer *p, struct producer_config *c, struct buf *out);

/* A function for producer_metrics; arg is a struct metrics_text. */
void metrics_text_put(void *arg, const struct producer_metric *m);

/* One row. The name outlives the text. */
void metrics_text_row(struct metrics_text *t, enum producer_metric_kind kind, const char *name, const char *help,
		      const struct metrics_label *labels, size_t n, double value);
/* One histogram; counts are cumulative, the last bound is infinite. */
void metrics_text_histogram(struct metrics_text *t, const char *name, const char *help, const struct metrics_label *labels,
			    size_t n, const double *bounds, const uint64_t *counts, size_t buckets, double sum);
/* What OpenMetrics wants at the end. */
void metrics_text_end(struct metrics_text *t);

#endif
