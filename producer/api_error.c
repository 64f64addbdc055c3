/* api_error.c - Kafka's error codes: name, what to do, and whether the batch may be in the log although it failed.
 *
 * Why one table: "retriable" in Java's sense is not the question here. A shipper that drops nothing asks: the same bytes
 * again, or first something else? And for exactly once: could this attempt have been written?
 * Codes that a producer can never be sent are left out; those and codes of later brokers count as UNKNOWN_SERVER_ERROR.
 */
#include "producer/api.h"

#define MAYBE 1

static const struct api_error errors[] = {
	{  -1, "UNKNOWN_SERVER_ERROR",		API_ERR_RETRY, MAYBE },	/* first: what unknown codes get */
	{   0, "NONE",				API_ERR_NONE, MAYBE },
	{   2, "CORRUPT_MESSAGE",		API_ERR_RETRY, 0 },
	{   3, "UNKNOWN_TOPIC_OR_PARTITION",	API_ERR_REFRESH, 0 },
	{   5, "LEADER_NOT_AVAILABLE",		API_ERR_REFRESH, 0 },
	{   6, "NOT_LEADER_OR_FOLLOWER",	API_ERR_REFRESH, MAYBE },	/* leadership may move after the append */
	{   7, "REQUEST_TIMED_OUT",		API_ERR_RETRY, MAYBE },
	{   8, "BROKER_NOT_AVAILABLE",		API_ERR_RETRY, 0 },
	{   9, "REPLICA_NOT_AVAILABLE",		API_ERR_REFRESH, 0 },
	{  10, "MESSAGE_TOO_LARGE",		API_ERR_RECORD, 0 },
	{  13, "NETWORK_EXCEPTION",		API_ERR_REFRESH, MAYBE },	/* made by clients, never sent */
	{  14, "COORDINATOR_LOAD_IN_PROGRESS",	API_ERR_RETRY, 0 },
	{  15, "COORDINATOR_NOT_AVAILABLE",	API_ERR_RETRY, 0 },
	{  16, "NOT_COORDINATOR",		API_ERR_RETRY, 0 },
	{  17, "INVALID_TOPIC_EXCEPTION",	API_ERR_LANE, 0 },
	{  18, "RECORD_LIST_TOO_LARGE",		API_ERR_RECORD, 0 },
	{  19, "NOT_ENOUGH_REPLICAS",		API_ERR_RETRY, 0 },
	{  20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", API_ERR_RETRY, MAYBE },
	{  21, "INVALID_REQUIRED_ACKS",		API_ERR_FATAL, 0 },
	{  29, "TOPIC_AUTHORIZATION_FAILED",	API_ERR_LANE, 0 },
	{  31, "CLUSTER_AUTHORIZATION_FAILED",	API_ERR_FATAL, 0 },
	{  32, "INVALID_TIMESTAMP",		API_ERR_RECORD, 0 },
	{  33, "UNSUPPORTED_SASL_MECHANISM",	API_ERR_FATAL, 0 },
	{  34, "ILLEGAL_SASL_STATE",		API_ERR_RETRY, 0 },	/* a new connection starts afresh */
	{  35, "UNSUPPORTED_VERSION",		API_ERR_FATAL, 0 },
	{  36, "TOPIC_ALREADY_EXISTS",		API_ERR_REFRESH, 0 },
	{  42, "INVALID_REQUEST",		API_ERR_LANE, 0 },
	{  43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", API_ERR_LANE, 0 },
	{  44, "POLICY_VIOLATION",		API_ERR_LANE, 0 },
	{  45, "OUT_OF_ORDER_SEQUENCE_NUMBER",	API_ERR_SEQUENCE, 0 },
	{  46, "DUPLICATE_SEQUENCE_NUMBER",	API_ERR_DUPLICATE, MAYBE },
	{  47, "INVALID_PRODUCER_EPOCH",	API_ERR_FENCED, 0 },
	{  48, "INVALID_TXN_STATE",		API_ERR_FATAL, 0 },
	{  49, "INVALID_PRODUCER_ID_MAPPING",	API_ERR_FENCED, 0 },
	{  51, "CONCURRENT_TRANSACTIONS",	API_ERR_RETRY, 0 },
	{  53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", API_ERR_FATAL, 0 },
	{  56, "KAFKA_STORAGE_ERROR",		API_ERR_REFRESH, MAYBE },
	{  58, "SASL_AUTHENTICATION_FAILED",	API_ERR_FATAL, 0 },
	{  59, "UNKNOWN_PRODUCER_ID",		API_ERR_SEQUENCE, 0 },
	{  72, "LISTENER_NOT_FOUND",		API_ERR_REFRESH, 0 },
	{  74, "FENCED_LEADER_EPOCH",		API_ERR_REFRESH, 0 },
	{  75, "UNKNOWN_LEADER_EPOCH",		API_ERR_REFRESH, 0 },
	{  76, "UNSUPPORTED_COMPRESSION_TYPE",	API_ERR_FATAL, 0 },
	{  78, "OFFSET_NOT_AVAILABLE",		API_ERR_RETRY, 0 },
	{  87, "INVALID_RECORD",		API_ERR_RECORD, 0 },
	{  89, "THROTTLING_QUOTA_EXCEEDED",	API_ERR_RETRY, 0 },
	{  90, "PRODUCER_FENCED",		API_ERR_FENCED, 0 },
	{  97, "PRINCIPAL_DESERIALIZATION_FAILURE", API_ERR_LANE, 0 },
	{ 100, "UNKNOWN_TOPIC_ID",		API_ERR_REFRESH, 0 },
	{ 103, "INCONSISTENT_TOPIC_ID",		API_ERR_REFRESH, 0 },
	{ 120, "TRANSACTION_ABORTABLE",		API_ERR_FATAL, 0 },
	{ 129, "REBOOTSTRAP_REQUIRED",		API_ERR_REFRESH, 0 },
};

const struct api_error *api_error(int16_t code)
{
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
		if (errors[i].code == code)
			return &errors[i];
	return &errors[0];
}
