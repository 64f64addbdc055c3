/* cmd_spool.c - `spool ls|export|verify|purge` and `losses`: the running agent is asked; with none, the state directory is
 * read, or changed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/cmd/cli.h"
#include "agent/purge.h"
#include "agent/cmd/source.h"
#include "agent/record/text_json.h"

struct job { const struct options *o; struct source source; int rc; };

static enum page_form form_of(const struct options *o)
{
	return o->json ? PAGE_JSON : PAGE_TEXT;
}

static int ls(struct job *j, struct err *e)
{
	bool notes;

	return source_print(&j->source, j->o->rejected ? PAGE_REJECTED : PAGE_ROWS, form_of(j->o), &notes, e);
}

static int export(struct job *j, struct err *e)
{
	bool notes;
	int rc = source_print(&j->source, j->o->rejected ? PAGE_REJECTED : PAGE_RECORDS, PAGE_LINES, &notes, e);

	if (rc >= 0 && notes)
		rc = err_set(e, ERR_BAD_DATA, "some rows are damaged; all others were exported");
	return rc;
}

/* --- verify --- */

struct printing { bool json; uint64_t count; struct buf out; };

static void print_finding(void *arg, int64_t row_id, const char *what)
{
	struct printing *p = arg;

	buf_clear(&p->out);
	if (p->json) {
		buf_puts(&p->out, p->count ? ",{\"row\":" : "[{\"row\":");
		buf_printf(&p->out, row_id ? "%" PRId64 : "null", row_id);
		json_put_text(&p->out, "finding", what);
		buf_puts(&p->out, "}");
	} else {
		buf_printf(&p->out, "%s\n", what);
	}
	fputs(p->out.data ? p->out.data : "", stdout);
	p->count++;
}

static int verify_all(struct job *j, struct err *e)
{
	struct printing p = { .json = j->o->json };
	int rc = source_spool(&j->source, true, e);

	if (rc < 0)
		return rc;
	buf_init(&p.out, 1 << 16);
	rc = spool_verify(j->source.spool, print_finding, &p, e);
	buf_release(&p.out);
	if (p.json && (rc >= 0 || p.count))
		puts(p.count ? "]" : "[]");
	if (!p.json && rc >= 0)
		puts("sound: SQLite's structure, every row and record, counters, positions");
	return rc;
}

static int verify(struct job *j, struct err *e)
{
	struct page p = { .form = form_of(j->o), .more = true };
	uint64_t count = 0;
	char question[96];
	int rc = 0;

	while (p.more) {
		snprintf(question, sizeof question, "page %s %s %" PRId64 " %" PRIu32, page_kind_name(PAGE_FINDINGS),
			 page_form_name(p.form), p.after, p.within);
		rc = source_ask(&j->source, question, &p, e);
		if (rc == ERR_NOT_FOUND && !p.after && !p.within)
			return verify_all(j, e);
		if (rc < 0)
			return rc;
		if (p.form == PAGE_JSON && p.count)
			putchar(count ? ',' : '[');
		fwrite(j->source.out.data, 1, j->source.out.len, stdout);
		count += p.count;
	}
	if (p.form == PAGE_JSON)
		puts(count ? "]" : "[]");
	else if (!count)
		puts("sound: every row and record; counters and SQLite's structure are looked at when no agent runs");
	return count ? err_set(e, ERR_BAD_DATA, "%" PRIu64 " findings", count) : 0;
}

/* --- purge --- */

struct total { uint64_t things, records, kept; };

/* What there is now, and the last id of it: what comes later was not asked about. */
static int count(struct source *s, enum page_kind kind, int64_t *ret_last, struct total *ret, struct err *e)
{
	struct page p = { .form = PAGE_JSON, .more = true };

	*ret = (struct total){ 0 };
	while (p.more) {
		int rc = source_page(s, kind, &p, e);

		if (rc < 0)
			return rc;
		ret->things += p.count;
		ret->records += p.records;
	}
	*ret_last = p.after;
	return 0;
}

static int slice(struct source *s, bool rejected, struct purge *p, struct err *e)
{
	struct page answer = { 0 };
	char question[96];
	int rc;

	if (s->offline)
		return rejected ? purge_rejected(s->spool, p, e) : purge_rows(s->spool, NULL, p, e);
	snprintf(question, sizeof question, "purge %s %" PRId64 " %" PRId64, rejected ? "rejected" : "rows", p->after, p->upto);
	rc = source_ask(s, question, &answer, e);
	p->after = answer.after;
	p->more = answer.more;
	p->things = answer.count;
	p->records = answer.records;
	p->kept = answer.within;
	return rc;
}

/* Room on the disk is what people purge for. */
static int give_back(struct spool *s, struct err *e)
{
	bool more = true;
	int rc = 0;

	while (rc >= 0 && more)
		rc = spool_idle(s, &more, e);
	return rc;
}

static int purge_upto(struct source *s, bool rejected, int64_t last, struct total *ret, struct err *e)
{
	struct purge p = { .upto = last, .more = true };
	int rc = s->offline ? source_spool(s, false, e) : 0;

	*ret = (struct total){ 0 };
	while (rc >= 0 && p.more) {
		rc = slice(s, rejected, &p, e);
		if (rc < 0)
			break;
		ret->things += p.things;
		ret->records += p.records;
		ret->kept += p.kept;
	}
	return rc >= 0 && s->offline ? give_back(s->spool, e) : rc;
}

static bool agreed(void)
{
	char answer[16] = "";

	fflush(stdout);
	if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return true;
	puts("nothing was deleted");
	return false;
}

static void say_purged(bool rejected, const struct total *t)
{
	if (rejected)
		printf("%" PRIu64 " rejected records were deleted\n", t->things);
	else
		printf("%" PRIu64 " spooled batches with %" PRIu64 " records were given up; `spillway losses` lists their lines\n",
		       t->things, t->records);
	if (t->kept)
		printf("%" PRIu64 " batches stay: they are on their way to Kafka\n", t->kept);
}

static int purge(struct job *j, struct err *e)
{
	bool rejected = j->o->rejected;
	struct total t;
	int64_t last;
	int rc = count(&j->source, rejected ? PAGE_REJECTED : PAGE_ROWS, &last, &t, e);

	if (rc < 0)
		return rc;
	if (!t.things) {
		puts(rejected ? "there are no rejected records" : "the spool is empty");
		return 0;
	}
	if (rejected)
		printf("delete %" PRIu64 " rejected records for good? [y/N] ", t.things);
	else
		printf("give up %" PRIu64 " spooled batches with %" PRIu64 " records for good? Nobody sends them then. [y/N] ",
		       t.things, t.records);
	if (!agreed())
		return 0;
	rc = purge_upto(&j->source, rejected, last, &t, e);
	if (rc >= 0 || t.things)
		say_purged(rejected, &t);
	return rc;
}

/* --- the commands --- */

static int losses(struct job *j, struct err *e)
{
	bool notes;

	return source_print(&j->source, PAGE_LOSSES, form_of(j->o), &notes, e);
}

static int run(const struct options *o, int (*fn)(struct job *j, struct err *e))
{
	struct loaded conf = { 0 };
	struct job j = { .o = o };
	struct err e;
	int rc = cli_load(o, &conf);

	if (rc)
		return rc;
	source_open(&j.source, conf.conf);
	rc = fn(&j, &e);
	if (rc < 0) {
		fflush(stdout);
		fprintf(stderr, "spillway: %s\n", e.text);
	}
	source_close(&j.source);
	loaded_release(&conf);
	return cli_exit_code(rc);
}

static const struct { const char *word; bool rejected; int (*fn)(struct job *j, struct err *e); } words[] = {
	{ "ls", true, ls }, { "export", true, export }, { "purge", true, purge },
	{ "verify", false, verify },		/* looks at rejected records too */
};

int cmd_spool(const struct options *o)
{
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (o->word_count == 1 && !strcmp(o->words[0], words[i].word) && (words[i].rejected || !o->rejected))
			return run(o, words[i].fn);
	fprintf(stderr, "spillway: spool takes `ls`, `export`, `verify` or `purge`, all but `verify` with --rejected too; "
		"see `spillway help spool`\n");
	return EXIT_USAGE;
}

int cmd_losses(const struct options *o)
{
	return run(o, losses);
}
