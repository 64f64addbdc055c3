/* load.c - reads the configuration; `run` and `check` both come through here, so what check accepts run accepts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/units.h"
#include "agent/record/glob.h"
#include "agent/load.h"
#include "agent/record/recipe.h"
#include "conf/template.h"
#include "producer/config.h"

/* What a record adds to its line, at most: record overhead (21), key, batch header (61), with room for the request. */
#define RECORD_OVERHEAD 512
#define HEADER_OVERHEAD 10		/* the lengths of its two parts */
#define EVENT_TIME_BYTES 64		/* the header event_time */
#define EXPANDED 255			/* of one %{} */

int load_producer_error(int code)
{
	return code == PRODUCER_ERR_CONFIG ? ERR_CONFIG : code == PRODUCER_ERR_NOMEM ? ERR_NOMEM : code < 0 ? ERR_INTERNAL : 0;
}

/* The hooks' arg is the struct loaded that is being filled. */
static int producer_set(void *arg, const char *name, const char *value, struct err *ret_err)
{
	struct loaded *l = arg;
	struct producer_error e;
	int rc = producer_config_set(l->producer, name, value, &e);

	return rc < 0 ? err_set(ret_err, load_producer_error(rc), "%s", e.text) : 0;
}

struct saying { conf_say_fn *say; void *arg; bool nomem; };

static void say_error(void *arg, const struct producer_error *e)
{
	struct saying *s = arg;

	s->nomem |= e->code == PRODUCER_ERR_NOMEM;
	s->say(s->arg, e->text);
}

static int producer_finish(void *arg, conf_say_fn *say, void *say_arg)
{
	struct loaded *l = arg;
	struct saying s = { .say = say, .arg = say_arg };

	producer_config_check_all(l->producer, say_error, &s);
	return s.nomem ? ERR_NOMEM : 0;
}

static bool producer_takes_json(void *arg, const char *name)
{
	(void)arg;
	return producer_config_takes_json(name);
}

static int64_t producer_bytes(struct producer_config *c, const char *name)
{
	const char *s = producer_config_get(c, name);
	int64_t bytes = 0;

	if (s)
		units_parse_size(s, &bytes);
	return bytes;
}

/* What interceptors put on every record. What is wrong with them is told elsewhere. */
static int64_t header_bytes(struct producer_config *c)
{
	struct intercept *chain;
	int64_t n;

	if (intercept_new(producer_config_get(c, "interceptor.classes"), &chain, NULL) < 0)
		return 0;
	n = (int64_t)intercept_header_bytes(chain);
	intercept_free(chain);
	return n;
}

/* The longest line that fits a request and leaves room in memory; a small memory lowers the default to a quarter of it. */
static int64_t line_limit(struct producer_config *c)
{
	int64_t request = producer_bytes(c, "max.request.size"), memory = producer_bytes(c, "buffer.memory");

	return (request < memory / 4 ? request : memory / 4) - RECORD_OVERHEAD - header_bytes(c);
}

/* What a template may become: names of files and fields are short, and nobody knows before. */
static int64_t template_bytes(const char *tpl)
{
	int64_t n = (int64_t)strlen(tpl);

	for (const char *p = tpl; (p = strstr(p, "%{")); p += 2)
		n += EXPANDED;
	return n;
}

/* What the input's own keys add to every record. */
static int64_t added_bytes(const struct conf_input *in)
{
	int64_t n = in->key ? template_bytes(in->key) : 0;

	for (size_t i = 0; i < in->headers.n; i++)
		n += (int64_t)strlen(in->headers.names[i]) + template_bytes(in->headers.values[i]) + HEADER_OVERHEAD;
	if (in->event_time.format)
		n += EVENT_TIME_BYTES;
	return n;
}

/* A default is lowered to the limit, what was written must be within. */
static void check_fits(const struct conf_input *in, const char *key, int64_t *bytes, bool written, int64_t limit,
		       struct conf_problems *problems)
{
	if (*bytes <= limit)
		return;
	if (written)
		conf_problem_add(problems, in->path, in->line, in->column,
			"%s of %lld bytes does not fit: with key, headers and overhead at most %lld fit "
			"max.request.size and a quarter of buffer.memory", key, (long long)*bytes, (long long)limit);
	else
		*bytes = limit;
}

static void check_sizes(const struct loaded *l, struct conf *c, struct conf_problems *problems)
{
	int64_t most = line_limit(l->producer);

	for (size_t i = 0; i < c->input_count; i++) {
		struct conf_input *in = &c->inputs[i];
		int64_t limit = most - added_bytes(in);

		if (limit <= 0) {
			conf_problem_add(problems, in->path, in->line, in->column,
				"no line fits: key, headers and overhead alone take max.request.size or a quarter of "
				"buffer.memory");
			continue;
		}
		check_fits(in, "max_line", &in->max_line, in->max_line_set, limit, problems);
		if (in->multiline.set)
			check_fits(in, "multiline.max_bytes", &in->multiline.max_bytes, in->multiline.max_bytes_set, limit,
				   problems);
	}
}

/* Each pattern alone was looked at when it was read; what is wrong with one was told then. */
static bool is_sound(const char *pattern)
{
	struct conf_strings alone = { 0 };
	int rc = glob_expand(pattern, "/", &alone);

	glob_strings_release(&alone);
	return rc == 0;
}

static void check_globs(struct conf *c, struct conf_problems *problems)
{
	for (size_t i = 0; i < c->input_count; i++) {
		const struct conf_input *in = &c->inputs[i];
		struct conf_strings all = { 0 };
		int rc = 0;

		for (size_t j = 0; j < in->paths.n && rc == 0; j++)
			rc = is_sound(in->paths.v[j]) ? glob_expand(in->paths.v[j], "/", &all) : 0;
		glob_strings_release(&all);
		for (size_t j = 0; j < in->exclude.n && rc == 0; j++)
			rc = is_sound(in->exclude.v[j]) ? glob_expand_exclude(in->exclude.v[j], "/", &all) : 0;
		glob_strings_release(&all);
		if (rc == ERR_CONFIG)
			conf_problem_add(problems, in->path, in->line, in->column,
				"the paths or the exclude patterns stand for more than %d, each file is compared with all: "
				"make it two inputs", GLOB_PATTERNS_MAX);
	}
}

/* An object is no number. */
static void check_values(const struct loaded *l, struct conf *c, struct conf_problems *problems)
{
	const char *serializer = producer_config_get(l->producer, "value.serializer");
	bool takes_text = !serializer || !*serializer || !strcmp(serializer, "bytes") || !strcmp(serializer, "string") ||
			  !strcmp(serializer, "json");

	for (size_t i = 0; i < c->input_count; i++)
		if (c->inputs[i].value == CONF_VALUE_JSON && !takes_text)
			conf_problem_add(problems, c->inputs[i].path, c->inputs[i].line, c->inputs[i].column,
				"value: json makes objects, which value.serializer: %s does not take", serializer);
}

/* What only whoever makes the records can tell, such as an encoding whose ends of lines cannot be found. */
static int check_recipes(const struct loaded *l, struct conf *c, struct conf_problems *problems)
{
	struct buf spec;
	int rc = 0;

	buf_init(&spec, 16u << 20);
	for (size_t i = 0; i < c->input_count && rc != ERR_NOMEM; i++) {
		const struct conf_input *in = &c->inputs[i];
		struct recipe *r = NULL;
		struct err err = { 0 };

		buf_clear(&spec);
		rc = recipe_spec(l->producer, in, "", &spec, &err);
		if (rc >= 0)
			rc = recipe_new(spec.data, &r, &err);
		recipe_free(r);
		if (rc < 0 && rc != ERR_NOMEM)
			conf_problem_add(problems, in->path, in->line, in->column, "%s", c->masked_count ?
					 "no records can be made so (a value is secret: no reason is shown)" : err.text);
	}
	buf_release(&spec);
	return rc == ERR_NOMEM ? rc : 0;
}

/* client.id may name the host; unset it does. */
static int name_client(struct producer_config *c)
{
	const char *set = producer_config_get(c, "client.id");
	char host[256] = "";
	struct template_values v = { .path = "", .host = host, .input = "" };
	struct buf id;
	int rc;

	gethostname(host, sizeof host - 1);
	buf_init(&id, 512);
	rc = template_expand(set && *set ? set : "spillway-%{host}", &v, &id);
	if (rc >= 0)
		rc = load_producer_error(producer_config_set(c, "client.id", id.data, NULL));
	buf_release(&id);
	return rc;
}

/* acks 0 or 1 switch idempotence off as in Java's producer; without it a retry may double lines. */
static void check_delivery(const struct loaded *l, const struct conf *c, struct conf_problems *problems)
{
	const char *on = producer_config_get(l->producer, "enable.idempotence");

	if (c->delivery == CONF_EXACTLY_ONCE && on && strcmp(on, "true") != 0)
		conf_problem_add(problems, c->path, 1, 1, "producer: delivery: exactly_once needs "
			"idempotence, and that needs acks: all, retries above 0 and "
			"max.in.flight.requests.per.connection of at most 5; delivery: at_least_once does without");
}

/* With other problems too: what they left is a default, so these are about what the file says. */
static int finish(void *arg, struct conf *c, struct conf_problems *problems)
{
	check_delivery(arg, c, problems);
	check_sizes(arg, c, problems);
	check_globs(c, problems);
	check_values(arg, c, problems);
	return problems->n ? 0 : check_recipes(arg, c, problems);
}

int load_conf(const char *path, struct loaded *ret, struct buf *ret_text)
{
	struct loaded l = { .producer = producer_config_new() };
	struct conf_problems problems = { 0 };
	struct conf_hooks hooks = { producer_set, producer_finish, &l, producer_takes_json, finish };
	int rc = l.producer ? conf_load(path, &hooks, &l.conf, &problems) : ERR_NOMEM;

	if (rc >= 0 && (rc = name_client(l.producer)) < 0)
		conf_problem_add(&problems, path, 1, 1, "client.id: %s", err_text(rc));
	for (size_t i = 0; i < problems.n; i++)
		buf_printf(ret_text, "%s\n", problems.v[i].text);
	conf_problems_release(&problems);
	if (rc < 0) {
		loaded_release(&l);
		return rc;
	}
	*ret = l;
	return 0;
}

int load_check(struct loaded *l, struct buf *ret_text)
{
	struct conf_problems problems = { 0 };
	int rc = finish(l, l->conf, &problems);

	for (size_t i = 0; i < problems.n; i++)
		buf_printf(ret_text, "%s\n", problems.v[i].text);
	if (rc == 0 && problems.n)
		rc = ERR_CONFIG;
	conf_problems_release(&problems);
	return rc;
}

void loaded_release(struct loaded *l)
{
	conf_free(l->conf);
	producer_config_free(l->producer);
	*l = (struct loaded){ 0 };
}

/* What came from a file or a credential stays hidden, under whatever name it was given. */
static bool is_masked(const struct loaded *l, const char *name)
{
	for (size_t i = 0; i < l->conf->producer_masked.n; i++) {
		const char *canonical = producer_config_canonical(l->conf->producer_masked.v[i]);

		if (canonical && !strcmp(canonical, name))
			return true;
	}
	return false;
}

static void print_value(const struct loaded *l, const char *name, const char *value, struct buf *out)
{
	struct buf line;
	bool is_json;

	buf_init(&line, 16u << 20);
	is_json = producer_config_takes_json(name) && recipe_json_line(value, &line) == 0;
	conf_print_producer(l->conf, name, is_json ? line.data : value, is_json, out);
	buf_release(&line);
}

void loaded_print(const struct loaded *l, struct buf *out)
{
	const char *name, *value;

	conf_print(l->conf, out);
	buf_puts(out, "producer:\n");
	for (size_t i = 0; (name = producer_config_name(i)); i++) {
		value = producer_config_get(l->producer, name);
		if (value && *value)
			print_value(l, name, is_masked(l, name) ? "***" : value, out);
	}
}
