/* describe.h - between producer_describe's callers and the sender. Inside producer/ only. */
#ifndef SPILLWAY_DESCRIBE_H
#define SPILLWAY_DESCRIBE_H

#include "producer/conn.h"

struct producer;

/* The sender's step: sends what callers ask for. True while somebody waits. Thread: sender. */
bool describe_step(struct producer *p);
/* Was it the answer, or the loss, of such a request? *ret_rc: as conn_ops.answered. Thread: sender. */
bool describe_answered(struct producer *p, struct conn *c, const struct request *r, const void *data, size_t n, int *ret_rc);
bool describe_lost(struct producer *p, const struct conn *c, const struct request *r);

#endif
