/* cli.c - argv -> table -> one function a command. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/units.h"
#include "agent/cli.h"
#include "conf/conf.h"
#include "producer/codec.h"
#include "spool/spool.h"

enum { OPT_ONCE = 1000, OPT_TIMEOUT, OPT_JSON, OPT_PRINT, OPT_LOG_LEVEL };

enum { TAKES_CONFIG = 1, TAKES_RUN = 2, TAKES_JSON = 4, TAKES_PRINT = 8, TAKES_WORDS = 16, TAKES_LOOK = 32 };

#define DEFAULT_CONFIG "/etc/spillway/spillway.yaml"	/* of the commands that only look; run and check are told theirs */

struct command {
	const char *name, *args, *help;
	unsigned    takes;
	int       (*fn)(const struct options *o);
};

static int cmd_version(const struct options *o);
static int cmd_help(const struct options *o);

static const struct command commands[] = {
	{ "run", "-c FILE [--once [--timeout T]]", "ship the lines of the configured files to Kafka\n"
	  "      --once        read every file to its end, deliver everything, exit 0\n"
	  "      --timeout T   with --once: give up after T (e.g. 30s) and exit 75; the rest stays in file or spool",
	  TAKES_CONFIG | TAKES_RUN, cmd_run },
	{ "check", "-c FILE [--print]", "read the configuration as `run` does and look at files, permissions and directories\n"
	  "      --print       print the effective configuration, secrets masked", TAKES_CONFIG | TAKES_PRINT, cmd_check },
	{ "status", "[-c FILE] [--json]", "ask the running agent, or read the state directory when none runs",
	  TAKES_CONFIG | TAKES_JSON | TAKES_LOOK, cmd_status },
	{ "positions", "ls [-c FILE] [--json]", "one row a file: how far it is read and how far it is finished",
	  TAKES_CONFIG | TAKES_JSON | TAKES_WORDS | TAKES_LOOK, cmd_positions },
	{ "spool", "ls [-c FILE] [--json]", "one row a spooled batch",
	  TAKES_CONFIG | TAKES_JSON | TAKES_WORDS | TAKES_LOOK, cmd_spool },
	{ "version", "", "print the version, with those of the libraries", 0, cmd_version },
	{ "help", "[COMMAND]", "print this, or what a command takes", TAKES_WORDS, cmd_help },
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

static void print_command(FILE *f, const struct command *c)
{
	fprintf(f, "usage: spillway %s %s\n\n  %s\n", c->name, c->args, c->help);
	if (c->takes & TAKES_CONFIG)
		fprintf(f, "  -c, --config FILE the configuration%s\n      --log-level L error, warn, info or debug\n",
			c->takes & TAKES_LOOK ? "; default: " DEFAULT_CONFIG : "");
	if (c->takes & TAKES_JSON)
		fprintf(f, "      --json        for programs\n");
}

static void print_commands(FILE *f)
{
	fprintf(f, "spillway %s - ships log lines to Kafka, once and in order\n\n", SPILLWAY_VERSION);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(f, "  spillway %-10s %-32s %.*s\n", commands[i].name, commands[i].args,
			(int)strcspn(commands[i].help, "\n"), commands[i].help);
	fprintf(f, "\n`spillway help COMMAND` says more. Exit codes are those of sysexits.h.\n");
}

static int usage(const struct command *c, const char *what, const char *arg)
{
	if (what)
		fprintf(stderr, "spillway: %s%s%s\n", what, arg ? " " : "", arg ? arg : "");
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

/* Returns 0, or an exit code after the words. */
static int parse_option(const struct command *c, int opt, struct options *o)
{
	switch (opt) {
	case 'c':
		o->config = optarg;
		return c->takes & TAKES_CONFIG ? 0 : usage(c, "unknown option", "-c");
	case 'h':
		o->help = true;
		return 0;
	case OPT_ONCE:
		o->once = true;
		return c->takes & TAKES_RUN ? 0 : usage(c, "unknown option", "--once");
	case OPT_TIMEOUT:
		if (!(c->takes & TAKES_RUN))
			return usage(c, "unknown option", "--timeout");
		return units_parse_time(optarg, 0, &o->timeout_ms) < 0 ?
			usage(c, "--timeout takes a time with its unit, e.g. 30s, not", optarg) : 0;
	case OPT_JSON:
		o->json = true;
		return c->takes & TAKES_JSON ? 0 : usage(c, "unknown option", "--json");
	case OPT_PRINT:
		o->print = true;
		return c->takes & TAKES_PRINT ? 0 : usage(c, "unknown option", "--print");
	case OPT_LOG_LEVEL:
		o->log_level = log_level_parse(optarg);
		return o->log_level < 0 ? usage(c, "--log-level takes error, warn, info or debug, not", optarg) : 0;
	default:
		return usage(c, NULL, NULL);	/* getopt has said what is wrong */
	}
}

static int parse_options(const struct command *c, int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' }, { "help", no_argument, NULL, 'h' },
		{ "once", no_argument, NULL, OPT_ONCE }, { "timeout", required_argument, NULL, OPT_TIMEOUT },
		{ "json", no_argument, NULL, OPT_JSON }, { "print", no_argument, NULL, OPT_PRINT },
		{ "log-level", required_argument, NULL, OPT_LOG_LEVEL }, { 0 },
	};
	int opt, rc;

	*o = (struct options){ .timeout_ms = -1, .log_level = -1 };
	argv[0] = "spillway";		/* getopt's messages begin with it */
	optind = 1;
	while ((opt = getopt_long(argc, argv, "c:h", longs, NULL)) != -1)
		if ((rc = parse_option(c, opt, o)))
			return rc;
	o->words = argv + optind;
	o->word_count = argc - optind;
	if (o->help)
		return 0;
	if (o->word_count && !(c->takes & TAKES_WORDS))
		return usage(c, "unexpected argument", o->words[0]);
	if (!o->config && c->takes & TAKES_LOOK)
		o->config = DEFAULT_CONFIG;
	if ((c->takes & TAKES_CONFIG) && !o->config)
		return usage(c, "which configuration? Give it with -c FILE", NULL);
	if (o->timeout_ms >= 0 && !o->once)
		return usage(c, "--timeout goes with --once", NULL);
	return 0;
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
	if (rc)
		return rc;
	if (o.help) {
		print_command(stdout, c);
		return EXIT_GOOD;
	}
	rc = c->fn(&o);
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
