/* event_time.c - see event_time.h. A pattern's time is its first group, or the whole of it if it has none. */
#include "agent/record/event_time.h"

#include <string.h>

#include "agent/base/mem.h"
#include "agent/record/timestamp.h"
#include "conf/template.h"

struct event_time {
	char *field;			/* or */
	struct pattern *pattern;
	char *format;
};

int event_time_new(const char *field, const char *pattern, const char *format, struct event_time **ret, struct err *ret_err)
{
	struct event_time *e = mem_new(struct event_time);
	int rc = timestamp_check(format, ret_err);

	*ret = NULL;
	if (rc == 0 && (!field) == (!pattern))
		rc = err_set(ret_err, ERR_CONFIG, "one of field and pattern is needed");
	if (rc == 0 && field)
		rc = template_check_field(field, ret_err);
	if (rc == 0 && e && pattern)
		rc = pattern_new(pattern, &e->pattern, ret_err);
	if (rc == 0 && (!e || !(e->format = mem_strdup(format)) || (field && !(e->field = mem_strdup(field)))))
		rc = err_set(ret_err, ERR_NOMEM, "out of memory");
	if (rc == 0)
		*ret = e;
	else
		event_time_free(e);
	return rc;
}

void event_time_free(struct event_time *e)
{
	if (!e)
		return;
	pattern_free(e->pattern);
	mem_free(e->field);
	mem_free(e->format);
	mem_free(e);
}

static int of_pattern(const struct event_time *e, struct pattern_room *room, const char *message, size_t n, int64_t *ret_ns,
		      struct err *ret_err)
{
	size_t from, to;
	int rc = pattern_find(e->pattern, room, message, n, &from, &to, ret_err);

	if (rc < 0)
		return rc;
	if (rc == 0)
		return err_set(ret_err, ERR_BAD_DATA, "its pattern is not in the line");
	if (timestamp_read(e->format, message + from, to - from, ret_ns) < 0)
		return err_set(ret_err, ERR_BAD_DATA, "what its pattern found is no time as \"%.60s\" says", e->format);
	return 0;
}

int event_time_read(const struct event_time *e, struct pattern_room *room, struct fields *fields, const char *message, size_t n,
		    struct buf *text, int64_t *ret_ns, struct err *ret_err)
{
	int rc;

	if (e->pattern)
		return of_pattern(e, room, message, n, ret_ns, ret_err);
	buf_clear(text);
	rc = fields_text(fields, e->field, strlen(e->field), text);
	if (rc == ERR_NOT_FOUND)
		return err_set(ret_err, ERR_BAD_DATA, "there is no field \"%.60s\"", e->field);
	if (rc == 0 && timestamp_read(e->format, text->data ? text->data : "", text->len, ret_ns) < 0)
		return err_set(ret_err, ERR_BAD_DATA, "field \"%.60s\" is no time as \"%.60s\" says", e->field, e->format);
	return rc < 0 ? err_set(ret_err, rc, "out of memory") : 0;
}
