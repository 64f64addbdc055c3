/* check_user.c - the configuration, files, directories and certificates, with the rights that the service has.
 *
 * Why a child with the user's rights and not arithmetic with modes: ACLs, groups and every directory on the way count, and only
 * the kernel adds them up. Whoever is not root looks with the rights it has.
 * Which user: the owner of the state directory, who ran here last; without one, or if that is root, "spillway" if there is such a
 *	user, with the groups that its unit gives it.
 * Failure what the child finds comes back through a pipe; one that cannot change its user says so and looks as it is.
 */
#define _GNU_SOURCE	/* setresuid */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/cmd/check.h"
#include "agent/tail/denied.h"
#include "agent/tail/tail.h"
#include "producer/config.h"
#include "producer/security.h"

#define SERVICE "spillway"
#define GROUPS_MAX 64
static const char *const unit_groups[] = { "adm", "systemd-journal" };	/* packaging/systemd/spillway.service */

/* --- the user --- */

struct service { uid_t uid; gid_t gid; char name[64]; gid_t groups[GROUPS_MAX + 2]; int group_count; };

static void add_group(struct service *s, gid_t gid)
{
	for (int i = 0; i < s->group_count; i++)
		if (s->groups[i] == gid)
			return;
	if (s->group_count < GROUPS_MAX)
		s->groups[s->group_count++] = gid;
}

static void take_user(struct service *s, const struct passwd *p)
{
	s->uid = p->pw_uid;
	s->gid = p->pw_gid;
	snprintf(s->name, sizeof s->name, "%s", p->pw_name);
	s->group_count = GROUPS_MAX;
	if (getgrouplist(p->pw_name, p->pw_gid, s->groups, &s->group_count) < 0)
		s->group_count = GROUPS_MAX;
	for (size_t i = 0; !strcmp(s->name, SERVICE) && i < sizeof unit_groups / sizeof unit_groups[0]; i++) {
		const struct group *g = getgrnam(unit_groups[i]);

		if (g)
			add_group(s, g->gr_gid);
	}
}

/* False: this process looks as it is. */
static bool find_service(const struct conf *c, struct service *ret)
{
	struct service s = { 0 };
	const struct passwd *p;
	struct stat st;

	if (geteuid() != 0)
		return false;
	if (stat(c->state_dir, &st) == 0 && st.st_uid != 0) {
		p = getpwuid(st.st_uid);
		s = (struct service){ .uid = st.st_uid, .gid = st.st_gid };
		snprintf(s.name, sizeof s.name, "%u", st.st_uid);
	} else {
		p = getpwnam(SERVICE);
		if (!p)
			return false;
	}
	if (p)
		take_user(&s, p);
	*ret = s;
	return true;
}

static bool become(struct check *c, const struct service *s)
{
	if (setgroups((size_t)s->group_count, s->groups) == 0 && setresgid(s->gid, s->gid, s->gid) == 0 &&
	    setresuid(s->uid, s->uid, s->uid) == 0)
		return true;
	check_warn(c, "user", "cannot look with the rights of %s: %s", s->name, strerror(errno));
	return false;
}

static void in_child(const struct check *c, const struct service *s, void (*fn)(struct check *c), int to)
{
	struct check mine = { .conf = c->conf, .uid = c->uid };

	if (become(&mine, s))
		check_ok(&mine, "user", "files are looked at with the rights of %s", s->name);
	fn(&mine);
	fflush(stdout);
	_exit(write(to, &mine, sizeof mine) == sizeof mine ? 0 : 1);
}

static void take_over(struct check *c, const struct check *child)
{
	if (!c->errors)
		c->exit_code = child->exit_code;
	c->errors += child->errors;
	c->warnings += child->warnings;
}

void check_as_user(struct check *c, void (*fn)(struct check *c))
{
	struct service s;
	struct check child;
	int pipe_fds[2];
	ssize_t n = -1;
	pid_t pid = -1;

	c->uid = geteuid();
	if (!find_service(c->conf->conf, &s) || pipe(pipe_fds) < 0) {
		fn(c);
		return;
	}
	c->uid = s.uid;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(pipe_fds[0]);
		in_child(c, &s, fn, pipe_fds[1]);
	}
	close(pipe_fds[1]);
	do
		n = pid > 0 ? read(pipe_fds[0], &child, sizeof child) : -1;
	while (n < 0 && pid > 0 && errno == EINTR);
	close(pipe_fds[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	if (n == sizeof child)
		take_over(c, &child);
	else
		check_error(c, EXIT_INTERNAL, "user", "nobody could look with the rights of %s", s.name);
}

/* --- with its rights --- */

/* Root could read the file, what it includes and its ${file:}; `run` reads them with other rights. A pipe cannot be read again. */
static void check_configuration(struct check *c)
{
	const char *path = c->conf->conf->path;
	struct loaded again = { 0 };
	struct buf text;
	struct stat st;

	if (stat(path, &st) == 0 ? !S_ISREG(st.st_mode) : errno == ENOENT)
		return;
	buf_init(&text, 1 << 20);
	if (load_conf(path, &again, &text) < 0)
		for (char *at = text.data, *line; (line = strsep(&at, "\n"));)
			if (*line)
				check_error(c, EXIT_CONFIG, "configuration", "%s", line);
	loaded_release(&again);
	buf_release(&text);
}

static void state_dir_missing(struct check *c, const char *dir)
{
	char *parent = mem_strdup(dir), *slash = parent ? strrchr(parent, '/') : NULL;
	struct stat st;

	if (slash && slash != parent)
		*slash = '\0';
	if (slash && slash != parent && stat(parent, &st) == 0 && !S_ISDIR(st.st_mode)) {
		check_error(c, EXIT_CANNOT_CREATE, "state_dir", "cannot create %s: %s", dir, strerror(ENOTDIR));
	} else if (slash && access(slash == parent ? "/" : parent, W_OK | X_OK) < 0) {
		if (errno == EACCES || errno == EPERM)
			check_error(c, EXIT_PERMISSION, "state_dir", "cannot create %s: %s; StateDirectory= in the unit "
				    "makes it, or install -d -m 0700 -o USER %s", dir, strerror(errno), dir);
		else
			check_error(c, EXIT_CANNOT_CREATE, "state_dir", "cannot create %s: %s", dir, strerror(errno));
	} else {
		check_ok(c, "state_dir", "%s is not there yet, `run` creates it", dir);
	}
	mem_free(parent);
}

/* The state directory must be there and writable, or be creatable. */
static void check_state_dir(struct check *c)
{
	const char *dir = c->conf->conf->state_dir;
	struct stat st;

	if (stat(dir, &st) < 0 && errno == ENOENT)
		state_dir_missing(c, dir);
	else if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode))
		check_error(c, EXIT_CANNOT_CREATE, "state_dir", "%s is not a directory", dir);
	else if (access(dir, R_OK | W_OK | X_OK) < 0)
		check_error(c, errno == EACCES ? EXIT_PERMISSION : EXIT_CANNOT_CREATE, "state_dir", "%s: %s", dir, strerror(errno));
}

static void check_inputs(struct check *c)
{
	struct buf out;
	int problems, warnings;

	buf_init(&out, 256u << 20);
	problems = tail_check(c->conf->conf, &out, &warnings);
	if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	if (problems && !c->errors)
		c->exit_code = EXIT_PERMISSION;
	c->errors += (unsigned)problems;
	c->warnings += (unsigned)warnings;
	buf_release(&out);
}

/* --- certificates --- */

static void on_certificate(void *arg, const struct tls_certificate *x)
{
	const char *where = x->own ? "ssl.keystore.*" : "ssl.truststore.*";
	int64_t days = check_days_left(x->ends_s);

	/* One of several CAs may be an old one; an own one that expired was refused before. */
	if (days < 0)
		check_warn(arg, where, "the certificate of %s has expired: take it out, or renew it", x->name);
	else if (days < CHECK_SOON_DAYS)
		check_warn(arg, where, "the certificate of %s expires in %lld days: renew it", x->name, (long long)days);
	else if (x->own)
		check_ok(arg, where, "the certificate of %s is good for %lld days", x->name, (long long)days);
}

/* Who denies which of the files, if that is what is wrong. */
static bool say_denied(struct check *c)
{
	const struct producer_config *k = c->conf->producer;
	const struct { const char *key, *file; } files[] = {
		{ "ssl.truststore.location", k->ssl_truststore_location }, { "ssl.keystore.location", k->ssl_keystore_location },
		{ "ssl.certificate.location", k->ssl_certificate_location }, { "ssl.key.location", k->ssl_key_location },
		{ "sasl.oauthbearer.token.file", k->oauth_token_file },
	};
	char why[8800];
	bool any = false;

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		if (!files[i].file || !*files[i].file || access(files[i].file, R_OK) == 0 || errno != EACCES)
			continue;
		denied_words(files[i].file, why, sizeof why);
		check_error(c, EXIT_PERMISSION, files[i].key, "%s: %s: %s", files[i].file, strerror(EACCES), why);
		any = true;
	}
	return any;
}

static void check_security(struct check *c)
{
	struct security *s = NULL;
	struct err e;
	int rc;

	if (say_denied(c))
		return;
	rc = security_new(c->conf->producer, &s, &e);
	if (rc == 0 && security_has_tls(s))
		rc = security_load(s, &e);
	if (rc < 0)
		check_error(c, EXIT_CONFIG, "producer", "%s", e.text);
	else if (s)
		security_certificates(s, on_certificate, c);
	security_unref(s);
}

void check_files(struct check *c)
{
	check_configuration(c);
	check_inputs(c);
	check_state_dir(c);
	check_security(c);
}
