/* fuzz_api.c - responses of a broker, in every version that we speak.
 *
 * Input: which row of the table, which version, then the response without its length prefix, correlation id 0x01020304. */
#include <string.h>

#include "agent/base/err.h"
#include "producer/api.h"
#include "tests/fuzz/fuzz.h"

#define CORRELATION 0x01020304

static volatile size_t sink;

static void versions(const void *data, size_t n, int16_t version)
{
	struct api_versions v;

	if (api_versions_response(data, n, version, CORRELATION, &v) < 0)
		return;
	for (int key = 0; key < API_KEYS; key++)
		CHECK(api_pick(&v, key) <= api_ours[key].max);
}

static void metadata(const void *data, size_t n, int16_t version)
{
	struct api_metadata m;

	if (api_metadata_response(data, n, version, CORRELATION, &m) < 0)
		return;
	CHECK(m.broker_count <= n && m.topic_count <= n);
	for (size_t i = 0; i < m.broker_count; i++)
		sink += strlen(m.brokers[i].host);
	for (size_t i = 0; i < m.topic_count; i++) {
		sink += strlen(m.topics[i].name);
		for (size_t k = 0; k < m.topics[i].partition_count; k++)
			sink += (size_t)m.topics[i].partitions[k].leader;
	}
	api_metadata_release(&m);
}

static void init_producer_id(const void *data, size_t n, int16_t version)
{
	struct api_producer_id id;

	if (api_init_producer_id_response(data, n, version, CORRELATION, &id) == 0)
		sink += (size_t)id.producer_id;
}

static void look_at(const void *p, size_t n)
{
	for (size_t i = 0; p && i < n; i++)
		sink += ((const uint8_t *)p)[i];
}

static void answer(void *arg, const struct api_produce_answer *a)
{
	size_t *calls = arg;

	look_at(a->topic, a->topic_len);
	look_at(a->message, a->message_len);
	CHECK(api_error(a->error));
	++*calls;
}

static void produce(const void *data, size_t n, int16_t version)
{
	int32_t throttle_ms;
	size_t calls = 0;
	int rc = api_produce_response(data, n, version, CORRELATION, &throttle_ms, answer, &calls);

	CHECK(rc == 0 || calls == 0);		/* the whole response is checked before the first call */
	CHECK(calls <= n);
}

static void sasl_handshake(const void *data, size_t n, int16_t version)
{
	struct api_sasl_handshake h;

	if (api_sasl_handshake_response(data, n, version, CORRELATION, &h) == 0)
		sink += strlen(h.mechanisms);
}

static void sasl_authenticate(const void *data, size_t n, int16_t version)
{
	struct api_sasl_authenticate a;

	if (api_sasl_authenticate_response(data, n, version, CORRELATION, &a) < 0)
		return;
	look_at(a.message, a.message_len);
	look_at(a.auth, a.auth_len);
}

static void producer_state(void *arg, const struct api_producer_state *p)
{
	size_t *calls = arg;

	sink += (size_t)p->producer_id;
	++*calls;
}

static void describe_producers(const void *data, size_t n, int16_t version)
{
	int32_t throttle_ms;
	size_t calls = 0;
	int16_t error;
	int rc = api_describe_producers_response(data, n, version, CORRELATION, &error, &throttle_ms, producer_state, &calls);

	CHECK(rc == 0 || calls == 0);		/* the whole response is checked before the first call */
	CHECK(calls <= n);
}

static void setting(void *arg, const struct api_config *c)
{
	size_t *calls = arg;

	look_at(c->name, c->name_len);
	look_at(c->value, c->value_len);
	++*calls;
}

static void describe_configs(const void *data, size_t n, int16_t version)
{
	size_t calls = 0;
	int16_t error;
	int rc = api_describe_configs_response(data, n, version, CORRELATION, &error, setting, &calls);

	CHECK(rc == 0 || calls == 0);		/* the whole response is checked before the first call */
	CHECK(calls <= n);
}

static void list_offsets(const void *data, size_t n, int16_t version)
{
	struct api_offset o;

	if (api_list_offsets_response(data, n, version, CORRELATION, &o) == 0)
		CHECK(o.offset >= -1);
}

static void fetch(const void *data, size_t n, int16_t version)
{
	struct api_fetch f;
	struct api_batch_header h;
	const uint8_t *at, *end, *last;

	if (api_fetch_response(data, n, version, CORRELATION, &f) < 0)
		return;
	CHECK(f.high_watermark >= -1 && f.log_start_offset >= -1 && f.records_len <= n && !f.records == !f.records_len);
	if (!f.records)
		return;
	look_at(f.records, f.records_len);
	end = f.records + f.records_len;
	for (at = last = f.records; api_next_batch_header(&at, end, &h); last = at)
		CHECK(at - last >= BATCH_HEAD && at <= end && h.last_offset >= h.base_offset && (h.whole || at == end));
}

static const struct {
	enum api_key key;
	void (*fn)(const void *data, size_t n, int16_t version);
} rows[] = {
	{ API_VERSIONS, versions },
	{ API_METADATA, metadata },
	{ API_INIT_PRODUCER_ID, init_producer_id },
	{ API_PRODUCE, produce },
	{ API_SASL_HANDSHAKE, sasl_handshake },
	{ API_SASL_AUTHENTICATE, sasl_authenticate },
	{ API_DESCRIBE_PRODUCERS, describe_producers },
	{ API_LIST_OFFSETS, list_offsets },
	{ API_FETCH, fetch },
	{ API_DESCRIBE_CONFIGS, describe_configs },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n };
	uint8_t row = fuzz_byte(&in) % COUNT(rows), version = fuzz_byte(&in);
	struct api_range ours = api_ours[rows[row].key];

	rows[row].fn(in.p, in.n, (int16_t)(ours.min + version % (ours.max - ours.min + 1)));
	return 0;
}
