/* conn_inside.h - what the files of conn share: conn.c (life), conn_io.c (bytes), conn_auth.c (ApiVersions, TLS, SASL). */
#ifndef SPILLWAY_CONN_INSIDE_H
#define SPILLWAY_CONN_INSIDE_H

#include "producer/conn.h"

/* conn.c: as conn_close; ERR_CONFIG: it was refused, tries again slowly. */
void conn_fail(struct conn *c, int rc, const char *why, int64_t now_ms);
/* Asks the names thread for an address (host not "") and for what security needs. */
int  conn_ask_names(struct conn *c, const char *host);

/* conn_io.c */
int  conn_read_begin(struct conn *c);		/* memory for answers */
void conn_read_more(struct conn *c, int64_t now_ms);
void conn_write_more(struct conn *c, int64_t now_ms);
/* Waits for what is to come. 0 or negative. */
int  conn_rearm(struct conn *c);

/* conn_auth.c */
void conn_secure(struct conn *c, int64_t now_ms);	/* the TCP connection is there */
void conn_shake_hands(struct conn *c, int64_t now_ms);	/* in CONN_TLS, after each event */
/* An answer to one of our own requests; the connection may be closed or up afterwards. */
bool conn_is_setup(enum api_key api);
int  conn_take_setup(struct conn *c, const struct request *r, const void *data, size_t n, int64_t now_ms, struct err *ret_err);
/* The time has come (conn_tick), or what it needs is there (conn_resolved). */
void conn_reauth_due(struct conn *c, int64_t now_ms);
void conn_reauth_prepared(struct conn *c, const struct name_query *q, int64_t now_ms);

#endif
