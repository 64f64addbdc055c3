/* control.h - the control socket: one question a connection, answered and closed.
 *
 * Protocol: the client sends one line ("status json", "positions text", "page losses json 0 0", ...), the agent answers with
 * the text and closes. Mode 0600 inside a 0700 directory; besides, whoever is not root or this user by the kernel's word
 * is hung up on.
 * Threads: main; everything sits in its loop. A slow client holds up no one: answers are buffered and sent as it reads.
 * Limits: 16 connections, a question of a path and some words, 10 s a connection.
 */
#ifndef SPILLWAY_CONTROL_H
#define SPILLWAY_CONTROL_H

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/loop.h"

struct control;

/* Writes the answer to `question` into *out. */
typedef void control_fn(void *arg, const char *question, struct buf *out);

int  control_open(struct loop *loop, const char *path, control_fn *fn, void *arg, struct control **ret_c, struct err *ret_err);
void control_close(struct control *c);	/* removes the socket; NULL is fine */

/* The other end: asks and waits for the whole answer. ERR_NOT_FOUND: no agent listens there. */
int  control_ask(const char *path, const char *question, struct buf *out, struct err *ret_err);

#endif
