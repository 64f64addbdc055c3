/* cmd_rejected.c - `spool ls|export|purge --rejected`: the running agent is asked; with none, the state directory is read.
 *
 * Why page by page: an answer of the agent is built in its memory, and rejected records may be hundreds of megabytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/control.h"
#include "agent/rejected.h"

struct source {
	const struct conf *conf;
	bool     offline;
	struct spool *spool;		/* offline: open while it is read */
};

static int open_spool(struct source *s, bool read_only, struct err *e)
{
	struct spool_conf sc = { .dir = s->conf->state_dir, .max_size = s->conf->spool.max_size,
				 .min_free = s->conf->spool.min_free, .read_only = read_only };

	spool_close(s->spool);
	s->spool = NULL;
	return spool_open(&sc, &s->spool, e);
}

/* *ret_first: the number the answer begins with; the rest is left in `out`. An agent that stops or hangs closes in the middle
 * of an answer, and who exports before a purge must not take a part for the whole. */
static int ask_agent(struct source *s, const char *form, int64_t id, struct buf *out, int64_t *ret_first, bool *ret_more,
		     struct err *e)
{
	char question[64];
	unsigned long long length;
	char *end;
	int rc;

	snprintf(question, sizeof question, "rejected %s %" PRId64, form, id);
	buf_clear(out);
	rc = control_ask(s->conf->control, question, out, e);
	if (rc < 0)
		return rc;
	if (out->len > 7 && !memcmp(out->data, "error: ", 7))
		return err_set(e, ERR_UNAVAILABLE, "%.*s", (int)strcspn(out->data + 7, "\n"), out->data + 7);
	*ret_first = strtoll(out->data, &end, 10);
	*ret_more = strtol(end, &end, 10) != 0;
	length = strtoull(end, &end, 10);
	if (*end != '\n')
		return err_set(e, ERR_BAD_DATA, "the agent's answer cannot be read; is it of another version?");
	end++;
	out->len -= (size_t)(end - out->data);
	if (out->len != length)
		return err_set(e, ERR_UNAVAILABLE, "the agent's answer was cut off; what was printed is not all of it");
	memmove(out->data, end, out->len + 1);
	return 0;
}

static const char *const forms[] = { [REJECTED_TEXT] = "text", [REJECTED_JSON] = "json", [REJECTED_LINES] = "lines" };

/* One page behind *after, which moves on. */
static int read_page(struct source *s, enum rejected_form form, int64_t *after, struct buf *out, bool *ret_more, struct err *e)
{
	struct rejected_page page = { .form = form, .after = *after, .out = out };
	int rc;

	if (!s->offline) {
		rc = ask_agent(s, forms[form], *after, out, after, ret_more, e);
		if (rc != ERR_NOT_FOUND)
			return rc;
		s->offline = true;
		rc = open_spool(s, true, e);
		if (rc < 0)
			return rc;
	}
	buf_clear(out);
	rc = rejected_write(s->spool, &page, e);
	*after = page.last;
	*ret_more = page.more;
	return rc;
}

static int print_all(struct source *s, enum rejected_form form, struct err *e)
{
	struct buf out;
	int64_t after = 0;
	bool more = true, first = true;
	int rc = 0;

	buf_init(&out, 64u << 20);
	if (form == REJECTED_TEXT)
		printf("%10s  %-24s %10s  %s  %s\n", "ID", "TIME", "BYTES", "PARTITION", "REASON");
	while (more && rc >= 0) {
		rc = read_page(s, form, &after, &out, &more, e);
		if (rc < 0)
			break;
		if (form == REJECTED_JSON)
			fputs(first ? "[" : out.len ? "," : "", stdout);
		fwrite(out.data ? out.data : "", 1, out.len, stdout);
		first = false;
	}
	if (form == REJECTED_JSON && rc >= 0)
		puts("]");
	buf_release(&out);
	return rc;
}

/* The last id there is now: what comes later was not asked about. */
static int count(struct source *s, int64_t *ret_last, uint64_t *ret_count, struct err *e)
{
	struct buf out;
	bool more = true;
	int rc = 0;

	*ret_last = 0;
	*ret_count = 0;
	buf_init(&out, 64u << 20);
	while (more && rc >= 0) {
		rc = read_page(s, REJECTED_TEXT, ret_last, &out, &more, e);
		for (size_t i = 0; rc >= 0 && i < out.len; i++)
			*ret_count += out.data[i] == '\n';
	}
	buf_release(&out);
	return rc;
}

static int purge_upto(struct source *s, int64_t last, uint64_t *ret_count, struct err *e)
{
	struct buf out;
	int64_t n = 0;
	bool more;
	int rc;

	if (s->offline) {
		rc = open_spool(s, false, e);
		return rc < 0 ? rc : rejected_purge(s->spool, last, ret_count, e);
	}
	buf_init(&out, 1 << 16);
	rc = ask_agent(s, "purge", last, &out, &n, &more, e);
	*ret_count = (uint64_t)n;
	buf_release(&out);
	return rc;
}

static int purge(struct source *s, struct err *e)
{
	char answer[16] = "";
	int64_t last;
	uint64_t n;
	int rc = count(s, &last, &n, e);

	if (rc < 0)
		return rc;
	if (!n) {
		puts("there are no rejected records");
		return 0;
	}
	printf("delete %" PRIu64 " rejected records for good? [y/N] ", n);
	fflush(stdout);
	if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y')) {
		puts("nothing was deleted");
		return 0;
	}
	rc = purge_upto(s, last, &n, e);
	if (rc >= 0)
		printf("%" PRIu64 " rejected records were deleted\n", n);
	return rc;
}

int cmd_rejected(const struct options *o)
{
	const char *word = o->word_count == 1 ? o->words[0] : "";
	bool ls = !strcmp(word, "ls"), export = !strcmp(word, "export");
	struct loaded conf = { 0 };
	struct source s = { 0 };
	struct err e;
	int rc;

	if (!ls && !export && strcmp(word, "purge") != 0) {
		fprintf(stderr, "spillway: spool --rejected takes `ls`, `export` or `purge`; see `spillway help spool`\n");
		return EXIT_USAGE;
	}
	rc = cli_load(o, &conf);
	if (rc)
		return rc;
	s.conf = conf.conf;
	if (export)
		rc = print_all(&s, REJECTED_LINES, &e);
	else if (ls)
		rc = print_all(&s, o->json ? REJECTED_JSON : REJECTED_TEXT, &e);
	else
		rc = purge(&s, &e);
	if (rc < 0)
		fprintf(stderr, "spillway: %s\n", e.text);
	spool_close(s.spool);
	loaded_release(&conf);
	return cli_exit_code(rc);
}
