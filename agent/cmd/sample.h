/* sample.h - `check --sample FILE`: the first records that a configuration makes of a file.
 *
 * Goes through the recipe of `run`, so what it prints is what Kafka would get. Changes nothing, connects to nothing.
 */
#ifndef SPILLWAY_SAMPLE_H
#define SPILLWAY_SAMPLE_H

#include <stdbool.h>

#include "agent/load.h"

/* Prints to `out`: one block a record, or JSON lines. 0; an error with words: the file cannot be read, there is no input that
 * reads files. */
int  sample(const struct loaded *l, const char *path, bool json, struct buf *out, struct err *ret_err);

#endif
