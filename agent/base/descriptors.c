/* descriptors.c - see descriptors.h. */
#include "agent/base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

size_t descriptors_most(void)
{
	struct rlimit l, most;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return SIZE_MAX;
	most = (struct rlimit){ l.rlim_max, l.rlim_max };
	if (l.rlim_cur < l.rlim_max && setrlimit(RLIMIT_NOFILE, &most) == 0)
		l = most;
	return l.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)l.rlim_cur;
}

void descriptors_fill_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)	/* the lowest that is free is this one */
			(void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDWR);
}
