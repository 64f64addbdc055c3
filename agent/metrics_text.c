/* metrics_text.c - see metrics_text.h. HELP and TYPE stand once before the rows of one name, which come together. */
#include "agent/metrics_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NO_NODE INT32_MIN

static void put_value(struct buf *o, double v)
{
	if (isnan(v))
		buf_puts(o, "NaN\n");
	else if (isinf(v))
		buf_puts(o, v > 0 ? "+Inf\n" : "-Inf\n");
	else if (v == floor(v) && fabs(v) < 1e15)
		buf_printf(o, "%.0f\n", v);
	else
		buf_printf(o, "%.9g\n", v);
}

/* Backslash, quote and line end are escaped. */
static void put_label(struct buf *o, const char *name, const char *value)
{
	buf_printf(o, ",%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			buf_puts(o, "\\n");
		else if (*value == '"' || *value == '\\')
			buf_printf(o, "\\%c", *value);
		else
			buf_put(o, value, 1);
	}
	buf_puts(o, "\"");
}

static void put_labels(const struct metrics_text *t, const struct producer_metric *m, const char *le)
{
	struct buf *o = t->out;
	size_t from;

	buf_puts(o, "{");
	from = o->len;
	put_label(o, "client_id", t->client_id);
	if (m->topic)
		put_label(o, "topic", m->topic);
	if (m->partition >= 0)
		buf_printf(o, ",partition=\"%d\"", m->partition);
	if (m->node != NO_NODE)
		buf_printf(o, ",node_id=\"node-%d\"", m->node);
	if (le)
		buf_printf(o, ",le=\"%s\"", le);
	if (!o->failed) {		/* no comma before the first */
		memmove(o->data + from, o->data + from + 1, o->len - from);
		o->len--;
	}
	buf_puts(o, "} ");
}

static void put_histogram(const struct metrics_text *t, const struct producer_metric *m)
{
	char le[32];

	for (size_t i = 0; i < m->bucket_count; i++) {
		if (isinf(m->bounds[i]))
			snprintf(le, sizeof le, "+Inf");
		else
			snprintf(le, sizeof le, "%g", m->bounds[i]);
		buf_printf(t->out, "%s_bucket", m->name);
		put_labels(t, m, le);
		buf_printf(t->out, "%" PRIu64 "\n", m->counts[i]);
	}
	buf_printf(t->out, "%s_sum", m->name);
	put_labels(t, m, NULL);
	put_value(t->out, m->value);
	buf_printf(t->out, "%s_count", m->name);
	put_labels(t, m, NULL);
	buf_printf(t->out, "%" PRIu64 "\n", m->counts[m->bucket_count - 1]);
}

void metrics_text_put(void *arg, const struct producer_metric *m)
{
	static const char *const kinds[] = {
		[PRODUCER_COUNTER] = "counter", [PRODUCER_GAUGE] = "gauge", [PRODUCER_HISTOGRAM] = "histogram",
	};
	struct metrics_text *t = arg;

	if (!t->last || strcmp(t->last, m->name) != 0)
		buf_printf(t->out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, kinds[m->kind]);
	t->last = m->name;
	if (m->kind == PRODUCER_HISTOGRAM) {
		put_histogram(t, m);
		return;
	}
	buf_puts(t->out, m->name);
	put_labels(t, m, NULL);
	put_value(t->out, m->value);
}

int metrics_text_all(struct producer *p, struct producer_config *c, struct buf *out)
{
	struct metrics_text t = { .out = out, .client_id = producer_config_get(c, "client.id") };

	return producer_metrics(p, metrics_text_put, &t);
}
