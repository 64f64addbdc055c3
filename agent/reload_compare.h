/* reload_compare.h - what differs between the configuration in force and a fresh one. Thread: main. */
#ifndef SPILLWAY_RELOAD_COMPARE_H
#define SPILLWAY_RELOAD_COMPARE_H

#include "agent/load.h"

/* What differs and cannot be taken over while running gets the value in force in `fresh`; `names` gets "KEY, KEY". 0, or an error
 * with words. */
int  reload_set_back(const struct loaded *running, struct loaded *fresh, struct buf *names, struct err *ret_err);
/* Of each input of `fresh` the one in `running` with the same name that says the same in every key, and whose recipe is the same;
 * SIZE_MAX: there is none. NULL: out of memory; mem_free. */
size_t *reload_match(const struct loaded *running, char *const *specs, const struct loaded *fresh, char *const *fresh_specs);

#endif
