/* intake_input.c - what an input is before anything is read: its row among the files, its recipe, topic and key.
 *
 * An input is known again by its name. What a stream counts goes on behind all that an earlier life may have recorded of it, so
 * that no byte of the count ever stands for two. A route is only written down for what can be read again; it says besides
 * which entries of a journal are meant, in front of the recipe's spec (intake_reread.c).
 * Threads: main, before the thread runs and after it ended; intake_put_row: the thread too.
 */
#include <stdatomic.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/intake/intake_inside.h"
#include "conf/template.h"

#define SPEC_MAX (4u << 20)

void intake_put_row(struct intake_input *in)
{
	struct spool_file f = in->row;

	f.size = atomic_load(&in->read);
	f.state = atomic_load(&in->state) == INTAKE_DONE ? 3 : 0;	/* done, active: tail_state_name */
	in->owner->hooks->file_put(in->owner->hooks->arg, &f);
}

const char *intake_path(const struct conf_input *in)
{
	return in->type == CONF_TYPE_STDIN ? "stdin" : in->type == CONF_TYPE_JOURNALD ? "journal" : in->listen;
}

static int open_row(struct intake_input *in, const struct tail_known *known)
{
	int64_t at = known ? known->file.safe : 0;

	for (size_t k = 0; known && k < known->skip_count; k++)
		at = known->skips[k].to > at ? known->skips[k].to : at;
	if (known && known->file.size > at)
		at = known->file.size;
	in->known = known != NULL;
	if (known)
		in->row = known->file;
	else
		in->row.id = (*in->owner->conf.next_file_id)++;
	in->row.path = mem_strdup(intake_path(in->conf));
	in->row.origin = mem_strdup(in->conf->name);
	in->row.cursor = mem_strdup(known && in->kind->keeps ? known->file.cursor : "");
	in->shown = mem_strdup(intake_path(in->conf));
	in->from = at;
	atomic_store(&in->read, at);
	if (!in->row.path || !in->row.origin || !in->row.cursor || !in->shown)
		return ERR_NOMEM;
	if (known && in->kind->keeps && known->skip_count) {
		in->skips = mem_array(struct tail_skip, known->skip_count);
		if (!in->skips)
			return ERR_NOMEM;
		memcpy(in->skips, known->skips, known->skip_count * sizeof *in->skips);
		in->skip_count = known->skip_count;
	}
	return 0;
}

/* Bytes of a stream that an earlier life had in memory alone when it was killed: what came behind them was recorded. */
static void give_up(struct intake_input *in, int64_t from, int64_t to)
{
	const struct tail_hooks *h = in->owner->hooks;
	struct spool_loss l = { .ms = clock_wall_ms(), .reason = SPOOL_LOSS_GONE, .topic = "", .partition = -1,
				.file_id = in->row.id, .path = in->shown, .from = from, .to = to, .bytes = (uint64_t)(to - from) };

	if (from >= to)
		return;
	h->loss(h->arg, &l);
	h->finished(h->arg, &(struct spool_range){ .file_id = in->row.id, .from = from, .to = to });
}

static void give_up_gaps(struct intake_input *in, const struct tail_known *known)
{
	int64_t at = in->row.safe;

	if (!known || in->kind->keeps)
		return;
	for (size_t k = 0; k < known->skip_count; k++) {
		give_up(in, at, known->skips[k].from);
		at = known->skips[k].to > at ? known->skips[k].to : at;
	}
	give_up(in, at, in->from);
}

static int expand_topic(struct intake_input *in, const struct template_values *v, struct err *ret_err)
{
	struct buf topic;
	int rc;

	if (recipe_has_topic(in->recipe))
		return 0;
	buf_init(&topic, 4096);
	rc = template_expand_topic(in->conf->topic, v, &topic);
	in->topic = rc == 0 ? mem_strdup(topic.data) : NULL;
	buf_release(&topic);
	if (rc == ERR_NOMEM || (rc == 0 && !in->topic))
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	return rc < 0 ? err_set(ret_err, ERR_CONFIG, "input %s: \"%s\" makes no topic: there is no file",
				in->conf->name, in->conf->topic) : 0;
}

static int expand_key(struct intake_input *in, const struct template_values *v, struct err *ret_err)
{
	const char *tpl = in->conf->key;
	struct err e;
	int rc;

	if (!tpl || template_per_record(tpl, false))
		return 0;
	rc = template_expand(tpl, v, &in->key);
	if (rc == 0 && in->key.len)
		rc = recipe_key(in->owner->conf.key_serializer, in->topic ? in->topic : "", &in->key, &e);
	if (rc == ERR_BAD_DATA)
		return err_set(ret_err, ERR_CONFIG, "input %s: no key for its records: %s", in->conf->name, e.text);
	return rc < 0 ? err_set(ret_err, rc, "input %s: its key: %s", in->conf->name, err_text(rc)) : 0;
}

/* --- the route of what can be read again --- */

static int route_spec(const struct intake_input *in, const char *recipe, struct buf *ret)
{
	buf_puts(ret, "{\"units\":[");
	for (size_t k = 0; k < in->conf->units.n; k++) {
		buf_puts(ret, k ? "," : "");
		buf_put_json(ret, in->conf->units.v[k], SIZE_MAX);
	}
	buf_puts(ret, "],\"long\":");
	buf_puts(ret, in->conf->long_lines == CONF_LONG_SKIP ? "\"skip\"" : "\"truncate\"");
	buf_puts(ret, ",\"recipe\":");
	buf_put_json(ret, recipe, SIZE_MAX);
	return buf_puts(ret, "}");
}

static bool same_route(const struct spool_route *a, const struct spool_route *b)
{
	return a->max_line == b->max_line && !strcmp(a->topic, b->topic) && !strcmp(a->spec, b->spec) &&
	       a->key_null == b->key_null && a->key_len == b->key_len && (!a->key_len || !memcmp(a->key, b->key, a->key_len));
}

static int open_route(struct intake_input *in, const char *recipe)
{
	const struct intake_conf *c = &in->owner->conf;
	struct spool_route r = { .topic = in->topic ? in->topic : "", .key = in->key.data, .key_len = in->key.len,
				 .key_null = !in->key.len, .max_line = in->conf->max_line };
	struct buf spec;
	int rc;

	if (!in->kind->keeps)
		return 0;
	buf_init(&spec, SPEC_MAX);
	rc = route_spec(in, recipe, &spec);
	r.spec = spec.data;
	for (size_t k = 0; k < c->route_count && rc == 0; k++)
		if (same_route(&c->routes[k], &r))
			in->route = c->routes[k].id;
	if (rc == 0 && !in->route) {
		r.id = in->route = (*c->next_route_id)++;
		in->owner->hooks->route_put(in->owner->hooks->arg, &r);
		rc = rereader_keep(in->owner, &r);
	}
	buf_release(&spec);
	return rc;
}

int intake_input_open(struct intake_input *in, const struct tail_known *known, struct err *ret_err)
{
	const struct intake_conf *c = &in->owner->conf;
	struct template_values v = { .path = "", .host = c->hostname, .input = in->conf->name, .offset = -1 };
	int rc;

	if (in->conf->max_line < 1 || in->conf->max_line > INT32_MAX)
		return err_set(ret_err, ERR_CONFIG, "input %s: max_line out of range", in->conf->name);
	rc = recipe_new(in->spec, &in->recipe, ret_err);
	if (rc == ERR_NOMEM || (rc == 0 && open_row(in, known) < 0))
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	if (rc == 0)
		rc = expand_topic(in, &v, ret_err);
	if (rc == 0)
		rc = expand_key(in, &v, ret_err);
	return rc;
}

int intake_input_begin(struct intake_input *in, const struct tail_known *known)
{
	int rc = open_route(in, in->spec);

	if (rc < 0)
		return rc;
	intake_put_row(in);
	give_up_gaps(in, known);
	return 0;
}

/* Of what can be read again everything up to there is passed over: it was read. */
int intake_input_go_on(struct intake_input *in, struct intake_input *from)
{
	struct spool_file *row = &in->row;
	char *cursor = mem_strdup(from->row.cursor);

	if (!cursor)
		return ERR_NOMEM;
	mem_free((char *)row->cursor);
	row->cursor = cursor;
	row->cursor_at = from->row.cursor_at;
	row->id = from->row.id;
	row->generation = from->row.generation;
	row->marker = from->marker;
	row->safe = in->from = atomic_load(&from->read);
	atomic_store(&in->read, in->from);
	in->known = true;
	return 0;
}

void intake_input_close(struct intake_input *in)
{
	map_release(&in->lanes);
	buf_release(&in->key);
	recipe_free(in->recipe);
	mem_free((char *)in->row.path);
	mem_free((char *)in->row.origin);
	mem_free((char *)in->row.cursor);
	mem_free(in->skips);
	mem_free(in->shown);
	mem_free(in->topic);
}
