/* listener.c - see listener.h. File modes alone are not enough for who may ask: they can be changed, and a directory that is
 * opened for one file opens the socket too. So the kernel is asked who is at the other end.
 */
#include "agent/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG    32
#define GROUPS_MAX 1024
#define PAUSE_MS   10		/* no memory, or another thread took the spare one: whoever knocks goes on knocking */

int listener_address(struct sockaddr_un *a, const char *path, const char *key, struct err *ret_err)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof a->sun_path)
		return err_set(ret_err, ERR_CONFIG, "%s: the path %s is longer than the %zu bytes of a unix socket's name; "
			"set `%s:` to a shorter one", key, path, sizeof a->sun_path - 1, key);
	memcpy(a->sun_path, path, strlen(path) + 1);
	return 0;
}

static int remove_stale(const struct sockaddr_un *a, const char *key, struct err *ret_err)
{
	struct stat st;
	int fd, rc;

	if (lstat(a->sun_path, &st) < 0)
		return 0;		/* nothing there; bind says what else is wrong */
	if (!S_ISSOCK(st.st_mode))
		return err_set(ret_err, -EEXIST, "%s: %s is there and is no socket; it is left alone", key, a->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = fd < 0 ? -errno : connect(fd, (const struct sockaddr *)a, sizeof *a) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	if (rc != -ECONNREFUSED)
		return err_set(ret_err, ERR_BUSY, "%s: another process listens on %s; give this agent a `%s:` of its own",
			       key, a->sun_path, key);
	unlink(a->sun_path);
	return 0;
}

int listener_unix(const struct sockaddr_un *a, mode_t mode, const char *key, struct err *ret_err)
{
	int fd, rc = remove_stale(a, key, ret_err);

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)a, sizeof *a) == 0 && chmod(a->sun_path, mode) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	rc = err_set(ret_err, -errno, "%s: cannot listen on %s: %s", key, a->sun_path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

int listener_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int listener_accept(int fd, int *spare)
{
	int k = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), why = errno;

	if (k >= 0 || why == EAGAIN || why == EINTR || why == ECONNABORTED)
		return k;
	if (*spare < 0)
		*spare = listener_spare();
	if ((why != EMFILE && why != ENFILE) || *spare < 0) {
		(void)poll(NULL, 0, PAUSE_MS);
		return -1;
	}
	close(*spare);
	k = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (k >= 0)
		close(k);
	*spare = listener_spare();
	return -1;
}

/* Its other groups: the one of its credentials is only its first. */
static bool in_group(int fd, gid_t wanted)
{
	gid_t groups[GROUPS_MAX];
	socklen_t n = sizeof groups;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) < 0)
		return false;
	for (size_t i = 0; i < n / sizeof *groups; i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

bool listener_trusts(int fd, bool group)
{
	struct ucred who;
	socklen_t n = sizeof who;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
		return false;
	return who.uid == 0 || who.uid == geteuid() || (group && (who.gid == getegid() || in_group(fd, getegid())));
}
