/* cmd_check.c - `spillway check`: the loader of `run`, then a look at what the configuration points to. Changes nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/cmd/cli.h"
#include "agent/cmd/sample.h"
#include "agent/tail/tail.h"

/* The state directory must be there and writable, or be creatable. Returns an exit code. */
static int check_state_dir(const char *dir)
{
	struct stat st;
	char *parent, *slash;
	int rc = EXIT_GOOD;

	if (stat(dir, &st) == 0) {
		if (!S_ISDIR(st.st_mode)) {
			printf("state_dir: %s is not a directory\n", dir);
			return EXIT_CANNOT_CREATE;
		}
		if (access(dir, R_OK | W_OK | X_OK) == 0)
			return EXIT_GOOD;
		printf("state_dir: %s: %s\n", dir, strerror(errno));
		return EXIT_PERMISSION;
	}
	parent = mem_strdup(dir);
	slash = parent ? strrchr(parent, '/') : NULL;
	if (slash && slash != parent)
		*slash = '\0';
	if (slash && slash != parent && stat(parent, &st) == 0 && !S_ISDIR(st.st_mode)) {
		printf("state_dir: cannot create %s: %s\n", dir, strerror(ENOTDIR));
		rc = EXIT_CANNOT_CREATE;
	} else if (slash && access(slash == parent ? "/" : parent, W_OK | X_OK) < 0) {
		printf("state_dir: cannot create %s: %s\n", dir, strerror(errno));
		rc = errno == EACCES || errno == EPERM ? EXIT_PERMISSION : EXIT_CANNOT_CREATE;
	}
	mem_free(parent);
	return rc;
}

static int check_sample(const struct options *o, const struct loaded *conf, struct buf *out)
{
	struct err e;
	int rc = sample(conf, o->sample, o->json, out, &e);

	if (out->len)
		fwrite(out->data, 1, out->len, stdout);
	if (rc >= 0)
		return EXIT_GOOD;
	fflush(stdout);
	fprintf(stderr, "spillway: %s\n", e.text);
	return rc == -ENOENT ? EXIT_IO : cli_exit_code(rc);
}

int cmd_check(const struct options *o)
{
	struct loaded conf = { 0 };
	struct buf out;
	int rc = cli_load(o, &conf), dir;

	if (rc)
		return rc;
	buf_init(&out, 256u << 20);
	if (o->sample) {
		rc = check_sample(o, &conf, &out);
		buf_release(&out);
		loaded_release(&conf);
		return rc;
	}
	if (o->print)
		loaded_print(&conf, &out);
	else if (tail_check(conf.conf, &out) > 0)
		rc = EXIT_PERMISSION;
	if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	dir = check_state_dir(conf.conf->state_dir);
	if (dir)
		rc = dir;
	if (!rc && !o->print)
		printf("%s: good\n", o->config);
	buf_release(&out);
	loaded_release(&conf);
	return rc;
}
