/* descriptors.h - how many files and sockets the process may have open. */
#ifndef SPILLWAY_DESCRIPTORS_H
#define SPILLWAY_DESCRIPTORS_H

#include <stddef.h>

/* As many as the system lets us have: the soft limit is raised to the hard one. SIZE_MAX: without a limit, or nobody knows. */
size_t descriptors_most(void);
/* What was closed of 0, 1 and 2 when the process began leads nowhere: else the next file or socket would become standard
 * input, or take what is written to standard error. Reading such a standard input fails. Before anything is opened. */
void   descriptors_fill_standard(void);

#endif
