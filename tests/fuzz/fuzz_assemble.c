/* fuzz_assemble.c - a file of any bytes becomes messages, under any rules.
 *
 * Input: the row of rules, max_line, how it is cut; then the file. The same messages come whatever the cuts, each byte is in one
 * of them or lost, and each message comes again out of its own spans. */
#include <string.h>

#include "agent/record/assemble.h"
#include "agent/base/buf.h"
#include "tests/fuzz/fuzz.h"

#define FILE_MAX 4096
#define LINE_MAX_BYTES 120

static const char *const specs[] = {
	"{}",
	"{\"long\":\"truncate\"}",
	"{\"long\":\"skip\"}",
	"{\"format\":\"docker\"}",
	"{\"format\":\"docker\",\"long\":\"truncate\"}",
	"{\"format\":\"cri\",\"long\":\"skip\"}",
	"{\"format\":\"auto\"}",
	"{\"format\":\"auto\",\"long\":\"truncate\",\"multiline\":{\"start\":\"^\\\\d\",\"max_lines\":5,\"max_bytes\":99}}",
	"{\"format\":\"docker\",\"multiline\":{\"preset\":\"java\"}}",
	"{\"format\":\"cri\",\"multiline\":{\"continue\":\"^\\\\s\",\"end\":\"\\\\}$\"}}",
	"{\"multiline\":{\"preset\":\"java\",\"max_lines\":9}}",
	"{\"multiline\":{\"preset\":\"python\"}}",
	"{\"multiline\":{\"preset\":\"go\"},\"long\":\"skip\"}",
	"{\"multiline\":{\"preset\":\"ruby\",\"max_bytes\":200}}",
	"{\"multiline\":{\"preset\":\"dotnet\"},\"long\":\"truncate\"}",
	"{\"encoding\":\"utf-16le\"}",
	"{\"encoding\":\"utf-16\",\"long\":\"truncate\",\"multiline\":{\"start\":\"^a\"}}",
	"{\"encoding\":\"utf-32le\",\"long\":\"skip\"}",
	"{\"encoding\":\"shift_jis\"}",
	"{\"encoding\":\"gb18030\",\"long\":\"truncate\"}",
	"{\"encoding\":\"iso-2022-jp\",\"format\":\"auto\"}",
	"{\"encoding\":\"windows-1252\",\"multiline\":{\"end\":\"(a+)+;$\"}}",
};

static struct assemble_rules *rules(size_t row, size_t max)
{
	static struct assemble_rules *made[COUNT(specs)][LINE_MAX_BYTES + 1];

	if (!made[row][max])
		CHECK(assemble_rules_new(specs[row], (int64_t)max, &made[row][max], NULL) == 0);
	return made[row][max];
}

/* What came, as bytes to compare, and where each message's spans are. */
struct came { struct buf text; struct message_span spans[FILE_MAX]; uint32_t span_count[FILE_MAX]; size_t n, used; };

static void put(struct came *c, const struct message *m)
{
	buf_put(&c->text, m->spans, m->span_count * sizeof *m->spans);
	buf_put(&c->text, &m->time_ns, sizeof m->time_ns);
	buf_put(&c->text, &m->stream, sizeof m->stream);
	buf_put(&c->text, &m->lines, sizeof m->lines);
	buf_put(&c->text, &m->broken, sizeof m->broken);
	buf_put(&c->text, m->value, m->value_len);
}

static void cover(uint8_t *seen, const struct message_span *s)
{
	CHECK(s->from >= 0 && s->from < s->to && s->to <= FILE_MAX);
	for (int64_t i = s->from; i < s->to; i++)
		CHECK(!seen[i]++);
}

static void take(struct assembly *a, struct came *c, uint8_t *seen)
{
	struct message m;
	int rc;

	while ((rc = assembly_next(a, &m)) == 1) {
		if (!m.value) {
			cover(seen, &m.lost);
			continue;
		}
		CHECK(m.span_count && c->n < FILE_MAX && c->used + m.span_count <= FILE_MAX);
		put(c, &m);
		for (uint32_t i = 0; i < m.span_count; i++) {
			cover(seen, &m.spans[i]);
			CHECK(!i || m.spans[i - 1].to < m.spans[i].from);
			c->spans[c->used++] = m.spans[i];
		}
		c->span_count[c->n++] = m.span_count;
	}
	CHECK(rc == 0);
}

/* A piece of the file in memory of its own. */
static void feed(struct assembly *a, const uint8_t *p, size_t n, bool final, struct came *c, uint8_t *seen)
{
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, p, n);
	assembly_feed(a, copy, n, final);
	take(a, c, seen);
	free(copy);
}

static void whole(struct assembly *a, const struct assemble_rules *r, struct fuzz_in in, size_t cut, struct came *c)
{
	uint8_t seen[FILE_MAX] = { 0 };
	bool groups;

	c->n = c->used = 0;
	buf_clear(&c->text);
	assembly_begin(a, r, 0, false);
	for (size_t at = 0; at < in.n; ) {
		size_t n = cut < in.n - at ? cut : in.n - at;
		int64_t open;

		feed(a, in.p + at, n, at + n == in.n, c, seen);
		at += n;
		open = assembly_open(a, &groups);
		CHECK(open >= 0 && open <= (int64_t)at);
		CHECK(!open || !memchr(seen, 0, (size_t)open));
	}
	assembly_end(a);
	take(a, c, seen);
	CHECK(assembly_open(a, &groups) == (int64_t)in.n && !groups);
	CHECK(!in.n || !memchr(seen, 0, in.n));
}

static void alone(struct assembly *a, const struct assemble_rules *r, const uint8_t *p, const struct message_span *s, uint32_t n,
		  struct came *c)
{
	uint8_t seen[FILE_MAX] = { 0 };

	assembly_begin(a, r, s[0].from, false);
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			assembly_jump(a, s[i].from, false);
		feed(a, p + s[i].from, (size_t)(s[i].to - s[i].from), true, c, seen);
	}
	assembly_end(a);
	take(a, c, seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct came first, other;
	struct fuzz_in in = { data, n };
	const struct assemble_rules *r = rules(fuzz_byte(&in) % COUNT(specs), 1 + fuzz_byte(&in) % LINE_MAX_BYTES);
	size_t cut = 1 + fuzz_byte(&in), skip = 0, at = 0;
	struct assembly *a = assembly_new();

	CHECK(a);
	in.n = in.n < FILE_MAX ? in.n : FILE_MAX;
	buf_init(&first.text, 1 << 24);
	buf_init(&other.text, 1 << 24);
	whole(a, r, in, FILE_MAX, &first);
	whole(a, r, in, cut, &other);
	CHECK(first.text.len == other.text.len && (!first.text.len || !memcmp(first.text.data, other.text.data, first.text.len)));
	other.n = other.used = 0;
	buf_clear(&other.text);
	for (size_t i = 0; i < first.n; at += first.span_count[i++])
		alone(a, r, in.p, first.spans + at, first.span_count[i], &other);
	CHECK(other.n == first.n);
	CHECK(first.text.len == other.text.len && (!first.text.len || !memcmp(first.text.data, other.text.data, first.text.len)));
	assemble_resolve("utf-16", in.p, in.n, &skip);
	CHECK(skip <= in.n);
	buf_release(&first.text);
	buf_release(&other.text);
	assembly_free(a);
	return 0;
}
