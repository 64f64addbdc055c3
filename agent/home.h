/* home.h - the machine, boot and directory that a state database lives in, so that a copy is not taken for the original. */
#ifndef SPILLWAY_HOME_H
#define SPILLWAY_HOME_H

#include <stdbool.h>

#include "spool/spool.h"

enum home_change { HOME_SAME, HOME_FIRST, HOME_OTHER_BOOT, HOME_OTHER_DIR, HOME_OTHER_MACHINE };

/* Where this process runs, with `dir` as state directory. What cannot be read stays "" or 0. root: "" but for tests. */
void home_read(const char *root, const char *dir, struct spool_home *ret);
/* The gravest difference. What is not known of either differs from nothing. */
enum home_change home_compare(const struct spool_home *was, const struct spool_home *is);
/* Compares, says what people should know, and records the present home. Before the state thread runs. */
int  home_enter(struct spool *s, const char *dir, enum home_change *ret, struct err *ret_err);

#endif
