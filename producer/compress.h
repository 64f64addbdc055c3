/* compress.h - the threads that turn sealed batches into ready ones. */
#ifndef SPILLWAY_COMPRESS_H
#define SPILLWAY_COMPRESS_H

#include "producer/codec.h"
#include "producer/lane.h"

struct compress;

/* codec none needs no pool: batches are ready when they are sealed. 0, ERR_NOMEM or -errno. */
int  compress_open(struct compress **ret, struct accum *a, enum codec codec, int level, uint32_t threads);
/* Compresses what is sealed, then ends the threads. NULL is fine. */
void compress_close(struct compress *c);

#endif
