/* opening.c - opens a file for reading in a directory that others may write. See opening.h.
 *
 * Why: a log directory often belongs to the application. Who may write there can put a link to /etc/shadow, a FIFO or a device
 * where a log was, and an agent that runs as root would ship it, or hang.
 *
 * One openat2 does it where no link is on the way. Else names are walked one by one, each relative to the descriptor of the
 * directory before, so that nothing is looked up twice and nobody can exchange a directory meanwhile.
 * Threads: any, no state. Failure: -errno; nothing stays open.
 */
#include "agent/tail/opening.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#if __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#endif

#include "agent/base/beat.h"

#define FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW)
#define LINKS_MAX 40

struct walk {
	bool follow;
	int  dir;			/* O_PATH */
	char name[NAME_MAX + 1];	/* the last one, in dir */
	char rest[PATH_MAX];		/* what is still to be walked */
	int  links;
	bool owned;			/* a link of `owner`, who is neither root nor us, was followed */
	uid_t owner;
};

static bool is_ours(uid_t owner)
{
	return owner == 0 || owner == geteuid();
}

/* Takes the first name off the rest. 0; 1: it was the last one; -errno */
static int next_name(struct walk *w)
{
	size_t skip = strspn(w->rest, "/"), n = strcspn(w->rest + skip, "/"), end;

	if (!n)
		return -ENOENT;
	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(w->name, w->rest + skip, n);
	w->name[n] = 0;
	end = skip + n;
	end += strspn(w->rest + end, "/");
	memmove(w->rest, w->rest + end, strlen(w->rest + end) + 1);
	return !w->rest[0];
}

static int to_root(struct walk *w)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (w->dir >= 0)
		close(w->dir);
	w->dir = fd;
	return 0;
}

/* What the link says is walked before the rest. */
static int follow_link(struct walk *w, int fd, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n;

	if (++w->links > LINKS_MAX)
		return -ELOOP;
	if (!is_ours(st->st_uid)) {
		if (!w->follow)
			return -ELOOP;
		if (w->owned && w->owner != st->st_uid)
			return -EPERM;
		w->owned = true;
		w->owner = st->st_uid;
	}
	n = readlinkat(fd, "", target, sizeof target);
	if (n < 0)
		return -errno;
	if ((size_t)n + 1 + strlen(w->rest) + 1 > sizeof w->rest)
		return -ENAMETOOLONG;
	memmove(w->rest + n + 1, w->rest, strlen(w->rest) + 1);
	memcpy(w->rest, target, (size_t)n);
	w->rest[n] = '/';
	return target[0] == '/' ? to_root(w) : 0;
}

/* Goes into the directory w->name, or follows the link of that name. last: it must be a link. 0; 1: it is no link; -errno */
static int enter(struct walk *w, bool last)
{
	int fd = openat(w->dir, w->name, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (S_ISLNK(st.st_mode))
		rc = follow_link(w, fd, &st);
	else if (last)
		rc = 1;
	else if (!S_ISDIR(st.st_mode))
		rc = -ENOTDIR;
	else {
		close(w->dir);
		w->dir = fd;
		return 0;
	}
	close(fd);
	return rc;
}

/* 0: dir and name are where the file is; the caller closes dir. */
static int walk_to(struct walk *w, const char *path, bool follow)
{
	int rc, last = 0;

	*w = (struct walk){ .follow = follow, .dir = -1 };
	if (path[0] != '/')
		return -EINVAL;
	if (strlen(path) >= sizeof w->rest)
		return -ENAMETOOLONG;
	memcpy(w->rest, path, strlen(path) + 1);
	rc = to_root(w);
	while (rc == 0 && (rc = last = next_name(w)) >= 0) {
		if (last && !follow)
			return 0;
		rc = enter(w, last);
		if (rc == 1)
			return 0;
	}
	if (w->dir >= 0)
		close(w->dir);
	w->dir = -1;
	return rc;
}

static int open_fast(const char *path)
{
#ifdef SYS_openat2
	struct open_how how = { .flags = FLAGS, .resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS };
	long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);

	return fd < 0 ? -errno : (int)fd;
#else
	(void)path;
	return -ENOSYS;
#endif
}

static bool only_owner_writes(const struct stat *dir, uid_t file_owner)
{
	return !(dir->st_mode & (S_IWGRP | S_IWOTH)) && (is_ours(dir->st_uid) || dir->st_uid == file_owner);
}

static int check_names(const struct walk *w, const struct stat *st)
{
	struct stat dir, at;

	if (st->st_nlink <= 1 || (st->st_mode & S_IROTH))
		return 0;
	if (fstat(w->dir, &dir) < 0 || fstatat(w->dir, w->name, &at, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (at.st_dev != st->st_dev || at.st_ino != st->st_ino)
		return -ESTALE;
	return only_owner_writes(&dir, st->st_uid) ? 0 : -EMLINK;
}

static int check_file(int fd, struct stat *ret_st)
{
	if (fstat(fd, ret_st) < 0)
		return -errno;
	return S_ISREG(ret_st->st_mode) ? 0 : -EINVAL;
}

static int open_walk(const char *path, bool follow, int *ret_fd, struct stat *ret_st)
{
	struct stat st = { 0 };
	struct walk w;
	int rc = walk_to(&w, path, follow), fd;

	if (rc < 0)
		return rc;
	fd = openat(w.dir, w.name, FLAGS);
	rc = fd < 0 ? -errno : check_file(fd, &st);
	if (rc == 0)
		rc = w.owned && st.st_uid != w.owner ? -EPERM : check_names(&w, &st);
	close(w.dir);
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	*ret_fd = fd;
	*ret_st = st;
	return 0;
}

static int open_any(const char *path, bool follow, int *ret_fd, struct stat *ret_st)
{
	int fd = open_fast(path), rc;
	struct stat st = { 0 };

	/* EPERM: a filter of system calls that does not know openat2. */
	if (fd == -ELOOP || fd == -ENOSYS || fd == -EPERM)
		return open_walk(path, follow, ret_fd, ret_st);
	if (fd < 0)
		return fd;
	rc = check_file(fd, &st);
	if (rc == 0 && st.st_nlink > 1 && !(st.st_mode & S_IROTH)) {
		close(fd);
		return open_walk(path, follow, ret_fd, ret_st);
	}
	if (rc < 0) {
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	*ret_st = st;
	return 0;
}

int opening_walk(const char *path, bool follow, int *ret_fd, struct stat *ret_st)
{
	int rc;

	beat_into("opening a file");
	rc = open_walk(path, follow, ret_fd, ret_st);
	beat_out();
	return rc;
}

int opening_open(const char *path, bool follow, int *ret_fd, struct stat *ret_st)
{
	int rc;

	beat_into("opening a file");
	rc = open_any(path, follow, ret_fd, ret_st);
	beat_out();
	return rc;
}
