/* names.h - host names into addresses, in a thread of its own: getaddrinfo may take half a minute. What else a connection
 * needs before it can begin and may have to be waited for (files, tokens: security_prepare) is done on the way. */
#ifndef SPILLWAY_NAMES_H
#define SPILLWAY_NAMES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/base/err.h"
#include "agent/base/list.h"

#define NAME_ADDRESSES_MAX 8

union name_address { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; };

struct name_query {
	struct list node;
	char  host[256];		/* "": nothing is looked up */
	int   port;
	void *arg;			/* the asker's, and so is ticket */
	uint32_t ticket;
	struct security *security;	/* to be prepared first; NULL: nothing is. The query has a reference */
	struct err why;			/* code: what security_prepare returned; if not 0, nothing was looked up */
	union name_address addresses[NAME_ADDRESSES_MAX];
	int   count;
	int   error;			/* getaddrinfo's, 0 */
	bool  canonical;		/* wanted: the names of its addresses, in `names` */
	char  names[NAME_ADDRESSES_MAX][256];
};

struct names;
struct security;

/* wake is called (any thread) when an answer is there. 0, ERR_NOMEM or -errno. */
int  names_open(struct names **ret, void (*wake)(void *arg), void *arg);
/* Never waits for a look-up on its way: its thread ends alone. Unasked answers are thrown away. NULL is fine. */
void names_close(struct names *n);
/* Look-ups by another function, before the first is asked for: it fills addresses and count, or error. For tests, which
 * have no name server of their own. Called on the names thread. */
typedef void names_look_up_fn(void *arg, struct name_query *q);
void names_look_up_by(struct names *n, names_look_up_fn *fn, void *arg);
const char *names_error(const struct name_query *q);	/* of one without addresses */
/* Takes q. */
void names_ask(struct names *n, struct name_query *q);
/* The next answered query (name_query_free it), or NULL. */
struct name_query *names_answer(struct names *n);
void name_query_free(struct name_query *q);
/* Without a thread: an address written in digits. 0, or negative when host is a name. */
int  names_numeric(const char *host, int port, union name_address *ret);

#endif
