/* config.h - the producer's configuration as one struct; producer/config.c holds the one table of keys. */
#ifndef SPILLWAY_PRODUCER_CONFIG_H
#define SPILLWAY_PRODUCER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "producer/producer.h"

struct producer_config {
	/* Values in the units of their names; strings are owned. */
	char   *bootstrap_servers;		/* bootstrap.servers */
	char   *client_id;			/* client.id */
	int64_t acks;				/* -1 | 0 | 1 */
	int64_t enable_idempotence;
	int64_t max_in_flight;			/* max.in.flight.requests.per.connection */
	int64_t retries, delivery_timeout_ms, request_timeout_ms;
	int64_t linger_ms, batch_size, buffer_memory, max_block_ms, max_request_size;
	int64_t retry_backoff_ms, retry_backoff_max_ms, reconnect_backoff_ms, reconnect_backoff_max_ms;
	int64_t connection_setup_timeout_ms, connection_setup_timeout_max_ms, connections_max_idle_ms;
	int64_t metadata_max_age_ms;
	int64_t send_buffer_bytes, receive_buffer_bytes;
	int64_t compression_type;		/* enum codec */
	int64_t compression_lz4_level, compression_zstd_level;
	int64_t compress_threads;		/* not Kafka's: 0 = one a core but one, at least 1; set by field, not by name */
	uint64_t set_mask[2];			/* which keys were set one by one (bit = index in the table) */
	const struct producer_preset *preset;	/* NULL: Kafka's defaults */
	char    text[512];			/* producer_config_get's answer */
};

#endif
