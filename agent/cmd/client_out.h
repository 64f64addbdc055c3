/* client_out.h - text that callbacks write to stdout: they put it here and never wait for whoever reads it. */
#ifndef SPILLWAY_CLIENT_OUT_H
#define SPILLWAY_CLIENT_OUT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/base/buf.h"

struct client_out {
	int       fd;
	pthread_t thread;

	pthread_mutex_t mu;		/* protects all below; leaf */
	pthread_cond_t  cond;		/* CLOCK_MONOTONIC */
	struct buf filling;
	bool closed;
	int  error;			/* errno of the first write that failed; nothing is written after it */
};

/* 0, ERR_NOMEM or -errno. */
int  client_out_open(struct client_out *o, int fd);
/* Any thread. Never waits. */
void client_out_put(struct client_out *o, const void *data, size_t n);
/* For whoever makes more: waits while much is unread, but only until client_stopped. */
void client_out_wait(struct client_out *o);
/* Writes the rest. 0, or the errno. */
int  client_out_close(struct client_out *o);

#endif
