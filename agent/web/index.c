/* index.c - index.html, as it is, inside of the program. The assembler reads the file; the Makefile knows that this depends on
 * it. */
#include "agent/web/endpoints.h"

/* The NUL behind it is the array's, not the page's. Where the page ends is known to the assembler only, so it writes that down. */
__asm__(
	".pushsection .rodata.endpoints_index,\"a\",%progbits\n"
	".balign 16\n"
	".globl endpoints_index\n"
	".type endpoints_index, %object\n"
	"endpoints_index:\n"
	"	.incbin \"agent/web/index.html\"\n"
	".Lindex_end:\n"
	"	.byte 0\n"
	".size endpoints_index, . - endpoints_index\n"
	".balign 8\n"
	".globl endpoints_index_len\n"
	".type endpoints_index_len, %object\n"
	"endpoints_index_len:\n"
#if __SIZEOF_SIZE_T__ == 8
	"	.quad .Lindex_end - endpoints_index\n"
#else
	"	.long .Lindex_end - endpoints_index\n"
#endif
	".size endpoints_index_len, . - endpoints_index_len\n"
	".popsection\n");
