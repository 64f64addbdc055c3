/* metrics_text.c - see metrics_text.h. HELP and TYPE stand once before the rows of one name, which come together. */
#include "agent/metrics_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NO_NODE    INT32_MIN
#define LABELS_MAX 4

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

/* Backslash, quote and line end are escaped. Names of files may be no UTF-8, which is all that is taken: their bytes are shown. */
static void put_label(struct buf *o, const char *name, const char *value)
{
	bool utf8 = buf_is_utf8(value, strlen(value));

	buf_printf(o, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			buf_puts(o, "\\n");
		else if (*value == '"' || *value == '\\')
			buf_printf(o, "\\%c", *value);
		else if ((unsigned char)*value >= 0x80 && !utf8)
			buf_printf(o, "\\\\x%02x", (unsigned char)*value);
		else
			buf_put(o, value, 1);
	}
	buf_puts(o, "\"");
}

static void put_labels(struct buf *o, const struct metrics_label *labels, size_t n, const char *le)
{
	if (!n && !le) {
		buf_puts(o, " ");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		buf_puts(o, i ? "," : "{");
		put_label(o, labels[i].name, labels[i].value);
	}
	if (le)
		buf_printf(o, "%sle=\"%s\"", n ? "," : "{", le);
	buf_puts(o, "} ");
}

static bool ends_with(const char *s, size_t n, const char *end)
{
	size_t m = strlen(end);

	return n > m && !memcmp(s + n - m, end, m);
}

/* OpenMetrics calls a counter by its name without _total, and wants to know the unit. */
static void put_head(struct metrics_text *t, enum producer_metric_kind kind, const char *name, const char *help)
{
	static const char *const kinds[] = {
		[PRODUCER_COUNTER] = "counter", [PRODUCER_GAUGE] = "gauge", [PRODUCER_HISTOGRAM] = "histogram",
	};
	static const char *const units[] = { "seconds", "bytes" };
	size_t n = strlen(name);
	int len;

	if (t->last && !strcmp(t->last, name))
		return;
	t->last = name;
	if (t->open && kind == PRODUCER_COUNTER && ends_with(name, n, "_total"))
		n -= strlen("_total");
	len = (int)n;
	buf_printf(t->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", len, name, help, len, name, kinds[kind]);
	for (size_t i = 0; t->open && i < sizeof units / sizeof units[0]; i++)
		if (ends_with(name, n, units[i]) && name[n - strlen(units[i]) - 1] == '_')
			buf_printf(t->out, "# UNIT %.*s %s\n", len, name, units[i]);
}

void metrics_text_row(struct metrics_text *t, enum producer_metric_kind kind, const char *name, const char *help,
		      const struct metrics_label *labels, size_t n, double value)
{
	put_head(t, kind, name, help);
	buf_puts(t->out, name);
	put_labels(t->out, labels, n, NULL);
	put_value(t->out, value);
}

void metrics_text_histogram(struct metrics_text *t, const char *name, const char *help, const struct metrics_label *labels,
			    size_t n, const double *bounds, const uint64_t *counts, size_t buckets, double sum)
{
	char le[32];

	put_head(t, PRODUCER_HISTOGRAM, name, help);
	for (size_t i = 0; i < buckets; i++) {
		bool whole = bounds[i] == floor(bounds[i]);

		if (isinf(bounds[i]))
			snprintf(le, sizeof le, "+Inf");
		else
			snprintf(le, sizeof le, t->open && whole ? "%.1f" : "%g", bounds[i]);
		buf_printf(t->out, "%s_bucket", name);
		put_labels(t->out, labels, n, le);
		buf_printf(t->out, "%" PRIu64 "\n", counts[i]);
	}
	buf_printf(t->out, "%s_sum", name);
	put_labels(t->out, labels, n, NULL);
	put_value(t->out, sum);
	buf_printf(t->out, "%s_count", name);
	put_labels(t->out, labels, n, NULL);
	buf_printf(t->out, "%" PRIu64 "\n", counts[buckets - 1]);
}

void metrics_text_end(struct metrics_text *t)
{
	if (t->open)
		buf_puts(t->out, "# EOF\n");
}

/* --- the producer's --- */

void metrics_text_put(void *arg, const struct producer_metric *m)
{
	struct metrics_label labels[LABELS_MAX];
	struct metrics_text *t = arg;
	char partition[16], node[24];
	size_t n = 0;

	labels[n++] = (struct metrics_label){ "client_id", t->client_id };
	if (m->topic)
		labels[n++] = (struct metrics_label){ "topic", m->topic };
	if (m->partition >= 0) {
		snprintf(partition, sizeof partition, "%d", m->partition);
		labels[n++] = (struct metrics_label){ "partition", partition };
	}
	if (m->node != NO_NODE) {
		snprintf(node, sizeof node, "node-%d", m->node);
		labels[n++] = (struct metrics_label){ "node_id", node };
	}
	if (m->kind == PRODUCER_HISTOGRAM)
		metrics_text_histogram(t, m->name, m->help, labels, n, m->bounds, m->counts, m->bucket_count, m->value);
	else
		metrics_text_row(t, m->kind, m->name, m->help, labels, n, m->value);
}

int metrics_text_all(struct producer *p, struct producer_config *c, struct buf *out)
{
	struct metrics_text t = { .out = out, .client_id = producer_config_get(c, "client.id") };

	return producer_metrics(p, metrics_text_put, &t);
}
