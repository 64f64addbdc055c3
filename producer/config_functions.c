/* config_functions.c - what only a program can configure: functions.
 *
 * Why apart: none of it has a name, a text or a default. Close functions belong to the configuration, because it outlives
 * the producer that calls the others.
 * Threads: the owner's.
 */
#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/code.h"
#include "producer/config_keys.h"

static void close_one(void (*close)(void *), void *arg)
{
	if (close)
		close(arg);
}

int producer_config_set_key_serializer(struct producer_config *c, const struct producer_serializer *s)
{
	close_one(c->key_serializer_fn.close, c->key_serializer_fn.arg);
	c->key_serializer_fn = *s;
	return 0;
}

int producer_config_set_value_serializer(struct producer_config *c, const struct producer_serializer *s)
{
	close_one(c->value_serializer_fn.close, c->value_serializer_fn.arg);
	c->value_serializer_fn = *s;
	return 0;
}

int producer_config_set_partitioner(struct producer_config *c, const struct producer_partitioner *p)
{
	close_one(c->partitioner_fn.close, c->partitioner_fn.arg);
	c->partitioner_fn = *p;
	return 0;
}

int producer_config_add_interceptor(struct producer_config *c, const struct producer_interceptor *i)
{
	struct producer_interceptor *p = mem_grow(c->interceptor_fns, c->interceptor_count, sizeof *p);

	if (!p)
		return code_public(ERR_NOMEM);
	c->interceptor_fns = p;
	p[c->interceptor_count++] = *i;
	return 0;
}

void producer_config_set_log(struct producer_config *c, void (*log)(void *arg, const char *text), void *arg)
{
	c->log = log;
	c->log_arg = arg;
}

void config_functions_release(struct producer_config *c)
{
	close_one(c->key_serializer_fn.close, c->key_serializer_fn.arg);
	close_one(c->value_serializer_fn.close, c->value_serializer_fn.arg);
	close_one(c->partitioner_fn.close, c->partitioner_fn.arg);
	for (size_t i = 0; i < c->interceptor_count; i++)
		close_one(c->interceptor_fns[i].close, c->interceptor_fns[i].arg);
	mem_free(c->interceptor_fns);
}
