/* serialize.c - serializers.
 *
 * Why: Java's producer checks a record before it takes it, on the thread that sends; so do we. Bytes, strings and JSON
 * are not copied: their own copy into the batch is the only one.
 * Invariants
 *  (1) null stays null, whatever the serializer: it means "no key" or a tombstone.
 *  (2) nothing is read beyond the record's length: types of a fixed size refuse every other length.
 * Threads: any, each with its own room.
 * Failure words name key or value, the topic, and why.
 */
#include "producer/serialize.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/code.h"
#include "producer/config_keys.h"
#include "producer/json.h"

#define BYTES_MAX INT32_MAX		/* Kafka's lengths are signed */

void serialize_init(struct producer_bytes *b)
{
	b->data = b->small;
	b->cap = sizeof b->small;
	b->len = 0;
	b->failed = false;
}

void serialize_release(struct producer_bytes *b)
{
	if (b->data != b->small)
		mem_free(b->data);
}

static int grow(struct producer_bytes *b, size_t need)
{
	size_t cap = b->cap;
	uint8_t *p;

	while (cap < need)
		cap *= 2;
	p = b->data == b->small ? mem_alloc(cap) : mem_realloc(b->data, cap);
	if (!p)
		return ERR_NOMEM;
	if (b->data == b->small)
		memcpy(p, b->small, b->len);
	b->data = p;
	b->cap = cap;
	return 0;
}

int producer_bytes_put(struct producer_bytes *b, const void *data, size_t n)
{
	if (!b->failed && (n > BYTES_MAX - b->len || (b->len + n > b->cap && grow(b, b->len + n) < 0)))
		b->failed = true;
	if (b->failed)
		return PRODUCER_ERR_NOMEM;
	if (n)
		memcpy(b->data + b->len, data, n);
	b->len += n;
	return 0;
}

/* --- by name --- */

int serialize_named(const char *name, enum serializer *ret)
{
	const struct key_word *w = config_keys[config_key_find("key.serializer")].words;

	for (; w->word; w++)
		if (!strcmp(w->word, name)) {
			*ret = (enum serializer)w->value;
			return 0;
		}
	return PRODUCER_ERR_CONFIG;
}

static void put_big_endian(const void *data, size_t n, struct producer_bytes *out)
{
	uint64_t v = 0;
	uint32_t four;
	uint8_t bytes[8];

	if (n == sizeof four) {
		memcpy(&four, data, n);
		v = four;
	} else {
		memcpy(&v, data, n);
	}
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	producer_bytes_put(out, bytes, n);
}

static void put_uuid(const uint8_t *id, struct producer_bytes *out)
{
	static const char hex[] = "0123456789abcdef";
	char text[36];
	size_t at = 0;

	for (size_t i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			text[at++] = '-';
		text[at++] = hex[id[i] >> 4];
		text[at++] = hex[id[i] & 15];
	}
	producer_bytes_put(out, text, sizeof text);
}

static const struct fixed { const char *name; size_t bytes; } fixed[] = {
	[SERIALIZER_INTEGER] = { "integer", 4 }, [SERIALIZER_LONG] = { "long", 8 }, [SERIALIZER_DOUBLE] = { "double", 8 },
	[SERIALIZER_UUID] = { "uuid", 16 },
};

static int refuse(const struct serialize_part *part, const char *topic, struct producer_error *ret_err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int refuse(const struct serialize_part *part, const char *topic, struct producer_error *ret_err, const char *fmt, ...)
{
	char why[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	return code_fail(ret_err, PRODUCER_ERR_SERIALIZATION, "%s for topic \"%.60s\": %s", part->name, topic, why);
}

static int by_name(const struct serialize_part *part, const char *topic, const void *data, size_t n,
		   struct producer_bytes *out, struct producer_error *ret_err)
{
	const struct fixed *f = &fixed[part->how];

	if (n != f->bytes)
		return refuse(part, topic, ret_err, "%s takes exactly %zu bytes, not %zu", f->name, f->bytes, n);
	if (part->how == SERIALIZER_UUID)
		put_uuid(data, out);
	else
		put_big_endian(data, n, out);
	return 0;
}

static int check_json(const struct serialize_part *part, const char *topic, const void *data, size_t n,
		      struct producer_error *ret_err)
{
	size_t at;

	if (json_valid(data, n, &at))
		return 0;
	if (at == n)
		return refuse(part, topic, ret_err, "not JSON: it ends too early, after %zu bytes", n);
	return refuse(part, topic, ret_err, "not JSON from byte %zu on", at);
}

int serialize(const struct serialize_part *part, const char *topic, const void **data, size_t *n,
	      struct producer_bytes *room, struct producer_error *ret_err)
{
	int rc;

	if (!*data) {
		*n = 0;
		return 0;
	}
	if (!part->fn->serialize && (part->how == SERIALIZER_BYTES || part->how == SERIALIZER_STRING))
		return 0;
	if (!part->fn->serialize && part->how == SERIALIZER_JSON)
		return check_json(part, topic, *data, *n, ret_err);
	if (!part->fn->serialize) {
		rc = by_name(part, topic, *data, *n, room, ret_err);
		if (rc < 0)
			return rc;
	} else {
		rc = part->fn->serialize(part->fn->arg, topic, *data, *n, room);
		if (rc < 0 && !room->failed)
			return refuse(part, topic, ret_err, "its serializer failed with %d", rc);
	}
	if (room->failed)
		return code_fail(ret_err, ERR_NOMEM, "%s for topic \"%.60s\": no memory for its bytes", part->name, topic);
	*data = room->data;
	*n = room->len;
	return 0;
}
