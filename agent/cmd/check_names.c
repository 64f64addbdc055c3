/* check_names.c - see check_names.h.
 *
 * Why by the files that are there: a template such as %{file} stands for one topic a file, and these are the ones of today.
 */
#include "agent/cmd/check_names.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/record/glob.h"
#include "conf/template.h"

struct naming {
	struct check_names *to;
	const struct conf_input *in;
	size_t input;
	struct conf_strings exclude;
	char   host[256];
	check_unknown_fn *fn;
	void  *arg;
};

static void add(struct naming *x, const char *topic)
{
	struct check_names *to = x->to;
	struct check_name *v;

	for (size_t i = 0; i < to->n; i++)
		if (!strcmp(to->v[i].topic, topic))
			return;
	if (to->n == CHECK_TOPICS_MAX) {
		to->left_out++;
		return;
	}
	v = mem_grow(to->v, to->n, sizeof *v);
	if (v) {
		to->v = v;
		v[to->n] = (struct check_name){ mem_strdup(topic), x->input };
	}
	if (v && v[to->n].topic)
		to->n++;
	else
		to->nomem = true;
}

static void expand(struct naming *x, const char *path)
{
	struct template_values v = { .path = path, .host = x->host, .input = x->in->name, .offset = -1 };
	char words[400];
	struct buf out;
	int rc;

	buf_init(&out, 4096);
	rc = template_expand_topic(x->in->topic, &v, &out);
	if (rc == 0) {
		add(x, out.data);
	} else {
		snprintf(words, sizeof words, "topic %.100s makes no legal name%s%.200s", x->in->topic, path ? " of " : "",
			 path ? path : "");
		x->fn(x->arg, x->in, words);
	}
	buf_release(&out);
}

static void on_file(void *arg, const char *path)
{
	struct naming *x = arg;

	for (size_t i = 0; i < x->exclude.n; i++)
		if (glob_excludes(x->exclude.v[i], path))
			return;
	expand(x, path);
}

static void on_dir(void *arg, const char *path)
{
	(void)arg, (void)path;
}

static void on_failed(void *arg, const char *path, int rc)
{
	(void)arg, (void)path, (void)rc;	/* said with the files */
}

static void of_files(struct naming *x)
{
	struct glob_visitor v = { .arg = x, .dir = on_dir, .file = on_file, .failed = on_failed };
	struct conf_strings all = { 0 };

	for (size_t i = 0; i < x->in->exclude.n; i++)
		glob_expand_exclude(x->in->exclude.v[i], "/", &x->exclude);
	for (size_t i = 0; i < x->in->paths.n; i++)
		glob_expand(x->in->paths.v[i], "/", &all);
	for (size_t i = 0; i < all.n; i++)
		glob_walk(all.v[i], &v);
	glob_strings_release(&all);
	glob_strings_release(&x->exclude);
}

/* What lines decide: only what is allowed by name is known. */
static void of_lines(struct naming *x)
{
	const struct conf_strings *allowed = &x->in->topics_allowed;
	char words[400];

	for (size_t i = 0; i < allowed->n; i++)
		if (template_topic_legal(allowed->v[i]))
			add(x, allowed->v[i]);
	snprintf(words, sizeof words, "topic %.200s is made of the lines: which ones there will be cannot be known",
	x->in->topic);
	x->fn(x->arg, x->in, words);
}

static bool of_the_file(const char *tpl)
{
	return strstr(tpl, "%{path") || strstr(tpl, "%{file}") || strstr(tpl, "%{dir");
}

void check_names(const struct conf *conf, struct check_names *ret, check_unknown_fn *fn, void *arg)
{
	struct naming x = { .to = ret, .fn = fn, .arg = arg };

	*ret = (struct check_names){ 0 };
	gethostname(x.host, sizeof x.host - 1);
	for (size_t i = 0; i < conf->input_count; i++) {
		x.in = &conf->inputs[i];
		x.input = i;
		if (template_per_record(x.in->topic, false))
			of_lines(&x);
		else if (x.in->type == CONF_TYPE_FILE && of_the_file(x.in->topic))
			of_files(&x);
		else
			expand(&x, NULL);
	}
}

void check_names_release(struct check_names *n)
{
	for (size_t i = 0; i < n->n; i++)
		mem_free(n->v[i].topic);
	mem_free(n->v);
	*n = (struct check_names){ 0 };
}
