/* remote.c - see remote.h. Threads: any, no state. */
#include "agent/tail/remote.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>

#include "agent/base/beat.h"

/* statfs(2), linux/magic.h; some are in neither. GlusterFS, virtiofs and sshfs are FUSE. */
static const uint32_t types[] = {
	0x6969,			/* NFS */
	0x517b,			/* SMB, before CIFS */
	0xff534d42,		/* CIFS */
	0xfe534d42,		/* SMB2 */
	0x65735546,		/* FUSE */
	0x00c36400,		/* Ceph */
	0x01021997,		/* 9p */
	0x0bd00bd0,		/* Lustre */
	0x47504653,		/* GPFS */
	0x5346414f,		/* AFS */
	0x6b414653,		/* kAFS */
	0x73757245,		/* Coda */
	0x01161970,		/* GFS2 */
	0x7461636f,		/* OCFS2 */
	0x786f4256,		/* VirtualBox shared folders */
	0xbacbacbc,		/* VMware shared folders */
};

static bool is_remote(const struct statfs *fs)
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if ((uint32_t)fs->f_type == types[i])
			return true;
	return false;
}

bool remote_fd(int fd)
{
	struct statfs fs;
	int rc;

	beat_into("asking a file system");
	rc = fstatfs(fd, &fs);
	beat_out();
	return rc == 0 && is_remote(&fs);
}

bool remote_path(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && is_remote(&fs);
}
