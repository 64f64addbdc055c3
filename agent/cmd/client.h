/* client.h - what send, bench and metadata share: a producer out of command line options, and exit codes out of its errors. */
#ifndef SPILLWAY_CLIENT_H
#define SPILLWAY_CLIENT_H

#include <stdio.h>

#include "agent/cmd/cli.h"
#include "producer/producer.h"

struct client {
	struct producer_config *config;
	struct producer *producer;
};

/* Puts -F, --preset, -b, -z and -X together, later ones winning, and opens. 0, or an exit code after words on stderr. */
int  client_open(const struct options *o, struct client *ret);
/* Delivers for at most timeout_ms (-1: for ever). */
void client_close(struct client *c, int64_t timeout_ms);
/* Of an error of the producer. */
int  client_exit_code(int code);

/* Records by partition. */
struct client_counts { uint64_t *v; size_t n; };
void client_count(struct client_counts *c, int32_t partition);	/* -1: not counted */
void client_counts_print(const struct client_counts *c, FILE *f);

/* TERM and INT make client_stopped true from now on; a second one ends the process. */
void client_catch_signals(void);
bool client_stopped(void);

#endif
