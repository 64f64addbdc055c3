/* denied.h - why a file cannot be opened, and what to do: which directory on the way, or the file itself, and whose it is. */
#ifndef SPILLWAY_DENIED_H
#define SPILLWAY_DENIED_H

#include <stddef.h>

/* For an absolute path that this process may not read; as it is now. "" when nothing denies it any more. */
void denied_words(const char *path, char *to, size_t n);

#endif
