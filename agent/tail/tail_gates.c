/* tail_gates.c - directories on network file systems, and whether they may be touched now.
 *
 * Why: a system call on a hanging server does not come back, and this thread has the local files as well. So nothing below such
 * a directory is touched but within GATE_MS after its probe (probe.h), on a thread of its own, got an answer: a server that
 * hangs most likely catches the probe. Each walk asks; the answer wakes this thread, which then walks there and reads.
 *
 * A gate is the part of a pattern before its first wildcard. Until it answered for the first time nobody knows where it is. The
 * first walk waits for that: what it has to leave out begins as nothing else does (`read_from: end` is not kept, and a file that
 * was rotated while nobody ran is not looked for), and a busy machine or a disk at boot may take its time to say "local".
 * Servers that hang cost `pace.gate` then, all of them together.
 * Threads: tail. Failure: no memory for a gate: its directory is taken for a local one.
 */
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/tail/probe.h"
#include "agent/tail/tail_inside.h"

#define GATE_MS 200
#define SOON_MS 20
#define SILENT_MS 3000			/* a server that takes longer is said to hang */

struct gate {
	struct list node;
	struct tail *tail;
	struct probe *probe;		/* NULL: local for certain */
	char  *dir;
	size_t  len;
	int64_t walked_ms;		/* the answer after which it was walked last */
	bool    silent;			/* said so */
};

static void answered(void *arg)
{
	loop_wake(&((struct gate *)arg)->tail->loop);
}

static struct gate *gate_of_dir(const struct tail *t, const char *dir, size_t len)
{
	list_each(it, &t->gates) {
		struct gate *g = list_entry(it, struct gate, node);

		if (g->len == len && !memcmp(g->dir, dir, len))
			return g;
	}
	return NULL;
}

void gates_add(struct tail *t, const char *pattern)
{
	size_t len = strcspn(pattern, "*?[\\");
	struct gate *g;

	while (len > 1 && pattern[len - 1] != '/')
		len--;
	len -= len > 1;
	if (gate_of_dir(t, pattern, len))
		return;
	g = mem_new(struct gate);
	if (!g)
		return;
	*g = (struct gate){ .tail = t, .dir = mem_printf("%.*s", (int)len, pattern), .len = len };
	if (!g->dir || probe_open(g->dir, answered, g, &g->probe) < 0) {
		mem_free(g->dir);
		mem_free(g);
		return;
	}
	list_push_back(&t->gates, &g->node);
}

/* The innermost one. */
static struct gate *gate_of(const struct tail *t, const char *path)
{
	struct gate *best = NULL;

	list_each(it, &t->gates) {
		struct gate *g = list_entry(it, struct gate, node);

		if (g->probe && !strncmp(path, g->dir, g->len) && (path[g->len] == '/' || !path[g->len] || g->len == 1) &&
		    (!best || g->len > best->len))
			best = g;
	}
	return best;
}

static bool is_open(const struct probe_answer *a)
{
	return a->answered_ms && !a->asked_ms && (!a->remote || clock_mono_ms() - a->answered_ms <= GATE_MS);
}

bool gates_pass(const struct tail *t, const char *path)
{
	struct gate *g = gate_of(t, path);
	struct probe_answer a;

	if (!g)
		return true;
	probe_look(g->probe, &a);
	if (!is_open(&a))
		probe_ask(g->probe);		/* its answer makes a walk */
	return is_open(&a);
}

bool gates_pass_soon(const struct tail *t, const char *path)
{
	struct gate *g = gate_of(t, path);

	if (gates_pass(t, path))
		return true;
	probe_wait(g->probe, SOON_MS);
	return gates_pass(t, path);
}

/* Whether it is still to be asked. A local directory is not: whoever mounts something over it later has no gate. */
static bool settle(struct tail *t, struct gate *g, struct probe_answer *ret)
{
	if (!g->probe)
		return false;
	probe_look(g->probe, ret);
	if (!ret->answered_ms || ret->remote)
		return true;
	probe_close(g->probe);
	g->probe = NULL;
	t->rewalk |= t->round > 0;		/* it was left out until now */
	return false;
}

void gates_say(struct tail *t)
{
	struct probe_answer a;
	bool silent;

	list_each(it, &t->gates) {
		struct gate *g = list_entry(it, struct gate, node);

		if (!settle(t, g, &a))
			continue;
		t->polling = true;
		silent = a.asked_ms && clock_mono_ms() - a.asked_ms > SILENT_MS;
		if (silent)
			notes_say(t, g->dir, "network file system does not answer, its files wait", 0);
		else if (g->silent)
			log_info("network file system answers again", KS("path", g->dir));
		g->silent = silent;
	}
}

bool gates_ask(struct tail *t)
{
	bool all = true, some = false;
	struct probe_answer a;

	list_each(it, &t->gates) {
		struct gate *g = list_entry(it, struct gate, node);

		if (!settle(t, g, &a))
			continue;
		some = true;
		all &= !a.asked_ms;
		probe_ask(g->probe);
	}
	return some && all;
}

bool gates_answered(struct tail *t)
{
	struct probe_answer a;
	bool fresh = false;

	list_each(it, &t->gates) {
		struct gate *g = list_entry(it, struct gate, node);

		if (!settle(t, g, &a) || a.answered_ms <= g->walked_ms)
			continue;
		g->walked_ms = a.answered_ms;
		fresh = true;
	}
	return fresh;
}

void gates_wait(struct tail *t)
{
	int64_t until = clock_mono_ms() + t->pace.gate;
	struct probe_answer a;

	list_each(it, &t->gates) {
		struct gate *g = list_entry(it, struct gate, node);

		if (g->probe)
			probe_look(g->probe, &a);
		if (g->probe && !a.answered_ms)
			probe_wait(g->probe, until - clock_mono_ms());
		if (settle(t, g, &a))
			g->walked_ms = a.answered_ms;
	}
}

void gates_release(struct tail *t)
{
	struct gate *g;

	while ((g = list_first(&t->gates, struct gate, node))) {
		list_remove(&g->node);
		probe_close(g->probe);
		mem_free(g->dir);
		mem_free(g);
	}
}
