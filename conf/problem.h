/* problem.h - inside conf/: what conf.h's list of problems needs besides conf_problem_add. */
#ifndef SPILLWAY_CONF_PROBLEM_H
#define SPILLWAY_CONF_PROBLEM_H

#include <stddef.h>

#include "conf/conf.h"

enum { HINT_MAX = 80 };

/* By file, in the order of `files`, line and column; what was found first stays first at one place. */
void problems_sort(struct conf_problems *p, const struct conf_strings *files);
/* " (did you mean "x"?)" for the nearest of `names` (NULL-terminated), or "". Returns buf. */
const char *problem_hint(char *buf, size_t n, const char *word, const char *const *names);

#endif
