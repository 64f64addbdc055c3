/* mem.c - the heap behind one door, so that tests can make any single allocation fail.
 *
 * Invariant: a request of 0 bytes gives a real pointer, so NULL always means "no memory".
 * Threads: any. The counter is process-wide; a test that uses it keeps other threads from allocating.
 */
#include "agent/base/mem.h"

#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static _Atomic long fail_nth;

static bool must_fail(void)
{
	/* The plain read keeps the switched-off case free of a locked instruction. */
	return __builtin_expect(fail_nth > 0, 0) && fail_nth-- == 1;
}

void mem_fail_nth(long n)
{
	fail_nth = n;
}

/* Else glibc gives each thread a heap of its own, which keeps what it once needed, and stops mapping large blocks once it has
 * seen one freed: with 10,000 files a third of the memory was such leftovers. */
void mem_keep_small(void)
{
#ifdef __GLIBC__
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
#endif
}

/* Code and constants are in the page cache and come back from there when they are next needed. What was written to, relocations
 * among it, lies in segments that may be written to. (A debugger's breakpoints are written into code: they are lost.) */
static int give_back_code(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size, (void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t from = (uintptr_t)(info->dlpi_addr + h->p_vaddr) & ~(page - 1);

		if (h->p_type == PT_LOAD && !(h->p_flags & PF_W))
			(void)madvise((void *)from, (uintptr_t)(info->dlpi_addr + h->p_vaddr + h->p_memsz) - from, MADV_DONTNEED);
	}
	return 0;
}

void mem_give_back(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
	dl_iterate_phdr(give_back_code, NULL);
}

void *mem_alloc(size_t n)
{
	return must_fail() ? NULL : malloc(n ? n : 1);
}

void *mem_zalloc(size_t n)
{
	return must_fail() ? NULL : calloc(1, n ? n : 1);
}

void *mem_calloc(size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	return mem_zalloc(n);
}

void *mem_realloc(void *p, size_t n)
{
	return must_fail() ? NULL : realloc(p, n ? n : 1);
}

char *mem_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *d = len < SIZE_MAX ? mem_alloc(len + 1) : NULL;

	if (!d)
		return NULL;
	memcpy(d, s, len);
	d[len] = 0;
	return d;
}

char *mem_strdup(const char *s)
{
	return mem_strndup(s, SIZE_MAX);
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap, measure;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	va_copy(measure, ap);
	n = vsnprintf(NULL, 0, fmt, measure);
	va_end(measure);
	if (n >= 0)
		s = mem_alloc((size_t)n + 1);
	if (s)
		vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}

void mem_free(void *p)
{
	free(p);
}

void *mem_grow(void *array, size_t n, size_t size)
{
	if (n & (n - 1))		/* grown by doubling, so only at powers of two is it full */
		return array;
	return mem_realloc(array, (n ? 2 * n : 1) * size);
}
