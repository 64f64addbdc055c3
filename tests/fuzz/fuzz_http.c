/* fuzz_http.c - any bytes as a token endpoint's answer, whole and in two pieces: both must come to the same end. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "producer/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t half = n ? data[0] % n : 0;
	char *a = malloc(n + !n), *b = malloc(half + !half);
	struct http_response whole = { 0 }, part = { 0 };
	int rc;

	if (n)
		memcpy(a, data, n);
	if (half)
		memcpy(b, data, half);
	rc = http_parse(a, n, true, &whole);
	if (rc == HTTP_MORE)
		abort();	/* nothing follows the end */
	if (rc == HTTP_DONE && (whole.body < a || whole.body + whole.body_len > a + n))
		abort();
	if (http_parse(b, half, false, &part) < 0 && rc == HTTP_DONE)
		abort();	/* the beginning of a good answer is not bad */
	free(a);
	free(b);
	return 0;
}
