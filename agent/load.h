/* load.h - the configuration file as the whole agent understands it: conf's part and the producer's part together. */
#ifndef SPILLWAY_LOAD_H
#define SPILLWAY_LOAD_H

#include "agent/base/buf.h"
#include "conf/conf.h"
#include "producer/producer.h"

struct loaded {
	struct conf            *conf;
	struct producer_config *producer;
};

/* 0, or ERR_CONFIG / -errno with every problem written to *ret_text, one a line. */
int  load_conf(const char *path, struct loaded *ret, struct buf *ret_text);
/* Once more what only all of it together tells, after parts of it were changed: as load_conf. */
int  load_check(struct loaded *l, struct buf *ret_text);
void loaded_release(struct loaded *l);
/* The error of ours that a code of producer.h means, for exit codes. */
int  load_producer_error(int code);
/* The effective configuration as YAML, secrets masked. */
void loaded_print(const struct loaded *l, struct buf *out);

#endif
