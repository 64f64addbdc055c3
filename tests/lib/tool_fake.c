/* tool_fake.c - the fake broker as a process, for scenarios and for hands.
 *
 *	tool_fake PROFILE NODES PARTITIONS
 *
 * Prints the ports of its nodes, one blank between; then each line of stdin is a command of the table below and gets one
 * line of answer: "ok [VALUE]" or "error WORDS". It ends with stdin. tests/lib/fake.py is its other side.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fakebroker.h"

#define WORDS_MAX 7

struct line { struct fake *f; int n; char *word[WORDS_MAX]; };

static long long number(const struct line *l, int i)
{
	return strtoll(l->word[i], NULL, 10);
}

#define NUMBER(i) ((int)number(l, (i)))

static void ok(void)
{
	printf("ok\n");
}

static void do_down(const struct line *l) { fake_down(l->f, NUMBER(1)); ok(); }
static void do_up(const struct line *l) { fake_up(l->f, NUMBER(1)); ok(); }
static void do_mute(const struct line *l) { fake_mute(l->f, NUMBER(1), NUMBER(2) != 0); ok(); }
static void do_lead(const struct line *l) { fake_lead(l->f, NUMBER(1), NUMBER(2)); ok(); }
static void do_reload(const struct line *l) { fake_reload_replay(l->f, NUMBER(1)); ok(); }
static void do_forget(const struct line *l) { fake_forget(l->f); ok(); }
static void do_expiry(const struct line *l) { fake_set_expiry(l->f, number(l, 1), number(l, 2)); ok(); }
static void do_advance(const struct line *l) { fake_advance(l->f, number(l, 1)); ok(); }
static void do_isr(const struct line *l) { fake_set_isr(l->f, NUMBER(1), NUMBER(2)); ok(); }
static void do_heal(const struct line *l) { fake_heal(l->f); ok(); }
static void do_recreate(const struct line *l) { fake_recreate_topic(l->f, l->word[1]); ok(); }
static void do_topic_error(const struct line *l) { fake_topic_error(l->f, l->word[1], (int16_t)number(l, 2)); ok(); }

static void do_deny(const struct line *l) { fake_deny_read(l->f, l->word[1], NUMBER(2) != 0); ok(); }
static void do_hide(const struct line *l) { fake_hide_api(l->f, NUMBER(1), NUMBER(2) != 0); ok(); }
static void do_delete(const struct line *l) { fake_delete_records(l->f, l->word[1], NUMBER(2), number(l, 3)); ok(); }

static void do_foreign(const struct line *l)
{
	printf("ok %d\n", fake_foreign_batch(l->f, l->word[1], NUMBER(2), number(l, 3), (int16_t)number(l, 4), NUMBER(5),
					     NUMBER(6)));
}

static void do_set(const struct line *l)
{
	printf(fake_topic_set(l->f, l->word[1], l->word[2], number(l, 3)) ? "ok\n" : "error no such key\n");
}

static void do_fault(const struct line *l)
{
	enum fault_kind kind;

	if (!fake_fault_named(l->word[2], &kind)) {
		printf("error no such fault\n");
		return;
	}
	if (!strcmp(l->word[0], "fault"))
		fake_fault(l->f, NUMBER(1), kind, NUMBER(3), NUMBER(4));
	else
		fake_fault_api(l->f, NUMBER(1), kind, NUMBER(3), NUMBER(4));
	ok();
}

static void do_records(const struct line *l)
{
	printf("ok %zu\n", fake_records(l->f, l->word[1], NUMBER(2)));
}

static void do_answers(const struct line *l)
{
	printf("ok %llu\n", (unsigned long long)fake_code_answers(l->f, (int16_t)number(l, 1)));
}

static void do_version(const struct line *l)
{
	printf("ok %d\n", fake_last_version(l->f, NUMBER(1)));
}

/* "partition offset value" for each record. */
static void do_dump(const struct line *l)
{
	FILE *out = fopen(l->word[3], "w");
	int partitions = NUMBER(2);

	if (!out) {
		printf("error cannot write %s\n", l->word[3]);
		return;
	}
	for (int p = 0; p < partitions; p++)
		for (size_t i = 0, n = fake_records(l->f, l->word[1], p); i < n; i++)
			fprintf(out, "%d %zu %s\n", p, i, fake_record(l->f, l->word[1], p, i));
	printf(fclose(out) ? "error cannot write\n" : "ok\n");
}

static const struct { const char *name; int words; void (*run)(const struct line *l); } commands[] = {
	{ "down", 2, do_down },			/* NODE */
	{ "up", 2, do_up },			/* NODE */
	{ "mute", 3, do_mute },			/* NODE 0|1 */
	{ "lead", 3, do_lead },			/* PARTITION NODE */
	{ "reload", 2, do_reload },		/* BATCHES that are remembered of each producer */
	{ "forget", 1, do_forget },
	{ "expiry", 3, do_expiry },		/* MS, MS between two looks */
	{ "advance", 2, do_advance },		/* MS */
	{ "isr", 3, do_isr },			/* BEFORE AFTER an append */
	{ "recreate", 2, do_recreate },		/* TOPIC */
	{ "topic-error", 3, do_topic_error },	/* TOPIC CODE */
	{ "set", 4, do_set },			/* TOPIC KEY VALUE */
	{ "deny-read", 3, do_deny },		/* TOPIC 0|1 */
	{ "hide-api", 3, do_hide },		/* API 0|1 */
	{ "delete-records", 4, do_delete },	/* TOPIC PARTITION BEFORE */
	{ "foreign-batch", 7, do_foreign },	/* TOPIC PARTITION ID EPOCH SEQUENCE COUNT */
	{ "fault", 5, do_fault },		/* PARTITION KIND VALUE TIMES */
	{ "fault-api", 5, do_fault },		/* API KIND VALUE TIMES */
	{ "heal", 1, do_heal },
	{ "records", 3, do_records },		/* TOPIC PARTITION|-1 */
	{ "answers", 2, do_answers },		/* CODE */
	{ "version", 2, do_version },		/* API */
	{ "dump", 4, do_dump },			/* TOPIC PARTITIONS FILE */
};

static void obey(struct line *l, char *text)
{
	char *rest;

	text[strcspn(text, "\n")] = 0;
	for (char *w = strtok_r(text, " ", &rest); w && l->n < WORDS_MAX; w = strtok_r(NULL, " ", &rest))
		l->word[l->n++] = w;
	for (size_t i = 0; i < sizeof commands / sizeof commands[0] && l->n; i++)
		if (!strcmp(commands[i].name, l->word[0]) && commands[i].words == l->n) {
			commands[i].run(l);
			return;
		}
	printf("error no such command\n");
}

int main(int argc, char **argv)
{
	int nodes = argc == 4 ? (int)strtol(argv[2], NULL, 10) : 0, partitions = argc == 4 ? (int)strtol(argv[3], NULL, 10) : 0;
	struct fake *f = nodes > 0 && partitions > 0 ? fake_open_profile(argv[1], nodes, partitions) : NULL;
	char *text = NULL;
	size_t cap = 0;

	if (!f) {
		fprintf(stderr, "usage: tool_fake 2.1|2.4|2.8|3.9|4.1 NODES PARTITIONS\n");
		return 64;
	}
	for (int i = 0; i < nodes; i++)
		printf("%d%c", fake_port(f, i), i == nodes - 1 ? '\n' : ' ');
	fflush(stdout);
	while (getline(&text, &cap, stdin) >= 0) {
		obey(&(struct line){ .f = f }, text);
		fflush(stdout);
	}
	free(text);
	fake_close(f);
	return 0;
}
