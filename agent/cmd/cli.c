/* cli.c - argv -> table -> one function a command. */
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/killpoint.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/units.h"
#include "agent/cmd/cli.h"
#include "conf/conf.h"
#include "producer/codec.h"
#include "spool/spool.h"

enum {				/* which options a command takes */
	TAKES_CONFIG = 1, TAKES_RUN = 2, TAKES_JSON = 4, TAKES_PRINT = 8, TAKES_WORDS = 16, TAKES_LOOK = 32,
	TAKES_BROKERS = 64, TAKES_SEND = 128, TAKES_BENCH = 256, TAKES_METRICS = 512,
	TAKES_REJECTED = 1024,
	FOR_TESTS = 1 << 30,	/* not among those that help lists */
};

#define DEFAULT_CONFIG "/etc/spillway/spillway.yaml"	/* of the commands that only look; run and check are told theirs */

struct command {
	const char *name, *args, *help;
	unsigned    takes;
	int       (*fn)(const struct options *o);
};

static int cmd_version(const struct options *o);
static int cmd_help(const struct options *o);
static int cmd_killpoints(const struct options *o);

static const struct command commands[] = {
	{ "run", "-c FILE [--once [--timeout T]]", "ship the lines of the configured inputs to Kafka",
	  TAKES_CONFIG | TAKES_RUN, cmd_run },
	{ "check", "-c FILE [--online | --print | --sample LOGFILE]",
	  "read the configuration as `run` does and look at files, permissions, directories and brokers",
	  TAKES_CONFIG | TAKES_PRINT | TAKES_JSON, cmd_check },
	{ "status", "[-c FILE] [--json] [--watch]", "ask the running agent, or read the state directory when none runs",
	  TAKES_CONFIG | TAKES_JSON | TAKES_LOOK | TAKES_METRICS, cmd_status },
	{ "positions", "ls|set|forget [--json]", "how far each file is read and finished; where to go on with one\n"
	  "  ls                one row a file\n"
	  "  set PATH OFFSET   the file goes on at this byte, or at the next beginning of a line; `end`: at its end.\n"
	  "                    Skipped lines stand in `losses`; going back, lines that were sent are sent again\n"
	  "  forget PATH       a file that is gone, or that no input matches, leaves the tables; its unread rest\n"
	  "                    stands in `losses`",
	  TAKES_CONFIG | TAKES_JSON | TAKES_WORDS | TAKES_LOOK, cmd_positions },
	{ "spool", "ls|export|verify|purge", "what waits on disk for a broker\n"
	  "  ls       lanes, and one row a spooled batch (--json: the rows)\n"
	  "  export   every record as a JSON object, one a line; damaged rows are said, and it ends with 65\n"
	  "  verify   is all of it as it was written? Ends with 0, or with 65 and what was found. While an agent\n"
	  "           runs only rows and records are read; without one SQLite's structure, counters, positions too\n"
	  "  purge    asks, then gives the spooled batches up: nobody sends them, `losses` lists their lines. What\n"
	  "           is on its way to Kafka stays\n"
	  "  With --rejected: ls, export and purge of the records that Kafka never takes",
	  TAKES_CONFIG | TAKES_JSON | TAKES_WORDS | TAKES_LOOK | TAKES_REJECTED, cmd_spool },
	{ "losses", "[-c FILE] [--json]", "what was given up or skipped, and what may be in Kafka twice (`uncertain`)\n"
	  "  One row a file and range of bytes (the end is not in it), with time, reason and records",
	  TAKES_CONFIG | TAKES_JSON | TAKES_LOOK, cmd_losses },
	{ "send", "-b BROKERS -t TOPIC [FILE...]", "produce one record for each line of the files or of stdin",
	  TAKES_BROKERS | TAKES_SEND | TAKES_WORDS, cmd_send },
	{ "bench", "-b BROKERS -t TOPIC --num-records N", "measure throughput and latency as Kafka's producer-perf-test does",
	  TAKES_BROKERS | TAKES_BENCH | TAKES_JSON, cmd_bench },
	{ "metadata", "-b BROKERS [-t TOPIC] [--json]", "brokers, topics, partitions and their leaders",
	  TAKES_BROKERS | TAKES_JSON, cmd_metadata },
	{ "schema", "", "print the JSON Schema of the configuration, for editors and other programs", 0, cmd_schema },
	{ "version", "", "print the version, with those of the libraries", 0, cmd_version },
	{ "help", "[COMMAND]", "print this, or what a command takes", TAKES_WORDS, cmd_help },
	{ "killpoints", "", "for tests: the places at which SPILLWAY_KILL=PLACE[:N] ends `run` as kill -9 does, one a line",
	  FOR_TESTS, cmd_killpoints },
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const struct command *find_command(const char *name)
{
	if (!strcmp(name, "-t"))
		name = "check";
	if (!strcmp(name, "--version") || !strcmp(name, "-V"))
		name = "version";
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* --- options: one row each --- */

enum option_kind { OPT_FLAG, OPT_TEXT, OPT_LIST, OPT_NUMBER, OPT_TIME, OPT_LOG_LEVEL };

struct option_row {
	const char *name;		/* NULL: a letter only */
	int         letter;		/* 0: a name only */
	const char *arg;		/* how help calls it; NULL: a flag */
	unsigned    takes;		/* commands with any of these take it; 0: all */
	enum option_kind kind;
	size_t      offset;
	const char *help;
};
#define AT(field) offsetof(struct options, field)

static const struct option_row option_rows[] = {
	{ "config", 'c', "FILE", TAKES_CONFIG, OPT_TEXT, AT(config), "the configuration" },
	{ "once", 0, NULL, TAKES_RUN, OPT_FLAG, AT(once), "read every file to its end, deliver everything, exit 0" },
	{ "timeout", 0, "T", TAKES_RUN, OPT_TIME, AT(timeout_ms),
	  "with --once: give up after T (e.g. 30s) and exit 75; the rest stays in file or spool" },
	{ "online", 0, NULL, TAKES_PRINT, OPT_FLAG, AT(online),
	  "also connect to the brokers: certificates, authentication, rights, topics and their settings; writes nothing" },
	{ "print", 0, NULL, TAKES_PRINT, OPT_FLAG, AT(print), "print the effective configuration, secrets masked" },
	{ "sample", 0, "LOGFILE", TAKES_PRINT, OPT_TEXT, AT(sample),
	  "print the first records that the configuration makes of this file (--json: one a line)" },
	{ "brokers", 'b', "BROKERS", TAKES_BROKERS, OPT_TEXT, AT(brokers), "host:port,..." },
	{ "topic", 't', "TOPIC", TAKES_BROKERS, OPT_TEXT, AT(topic), "the topic" },
	{ NULL, 'F', "FILE", TAKES_BROKERS, OPT_TEXT, AT(properties), "producer settings: a properties file, Java's format" },
	{ NULL, 'X', "NAME=VALUE", TAKES_BROKERS, OPT_LIST, AT(settings),
	  "a producer setting, by Kafka's name; ${env:NAME} and ${file:/path} are replaced; wins over -F" },
	{ "preset", 0, "P", TAKES_BROKERS, OPT_TEXT, AT(preset), "balanced, max-throughput, min-latency or max-reliability" },
	{ NULL, 'k', "KEY", TAKES_SEND, OPT_TEXT, AT(key), "the key of every record" },
	{ NULL, 'K', "DELIM", TAKES_SEND, OPT_TEXT, AT(delimiter), "what stands before the first DELIM of a line is its key" },
	{ NULL, 'p', "PARTITION", TAKES_SEND, OPT_NUMBER, AT(partition), "the partition; default: the partitioner decides" },
	{ NULL, 'H', "NAME=VALUE", TAKES_SEND, OPT_LIST, AT(headers), "a header of every record; may be given several times" },
	{ NULL, 'z', "CODEC", TAKES_SEND | TAKES_BENCH, OPT_TEXT, AT(codec), "none, gzip, snappy, lz4 or zstd" },
	{ "report", 0, "json", TAKES_SEND, OPT_TEXT, AT(report),
	  "print {topic, partition, offset, timestamp} for each record, in order of acknowledgement" },
	{ "stats", 0, NULL, TAKES_SEND, OPT_FLAG, AT(stats), "print records per partition at the end" },
	{ "num-records", 0, "N", TAKES_BENCH, OPT_NUMBER, AT(num_records), "how many records to send" },
	{ "record-size", 0, "N", TAKES_BENCH, OPT_NUMBER, AT(record_size), "bytes of random letters in each record" },
	{ "payload-file", 0, "FILE", TAKES_BENCH, OPT_TEXT, AT(payload_file), "its lines are the records, again and again" },
	{ "throughput", 0, "R", TAKES_BENCH, OPT_NUMBER, AT(throughput), "at most R records a second; default: no limit" },
	{ "print-metrics", 0, NULL, TAKES_BENCH, OPT_FLAG, AT(metrics),
	  "print the producer's metrics at the end, as Prometheus reads them" },
	{ "rejected", 0, NULL, TAKES_REJECTED, OPT_FLAG, AT(rejected), "the records that Kafka never takes" },
	{ "metrics", 0, NULL, TAKES_METRICS, OPT_FLAG, AT(metrics), "the running agent's metrics, as Prometheus reads them" },
	{ "watch", 0, NULL, TAKES_METRICS, OPT_FLAG, AT(watch),
	  "again each second, until Ctrl-C; waits for an agent that is away" },
	{ "all", 0, NULL, TAKES_METRICS, OPT_FLAG, AT(all), "all files and lanes, not only those that are most behind" },
	{ "json", 0, NULL, TAKES_JSON, OPT_FLAG, AT(json), "for programs" },
	{ "log-level", 0, "L", TAKES_CONFIG | TAKES_BROKERS, OPT_LOG_LEVEL, AT(log_level), "error, warn, info or debug" },
	{ "help", 'h', NULL, 0, OPT_FLAG, AT(help), "print this" },
};
#define OPTION_COUNT (sizeof option_rows / sizeof option_rows[0])
#define OPTION_VALUE(i) (1000 + (int)(i))

static void print_option(FILE *f, const struct command *c, const struct option_row *r)
{
	char left[64];

	snprintf(left, sizeof left, "%c%c%s%s%s%s%s", r->letter ? '-' : ' ', r->letter ? r->letter : ' ',
		 r->letter && r->name ? ", " : r->name ? "  " : "", r->name ? "--" : "", r->name ? r->name : "",
		 r->arg ? " " : "", r->arg ? r->arg : "");
	fprintf(f, "  %-23s %s%s\n", left, r->help ? r->help : "",
		r->letter == 'c' && c->takes & TAKES_LOOK ? "; default: " DEFAULT_CONFIG : "");
}

static void print_command(FILE *f, const struct command *c)
{
	fprintf(f, "usage: spillway %s%s%s\n\n  %s\n\n", c->name, *c->args ? " " : "", c->args, c->help);
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (!option_rows[i].takes || option_rows[i].takes & c->takes)
			print_option(f, c, &option_rows[i]);
}

static void print_commands(FILE *f)
{
	fprintf(f, "spillway %s - ships log lines to Kafka, once and in order\n\n", SPILLWAY_VERSION);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!(commands[i].takes & FOR_TESTS))
			fprintf(f, "  spillway %-10s %-32s %.*s\n", commands[i].name, commands[i].args,
				(int)strcspn(commands[i].help, "\n"), commands[i].help);
	fprintf(f, "\n`spillway help COMMAND` says more. Exit codes are those of sysexits.h.\n");
}

static int usage(const struct command *c, const char *what, const char *arg)
{
	if (what)
		fprintf(stderr, "spillway: %s%s%s\n", what, arg && what[strlen(what) - 1] != '-' ? " " : "", arg ? arg : "");
	if (c)
		print_command(stderr, c);
	return EXIT_USAGE;
}

static int unknown_command(const char *name)
{
	const char *names[COMMAND_COUNT + 1] = { 0 }, *near;

	for (size_t i = 0; i < COMMAND_COUNT; i++)
		names[i] = commands[i].name;
	near = units_nearest(name, names);
	fprintf(stderr, "spillway: unknown command \"%s\"", name);
	if (near)
		fprintf(stderr, " (did you mean \"%s\"?)", near);
	fprintf(stderr, "; `spillway help` lists them\n");
	return EXIT_USAGE;
}

/* --- reading them --- */

static void *field(struct options *o, const struct option_row *r)
{
	return (char *)o + r->offset;
}

static int wrong_argument(const struct command *c, const struct option_row *r, const char *what)
{
	char letter[2] = { (char)r->letter, 0 };

	fprintf(stderr, "spillway: %s%s takes %s, not %s\n", r->name ? "--" : "-", r->name ? r->name : letter, what, optarg);
	return usage(c, NULL, NULL);
}

static int take_number(const struct command *c, const struct option_row *r, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(optarg, &end, 10);
	return *end || end == optarg || errno || *ret < -1 ? wrong_argument(c, r, "a number") : 0;
}

static int take_word(struct words *w, const char *word)
{
	const char **v = mem_realloc(w->v, (w->n + 1) * sizeof *v);

	if (!v) {
		fprintf(stderr, "spillway: out of memory\n");
		return EXIT_INTERNAL;
	}
	w->v = v;
	w->v[w->n++] = word;
	return 0;
}

/* Returns 0, or an exit code after the words. */
static int take_option(const struct command *c, const struct option_row *r, struct options *o)
{
	char name[2] = { (char)r->letter, 0 };

	if (r->takes && !(r->takes & c->takes))
		return usage(c, r->name ? "unknown option --" : "unknown option -", r->name ? r->name : name);
	switch (r->kind) {
	case OPT_FLAG:
		*(bool *)field(o, r) = true;
		return 0;
	case OPT_TEXT:
		*(const char **)field(o, r) = optarg;
		return 0;
	case OPT_LIST:
		return take_word(field(o, r), optarg);
	case OPT_NUMBER:
		return take_number(c, r, field(o, r));
	case OPT_TIME:
		return units_parse_time(optarg, 0, field(o, r)) < 0 ? wrong_argument(c, r, "a time with its unit, e.g. 30s") : 0;
	default:
		o->log_level = log_level_parse(optarg);
		return o->log_level < 0 ? wrong_argument(c, r, "error, warn, info or debug") : 0;
	}
}

static const struct option_row *find_option(int value)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (value == OPTION_VALUE(i) || (option_rows[i].letter && value == option_rows[i].letter))
			return &option_rows[i];
	return NULL;
}

static void build_tables(char letters[2 * OPTION_COUNT + 1], struct option longs[OPTION_COUNT + 1])
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *r = &option_rows[i];

		if (r->letter)
			*letters++ = (char)r->letter;
		if (r->letter && r->arg)
			*letters++ = ':';
		if (r->name)
			*longs++ = (struct option){ r->name, r->arg ? required_argument : no_argument, NULL, OPTION_VALUE(i) };
	}
	*letters = 0;
	*longs = (struct option){ 0 };
}

/* What no single option can show. */
static int check_options(const struct command *c, struct options *o)
{
	if (o->word_count && !(c->takes & TAKES_WORDS))
		return usage(c, "unexpected argument", o->words[0]);
	if (!o->config && c->takes & TAKES_LOOK)
		o->config = DEFAULT_CONFIG;
	if ((c->takes & TAKES_CONFIG) && !o->config)
		return usage(c, "which configuration? Give it with -c FILE", NULL);
	if (c->takes & TAKES_PRINT && o->print && o->sample)
		return usage(c, "--print or --sample, not both", NULL);
	if (c->takes & TAKES_PRINT && o->online && (o->print || o->sample))
		return usage(c, "--online goes without --print and --sample", NULL);
	if (c->takes & TAKES_PRINT && o->json && !o->sample)
		return usage(c, "--json goes with --sample", NULL);
	if (o->timeout_ms >= 0 && !o->once)
		return usage(c, "--timeout goes with --once", NULL);
	if (c->takes & (TAKES_SEND | TAKES_BENCH) && !o->topic)
		return usage(c, "which topic? Give it with -t TOPIC", NULL);
	return 0;
}

static int parse_options(const struct command *c, int argc, char **argv, struct options *o)
{
	char letters[2 * OPTION_COUNT + 1];
	struct option longs[OPTION_COUNT + 1];
	int opt, rc;

	*o = (struct options){ .timeout_ms = -1, .log_level = -1, .partition = -1, .num_records = -1, .record_size = -1,
			       .throughput = -1 };
	build_tables(letters, longs);
	argv[0] = "spillway";		/* getopt's messages begin with it */
	optind = 1;
	while ((opt = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct option_row *r = find_option(opt);

		rc = r ? take_option(c, r, o) : usage(c, NULL, NULL);	/* getopt has said what is wrong */
		if (rc)
			return rc;
	}
	o->words = argv + optind;
	o->word_count = argc - optind;
	return o->help ? 0 : check_options(c, o);
}

static void release_options(struct options *o)
{
	mem_free(o->settings.v);
	mem_free(o->headers.v);
}

int cli_main(int argc, char **argv)
{
	const struct command *c;
	struct options o;
	int rc;

	if (argc < 2) {
		print_commands(stderr);
		return EXIT_USAGE;
	}
	c = find_command(argv[1]);
	if (!c)
		return unknown_command(argv[1]);
	rc = parse_options(c, argc - 1, argv + 1, &o);
	if (rc == 0 && o.help)
		print_command(stdout, c);
	else if (rc == 0)
		rc = c->fn(&o);
	release_options(&o);
	/* What was asked for and did not arrive (a full disk) must not look good. */
	if (rc == EXIT_GOOD && (fflush(stdout) != 0 || ferror(stdout))) {
		fprintf(stderr, "spillway: cannot write the output: %s\n", strerror(errno));
		rc = EXIT_IO;
	}
	return rc;
}

static int cmd_version(const struct options *o)
{
	(void)o;
	printf("spillway %s\nsqlite %s\nlibyaml %s\n%s\n", SPILLWAY_VERSION, spool_sqlite_version(), conf_yaml_version(),
		codec_versions());
	return EXIT_GOOD;
}

static int cmd_killpoints(const struct options *o)
{
	(void)o;
	for (int i = 0; i < KILLPOINT_COUNT; i++)
		printf("%s\n", killpoint_name(i));
	return EXIT_GOOD;
}

static int cmd_help(const struct options *o)
{
	const struct command *c;

	if (!o->word_count) {
		print_commands(stdout);
		return EXIT_GOOD;
	}
	c = find_command(o->words[0]);
	if (!c)
		return unknown_command(o->words[0]);
	print_command(stdout, c);
	return EXIT_GOOD;
}

int cli_load(const struct options *o, struct loaded *ret)
{
	struct buf text;
	int rc;

	buf_init(&text, 1 << 20);
	rc = load_conf(o->config, ret, &text);
	if (text.len)
		fputs(text.data, stderr);
	buf_release(&text);
	if (rc < 0)
		return EXIT_CONFIG;
	log_setup(o->log_level >= 0 ? (enum log_level)o->log_level : (enum log_level)ret->conf->log.level, ret->conf->log.json);
	return 0;
}

int cli_exit_code(int rc)
{
	static const struct { int rc, code; } table[] = {
		{ ERR_BUSY, EXIT_TRY_AGAIN }, { ERR_TIMEOUT, EXIT_TRY_AGAIN }, { ERR_CONFIG, EXIT_CONFIG },
		{ ERR_USAGE, EXIT_USAGE }, { ERR_CORRUPT, EXIT_BAD_DATA }, { ERR_BAD_DATA, EXIT_BAD_DATA },
		{ ERR_NEWER, EXIT_BAD_DATA }, { ERR_UNAVAILABLE, EXIT_UNAVAILABLE }, { ERR_NOT_FOUND, EXIT_UNAVAILABLE },
		{ ERR_IO, EXIT_IO }, { ERR_SPOOL_FULL, EXIT_IO }, { -EIO, EXIT_IO }, { -ENOSPC, EXIT_IO },
		{ -EPERM, EXIT_PERMISSION }, { -EACCES, EXIT_PERMISSION },
		{ -ENOENT, EXIT_CANNOT_CREATE }, { -ENOTDIR, EXIT_CANNOT_CREATE },
		{ -EROFS, EXIT_CANNOT_CREATE }, { -EEXIST, EXIT_CANNOT_CREATE },
	};

	if (rc >= 0)
		return EXIT_GOOD;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].rc == rc)
			return table[i].code;
	return EXIT_INTERNAL;
}
