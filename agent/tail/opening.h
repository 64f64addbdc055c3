/* opening.h - opens a file for reading in a directory that others may write.
 *
 * Links on the way to it are followed where root or the agent's own user made them. The last name is never a link, unless
 * `follow`; then links of other users are followed as well, but only to files of the same user.
 * A file with several names (hard links) is only read if whoever could have made them could read it too: everybody may read
 * it, or only its owner, root or the agent's own user can write the directory.
 */
#ifndef SPILLWAY_OPENING_H
#define SPILLWAY_OPENING_H

#include <stdbool.h>
#include <sys/stat.h>

/* Never blocks on what is there. path: absolute. 0, *ret_fd and *ret_st; -errno, of which
 *	-ELOOP	a link that is not followed
 *	-EPERM	a link of one user to a file of another
 *	-EMLINK	a hard link that somebody else may have made
 *	-EINVAL	not a regular file */
int opening_open(const char *path, bool follow, int *ret_fd, struct stat *ret_st);
/* The same, name by name: for kernels without openat2. */
int opening_walk(const char *path, bool follow, int *ret_fd, struct stat *ret_st);

#endif
