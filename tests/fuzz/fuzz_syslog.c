/* fuzz_syslog.c - any bytes as a stream of syslog messages: cut in two places they give the same messages as whole, and each of
 * them is read without looking beyond it.
 */
#include <string.h>

#include "agent/intake/frame.h"
#include "agent/intake/syslog.h"
#include "tests/fuzz/fuzz.h"

struct sum { uint64_t hash; size_t messages, bytes, lost; };

static void add(struct sum *s, const struct frame_piece *p)
{
	s->lost += p->lost;
	s->messages += p->value != NULL;
	s->bytes += p->value_len;
	for (size_t i = 0; i < p->value_len; i++)
		s->hash = (s->hash ^ p->value[i]) * 1099511628211u;
}

/* Returns how many bytes stay. */
static size_t feed(struct frame *f, const struct frame_rules *r, const uint8_t *data, size_t n, bool final, struct sum *s)
{
	uint8_t *exact = malloc(n + !n);
	struct frame_piece p;
	size_t at = 0;

	if (n)
		memcpy(exact, data, n);
	while (frame_next(f, r, exact + at, n - at, final, &p)) {
		CHECK(p.span >= 1 && p.span <= n - at && p.lost <= p.span && p.value_len <= r->max);
		CHECK(!p.value || (p.value >= exact + at && p.value + p.value_len <= exact + at + p.span));
		add(s, &p);
		at += p.span;
	}
	free(exact);
	CHECK(n - at < frame_need(r) && (!final || at == n));
	return n - at;
}

static void parse(const uint8_t *data, size_t n)
{
	uint8_t *exact = malloc(n + !n);
	const struct syslog_part *parts[6];
	struct syslog s;
	json_t *o;

	if (n)
		memcpy(exact, data, n);
	syslog_parse(exact, n, 1700000000, &s);
	parts[0] = &s.timestamp;
	parts[1] = &s.hostname;
	parts[2] = &s.appname;
	parts[3] = &s.procid;
	parts[4] = &s.data;
	parts[5] = &s.text;
	for (size_t i = 0; i < COUNT(parts); i++)
		CHECK(!parts[i]->n || (parts[i]->p >= exact && parts[i]->p + parts[i]->n <= exact + n));
	o = syslog_fields(&s);
	CHECK(json_is_object(o));
	json_decref(o);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n };
	struct frame_rules r = { .syslog = true };
	struct frame whole = { 0 }, cut = { 0 };
	struct sum a = { 0 }, b = { 0 };
	size_t at, stays;

	r.how = (enum conf_long_lines)(fuzz_byte(&in) % 3);
	r.syslog = fuzz_byte(&in) % 4 != 0;
	r.max = (size_t)fuzz_byte(&in) + 1;
	at = fuzz_byte(&in);
	at = at < in.n ? at : in.n;
	parse(in.p, in.n);
	(void)feed(&whole, &r, in.p, in.n, true, &a);
	stays = feed(&cut, &r, in.p, at, false, &b);
	(void)feed(&cut, &r, in.p + at - stays, in.n - at + stays, true, &b);
	CHECK(a.hash == b.hash && a.messages == b.messages && a.bytes == b.bytes && a.lost == b.lost);
	return 0;
}
