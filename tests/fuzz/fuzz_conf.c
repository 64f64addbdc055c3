/* fuzz_conf.c - a configuration file with the producer's keys behind it: problems or a configuration, never both, and what is
 * printed is read back the same.
 *
 * Input: the file. */
#include <string.h>

#include "agent/base/mem.h"
#include "conf/conf.h"
#include "producer/config.h"
#include "tests/fuzz/fuzz.h"

#define PRINTED_MAX (1u << 20)

static int set(void *arg, const char *name, const char *value, struct err *ret_err)
{
	struct producer_error e;
	int rc = producer_config_set(arg, name, value, &e);

	return rc < 0 ? err_set(ret_err, rc, "%s", e.text) : 0;
}

struct saying { conf_say_fn *say; void *arg; };

static void say_error(void *arg, const struct producer_error *e)
{
	struct saying *s = arg;

	s->say(s->arg, e->text);
}

static int finish(void *arg, conf_say_fn *say, void *say_arg)
{
	struct saying s = { say, say_arg };

	producer_config_check_all(arg, say_error, &s);
	return 0;
}

static bool takes_json(void *arg, const char *name)
{
	(void)arg;
	return producer_config_takes_json(name);
}

static int load(const char *text, size_t n, struct conf **ret)
{
	struct producer_config *producer = producer_config_new();
	struct conf_hooks hooks = { .producer_set = set, .producer_finish = finish, .arg = producer,
				    .producer_takes_json = takes_json };
	struct conf_problems problems = { 0 };
	int rc = conf_load_text("f.yaml", text, n, &hooks, ret, &problems);

	CHECK(rc == 0 || rc == ERR_CONFIG);
	CHECK((rc == 0) == (problems.n == 0));
	for (size_t i = 0; i < problems.n; i++)
		CHECK(problems.v[i].text && !strncmp(problems.v[i].text, "f.yaml:", 7));
	conf_problems_release(&problems);
	producer_config_free(producer);
	return rc;
}

static void print(const struct conf *c, struct buf *out)
{
	buf_init(out, PRINTED_MAX);
	conf_print(c, out);
}

static void reads_back(const struct conf *c)
{
	struct conf *again = NULL;
	struct buf first, second;

	print(c, &first);
	buf_puts(&first, "producer:\n  bootstrap.servers: h:1\n");
	if (!first.failed) {
		CHECK(load(first.data, first.len, &again) == 0);
		print(again, &second);
		CHECK(second.len < first.len && !memcmp(first.data, second.data, second.len));
		buf_release(&second);
		conf_free(again);
	}
	buf_release(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct conf *c = NULL;

	if (load((const char *)data, n, &c) < 0)
		return 0;
	if (!c->masked_count)		/* *** would be read back as such */
		reads_back(c);
	conf_free(c);
	return 0;
}
