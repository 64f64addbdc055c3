/* cmd_schema.c - `spillway schema`: conf's schema with the producer's keys in it. */
#include <stdio.h>
#include <string.h>

#include "agent/cmd/cli.h"
#include "conf/conf.h"
#include "conf/schema.h"
#include "producer/config.h"

/* A configuration that names no preset has one all the same. */
static const char *default_of(const struct producer_config_description *d)
{
	const char *by_preset = producer_config_preset_default(CONF_PRESET, d->name);

	return !strcmp(d->name, "preset") ? CONF_PRESET : by_preset ? by_preset : d->def;
}

/* The two folders do not know each other. */
static bool producer_key(size_t i, struct schema_producer_key *ret)
{
	static struct producer_config_description d;	/* what *ret points to; there is one thread */

	if (!producer_config_describe(i, &d))
		return false;
	*ret = (struct schema_producer_key){
		.name = d.name, .other_of = d.other_of, .type = d.type, .def = default_of(&d), .choices = d.choices, .min = d.min,
		.max = d.max, .doc = d.doc, .value = d.value,
	};
	return true;
}

int cmd_schema(const struct options *o)
{
	struct buf out;
	int rc;

	(void)o;
	buf_init(&out, 1 << 20);
	rc = conf_schema(producer_key, &out);
	if (rc >= 0)
		fwrite(out.data, 1, out.len, stdout);
	else
		fprintf(stderr, "spillway: %s\n", err_text(rc));
	buf_release(&out);
	return cli_exit_code(rc);
}
