/* pattern.c - see pattern.h.
 *
 * Why steps are bounded (match_steps): a pattern like (a+)+$ takes longer than anyone lives on a line of thirty a's. PCRE2
 * counts the steps of each place where it begins, so the longer the bytes, the fewer each place gets. It does not count how far
 * a class runs that never has to give bytes back: x(?=[^,]*,) looks at all that follows each x. Up to WORK_FREE bytes that is
 * some milliseconds; for more the pattern is compiled so that PCRE2 calls at each of its items, and the bytes between are counted.
 * Threads: see pattern.h. PCRE2's match data, context and stack lie in the room.
 * Failure: a pattern out of steps or stack is ERR_BAD_DATA: no verdict about these bytes. No memory is no verdict either, but
 *	another try may have one.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "agent/base/pattern.h"

#include <pcre2.h>
#include <string.h>

#include "agent/base/beat.h"
#include "agent/base/mem.h"

#define STEPS_TOTAL 50000000u		/* of one pattern over one value, about */
#define STEPS_MIN 1000u
#define STEPS_MAX 1000000u
#define WORK_FREE 32768
#define WORK_MAX 500000000u		/* bytes that a pattern may look at, again and again */
#define WORK_CALL 16			/* so many bytes are looked at while PCRE2 calls, about */
#define STEPS_COUNTED 10000000u		/* of each place, where the work counts */
#define STACK_MIN 32768
#define STACK_MAX 524288
#define REPLACE (PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_LITERAL | PCRE2_SUBSTITUTE_OVERFLOW_LENGTH)
#define PAIRS 2				/* the whole, and the first group */

struct pattern {
	pcre2_code *code;
	pcre2_code *counted;		/* the same for more than WORK_FREE bytes */
	uint32_t groups;
};

struct pattern_room {
	pcre2_match_data *match;
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
	PCRE2_SIZE at;			/* where the last call was */
	uint64_t work;
};

/* Without a JIT it is slower, not wrong; with one now and none the next time limits would differ. */
static int compile(const char *text, uint32_t options, pcre2_code **ret, struct err *ret_err)
{
	PCRE2_UCHAR why[120] = "";
	PCRE2_SIZE offset;
	int code;

	*ret = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &code, &offset, NULL);
	if (!*ret && code != PCRE2_ERROR_HEAP_FAILED) {
		pcre2_get_error_message(code, why, sizeof why);
		return err_set(ret_err, ERR_CONFIG, "%s at character %zu", (char *)why, (size_t)offset + 1);
	}
	if (!*ret || pcre2_jit_compile(*ret, PCRE2_JIT_COMPLETE) == PCRE2_ERROR_NOMEMORY)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	return 0;
}

int pattern_new(const char *text, struct pattern **ret, struct err *ret_err)
{
	struct pattern *p = mem_new(struct pattern);
	int rc = p ? compile(text, 0, &p->code, ret_err) : err_set(ret_err, ERR_NOMEM, "out of memory");

	*ret = NULL;
	if (rc == 0)
		rc = compile(text, PCRE2_AUTO_CALLOUT, &p->counted, ret_err);
	if (rc < 0) {
		pattern_free(p);
		return rc;
	}
	pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &p->groups);
	*ret = p;
	return 0;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	pcre2_code_free(p->code);
	pcre2_code_free(p->counted);
	mem_free(p);
}

static int count_work(pcre2_callout_block *b, void *arg)
{
	struct pattern_room *room = arg;

	room->work += WORK_CALL + (b->current_position > room->at ? b->current_position - room->at : 0);
	room->at = b->current_position;
	return room->work > WORK_MAX ? PCRE2_ERROR_MATCHLIMIT : 0;
}

struct pattern_room *pattern_room_new(void)
{
	struct pattern_room *room = mem_new(struct pattern_room);
	uint32_t jit = 0;

	if (!room)
		return NULL;
	room->match = pcre2_match_data_create(PAIRS, NULL);
	room->context = pcre2_match_context_create(NULL);
	room->stack = pcre2_jit_stack_create(STACK_MIN, STACK_MAX, NULL);
	/* With less stack than another time a pattern could fail where it did not: the same bytes must give the same. */
	pcre2_config(PCRE2_CONFIG_JIT, &jit);
	if (!room->match || !room->context || (jit && !room->stack)) {
		pattern_room_free(room);
		return NULL;
	}
	if (room->stack)
		pcre2_jit_stack_assign(room->context, NULL, room->stack);
	pcre2_set_callout(room->context, count_work, room);
	return room;
}

void pattern_room_free(struct pattern_room *room)
{
	if (!room)
		return;
	pcre2_match_data_free(room->match);
	pcre2_match_context_free(room->context);
	pcre2_jit_stack_free(room->stack);
	mem_free(room);
}

static uint32_t match_steps(size_t n)
{
	size_t steps = STEPS_TOTAL / (n + 1);

	return steps < STEPS_MIN ? STEPS_MIN : steps > STEPS_MAX ? STEPS_MAX : (uint32_t)steps;
}

static int pattern_failed(int code, struct err *ret_err)
{
	PCRE2_UCHAR text[120] = "";

	if (code == PCRE2_ERROR_NOMEMORY)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	pcre2_get_error_message(code, text, sizeof text);
	return err_set(ret_err, ERR_BAD_DATA, "%s", (char *)text);
}

static void take_group(const struct pattern *p, const struct pattern_room *room, size_t n, size_t *ret_from, size_t *ret_to)
{
	const PCRE2_SIZE *pairs = pcre2_get_ovector_pointer(room->match) + (p->groups ? 2 : 0);
	bool there = pairs[0] <= pairs[1] && pairs[1] <= n;	/* \K may put the beginning behind the end */

	*ret_from = there ? pairs[0] : n;
	*ret_to = there ? pairs[1] : n;
}

/* Which code is asked about n bytes, and with which limits. */
static const pcre2_code *begin(const struct pattern *p, struct pattern_room *room, size_t n)
{
	beat();		/* some hundred nasty lines, each just within its limits, take minutes */
	pcre2_set_match_limit(room->context, n > WORK_FREE ? STEPS_COUNTED : match_steps(n));
	room->at = 0;
	room->work = 0;
	return n > WORK_FREE ? p->counted : p->code;
}

int pattern_find(const struct pattern *p, struct pattern_room *room, const void *data, size_t n, size_t *ret_from,
		 size_t *ret_to, struct err *ret_err)
{
	int rc;

	rc = pcre2_match(begin(p, room, n), data ? data : "", n, 0, 0, room->match, room->context);
	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc < 0)
		return pattern_failed(rc, ret_err);
	if (ret_from && ret_to)
		take_group(p, room, n, ret_from, ret_to);
	return 1;
}

int pattern_replace(const struct pattern *p, struct pattern_room *room, const void *data, size_t n, const char *with,
		    struct buf *out, struct err *ret_err)
{
	int rc = pattern_find(p, room, data, n, NULL, NULL, ret_err);
	PCRE2_SIZE len;

	if (rc <= 0)
		return rc;
	buf_clear(out);
	if (buf_reserve(out, n + strlen(with) + 64) < 0)
		rc = PCRE2_ERROR_NOMEMORY;
	while (rc > 0) {
		len = out->cap;
		rc = pcre2_substitute(begin(p, room, n), data ? data : "", n, 0, REPLACE, room->match, room->context,
				      (PCRE2_SPTR)with, PCRE2_ZERO_TERMINATED, (PCRE2_UCHAR *)out->data, &len);
		if (rc != PCRE2_ERROR_NOMEMORY || len <= out->cap)
			break;
		if (len > out->max)
			return err_set(ret_err, ERR_TOO_LARGE, "the value would be larger than %zu MiB", out->max >> 20);
		rc = buf_reserve(out, len) < 0 ? PCRE2_ERROR_NOMEMORY : 1;
	}
	if (rc < 0)
		return pattern_failed(rc, ret_err);
	out->len = len;
	return 1;
}
