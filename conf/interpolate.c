/* interpolate.c - replaces ${env:}, ${file:} and ${cred:} inside one scalar.
 *
 * Why after parsing: a password with a colon, a quote or a newline can then never change the shape of the file.
 * Invariants
 *  (1) Inserted text is data: it is never scanned for ${ again.
 *  (2) Anything else that begins with ${ is an error, so a typing mistake never reaches Kafka as a literal.
 *  (3) Content of files and credentials sets *ret_masked before it is put; it never enters an error's words.
 * Failure  ERR_CONFIG with words, ERR_NOMEM; `out` then holds a part.
 */
#include "conf/interpolate.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"

enum { SECRET_MAX = 64 * 1024 };

struct source {
	const char *prefix;
	int (*put)(const char *arg, struct buf *out, struct err *ret_err);
	bool masked;
};

bool interpolate_needed(const char *text)
{
	return strstr(text, "${") != NULL;
}

/* [A-Za-z_][A-Za-z0-9_]* of length n */
static bool is_env_name(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isalpha((unsigned char)s[i]) && s[i] != '_' && (i == 0 || !isdigit((unsigned char)s[i])))
			return false;
	return n > 0;
}

/* Like a shell's ${NAME:-default}: the default also stands in for an empty variable. */
static int put_env(const char *arg, struct buf *out, struct err *ret_err)
{
	const char *fallback = strstr(arg, ":-"), *value;
	size_t n = fallback ? (size_t)(fallback - arg) : strlen(arg);
	char *name;

	if (!is_env_name(arg, n))
		return err_set(ret_err, ERR_CONFIG, "\"${env:%.100s}\" does not name an environment variable", arg);
	name = mem_strndup(arg, n);
	if (!name)
		return ERR_NOMEM;
	value = getenv(name);
	mem_free(name);
	if (fallback && (!value || !*value))
		value = fallback + 2;
	if (!value)
		return err_set(ret_err, ERR_CONFIG, "environment variable \"%.100s\" is not set", arg);
	return buf_puts(out, value);
}

/* At most SECRET_MAX bytes into text; the length, or -errno. */
static ssize_t read_small(int fd, char *text)
{
	size_t n = 0;

	for (;;) {
		ssize_t k = read(fd, text + n, SECRET_MAX + 1 - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		n += (size_t)k;
		if (n > SECRET_MAX)
			return -EFBIG;
		if (k == 0)
			return (ssize_t)n;
	}
}

/* One newline at the end is the editor's, not the secret's. */
static int put_trimmed(const char *path, const char *text, size_t n, struct buf *out, struct err *ret_err)
{
	if (memchr(text, 0, n))
		return err_set(ret_err, ERR_CONFIG, "\"%.200s\" holds a NUL byte", path);
	if (n && text[n - 1] == '\n')
		n--;
	if (n && text[n - 1] == '\r')
		n--;
	return buf_put(out, text, n);
}

static int put_path(const char *path, struct buf *out, struct err *ret_err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);	/* a FIFO must not hold the start */
	char *text = mem_alloc(SECRET_MAX + 1);
	ssize_t n = fd < 0 ? -errno : 0;
	struct stat st;
	int rc;

	if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
		n = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	else if (fd >= 0 && text)
		n = read_small(fd, text);
	if (!text)
		rc = ERR_NOMEM;
	else if (n < 0)
		rc = err_set(ret_err, ERR_CONFIG, "cannot read \"%.200s\": %s", path, strerror((int)-n));
	else
		rc = put_trimmed(path, text, (size_t)n, out, ret_err);
	if (fd >= 0)
		close(fd);
	mem_free(text);
	return rc;
}

static int put_file(const char *path, struct buf *out, struct err *ret_err)
{
	if (*path != '/')
		return err_set(ret_err, ERR_CONFIG, "\"${file:%.200s}\" needs an absolute path", path);
	return put_path(path, out, ret_err);
}

static int put_cred(const char *name, struct buf *out, struct err *ret_err)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char *path;
	int rc;

	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return err_set(ret_err, ERR_CONFIG, "\"${cred:%.100s}\" does not name a credential", name);
	if (!dir)
		return err_set(ret_err, ERR_CONFIG, "no credential \"%.100s\": CREDENTIALS_DIRECTORY is not set, "
			       "systemd sets it for units with LoadCredential=", name);
	path = mem_printf("%s/%s", dir, name);
	if (!path)
		return ERR_NOMEM;
	rc = put_path(path, out, ret_err);
	mem_free(path);
	return rc;
}

static const struct source sources[] = {
	{ "env:",  put_env,  false },
	{ "file:", put_file, true },
	{ "cred:", put_cred, true },
};

static int put_source(const char *inside, struct buf *out, bool *ret_masked, struct err *ret_err)
{
	for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
		const struct source *s = &sources[i];
		size_t n = strlen(s->prefix);

		if (strncmp(inside, s->prefix, n))
			continue;
		if (s->masked)
			*ret_masked = true;
		return s->put(inside + n, out, ret_err);
	}
	if (is_env_name(inside, strlen(inside)))
		return err_set(ret_err, ERR_CONFIG,
			       "unknown interpolation \"${%.100s}\" (did you mean \"${env:%.100s}\"?)", inside, inside);
	return err_set(ret_err, ERR_CONFIG, "unknown interpolation \"${%.100s}\", known are ${env:NAME}, "
		       "${env:NAME:-default}, ${file:/path} and ${cred:NAME}", inside);
}

int interpolate(const char *text, struct buf *out, bool *ret_masked, struct err *ret_err)
{
	const char *at;
	int rc = 0;

	while (!rc && (at = strstr(text, "${"))) {
		const char *end = strchr(at, '}');
		char *inside;

		if (!end)
			return err_set(ret_err, ERR_CONFIG, "\"${\" without a \"}\"");
		inside = mem_strndup(at + 2, (size_t)(end - at - 2));
		if (!inside || buf_put(out, text, (size_t)(at - text)))
			rc = ERR_NOMEM;
		else
			rc = put_source(inside, out, ret_masked, ret_err);
		mem_free(inside);
		text = end + 1;
	}
	return rc ? rc : buf_puts(out, text);
}
