/* metrics_text.h - metrics as Prometheus reads them (text format 0.0.4). */
#ifndef SPILLWAY_METRICS_TEXT_H
#define SPILLWAY_METRICS_TEXT_H

#include "agent/base/buf.h"
#include "producer/producer.h"

struct metrics_text { struct buf *out; const char *client_id; const char *last; };

/* All of a producer's. 0 or a public code. */
int  metrics_text_all(struct producer *p, struct producer_config *c, struct buf *out);

/* A function for producer_metrics; arg is a struct metrics_text whose `last` begins as NULL. */
void metrics_text_put(void *arg, const struct producer_metric *m);

#endif
