/* murmur2.h - the hash by which Kafka's clients give keys to partitions: (murmur2(key) & 0x7fffffff) % partitions. */
#ifndef SPILLWAY_MURMUR2_H
#define SPILLWAY_MURMUR2_H

#include <stddef.h>
#include <stdint.h>

/* Java's Utils.murmur2: its int result, here without sign. */
uint32_t murmur2(const void *data, size_t n);

#endif
