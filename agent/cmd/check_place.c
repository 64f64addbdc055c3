/* check_place.c - where the agent lives: state directory, space, limits of the system, files with secrets, what it listens on.
 *
 * All of it is a warning: the agent runs so, but not as long, or not as safely, as whoever wrote the configuration thinks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/descriptors.h"
#include "agent/base/map.h"
#include "agent/cmd/check.h"
#include "agent/record/glob.h"
#include "agent/tail/remote.h"
#include "agent/words.h"
#include "producer/config.h"

#define LINE_BYTES 8192
#define OTHER_DESCRIPTORS 64	/* brokers, state database, sockets */

/* --- the state directory --- */

/* It, or the nearest directory above it that is there. */
static void existing(const char *dir, char to[GLOB_PATH_MAX])
{
	struct stat st;
	char *slash;

	snprintf(to, GLOB_PATH_MAX, "%s", dir);
	while (stat(to, &st) < 0 && (slash = strrchr(to, '/')))
		slash[slash == to] = '\0';
}

static void check_space(struct check *c, const char *dir)
{
	const struct conf *k = c->conf->conf;
	double size = (double)k->spool.max_size, rest = (double)k->spool.min_free, there, used = 0;
	char path[GLOB_PATH_MAX + 16], has[WORDS_MAX], max[WORDS_MAX], min[WORDS_MAX], full[WORDS_MAX];
	struct statvfs fs;
	struct stat st;

	if (statvfs(dir, &fs) < 0)
		return;
	snprintf(path, sizeof path, "%s/spool.db", k->state_dir);
	if (stat(path, &st) == 0)
		used = (double)st.st_blocks * 512;
	there = (double)fs.f_bavail * (double)fs.f_frsize;
	words_size(has, there);
	words_size(max, size);
	words_size(min, rest);
	words_size(full, there + used - rest);
	if (there <= rest)
		check_warn(c, "spool", "%s has %s free, no more than min_free (%s): nothing can be spooled; make room, or "
			   "lower min_free", dir, has, min);
	else if (there + used < size + rest)
		check_warn(c, "spool", "%s has %s free, max_size (%s) and min_free (%s) need more: the spool is full at %s; "
			   "make room, or lower max_size", dir, has, max, min, full);
}

/* Somebody listens: an agent runs. */
static bool agent_runs(const char *control)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool runs = false;

	if (fd >= 0 && strlen(control) < sizeof a.sun_path) {
		memcpy(a.sun_path, control, strlen(control));
		runs = connect(fd, (struct sockaddr *)(void *)&a, sizeof a) == 0;
	}
	if (fd >= 0)
		close(fd);
	return runs;
}

static void check_state_place(struct check *c)
{
	const struct conf *k = c->conf->conf;
	char dir[GLOB_PATH_MAX];
	struct stat st;

	if (stat(k->state_dir, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 077))
		check_warn(c, "state_dir", "%s has mode %04o, and spooled lines and positions are in it: chmod 700 %s",
			   k->state_dir, st.st_mode & 07777, k->state_dir);
	existing(k->state_dir, dir);
	if (remote_path(dir))
		check_warn(c, "state_dir", "%s is on a network file system, whose locks and fsync cannot be relied on: use a "
			   "local disk", k->state_dir);
	check_space(c, dir);
	if (agent_runs(k->control))
		check_ok(c, "state_dir", "an agent runs with %s; a second one would end with %d", k->state_dir, EXIT_TRY_AGAIN);
}

/* --- limits --- */

struct counting { struct map seen; size_t files, dirs; };

static void count_once(struct counting *n, const char *path, size_t *count)
{
	if (map_get(&n->seen, path, strlen(path)))
		return;
	map_put(&n->seen, path, strlen(path), n);
	++*count;
}

static void on_dir(void *arg, const char *path)
{
	struct counting *n = arg;

	count_once(n, path, &n->dirs);
}

static void on_file(void *arg, const char *path)
{
	struct counting *n = arg;

	count_once(n, path, &n->files);
}

static void on_failed(void *arg, const char *path, int rc)
{
	(void)arg, (void)path, (void)rc;
}

static void count_files(const struct conf *conf, struct counting *n)
{
	struct glob_visitor v = { .arg = n, .dir = on_dir, .file = on_file, .failed = on_failed };

	for (size_t i = 0; i < conf->input_count; i++) {
		struct conf_strings all = { 0 };

		for (size_t j = 0; j < conf->inputs[i].paths.n; j++)
			glob_expand(conf->inputs[i].paths.v[j], "/", &all);
		for (size_t j = 0; j < all.n; j++)
			glob_walk(all.v[j], &v);
		glob_strings_release(&all);
	}
}

static size_t system_limit(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned long long n = 0;

	if (!f)
		return SIZE_MAX;
	if (fscanf(f, "%llu", &n) != 1)
		n = SIZE_MAX;
	fclose(f);
	return (size_t)n;
}

static void check_limits(struct check *c)
{
	size_t most = descriptors_most(), watches = system_limit("/proc/sys/fs/inotify/max_user_watches");
	struct counting n = { 0 };

	map_init(&n.seen);
	count_files(c->conf->conf, &n);
	map_release(&n.seen);
	if (n.files + OTHER_DESCRIPTORS > most)
		check_warn(c, "limits", "%zu files match, and %zu may be open at once: they are read in turns, and one that "
			   "is deleted before its turn is lost; raise LimitNOFILE in a drop-in of the unit (ulimit -n)",
			   n.files, most);
	if (n.dirs > watches)
		check_warn(c, "limits", "%zu directories are to be watched, fs.inotify.max_user_watches is %zu: the rest is "
			   "looked at every second; raise it by sysctl", n.dirs, watches);
}

/* --- secrets --- */

static void check_secret_file(struct check *c, const char *key, const char *path)
{
	struct stat st;

	if (!path || !*path || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (st.st_mode & 07)
		check_warn(c, key, "%s holds a secret, and everybody may read it (mode %04o): chmod o-rwx %s", path,
			   st.st_mode & 07777, path);
	else if (st.st_mode & 070 && st.st_uid == c->uid)
		check_warn(c, key, "%s holds a secret, and its group may read it (mode %04o): chmod g-rwx %s", path,
			   st.st_mode & 07777, path);
}

/* "sasl.password: text" anywhere in it, and not one that only says where the text is. */
static bool is_secret_line(const char *line)
{
	static const char *const ends[] = { "password", "secret", "jaas.config", "keystore.key" };

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		for (const char *p = line; (p = strstr(p, ends[i])); p++) {
			const char *value = p + strlen(ends[i]);

			value += strspn(value, " \t\"'");
			if (*value != ':')
				continue;
			value += 1 + strspn(value + 1, " \t\"'");
			if (*value && *value != '#' && !strstr(value, "${"))
				return true;
		}
	return false;
}

static void check_references(struct check *c, const char *line)
{
	char path[GLOB_PATH_MAX];

	for (const char *p = line; (p = strstr(p, "${file:")); p++) {
		snprintf(path, sizeof path, "%.*s", (int)strcspn(p + 7, "}"), p + 7);
		check_secret_file(c, "secrets", path);
	}
}

static void check_conf_text(struct check *c, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[LINE_BYTES];
	bool secret = false;

	while (f && fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[strspn(line, " \t")] == '#')
			continue;
		secret |= is_secret_line(line);
		check_references(c, line);
	}
	explicit_bzero(line, sizeof line);
	if (f)
		fclose(f);
	if (secret)
		check_secret_file(c, "secrets", path);
}

static void check_secrets(struct check *c)
{
	const struct producer_config *k = c->conf->producer;

	for (size_t i = 0; i < c->conf->conf->files.n; i++)
		check_conf_text(c, c->conf->conf->files.v[i]);
	check_secret_file(c, "ssl.key.location", k->ssl_key_location);
	check_secret_file(c, "ssl.keystore.location", k->ssl_keystore_location);
	check_secret_file(c, "sasl.oauthbearer.token.file", k->oauth_token_file);
}

/* --- what is listened on --- */

static void check_metrics(struct check *c)
{
	const struct conf *k = c->conf->conf;

	if (conf_metrics_public(k))
		check_warn(c, "metrics.listen", "%s: whoever reaches this address reads names of files and topics, without a "
			   "password: listen on 127.0.0.1 or unix:, or let a firewall decide", k->metrics_listen);
}

void check_place(struct check *c)
{
	check_state_place(c);
	check_limits(c);
	check_secrets(c);
	check_metrics(c);
}
