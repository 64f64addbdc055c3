/* mem.h - the heap, for everything that is not record data (that lives in buffer.memory, producer/budget.h).
 *
 * All functions return NULL when memory is short; a test can make the nth call fail.
 */
#ifndef SPILLWAY_MEM_H
#define SPILLWAY_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n) __attribute__((malloc));
void *mem_zalloc(size_t n) __attribute__((malloc));
void *mem_calloc(size_t count, size_t size) __attribute__((malloc));	/* NULL too when the product overflows */
void *mem_realloc(void *p, size_t n);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Room for one more element of `size` behind n: the array, maybe moved, or NULL (the old one is still there). */
void *mem_grow(void *array, size_t n, size_t size);
void  mem_free(void *p);	/* NULL is fine */

#define mem_new(T)       ((T *)mem_zalloc(sizeof(T)))
#define mem_array(T, n)  ((T *)mem_calloc((size_t)(n), sizeof(T)))

/* For a process that runs for months: what is freed can be used again by every thread, and large blocks go back to the system
 * at once. Before threads start. Costs nothing where records go through: they are in buffer.memory. */
void mem_keep_small(void);
/* Whole pages that are free go back to the system, and pages of code that only starting needed; takes a millisecond or a few.
 * Any thread. */
void mem_give_back(void);

/* Tests: the nth call from now returns NULL, once; 0 switches it off. */
void mem_fail_nth(long n);

#endif
