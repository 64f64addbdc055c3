/* cmd_positions.c - `positions ls|set|forget`: the running agent does it; with none, the state directory is changed. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cmd/cli.h"
#include "agent/cmd/position.h"
#include "agent/cmd/source.h"
#include "agent/status.h"

struct order { const char *path; bool forget; int64_t offset; };

static int offline(struct source *s, const struct order *o, struct err *e)
{
	char words[PATH_MAX + 256];
	int rc = source_spool(s, false, e);

	if (rc >= 0)
		rc = o->forget ? position_forget(s->spool, s->conf, o->path, words, sizeof words, e) :
				 position_set(s->spool, s->conf, o->path, o->offset, words, sizeof words, e);
	if (rc >= 0)
		puts(words);
	return rc;
}

static int give(struct source *s, const struct order *o, struct err *e)
{
	char question[PATH_MAX + 64];
	struct page answer;
	int rc;

	if (o->forget)
		snprintf(question, sizeof question, "position forget %s", o->path);
	else
		snprintf(question, sizeof question, "position set %" PRId64 " %s", o->offset, o->path);
	rc = source_ask(s, question, &answer, e);
	if (rc == ERR_NOT_FOUND)
		return offline(s, o, e);
	if (rc >= 0)
		fwrite(s->out.data, 1, s->out.len, stdout);
	return rc;
}

/* Files are known by the whole path that a glob matched: links in it are not resolved. */
static int whole_path(const char *given, char path[PATH_MAX])
{
	char dir[PATH_MAX] = "";
	int n;

	if (given[0] != '/' && !getcwd(dir, sizeof dir)) {
		fprintf(stderr, "spillway: cannot tell where %s is: %s\n", given, strerror(errno));
		return EXIT_IO;
	}
	n = snprintf(path, PATH_MAX, "%s%s%s", dir, dir[0] ? "/" : "", given);
	if (n >= PATH_MAX || strchr(path, '\n')) {
		fprintf(stderr, "spillway: a path of less than %d bytes and without a line feed, please\n", PATH_MAX);
		return EXIT_USAGE;
	}
	return 0;
}

static int usage(const char *what)
{
	fprintf(stderr, "spillway: %s; see `spillway help positions`\n", what);
	return EXIT_USAGE;
}

static bool read_offset(const char *text, int64_t *ret)
{
	char *end;

	if (!strcmp(text, "end")) {
		*ret = INT64_MAX;
		return true;
	}
	errno = 0;
	*ret = strtoll(text, &end, 10);
	return end != text && !*end && !errno && *ret >= 0;
}

static int run(const struct options *opt, struct order *o)
{
	struct loaded conf = { 0 };
	struct source s;
	char path[PATH_MAX];
	struct err e;
	int rc = whole_path(o->path, path);

	if (rc == 0)
		rc = cli_load(opt, &conf);
	if (rc)
		return rc;
	o->path = path;
	source_open(&s, conf.conf);
	rc = give(&s, o, &e);
	if (rc < 0)
		fprintf(stderr, "spillway: %s\n", e.text);
	source_close(&s);
	loaded_release(&conf);
	return cli_exit_code(rc);
}

int cmd_positions(const struct options *o)
{
	const char *word = o->word_count ? o->words[0] : "";
	struct order order = { 0 };

	if (!strcmp(word, "ls") && o->word_count == 1)
		return cmd_look(o, STATUS_POSITIONS);
	if (!strcmp(word, "set") && o->word_count == 3) {
		if (!read_offset(o->words[2], &order.offset))
			return usage("the offset is a number of bytes, or `end`");
	} else if (!strcmp(word, "forget") && o->word_count == 2) {
		order.forget = true;
	} else {
		return usage("positions takes `ls`, `set PATH OFFSET` or `forget PATH`");
	}
	if (o->json)
		return usage("--json goes with `ls`");
	order.path = o->words[1];
	return run(o, &order);
}
