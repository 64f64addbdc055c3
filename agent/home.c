/* home.c - see home.h.
 *
 * Why: a virtual machine is cloned, a directory is restored from a backup or copied to another host. Then the positions may
 * be older than what the original has sent since, and two agents may hold the same identities. Nothing of that can be
 * undone here; but it can be said, and what rests on ages (how long the broker still remembers a batch) is not believed.
 * Failure what cannot be read is not compared.
 */
#include "agent/home.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/log.h"

/* The first line of a small file. */
static void read_line(const char *root, const char *path, char *buf, size_t n)
{
	char full[4096];
	ssize_t got = -1;
	int fd;

	buf[0] = '\0';
	snprintf(full, sizeof full, "%s%s", root, path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		got = read(fd, buf, n - 1);
		close(fd);
	}
	buf[got > 0 ? got : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

void home_read(const char *root, const char *dir, struct spool_home *ret)
{
	struct stat st;

	*ret = (struct spool_home){ 0 };
	read_line(root, "/etc/machine-id", ret->machine_id, sizeof ret->machine_id);
	read_line(root, "/proc/sys/kernel/random/boot_id", ret->boot_id, sizeof ret->boot_id);
	if (stat(dir, &st) == 0) {
		ret->dev = st.st_dev;
		ret->inode = st.st_ino;
	}
}

static bool differ(const char *a, const char *b)
{
	return a[0] && b[0] && strcmp(a, b) != 0;
}

/* Device numbers may change with a boot, so they say nothing across one. */
enum home_change home_compare(const struct spool_home *was, const struct spool_home *is)
{
	bool other_boot = differ(was->boot_id, is->boot_id);

	if (!was->machine_id[0] && !was->boot_id[0] && !was->inode)
		return HOME_FIRST;
	if (differ(was->machine_id, is->machine_id))
		return HOME_OTHER_MACHINE;
	if (was->inode && is->inode && (was->inode != is->inode || (!other_boot && was->dev != is->dev)))
		return HOME_OTHER_DIR;
	return other_boot ? HOME_OTHER_BOOT : HOME_SAME;
}

static void say(enum home_change c, const char *dir)
{
	if (c == HOME_OTHER_MACHINE)
		log_warn("the state directory was last used on another machine (moved, copied or cloned): if the other agent "
			 "still runs, lines arrive twice; stop one of them", KS("state_dir", dir));
	else if (c == HOME_OTHER_DIR)
		log_warn("the state directory was moved, copied or restored: what was shipped since the copy was made is "
			 "shipped again", KS("state_dir", dir));
}

int home_enter(struct spool *s, const char *dir, enum home_change *ret, struct err *ret_err)
{
	struct spool_home was, is;
	int rc;

	spool_home(s, &was);
	home_read("", dir, &is);
	*ret = home_compare(&was, &is);
	say(*ret, dir);
	if (memcmp(&was, &is, sizeof is) == 0)
		return 0;
	rc = spool_begin(s, SPOOL_NORMAL, ret_err);
	if (rc < 0)
		return rc;
	rc = spool_home_put(s, &is, ret_err);
	if (rc >= 0)
		return spool_commit(s, ret_err);
	spool_rollback(s);
	return rc;
}
