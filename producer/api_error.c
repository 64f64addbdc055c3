/* api_error.c - Kafka's error codes: name, what to do, and whether the batch may be in the log although it failed.
 *
 * Why one table: "retriable" in Java's sense is not the question here. A shipper that drops nothing asks: the same bytes
 * again, or first something else? And for exactly once: could this attempt have been written?
 * Codes that a producer can never be sent are left out; those and codes of later brokers count as UNKNOWN_SERVER_ERROR.
 * What each class does to a batch stands in stream.c (fail); the words are for a partition that is held.
 */
#include "producer/api.h"

#define MAYBE 1

static const struct api_error errors[] = {
	{  -1, "UNKNOWN_SERVER_ERROR",		API_ERR_RETRY, MAYBE,
	  "the broker failed and does not say why; its log may" },	/* first: what unknown codes get */
	{   0, "NONE",				API_ERR_NONE, MAYBE, NULL },
	{   2, "CORRUPT_MESSAGE",		API_ERR_REBUILD, 0,
	  "batches arrive damaged at the broker: look at memory, network card and what is between" },
	{   3, "UNKNOWN_TOPIC_OR_PARTITION",	API_ERR_REFRESH, 0, NULL },
	{   5, "LEADER_NOT_AVAILABLE",		API_ERR_REFRESH, 0, NULL },
	{   6, "NOT_LEADER_OR_FOLLOWER",	API_ERR_REFRESH, MAYBE, NULL },	/* leadership may move after the append */
	{   7, "REQUEST_TIMED_OUT",		API_ERR_RETRY, MAYBE, NULL },
	{   8, "BROKER_NOT_AVAILABLE",		API_ERR_RETRY, 0, NULL },
	{   9, "REPLICA_NOT_AVAILABLE",		API_ERR_REFRESH, 0, NULL },
	{  10, "MESSAGE_TOO_LARGE",		API_ERR_SPLIT, 0,
	  "a batch is larger than the topic takes (max.message.bytes)" },
	{  13, "NETWORK_EXCEPTION",		API_ERR_REFRESH, MAYBE, NULL },	/* made by clients, never sent */
	{  14, "COORDINATOR_LOAD_IN_PROGRESS",	API_ERR_RETRY, 0, NULL },
	{  15, "COORDINATOR_NOT_AVAILABLE",	API_ERR_RETRY, 0, NULL },
	{  16, "NOT_COORDINATOR",		API_ERR_RETRY, 0, NULL },
	{  17, "INVALID_TOPIC_EXCEPTION",	API_ERR_LANE, 0, "the topic's name is not allowed" },
	{  18, "RECORD_LIST_TOO_LARGE",		API_ERR_SPLIT, 0,
	  "a batch is larger than a segment of the topic takes (segment.bytes)" },
	{  19, "NOT_ENOUGH_REPLICAS",		API_ERR_RETRY, 0, NULL },
	{  20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", API_ERR_RETRY, MAYBE, NULL },
	{  21, "INVALID_REQUIRED_ACKS",		API_ERR_FATAL, 0, "acks is not what this broker takes" },
	{  29, "TOPIC_AUTHORIZATION_FAILED",	API_ERR_LANE, 0,
	  "the right to write to the topic is missing (ACL: WRITE)" },
	{  31, "CLUSTER_AUTHORIZATION_FAILED",	API_ERR_FATAL, 0,
	  "the right to write with idempotence is missing (ACL: IDEMPOTENT_WRITE, or WRITE on any topic)" },
	{  32, "INVALID_TIMESTAMP",		API_ERR_RECORD, 0,
	  "the time of the records is outside of what the topic takes; look at both clocks" },
	{  33, "UNSUPPORTED_SASL_MECHANISM",	API_ERR_FATAL, 0,
	  "the broker does not know the SASL mechanism (sasl.mechanism)" },
	{  34, "ILLEGAL_SASL_STATE",		API_ERR_RETRY, 0, NULL },	/* a new connection starts afresh */
	{  35, "UNSUPPORTED_VERSION",		API_ERR_FATAL, 0, "the broker does not speak a version that we do" },
	{  36, "TOPIC_ALREADY_EXISTS",		API_ERR_REFRESH, 0, NULL },
	{  42, "INVALID_REQUEST",		API_ERR_LANE, 0,
	  "the broker found the request malformed; please report it" },
	{  43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", API_ERR_LANE, 0,
	  "the topic has a message format from before Kafka 0.11 (message.format.version)" },
	{  44, "POLICY_VIOLATION",		API_ERR_LANE, 0, "a policy of the cluster forbids it" },
	{  45, "OUT_OF_ORDER_SEQUENCE_NUMBER",	API_ERR_SEQUENCE, 0, NULL },
	{  46, "DUPLICATE_SEQUENCE_NUMBER",	API_ERR_DUPLICATE, MAYBE, NULL },
	{  47, "INVALID_PRODUCER_EPOCH",	API_ERR_FENCED, 0,
	  "somebody else writes under our identity: is this state directory a copy?" },
	{  48, "INVALID_TXN_STATE",		API_ERR_FATAL, 0,
	  "the cluster takes us for a transaction; please report it" },
	{  49, "INVALID_PRODUCER_ID_MAPPING",	API_ERR_FENCED, 0,
	  "the cluster does not know our identity any more" },
	{  51, "CONCURRENT_TRANSACTIONS",	API_ERR_RETRY, 0, NULL },
	{  53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", API_ERR_FATAL, 0,
	  "the cluster takes us for a transaction; please report it" },
	{  56, "KAFKA_STORAGE_ERROR",		API_ERR_REFRESH, MAYBE, NULL },
	{  58, "SASL_AUTHENTICATION_FAILED",	API_ERR_FATAL, 0, "authentication failed" },
	{  59, "UNKNOWN_PRODUCER_ID",		API_ERR_SEQUENCE, 0,
	  "the broker has forgotten our identity (Kafka up to 2.4)" },
	{  72, "LISTENER_NOT_FOUND",		API_ERR_REFRESH, 0, NULL },
	{  74, "FENCED_LEADER_EPOCH",		API_ERR_REFRESH, 0, NULL },
	{  75, "UNKNOWN_LEADER_EPOCH",		API_ERR_REFRESH, 0, NULL },
	{  76, "UNSUPPORTED_COMPRESSION_TYPE",	API_ERR_LANE, 0,
	  "the topic or broker does not take this codec (compression.type)" },
	{  78, "OFFSET_NOT_AVAILABLE",		API_ERR_RETRY, 0, NULL },
	{  87, "INVALID_RECORD",		API_ERR_RECORD, 0, "the broker refuses records" },
	{  89, "THROTTLING_QUOTA_EXCEEDED",	API_ERR_RETRY, 0, NULL },
	{  90, "PRODUCER_FENCED",		API_ERR_FENCED, 0,
	  "somebody else writes under our identity: is this state directory a copy?" },
	{  97, "PRINCIPAL_DESERIALIZATION_FAILURE", API_ERR_LANE, 0,
	  "the broker cannot read the principal; its log says more" },
	{ 100, "UNKNOWN_TOPIC_ID",		API_ERR_REFRESH, 0, NULL },
	{ 103, "INCONSISTENT_TOPIC_ID",		API_ERR_REFRESH, 0, NULL },
	{ 120, "TRANSACTION_ABORTABLE",		API_ERR_FATAL, 0,
	  "the cluster takes us for a transaction; please report it" },
	{ 129, "REBOOTSTRAP_REQUIRED",		API_ERR_REFRESH, 0, NULL },
};

const struct api_error *api_error(int16_t code)
{
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
		if (errors[i].code == code)
			return &errors[i];
	return &errors[0];
}
