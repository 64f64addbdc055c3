/* api_produce.c - Produce (0), versions 7 to 13: batches out, offsets in.
 *
 *	request   transactional id nullable (null) | acks int16 | timeout int32
 *		| topics array { name (13+: id uuid) | partitions array { index int32 | batch bytes | tags } | tags } | tags
 *	response  topics array { name (13+: id uuid) | partitions array { index int32 | error int16 | base offset int64
 *		  | append time int64 | log start int64 | 8+: record errors array { index int32 | message nullable | tags }
 *		  | 8+: message nullable | tags: 10+: 0 = leader { id int32 | epoch int32 | tags } } | tags }
 *		| throttle int32 | tags: 10+: 0 = endpoints array { id int32 | host | port int32 | rack nullable | tags }
 *
 * Why the request is a list of pieces: batches are megabytes and already in their final form; only a few bytes between
 * them are the request's own. Nothing is copied, the socket gathers.
 *
 * Invariant: the pieces of `control` are noted as offsets and become pointers only when it has stopped growing.
 */
#include "producer/frame.h"

#include "agent/base/err.h"

#define TOPIC_BYTES_MIN 3
#define PARTITION_BYTES_MIN 30
#define RECORD_ERROR_BYTES_MIN 5
#define ENDPOINT_BYTES_MIN 11
#define TAG_CURRENT_LEADER 0
#define TAG_ENDPOINTS 0
#define VERSION_BY_ID 13

size_t api_produce_iov_bound(struct batch *const *batches, size_t n)
{
	size_t sum = 1;		/* what follows the last batch */

	for (size_t i = 0; i < n; i++) {
		sum += 2;	/* control, head */
		for (const struct chunk *c = batches[i]->chunks; c; c = c->next)
			sum++;
	}
	return sum;
}

struct gather {
	struct iovec *iov;
	size_t count, cap;
	struct buf *control;
	size_t cut;		/* control is in iov up to here */
	size_t batch_bytes;
};

static void piece(struct gather *g, const void *p, size_t n)
{
	if (g->count < g->cap)
		g->iov[g->count] = (struct iovec){ .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	g->count++;
}

static void cut_control(struct gather *g)
{
	piece(g, (const void *)(uintptr_t)g->cut, g->control->len - g->cut);
	g->cut = g->control->len;
}

static void put_batch(struct gather *g, struct wire_out *w, const struct batch *b)
{
	size_t n = batch_wire_bytes(b);

	ASSERT(!batch_absent(b));
	wire_put_i32(w, b->partition);
	wire_put_count(w, n);
	cut_control(g);
	piece(g, b->head, BATCH_HEAD);
	for (const struct chunk *c = b->chunks; c; c = c->next)
		piece(g, c->data, c->used);
	g->batch_bytes += n;
	wire_put_no_tags(w);
}

static size_t same_topic(struct batch *const *batches, size_t n, int16_t version)
{
	size_t i = 1;

	while (i < n && !strcmp(batches[i]->topic, batches[0]->topic) &&
	       (version < VERSION_BY_ID || !memcmp(batches[i]->topic_id, batches[0]->topic_id, sizeof batches[0]->topic_id)))
		i++;
	return i;
}

static size_t count_topics(struct batch *const *batches, size_t n, int16_t version)
{
	size_t topics = 0;

	for (size_t i = 0; i < n; i += same_topic(batches + i, n - i, version))
		topics++;
	return topics;
}

/* Walks the same path as put_batch did: one piece of control before each batch, maybe one at the end. */
static void resolve_control(struct gather *g, struct batch *const *batches, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; k < g->count; i++) {
		g->iov[k].iov_base = g->control->data + (uintptr_t)g->iov[k].iov_base;
		k += 2;
		for (const struct chunk *c = i < n ? batches[i]->chunks : NULL; c; c = c->next)
			k++;
	}
}

int api_produce_request(struct buf *control, struct iovec *iov, size_t iov_cap, int16_t version, int32_t correlation_id,
			const char *client_id, int16_t acks, int32_t timeout_ms, struct batch *const *batches, size_t n)
{
	struct frame f = frame_begin(control, API_PRODUCE, version, correlation_id, client_id);
	struct gather g = { .iov = iov, .cap = iov_cap, .control = control, .cut = f.start };

	wire_put_string(&f.w, NULL);
	wire_put_i16(&f.w, acks);
	wire_put_i32(&f.w, timeout_ms);
	wire_put_count(&f.w, count_topics(batches, n, version));
	for (size_t i = 0; i < n;) {
		size_t same = same_topic(batches + i, n - i, version);

		if (version >= VERSION_BY_ID)
			buf_put(control, batches[i]->topic_id, sizeof batches[i]->topic_id);
		else
			wire_put_string(&f.w, batches[i]->topic);
		wire_put_count(&f.w, same);
		for (; same > 0; same--)
			put_batch(&g, &f.w, batches[i++]);
		wire_put_no_tags(&f.w);
	}
	wire_put_no_tags(&f.w);
	if (control->len > g.cut)
		cut_control(&g);
	if (g.count > g.cap || frame_end(&f, g.batch_bytes) < 0)
		return ERR_NOMEM;
	resolve_control(&g, batches, n);
	return (int)g.count;
}

/* --- response --- */

static void read_tag(void *arg, uint64_t tag, struct wire *r)
{
	struct api_produce_answer *a = arg;

	if (tag != TAG_CURRENT_LEADER)
		return;
	a->leader = wire_i32(r);
	a->leader_epoch = wire_i32(r);
	wire_no_tags(r);
}

/* Remembers where they stand, and goes over them. */
static void read_record_errors(struct wire *r, struct api_record_errors *e)
{
	size_t n = wire_count(r, RECORD_ERROR_BYTES_MIN), ignored;

	*e = (struct api_record_errors){ .at = r->p, .left = n, .flexible = r->flexible };
	for (; n > 0 && !r->failed; n--) {
		wire_i32(r);
		wire_nullable(r, &ignored);
		wire_no_tags(r);
	}
	e->end = r->p;
}

bool api_next_record_error(struct api_record_errors *e, int32_t *ret_index, const char **ret_message, size_t *ret_len)
{
	struct wire r;

	if (!e->left)
		return false;
	wire_init(&r, e->at, (size_t)((const uint8_t *)e->end - (const uint8_t *)e->at), e->flexible);
	*ret_index = wire_i32(&r);
	*ret_message = wire_nullable(&r, ret_len);
	wire_no_tags(&r);
	e->at = r.p;
	e->left--;
	return !r.failed;
}

static void read_partition(struct wire *r, int16_t version, struct api_produce_answer *a)
{
	a->partition = wire_i32(r);
	a->error = wire_i16(r);
	a->base_offset = wire_i64(r);
	a->append_time = wire_i64(r);
	wire_i64(r);			/* log start */
	a->message = NULL;
	a->message_len = 0;
	a->records = (struct api_record_errors){ 0 };
	a->leader = a->leader_epoch = -1;
	if (version >= 8) {
		read_record_errors(r, &a->records);
		a->message = wire_nullable(r, &a->message_len);
	}
	wire_tags(r, read_tag, a);
	if (a->partition < 0)
		r->failed = true;
}

static void read_name(struct wire *r, int16_t version, struct api_produce_answer *a)
{
	*a = (struct api_produce_answer){ 0 };
	if (version >= VERSION_BY_ID)
		a->topic_id = wire_bytes(r, 16);
	else
		a->topic = wire_string(r, &a->topic_len);
}

bool api_produce_answers(const struct api_produce_answer *a, const struct batch *b)
{
	if (b->partition != a->partition)
		return false;
	if (a->topic_id)
		return memcmp(a->topic_id, b->topic_id, sizeof b->topic_id) == 0;
	return strlen(b->topic) == a->topic_len && memcmp(b->topic, a->topic, a->topic_len) == 0;
}

/* Up to the response's own tags. fn NULL: only checks. */
static int32_t read_topics(struct wire *r, int16_t version, api_produce_fn *fn, void *arg)
{
	size_t topics = wire_count(r, TOPIC_BYTES_MIN);

	for (; topics > 0 && !r->failed; topics--) {
		struct api_produce_answer a;
		size_t partitions;

		read_name(r, version, &a);
		partitions = wire_count(r, PARTITION_BYTES_MIN);
		for (; partitions > 0 && !r->failed; partitions--) {
			read_partition(r, version, &a);
			if (fn)
				fn(arg, &a);
		}
		wire_no_tags(r);
	}
	return wire_i32(r);
}

int api_produce_response(const void *data, size_t n, int16_t version, int32_t correlation_id, int32_t *ret_throttle_ms,
			 api_produce_fn *fn, void *arg)
{
	const struct wire start = frame_open(data, n, API_PRODUCE, version, correlation_id);
	struct wire r = start;
	int32_t throttle_ms = read_topics(&r, version, NULL, NULL);
	int rc;

	wire_no_tags(&r);
	rc = wire_end(&r);
	if (rc < 0)
		return rc;
	*ret_throttle_ms = throttle_ms;
	r = start;
	read_topics(&r, version, fn, arg);
	return 0;
}

/* --- where the new leaders are --- */

struct endpoints { void (*fn)(void *arg, const struct api_endpoint *e); void *arg; };

static void read_endpoint(struct wire *r, const struct endpoints *to)
{
	struct api_endpoint e = { .id = wire_i32(r) };
	size_t n, ignored;
	const char *host = wire_string(r, &n);

	e.port = wire_i32(r);
	wire_nullable(r, &ignored);
	wire_no_tags(r);
	if (r->failed || n == 0 || n >= sizeof e.host || memchr(host, 0, n))
		return;
	memcpy(e.host, host, n);
	to->fn(to->arg, &e);
}

static void read_endpoints_tag(void *arg, uint64_t tag, struct wire *r)
{
	size_t n = tag == TAG_ENDPOINTS ? wire_count(r, ENDPOINT_BYTES_MIN) : 0;

	for (; n > 0 && !r->failed; n--)
		read_endpoint(r, arg);
}

void api_produce_endpoints(const void *data, size_t n, int16_t version, int32_t correlation_id,
			   void (*fn)(void *arg, const struct api_endpoint *e), void *arg)
{
	struct endpoints to = { fn, arg };
	struct wire r = frame_open(data, n, API_PRODUCE, version, correlation_id);

	read_topics(&r, version, NULL, NULL);
	wire_tags(&r, read_endpoints_tag, &to);
}
