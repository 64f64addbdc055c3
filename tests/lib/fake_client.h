/* fake_client.h - one blocking connection to a fake broker, for the tests of its own rules. */
#ifndef SPILLWAY_TESTS_FAKE_CLIENT_H
#define SPILLWAY_TESTS_FAKE_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "tests/lib/fakebroker.h"
#include "tests/lib/unit.h"

#define PATIENCE_S 60		/* what comes, comes at once; a busy machine may take its time */

struct fixture { struct fake *fake; int fd; int32_t correlation; uint8_t in[65536]; size_t in_len; };

static inline void connect_to(struct fixture *f, int node)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)fake_port(f->fake, node)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { PATIENCE_S, 0 };

	if (f->fd >= 0)
		close(f->fd);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	assert_int_equal(connect(f->fd, (struct sockaddr *)&a, sizeof a), 0);
}

static inline struct fixture *begin_with(const char *profile, int nodes)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->fd = -1;
	f->fake = fake_open_profile(profile, nodes, 2);
	assert_non_null(f->fake);
	fake_records(f->fake, "t", 0);		/* makes the topic */
	connect_to(f, 0);
	return f;
}

static inline void end(struct fixture *f)
{
	close(f->fd);
	fake_close(f->fake);
	free(f);
}

#endif
