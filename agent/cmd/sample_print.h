/* sample_print.h - what `check --sample` says of each record, and of each line that becomes none. Inside sample.c. */
#ifndef SPILLWAY_SAMPLE_PRINT_H
#define SPILLWAY_SAMPLE_PRINT_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/record/assemble.h"
#include "agent/base/buf.h"
#include "conf/conf.h"
#include "producer/journal.h"

struct sample_print {
	struct buf *out;
	bool   json;
	size_t records, filtered, rejected, lost, notes;
	struct message_span left_out;	/* lost, not said yet: more of it may follow */
};

void sample_print_begin(struct sample_print *p, const char *path, const char *input, bool is_its_own);
void sample_print_record(struct sample_print *p, const struct message *m, const char *topic, const struct lane_record *r);
void sample_print_filtered(struct sample_print *p, const struct conf_input *in, const struct message *m);
void sample_print_rejected(struct sample_print *p, const struct message *m, const char *why);
/* Bytes that long_lines left out. */
void sample_print_lost(struct sample_print *p, const struct message_span *lost);
void sample_print_note(struct sample_print *p, const char *text);
bool sample_print_enough(const struct sample_print *p);
void sample_print_end(struct sample_print *p, int64_t bytes);

#endif
