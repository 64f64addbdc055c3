/* check_topics.h - topics, rights and settings, over the connection of check_online.c. */
#ifndef SPILLWAY_CHECK_TOPICS_H
#define SPILLWAY_CHECK_TOPICS_H

#include "agent/cmd/check.h"
#include "producer/admin.h"

struct check_broker_settings {
	bool known;			/* false: we may not see them */
	bool auto_create;		/* auto.create.topics.enable */
};

/* Of the broker that is connected. */
void check_broker_settings(struct check *c, struct admin *a, int32_t id, struct check_broker_settings *ret);
void check_topics(struct check *c, struct admin *a, const struct check_broker_settings *s);

#endif
