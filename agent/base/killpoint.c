/* killpoint.c - see killpoint.h. One place is armed at most, so passing it is counted in one number. */
#include "agent/base/killpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int killpoint_armed = -1;

static uint64_t strike;			/* at which passage; set before threads start */
static bool hangs;			/* else it kills */
static _Atomic uint64_t passed;

static const char *const names[KILLPOINT_COUNT] = {
#define KILLPOINT_NAME(id, name) [id] = name,
	KILLPOINTS(KILLPOINT_NAME)
#undef KILLPOINT_NAME
};

const char *killpoint_name(enum killpoint k)
{
	return names[k];
}

/* N from 1, and nothing behind it. */
static bool read_count(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end && !errno && *ret > 0;
}

bool killpoint_init(const char **ret_bad)
{
	const char *kill_at = getenv("SPILLWAY_KILL"), *hang_at = getenv("SPILLWAY_HANG");
	const char *text = kill_at ? kill_at : hang_at;
	size_t n;

	killpoint_armed = -1;
	atomic_store(&passed, 0);
	strike = 1;
	if (!text)
		return true;
	*ret_bad = text;
	hangs = !kill_at;
	if (kill_at && hang_at)
		return false;
	n = strcspn(text, ":");
	if (text[n] && !read_count(text + n + 1, &strike))
		return false;
	for (int i = 0; i < KILLPOINT_COUNT; i++)
		if (strlen(names[i]) == n && !memcmp(names[i], text, n))
			killpoint_armed = i;
	return killpoint_armed >= 0;
}

/* Nothing of ours runs after it, as with kill -9 from outside: no handler, no exit, no flush. */
void killpoint_hit(void)
{
	if (atomic_fetch_add(&passed, 1) + 1 != strike)
		return;
	while (hangs)
		(void)pause();
	(void)raise(SIGKILL);
}
