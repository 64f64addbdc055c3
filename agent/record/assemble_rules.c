/* assemble_rules.c - rules out of a spec, and what follows from them alone. */
#include <jansson.h>
#include <string.h>

#include "agent/record/assemble_int.h"
#include "agent/base/mem.h"

#define REACH 4			/* times the longest value: what frames, escapes and other streams' lines between may add */

static int read_word(const json_t *o, const char *key, const char *const names[], int *ret, struct err *ret_err)
{
	const char *s = json_string_value(json_object_get(o, key));

	if (!json_object_get(o, key))
		return 0;
	for (int i = 0; s && names[i]; i++) {
		if (!strcmp(names[i], s)) {
			*ret = i;
			return 0;
		}
	}
	return err_set(ret_err, ERR_CONFIG, "%s: \"%.60s\" is not known here", key, s ? s : "");
}

static int read_spec(struct assemble_rules *r, const json_t *o, struct err *ret_err)
{
	static const char *const lengths[] = { "split", "truncate", "skip", NULL };
	static const char *const formats[] = { "raw", "docker", "cri", "auto", NULL };
	const json_t *multiline = json_object_get(o, "multiline");
	int rc, length = ASSEMBLE_SPLIT, format = ASSEMBLE_RAW;

	rc = encoding_init(&r->encoding, json_string_value(json_object_get(o, "encoding")), ret_err);
	if (rc == 0)
		rc = read_word(o, "long", lengths, &length, ret_err);
	if (rc == 0)
		rc = read_word(o, "format", formats, &format, ret_err);
	if (rc == 0 && multiline)
		rc = multiline_new(multiline, &r->multiline, ret_err);
	r->long_lines = (enum assemble_long)length;
	r->format = (enum assemble_format)format;
	return rc;
}

int assemble_rules_new(const char *spec, int64_t max_line, struct assemble_rules **ret, struct err *ret_err)
{
	json_t *o = json_loads(spec && *spec ? spec : "{}", 0, NULL);
	struct assemble_rules *r = mem_new(struct assemble_rules);
	size_t bound = max_line < 1 ? 1 : (size_t)max_line;
	int rc;

	if (!r)
		rc = err_set(ret_err, ERR_NOMEM, "out of memory");
	else if (!json_is_object(o))
		rc = err_set(ret_err, ERR_CONFIG, "read: no object");
	else
		rc = read_spec(r, o, ret_err);
	json_decref(o);
	if (rc < 0) {
		assemble_rules_free(r);
		return rc;
	}
	r->max = encoding_max(&r->encoding, bound);
	r->joined = bound;
	if (r->multiline && multiline_bytes(r->multiline) > bound)
		bound = multiline_bytes(r->multiline);
	r->reach = bound < INT64_MAX / REACH / 2 ? (int64_t)bound * REACH : INT64_MAX / 2;
	*ret = r;
	return 0;
}

void assemble_rules_free(struct assemble_rules *r)
{
	if (r)
		multiline_free(r->multiline);
	mem_free(r);
}

const char *assemble_resolve(const char *encoding, const uint8_t *p, size_t n, size_t *ret_skip)
{
	return encoding_resolve(encoding, p, n, ret_skip);
}

const struct encoding *assemble_encoding(const struct assemble_rules *r)
{
	return &r->encoding;
}

bool assemble_groups(const struct assemble_rules *r)
{
	return r->multiline;
}

bool assemble_streams(const struct assemble_rules *r)
{
	return r->format != ASSEMBLE_RAW;
}

size_t assemble_need(const struct assemble_rules *r)
{
	size_t line = r->max + 2 * r->encoding.unit;

	return assemble_groups(r) || assemble_streams(r) ? (size_t)r->reach + line : line;
}

size_t assemble_lead(const struct assemble_rules *r)
{
	return r->long_lines == ASSEMBLE_SPLIT ? 0 : r->max;
}

bool assemble_inside(const struct assemble_rules *r, const uint8_t *p, size_t n, int64_t offset)
{
	size_t lead = assemble_lead(r);

	(void)offset;
	return lead && n >= lead && !encoding_find(&r->encoding, p + n - lead, lead);
}
