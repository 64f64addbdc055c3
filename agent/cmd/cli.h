/* cli.h - the command line: one table of commands, one function each, sysexits for answers. */
#ifndef SPILLWAY_CLI_H
#define SPILLWAY_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/load.h"
#include "agent/status.h"

struct words { const char **v; size_t n; };

enum {				/* sysexits.h by meaning */
	EXIT_GOOD = 0, EXIT_USAGE = 64, EXIT_BAD_DATA = 65, EXIT_UNAVAILABLE = 69, EXIT_INTERNAL = 70,
	EXIT_CANNOT_CREATE = 73, EXIT_IO = 74, EXIT_TRY_AGAIN = 75, EXIT_PERMISSION = 77, EXIT_CONFIG = 78,
};

struct options {
	const char *config;		/* -c */
	const char *sample;		/* --sample; NULL: not given */
	bool once, json, print, online, help, rejected, watch, all;
	int64_t timeout_ms;		/* --timeout; -1: none */
	int  log_level;			/* --log-level; -1: the configuration's */
	char **words; int word_count;	/* what is left: sub-command words, files */

	/* send, bench, metadata; NULL or -1: not given. */
	const char *brokers, *topic, *properties, *preset;
	struct words settings;		/* -X name=value */
	const char *key, *delimiter, *codec, *report;
	struct words headers;		/* -H name=value */
	int64_t partition;
	bool stats, metrics;
	const char *payload_file;
	int64_t num_records, record_size, throughput;
};

int  cli_main(int argc, char **argv);

/* The commands; each returns an exit code. */
int  cmd_run(const struct options *o);
int  cmd_check(const struct options *o);
int  cmd_status(const struct options *o);
int  cmd_positions(const struct options *o);
int  cmd_spool(const struct options *o);
int  cmd_send(const struct options *o);
int  cmd_bench(const struct options *o);
int  cmd_metadata(const struct options *o);
int  cmd_losses(const struct options *o);
int  cmd_schema(const struct options *o);
/* `status` and `positions ls`. */
int  cmd_look(const struct options *o, enum status_what what);

/* For them: reads the configuration and sets logging up, or prints every problem and returns the exit code (> 0). */
int  cli_load(const struct options *o, struct loaded *ret);
int  cli_exit_code(int rc);	/* of an error */

#endif
