/* fuzz_web.c - any bytes as requests to the monitoring server: however they are cut, they mean the same; what is understood lies
 * within its head and has no byte that could mislead whoever prints it.
 */
#include <string.h>

#include "agent/web/http_parse.h"
#include "tests/fuzz/fuzz.h"

static char *copy(const uint8_t *data, size_t n)
{
	char *p = malloc(n + !n);

	if (n)
		memcpy(p, data, n);
	return p;
}

static void inside(const char *s, const char *data, size_t n)
{
	CHECK(!*s || (s >= data && s + strlen(s) < data + n));
}

static void plain(const char *s)
{
	for (; *s; s++)
		CHECK((unsigned char)*s >= ' ' && *s != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct http_head whole, part;
	char *a = copy(data, n), *b;
	int rc = http_head_parse(a, n, &whole), some;
	size_t cut = n ? data[n - 1] % n : 0;

	CHECK(rc <= HTTP_HEAD_MAX && (rc <= 0 || (size_t)rc <= n));
	CHECK(rc >= 0 || rc == -400 || rc == -405 || rc == -413 || rc == -414 || rc == -431 || rc == -505);
	if (rc > 0) {
		CHECK(whole.request.path[0] == '/');
		plain(whole.request.path);
		inside(whole.request.path, a, (size_t)rc);
		inside(whole.request.query, a, (size_t)rc);
		inside(whole.request.accept, a, (size_t)rc);
		if (whole.host)
			inside(whole.host, a, (size_t)rc);
		http_host_is_local(whole.host ? whole.host : "");
	}
	b = copy(data, cut);
	some = http_head_parse(b, cut, &part);
	/* What its beginning says does not change by what follows. */
	CHECK(some == 0 || some == rc);
	CHECK(rc <= 0 || some == 0 || (size_t)rc <= cut);
	free(a);
	free(b);
	return 0;
}
