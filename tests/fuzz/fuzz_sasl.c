/* fuzz_sasl.c - what a server says, thrown at the mechanisms: the first byte picks one, 0xff separates its messages.
 *
 * SCRAM's nonce is known here, so that inputs come past its check. No input may crash, hang, or make an exchange done that a
 * server without the password took part in (SCRAM).
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/sasl.h"
#include "producer/scram.h"

#define SEPARATOR 0xff
#define STEPS_MAX 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The next message of the input, on the heap in its exact size. */
static char *next_message(const uint8_t **p, const uint8_t *end, size_t *ret_n)
{
	const uint8_t *stop = memchr(*p, SEPARATOR, (size_t)(end - *p));
	char *copy;

	*ret_n = (size_t)((stop ? stop : end) - *p);
	copy = malloc(*ret_n + !*ret_n);
	memcpy(copy, *p, *ret_n);
	*p = stop ? stop + 1 : end;
	return copy;
}

/* Big counts only cost time. */
static int too_slow(const char *s, size_t n)
{
	const char *i = memmem(s, n, ",i=", 3);

	return i && (size_t)(s + n - i) > 3 + 4;
}

static void fuzz_scram(int sha512, const uint8_t *p, const uint8_t *end)
{
	struct scram s;
	struct err e;
	int rc = scram_init(&s, sha512, "user", "pencil", "NONCE", NULL, &e);

	for (int i = 0; rc == SASL_SEND && i < STEPS_MAX; i++) {
		size_t n = 0;
		char *in = i ? next_message(&p, end, &n) : NULL, *out = NULL;

		rc = in && too_slow(in, n) ? ERR_BAD_DATA : scram_step(&s, in, n, &out, &e);
		if (rc == SASL_DONE)
			abort();
		mem_free(out);
		free(in);
	}
	scram_release(&s);
}

static void fuzz_face(enum sasl_mechanism m, const uint8_t *p, const uint8_t *end)
{
	struct sasl_credentials c = { .mechanism = m, .username = "user", .password = "pencil", .token = "a.b.c" };
	struct sasl *s;
	struct err e;
	int rc = sasl_new(&s, &c, &e);

	if (rc < 0)
		abort();
	for (int i = 0; rc == SASL_SEND && i < STEPS_MAX; i++) {
		size_t n = 0, out_n;
		const void *out;
		char *in = i ? next_message(&p, end, &n) : NULL;

		rc = sasl_step(s, in, n, &out, &out_n, &e);
		free(in);
	}
	sasl_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n == 0)
		return 0;
	switch (data[0] & 3) {
	case 0:
		fuzz_scram(0, data + 1, data + n);
		break;
	case 1:
		fuzz_scram(1, data + 1, data + n);
		break;
	case 2:
		fuzz_face(SASL_OAUTHBEARER, data + 1, data + n);
		break;
	default:
		fuzz_face(SASL_PLAIN, data + 1, data + n);
	}
	return 0;
}
