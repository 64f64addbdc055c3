/* sender_events.c - what people are told about topics, partitions and lanes that cannot be written. Each change once. */
#include "producer/sender.h"

#include <stdatomic.h>
#include <stdio.h>

#include "producer/core.h"

#define CODE_UNKNOWN_PARTITION 3
#define TOPIC_FAULT_MS 2000	/* a new topic may be unknown for so long: it is being made */

void sender_tell(struct sender *s, const char *topic, int32_t partition, const char *what)
{
	if (s->journal && s->journal->event)
		s->journal->event(s->journal->arg, topic, partition, what);
}

bool sender_topic_faulty(const struct sender *s, const struct topic *t)
{
	enum api_error_class class;

	if (!t->error)
		return false;
	class = api_error(t->error)->class;
	return (class != API_ERR_RETRY && class != API_ERR_REFRESH) || s->now_ms - t->faulty_ms >= TOPIC_FAULT_MS;
}

static void topic_events(struct sender *s, struct topic *t)
{
	int16_t code = sender_topic_faulty(s, t) ? t->error : 0;
	char text[160];

	if (t->error && !code) {
		s->topic_events_due = true;
		sender_lower_wake(s, t->faulty_ms + TOPIC_FAULT_MS);
	}
	if (code == t->reported)
		return;
	t->reported = code;
	snprintf(text, sizeof text, "the topic cannot be written: %s", api_error(code)->name);
	sender_tell(s, t->name, -1, code ? text : NULL);
}

/* The topic was made anew with fewer partitions, and batches are bound to one of those that went. Of a lane of that
 * partition lane_events speaks. */
static bool missing(const struct stream *st)
{
	const struct lane *l = st->count ? st->slots[0]->lane : NULL;

	return st->count && (!l || l->partition < 0) && st->owner->known && st->partition >= st->owner->partition_count;
}

static void stream_events(struct sender *s, struct stream *st)
{
	int16_t code = st->hold_code ? st->hold_code : missing(st) ? CODE_UNKNOWN_PARTITION : 0;
	char text[400], why[340];

	if (code == st->reported)
		return;
	st->reported = code;
	snprintf(text, sizeof text, "the partition does not take a batch: %s",
		 st->hold_code ? stream_hold_text(st, why, sizeof why) : api_error(code)->name);
	sender_tell(s, st->topic, st->partition, code ? text : NULL);
}

/* A partition that somebody chose and that the topic does not have. */
static void lane_events(struct sender *s, struct lane *l)
{
	bool missing = l->topic->known && l->partition >= atomic_load(&l->topic->partition_count);

	if (missing == l->missing_reported)
		return;
	l->missing_reported = missing;
	sender_tell(s, l->topic->name, l->partition, missing ? "the topic has no such partition" : NULL);
}

void sender_events(struct sender *s)
{
	if (!s->journal)
		return;
	if (s->topic_events_due) {
		s->topic_events_due = false;
		list_each(it, &s->metadata.topics)
			topic_events(s, list_entry(it, struct topic, node));
	}
	list_each(it, &s->streams)
		stream_events(s, list_entry(it, struct stream, node));
	list_each(it, &s->busy)
		lane_events(s, list_entry(it, struct lane, busy_node));
}
