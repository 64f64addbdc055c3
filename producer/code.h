/* code.h - errors of the inside as the codes of producer.h. Inside producer/ only. */
#ifndef SPILLWAY_CODE_H
#define SPILLWAY_CODE_H

#include <stdarg.h>
#include <stdbool.h>

#include "producer/producer.h"

/* ERR_* and -errno become PRODUCER_ERR_*; what is public already, Kafka's codes and 0 stay. */
int  code_public(int rc);
/* May the same record succeed later? For public codes and Kafka's. */
bool code_retriable(int code);
/* Fills *err (may be NULL) and returns the public code. fmt NULL: the words of rc. */
int  code_fail(struct producer_error *err, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int  code_failv(struct producer_error *err, int rc, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));

#endif
