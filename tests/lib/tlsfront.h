/* tlsfront.h - TLS in front of the fake broker: the producer's side is encrypted, slow to read, and changes its keys often.
 *
 * Threads: open and close one. What fails, fails the test.
 */
#ifndef SPILLWAY_TESTS_TLSFRONT_H
#define SPILLWAY_TESTS_TLSFRONT_H

#include "tests/lib/fakebroker.h"

struct tlsfront;

/* One port for each node, which the fake tells of from now on. */
struct tlsfront *tlsfront_open(struct fake *f, int nodes);
void tlsfront_close(struct tlsfront *t);		/* before the fake */
int tlsfront_port(const struct tlsfront *t, int node);
const char *tlsfront_ca(const struct tlsfront *t);	/* PEM */

#endif
