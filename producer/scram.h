/* scram.h - SCRAM's client side (RFC 5802, RFC 7677) without channel binding. Inside producer/ only; the face is sasl.h. */
#ifndef SPILLWAY_SCRAM_H
#define SPILLWAY_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"

#define SCRAM_HASH_MAX 64
#define SCRAM_NONCE_MAX 128	/* of the client's part */

struct scram {
	/* Set by scram_init. */
	bool  sha512;
	char *password;
	char *first_bare;		/* client-first-message-bare */
	char  nonce[SCRAM_NONCE_MAX];

	/* Of the exchange. */
	int     step;			/* messages that were made */
	uint8_t server_signature[SCRAM_HASH_MAX];	/* what the server must show */
};

/* nonce NULL: a random one (what is given is for tests against known exchanges). extensions: "tokenauth=true", NULL: none.
 * 0, ERR_CONFIG, ERR_NOMEM; scram_release in every case. */
int  scram_init(struct scram *s, bool sha512, const char *username, const char *password, const char *nonce,
		const char *extensions, struct err *ret_err);
void scram_release(struct scram *s);	/* wipes */
/* As sasl_step; *ret_out belongs to the caller (mem_free it) and is NULL with SASL_DONE. */
int  scram_step(struct scram *s, const char *in, size_t n, char **ret_out, struct err *ret_err);

#endif
