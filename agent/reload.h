/* reload.h - HUP: another configuration, taken over while running, whole or not at all. Thread: main, which waits: when it
 * returns the switch is done, or refused. */
#ifndef SPILLWAY_RELOAD_H
#define SPILLWAY_RELOAD_H

#include "agent/pipeline.h"

/* Loads path anew (with all that it includes). With a fault anywhere, also an address that cannot be bound or no memory, everything
 * is logged and what runs stays as it is: an error. Otherwise what can be taken over is: inputs and how their lines become records
 * (interceptors and serializers, too), max_lanes, brokers, credentials, certificates, log.*, shutdown_timeout. What needs a
 * restart is said, here and in `status`, and has its old value until then. log_level: of the command line, or -1. */
int reload(struct pipeline *p, const char *path, int log_level);

#endif
