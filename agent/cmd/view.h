/* view.h - `status` on the terminal of whoever asks: its width and colors, and again each second. */
#ifndef SPILLWAY_VIEW_H
#define SPILLWAY_VIEW_H

#include "agent/status.h"

#define VIEW_QUESTION_MAX 64

/* Colors only on a terminal that has them, and without $NO_COLOR. */
void view_of_stdout(struct status_view *ret, bool all);
void view_question(char question[VIEW_QUESTION_MAX], bool all);
/* control_ask; an agent that knows no widths or colors is asked without. */
int  view_ask(const char *control, const char *question, struct buf *out, struct err *ret_err);
/* Until INT or TERM. An exit code. */
int  view_watch(const char *control, bool json, bool all);

#endif
