/* admin.h - questions to one broker after the other, each waited for: what `check --online` looks at. Nothing is written.
 *
 * Why not a producer: it takes whichever broker answers. Here each one is looked at alone, and every step has its words, which
 * are those of the producer's connections because these are its connections.
 * Calling sequence: admin_open, (admin_connect, admin_*)*, admin_close.
 * Threads: the caller's; looking up names has its own. The configuration is borrowed until admin_close.
 * Time: a look-up and a set-up take at most socket.connection.setup.timeout.ms each, a question request.timeout.ms.
 */
#ifndef SPILLWAY_ADMIN_H
#define SPILLWAY_ADMIN_H

#include "producer/api.h"
#include "producer/config.h"
#include "producer/tls.h"

struct admin;

int  admin_open(const struct producer_config *c, struct admin **ret, struct err *ret_err);
void admin_close(struct admin *a);	/* NULL is fine */

/* The i-th entry of bootstrap.servers. False: there are no more, or it is none. */
bool admin_bootstrap(const struct admin *a, size_t i, char host[256], int *ret_port);

/* Ready to be asked: resolved, connected, TLS, ApiVersions, SASL. The connection before ends. ERR_CONFIG: refused for
 * credentials or certificates; else it is not available. */
int  admin_connect(struct admin *a, const char *host, int port, struct err *ret_err);
/* Of the connection. */
const struct api_versions *admin_versions(const struct admin *a);
bool admin_peer(const struct admin *a, struct tls_peer *ret);	/* false: no TLS */
const char *admin_mechanism(const struct admin *a);		/* NULL: no SASL */

/* With racks, replicas and permitted operations; creates nothing. 0, or negative with words. */
int  admin_metadata(struct admin *a, const char *const *topics, size_t n, struct api_metadata *ret, struct err *ret_err);
/* *ret_error: Kafka's code for the resource. */
int  admin_configs(struct admin *a, enum api_resource_type type, const char *name, const char *const *keys, size_t n,
		   int16_t *ret_error, api_config_fn *fn, void *arg, struct err *ret_err);

#endif
