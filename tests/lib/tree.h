/* tree.h - a temporary directory of a test is removed with everything in it. */
#ifndef SPILLWAY_TESTS_TREE_H
#define SPILLWAY_TESTS_TREE_H

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static inline int tree_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* Links are removed, not followed. 0 when nothing is left. */
static inline int tree_remove(const char *dir)
{
	return nftw(dir, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
