/* reload.h - HUP: what of a changed configuration can be taken over while running. Thread: main. */
#ifndef SPILLWAY_RELOAD_H
#define SPILLWAY_RELOAD_H

#include "agent/load.h"
#include "producer/producer.h"

/* Loads path anew. With a fault in it everything is logged and the running configuration stays as it is. Otherwise brokers and
 * credentials are taken over, and what differs from `running` and needs a restart is said. */
void reload(const char *path, const struct loaded *running, struct producer *p);

#endif
