/* crc32c.h - CRC-32C (Castagnoli), as RFC 3720 and Kafka's RecordBatch v2 use it. SSE4.2/ARMv8 when the CPU has it. */
#ifndef SPILLWAY_CRC32C_H
#define SPILLWAY_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc is 0 at the start, or the result so far: crc32c(crc32c(0, a), b) == crc32c(0, ab). */
uint32_t crc32c(uint32_t crc, const void *data, size_t n);
/* crc32c(0, ab) out of crc32c(0, a), crc32c(0, b) and the length of b, without touching the bytes. */
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b);
/* Tests only: the table version. */
uint32_t crc32c_table(uint32_t crc, const void *data, size_t n);

#endif
