/* api_configs.c - DescribeConfigs (32), versions 1 to 4, of one resource.
 *
 *	request   resources array { type int8 | name | keys array { name } | tags } | synonyms bool
 *		  | 3+: documentation bool | tags
 *	response  throttle int32 | results array { error int16 | message nullable | type int8 | name
 *		  | configs array { name | value nullable | read only bool | source int8 | sensitive bool
 *		    | synonyms array { name | value nullable | source int8 | tags }
 *		    | 3+: type int8 | documentation nullable | tags }
 *		  | tags } | tags
 *
 * Invariant: a response is read twice, first without calling anybody, so that nothing of a malformed one is told.
 */
#include "producer/frame.h"

#include "agent/base/err.h"

#define CONFIG_BYTES_MIN 6
#define RESULT_BYTES_MIN 7

int api_describe_configs_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
				 enum api_resource_type type, const char *name, const char *const *keys, size_t n)
{
	struct frame f = frame_begin(out, API_DESCRIBE_CONFIGS, version, correlation_id, client_id);

	wire_put_count(&f.w, 1);
	wire_put_i8(&f.w, (int8_t)type);
	wire_put_string(&f.w, name);
	wire_put_count(&f.w, n);
	for (size_t i = 0; i < n; i++)
		wire_put_string(&f.w, keys[i]);
	wire_put_no_tags(&f.w);
	wire_put_i8(&f.w, 0);
	if (version >= 3)
		wire_put_i8(&f.w, 0);
	wire_put_no_tags(&f.w);
	return frame_end(&f, 0);
}

struct reading { struct wire r; int16_t version; api_config_fn *fn; void *arg; };

static void read_synonyms(struct wire *r)
{
	size_t ignored;

	for (size_t left = wire_count(r, 5); left > 0 && !r->failed; left--) {
		wire_string(r, &ignored);
		wire_nullable(r, &ignored);
		wire_i8(r);
		wire_no_tags(r);
	}
}

static void read_config(struct reading *p)
{
	struct wire *r = &p->r;
	struct api_config c;
	size_t ignored;

	c.name = wire_string(r, &c.name_len);
	c.value = wire_nullable(r, &c.value_len);
	wire_i8(r);			/* read only */
	wire_i8(r);			/* source */
	wire_i8(r);			/* sensitive: its value is null */
	read_synonyms(r);
	if (p->version >= 3) {
		wire_i8(r);
		wire_nullable(r, &ignored);
	}
	wire_no_tags(r);
	if (p->fn && !r->failed)
		p->fn(p->arg, &c);
}

static void read_result(struct reading *p, int16_t *ret_error)
{
	struct wire *r = &p->r;
	size_t ignored;

	*ret_error = wire_i16(r);
	wire_nullable(r, &ignored);
	wire_i8(r);
	wire_string(r, &ignored);
	for (size_t left = wire_count(r, CONFIG_BYTES_MIN); left > 0 && !r->failed; left--)
		read_config(p);
	wire_no_tags(r);
}

static int read_response(struct reading *p, int16_t *ret_error)
{
	size_t n;

	wire_i32(&p->r);			/* throttle: there is no second question that could be held back */
	n = wire_count(&p->r, RESULT_BYTES_MIN);
	if (n != 1)
		p->r.failed = true;
	else
		read_result(p, ret_error);
	wire_no_tags(&p->r);
	return wire_end(&p->r);
}

int api_describe_configs_response(const void *data, size_t n, int16_t version, int32_t correlation_id, int16_t *ret_error,
				  api_config_fn *fn, void *arg)
{
	struct reading p = { .r = frame_open(data, n, API_DESCRIBE_CONFIGS, version, correlation_id), .version = version };
	struct reading again = { .r = p.r, .version = version, .fn = fn, .arg = arg };
	int16_t error = 0;
	int rc = read_response(&p, &error);

	if (rc < 0)
		return rc;
	*ret_error = error;
	return read_response(&again, &error);
}
