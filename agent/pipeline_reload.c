/* pipeline_reload.c - another configuration in a running pipeline.
 *
 * In this order: what may fail and shows nothing (recipes, then addresses that are bound), then the tail thread, which tries all
 * before it changes anything and asks between for the last that may fail, brokers and credentials; from there on nothing fails.
 * The switch itself is not written down:
 * after a kill -9 in the middle the next life reads the file anew, and batches have routes of their own.
 * A configuration lives as long as an input that leaves it still has something to hand over.
 * Threads: main; switch_producer the tail's, while main waits.
 */
#include <string.h>

#include "agent/base/mem.h"
#include "agent/pipeline.h"
#include "agent/record/recipe.h"
#include "agent/reload_compare.h"

struct old_conf {
	struct list node;
	const struct loaded *conf;
	char **specs;
	bool ours;
};

static void old_free(struct old_conf *o)
{
	list_remove(&o->node);
	recipe_specs_free(o->conf->conf, o->specs);
	if (o->ours) {
		loaded_release((struct loaded *)o->conf);
		mem_free((struct loaded *)o->conf);
	}
	mem_free(o);
}

void pipeline_forget_confs(struct pipeline *p, bool all)
{
	list_each_safe(it, &p->old_confs) {
		struct old_conf *o = list_entry(it, struct old_conf, node);

		if (all || !intake_uses(p->intake, o->conf->conf))
			old_free(o);
	}
}

struct switching {
	struct pipeline *p;
	const struct loaded *fresh;
	char **specs;
	size_t *was;
	const char *key_serializer;
	struct intake_plan *plan;
};

static int prepare_intake(struct pipeline *p, struct switching *s, struct err *ret_err)
{
	struct intake_change c = { .conf = s->fresh->conf, .specs = (const char *const *)s->specs,
				   .key_serializer = s->key_serializer, .was = s->was };

	tail_take_ids(p->tail, 2 * (c.conf->input_count + 1), &c.next_file_id, &c.next_route_id);
	return intake_reload_prepare(p->intake, &c, &s->plan, ret_err);
}

static int switch_producer(void *arg, struct err *ret_err)
{
	const struct switching *s = arg;
	struct producer_error e;
	int rc = producer_reload(s->p->producer, s->fresh->producer, &e);

	return rc < 0 ? err_set(ret_err, load_producer_error(rc), "%s", e.text) : 0;
}

static int switch_tail(struct pipeline *p, struct switching *s, struct err *ret_err)
{
	struct tail_change c = { .conf = s->fresh->conf, .specs = (const char *const *)s->specs,
				 .key_serializer = s->key_serializer, .was = s->was, .reread = intake_reread,
				 .reread_arg = p->intake, .others_open = intake_plan_descriptors(s->plan),
				 .last = switch_producer, .last_arg = s };

	return tail_reload(p->tail, &c, ret_err);
}

static int prepare(struct pipeline *p, struct switching *s, struct err *ret_err)
{
	int rc = recipe_specs(s->fresh->producer, s->fresh->conf, p->hostname, &s->specs, ret_err);

	if (rc < 0)
		return rc;
	s->was = reload_match(p->conf, p->specs, s->fresh, s->specs);
	if (!s->was)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	s->key_serializer = producer_config_get(s->fresh->producer, "key.serializer");
	return prepare_intake(p, s, ret_err);
}

int pipeline_reload(struct pipeline *p, struct loaded *fresh, struct err *ret_err)
{
	struct switching s = { .p = p, .fresh = fresh };
	struct old_conf *old = mem_new(struct old_conf);
	int rc = old ? prepare(p, &s, ret_err) : err_set(ret_err, ERR_NOMEM, "out of memory");

	if (rc == 0)
		rc = switch_tail(p, &s, ret_err);
	if (rc == 0) {
		intake_reload_switch(s.plan);
		*old = (struct old_conf){ .conf = p->conf, .specs = p->specs, .ours = p->conf_ours };
		list_push_back(&p->old_confs, &old->node);
		p->conf = fresh;
		p->conf_ours = true;
		p->specs = s.specs;
		pipeline_forget_confs(p, false);
	} else {
		intake_reload_drop(s.plan);
		recipe_specs_free(fresh->conf, s.specs);
		mem_free(old);
	}
	mem_free(s.was);
	return rc;
}
