/* reload_compare.c - see reload_compare.h.
 *
 * Two inputs are compared by what they print as: the same table that reads the keys prints them, so none is forgotten.
 */
#include "agent/reload_compare.h"

#include <string.h>

#include "agent/base/mem.h"

#define PRINT_MAX (4u << 20)

static void add_name(struct buf *names, const char *name)
{
	buf_printf(names, "%s%s", names->len ? ", " : "", name);
}

/* --- the producer's keys --- */

/* producer_reload takes the first over, recipes the others. */
static bool is_taken_over(const char *name)
{
	return !strcmp(name, "bootstrap.servers") || !strcmp(name, "security.protocol") || !strncmp(name, "ssl.", 4) ||
	       !strncmp(name, "sasl.", 5) || !strcmp(name, "interceptor.classes") || !strcmp(name, "key.serializer") ||
	       !strcmp(name, "value.serializer");
}

/* producer_config_get's answer lives until its next call. */
static int set_back_key(const struct loaded *a, const struct loaded *b, const char *name, struct buf *names, struct err *ret_err)
{
	const char *value = producer_config_get(a->producer, name), *fresh;
	char *old = value ? mem_strdup(value) : NULL;
	struct producer_error e;
	int rc = 0;

	if (value && !old)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	fresh = old ? producer_config_get(b->producer, name) : NULL;
	if (fresh && strcmp(old, fresh) != 0) {
		add_name(names, name);
		rc = producer_config_set(b->producer, name, old, &e);
	}
	mem_free(old);
	return rc < 0 ? err_set(ret_err, load_producer_error(rc), "%s", e.text) : 0;
}

static int set_back_producer(const struct loaded *a, const struct loaded *b, struct buf *names, struct err *ret_err)
{
	const char *name;
	int rc = 0;

	for (size_t i = 0; rc == 0 && (name = producer_config_name(i)); i++)
		if (!is_taken_over(name))
			rc = set_back_key(a, b, name, names, ret_err);
	return rc;
}

/* --- the other sections --- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static int set_back_text(const char *name, char *a, char **b, struct buf *names, struct err *ret_err)
{
	char *copy = a ? mem_strdup(a) : NULL;

	if (a && !copy)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	if (!same_text(a, *b))
		add_name(names, name);
	mem_free(*b);
	*b = copy;
	return 0;
}

static void set_back_numbers(const struct conf *a, struct conf *b, struct buf *names)
{
	const struct { const char *name; bool differs; } table[] = {
		{ "delivery", a->delivery != b->delivery },
		{ "threads.compress", a->compress_threads != b->compress_threads },
		{ "spool.max_size", a->spool.max_size != b->spool.max_size },
		{ "spool.min_free", a->spool.min_free != b->spool.min_free },
		{ "spool.when_full", a->spool.when_full != b->spool.when_full },
		{ "spool.sync", a->spool.sync != b->spool.sync },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].differs)
			add_name(names, table[i].name);
	b->delivery = a->delivery;
	b->compress_threads = a->compress_threads;
	b->spool = a->spool;
}

int reload_set_back(const struct loaded *running, struct loaded *fresh, struct buf *names, struct err *ret_err)
{
	struct conf *a = running->conf, *b = fresh->conf;
	int rc = set_back_text("state_dir", a->state_dir, &b->state_dir, names, ret_err);

	if (rc == 0)
		rc = set_back_text("control", a->control, &b->control, names, ret_err);
	if (rc == 0)
		rc = set_back_text("metrics.listen", a->metrics_listen, &b->metrics_listen, names, ret_err);
	if (rc == 0)
		set_back_numbers(a, b, names);
	if (rc == 0)
		rc = set_back_producer(running, fresh, names, ret_err);
	return rc == 0 && names->failed ? err_set(ret_err, ERR_NOMEM, "out of memory") : rc;
}

/* --- inputs --- */

/* Nothing is hidden in it: it is not shown to anyone. */
static void print_input(const struct conf *base, struct conf_input *in, struct buf *out)
{
	struct conf c = *base;

	c.inputs = in;
	c.input_count = 1;
	c.masked = NULL;
	c.masked_count = 0;
	conf_print(&c, out);
}

static bool same_input(const struct conf *base, struct conf_input *a, struct conf_input *b)
{
	struct buf x, y;
	bool same;

	buf_init(&x, PRINT_MAX);
	buf_init(&y, PRINT_MAX);
	print_input(base, a, &x);
	print_input(base, b, &y);
	same = a->max_line == b->max_line && a->multiline.max_bytes == b->multiline.max_bytes && !x.failed && !y.failed &&
	       x.len == y.len && !memcmp(x.data, y.data, x.len);
	buf_release(&x);
	buf_release(&y);
	return same;
}

static size_t find_name(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->input_count; i++)
		if (!strcmp(c->inputs[i].name, name))
			return i;
	return SIZE_MAX;
}

/* The key of a template is a route's, and not in the spec. */
static bool same_key_serializer(const struct loaded *a, const struct loaded *b)
{
	const char *s = producer_config_get(a->producer, "key.serializer");
	char *old = s ? mem_strdup(s) : NULL;
	bool same = same_text(old, producer_config_get(b->producer, "key.serializer"));

	mem_free(old);
	return same;
}

size_t *reload_match(const struct loaded *running, char *const *specs, const struct loaded *fresh, char *const *fresh_specs)
{
	const struct conf *a = running->conf, *b = fresh->conf;
	size_t *was = mem_array(size_t, b->input_count + 1);
	bool same_keys = same_key_serializer(running, fresh);

	for (size_t i = 0; was && i < b->input_count; i++) {
		size_t k = find_name(a, b->inputs[i].name);
		bool same = k != SIZE_MAX && (same_keys || !b->inputs[i].key) && same_text(specs[k], fresh_specs[i]) &&
			    same_input(a, &a->inputs[k], &b->inputs[i]);

		was[i] = same ? k : SIZE_MAX;
	}
	return was;
}
