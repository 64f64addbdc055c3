/* tail_show.c - what people see of the tail thread: rows, reasons, and what `check` prints.
 * Threads: tail, or main when the thread does not run. tail_check: any, it has nothing to do with a thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/tail_inside.h"
#include "agent/text_json.h"

#define REASONS_MAX 20

static const char *const state_names[] = { "active", "rotated", "deleted", "done", "failed" };

const char *tail_state_name(uint8_t state)
{
	return state < sizeof state_names / sizeof state_names[0] ? state_names[state] : "unknown";
}

static bool is_waiting(const struct file *f)
{
	return f->blocked || (f->dest && f->dest->dry && !list_empty(&f->turn));
}

static void say_reason(const struct file *f, char *buf, size_t n)
{
	if (f->blocked && f->error == ERR_SPOOL_FULL)
		snprintf(buf, n, "the line at offset %lld is not what value.serializer takes, no room to set it aside",
			 (long long)f->offset);
	else if (f->blocked)
		snprintf(buf, n, "a line at offset %lld fits no request", (long long)f->offset);
	else if (f->state == FILE_FAILED && f->error == ERR_CONFIG)
		snprintf(buf, n, "the key is not what key.serializer takes");
	else if (f->state == FILE_FAILED && f->error == -EMLINK)
		snprintf(buf, n, "a hard link in a directory that others write: somebody may have made it who must not read it");
	else if (f->state == FILE_FAILED && f->error == -EPERM)
		snprintf(buf, n, "a link of one user to a file of another, or not permitted");
	else if (f->state == FILE_FAILED)
		snprintf(buf, n, "%s", err_text(f->error));
	else if (is_waiting(f) && f->dest->held && f->dest->waits)
		snprintf(buf, n, "its lines are not spooled (when_full: wait), it is read on when its topic takes lines again");
	else if (is_waiting(f) && f->dest->held)
		snprintf(buf, n, "its topic is held, and what it may keep in memory and spool is used up");
	else if (is_waiting(f))
		snprintf(buf, n, "no memory left in buffer.memory, or no metadata of the topic yet");
	else if (f->pred)
		snprintf(buf, n, "the file that had this name before is read first");
	else
		buf[0] = 0;
}

static int show_file(struct tail *t, const struct file *f, struct tail_file_info *ret)
{
	struct stat st;
	const char *state = tail_state_name((uint8_t)f->state);

	*ret = (struct tail_file_info){ .path = mem_strdup(f->path), .input = f->input, .dev = f->dev, .inode = f->inode,
					.file_id = f->id, .size = f->size, .read = f->offset, .waits = is_waiting(f) };
	if (!ret->path)
		return ERR_NOMEM;
	if (f->fd >= 0 && fstat(f->fd, &st) == 0)
		ret->size = st.st_size;
	if (f->state == FILE_ACTIVE && ret->waits)
		state = "waiting";
	else if ((f->state == FILE_ROTATED || f->state == FILE_DELETED) && f->offset >= ret->size &&
		 t->hooks->safe(t->hooks->arg, f->id) >= ret->size)
		state = "done";
	snprintf(ret->state, sizeof ret->state, "%s", state);
	say_reason(f, ret->reason, sizeof ret->reason);
	return 0;
}

void show_files(struct tail *t, struct tail_list *ret)
{
	*ret = (struct tail_list){ .v = mem_array(struct tail_file_info, list_count(&t->files) + 1) };
	if (!ret->v) {
		ret->rc = ERR_NOMEM;
		return;
	}
	list_each(it, &t->files) {
		ret->rc = show_file(t, list_entry(it, struct file, node), &ret->v[ret->n]);
		if (ret->rc < 0)
			return;
		ret->n++;
	}
}

char *show_reasons(struct tail *t)
{
	char reason[160];
	unsigned left = REASONS_MAX;
	struct buf b;

	buf_init(&b, 65536);
	if (watch_limited(t->watch))
		buf_puts(&b, "inotify limit reached: files are looked at every second\n");
	for (size_t i = 0; i < t->conf.conf->input_count; i++)
		if (!t->inputs[i].matched && !t->inputs[i].links && t->round)
			buf_printf(&b, "%s: no file matches\n", t->inputs[i].conf->name);
	notes_show(t, &b);
	list_each(it, &t->files) {
		const struct file *f = list_entry(it, struct file, node);

		if (f->state != FILE_FAILED && !f->blocked && !f->note)
			continue;
		if (!left--) {
			buf_puts(&b, "and more files\n");
			break;
		}
		say_reason(f, reason, sizeof reason);
		text_put_printable(&b, f->path);
		buf_printf(&b, ": %s\n", f->note && !reason[0] ? f->note : reason);
	}
	return b.len ? buf_detach(&b) : mem_strdup("");
}

/* --- check --- */

struct check {
	const struct conf_input *in;
	const struct conf_strings *exclude;
	struct buf *out;
	size_t files;
	int problems;
};

static void check_dir(void *arg, const char *path)
{
	(void)arg, (void)path;
}

static bool is_excluded(const struct conf_strings *exclude, const char *path)
{
	for (size_t i = 0; i < exclude->n; i++)
		if (glob_excludes(exclude->v[i], path))
			return true;
	return false;
}

static void check_problem(struct check *c, const char *path, const char *text)
{
	buf_printf(c->out, "input %s: %s: %s\n", c->in->name, path, text);
	c->problems++;
}

static void check_file(void *arg, const char *path)
{
	struct check *c = arg;
	struct stat st;

	if (is_excluded(c->exclude, path) || lstat(path, &st) < 0)
		return;
	if (!S_ISREG(st.st_mode)) {
		buf_printf(c->out, "input %s: %s: %s, not read\n", c->in->name, path,
			   S_ISLNK(st.st_mode) ? "a link" : "not a regular file");
		return;
	}
	c->files++;
	if (access(path, R_OK) < 0)
		check_problem(c, path, "cannot be read (permissions)");
}

static void check_failed(void *arg, const char *path, int rc)
{
	check_problem(arg, path, err_text(rc));
}

int tail_check(const struct conf *conf, struct buf *out)
{
	char cwd[GLOB_PATH_MAX];
	int problems = 0;

	if (!getcwd(cwd, sizeof cwd))
		snprintf(cwd, sizeof cwd, "/");
	for (size_t i = 0; i < conf->input_count; i++) {
		struct conf_strings paths = { 0 }, exclude = { 0 };
		struct check c = { .in = &conf->inputs[i], .out = out, .exclude = &exclude };
		struct glob_visitor v = { .arg = &c, .dir = check_dir, .file = check_file, .failed = check_failed };

		for (size_t j = 0; j < c.in->exclude.n; j++)
			if (glob_expand_exclude(c.in->exclude.v[j], cwd, &exclude) < 0)
				check_problem(&c, c.in->exclude.v[j], "bad pattern");
		for (size_t j = 0; j < c.in->paths.n; j++)
			if (glob_expand(c.in->paths.v[j], cwd, &paths) < 0)
				check_problem(&c, c.in->paths.v[j], "bad pattern");
		for (size_t j = 0; j < paths.n; j++)
			glob_walk(paths.v[j], &v);
		buf_printf(out, "input %s: %zu %s\n", c.in->name, c.files, c.files == 1 ? "file" : "files");
		problems += c.problems;
		glob_strings_release(&paths);
		glob_strings_release(&exclude);
	}
	return problems;
}
