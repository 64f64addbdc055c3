/* reload.c - see reload.h; what follows once a configuration is good is in pipeline_reload.c, what differs in reload_compare.c.
 *
 * What cannot be changed while running is set back to what is in force before anything is compared or built: so whatever looks at
 * the configuration later, `status` too, sees what is so.
 * Failure: whatever fails, the running configuration goes on.
 */
#include "agent/reload.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/reload_compare.h"

#define PRINT_MAX (4u << 20)
#define NAMES_MAX 65536
#define REASON_BYTES 400

/* Words for the first of them. */
static const char *first_line(const struct buf *text, char *buf, size_t n)
{
	const char *line = text->data ? text->data : "";

	snprintf(buf, n, "%.*s", (int)strcspn(line, "\n"), line);
	return buf;
}

static void log_problems(struct buf *text)
{
	char *line = text->data, *end;

	for (; line && *line; line = end) {
		end = line + strcspn(line, "\n");
		if (*end)
			*end++ = '\0';
		log_error(line);
	}
}

/* Until one is good, whoever asks is told. */
static int refuse(struct pipeline *p, const char *path, const char *why, int rc)
{
	log_error("the configuration was not reloaded, the old one stays", KS("path", path), KS("reason", why));
	mem_free(p->not_reloaded);
	p->not_reloaded = mem_printf("the configuration was not reloaded, the old one stays: %s", why);
	return rc;
}

/* Loads it; then it must fit what stays, too: a longest line within a memory that was not enlarged. */
static int load(struct pipeline *p, const char *path, struct loaded *ret, struct buf *names, struct err *ret_err)
{
	char first[REASON_BYTES];
	struct buf text;
	int rc;

	buf_init(&text, PRINT_MAX);
	rc = load_conf(path, ret, &text);
	if (rc < 0)
		err_set(ret_err, rc, "%s", text.len ? first_line(&text, first, sizeof first) : err_text(rc));
	else if ((rc = reload_set_back(p->conf, ret, names, ret_err)) == 0 && names->len &&
		 (rc = load_check(ret, &text)) < 0)
		err_set(ret_err, rc, "it does not fit what needs a restart: %s", names->data);
	log_problems(&text);
	buf_release(&text);
	return rc;
}

static void say_what_needs_a_restart(struct pipeline *p, const struct buf *names)
{
	mem_free(p->needs_restart);
	p->needs_restart = names->len ? mem_printf("needs a restart: %s", names->data) : NULL;
	if (names->len)
		log_warn("these changes need a restart, they are not in force", KS("what", names->data));
}

int reload(struct pipeline *p, const char *path, int log_level)
{
	struct loaded *fresh = mem_new(struct loaded);
	struct buf names;
	struct err e = { 0 };
	int rc;

	if (p->once || !fresh) {
		mem_free(fresh);
		return refuse(p, path, p->once ? "with --once nothing is reloaded" : "out of memory",
			      p->once ? ERR_BUSY : ERR_NOMEM);
	}
	buf_init(&names, NAMES_MAX);
	rc = load(p, path, fresh, &names, &e);
	if (rc == 0)
		rc = pipeline_reload(p, fresh, &e);
	if (rc == 0) {
		const struct conf *c = p->conf->conf;

		log_setup(log_level >= 0 ? (enum log_level)log_level : (enum log_level)c->log.level, c->log.json);
		log_info("reloaded", KS("path", path), KI("inputs", c->input_count));
		say_what_needs_a_restart(p, &names);
		mem_free(p->not_reloaded);
		p->not_reloaded = NULL;
	} else {
		loaded_release(fresh);
		mem_free(fresh);
		refuse(p, path, e.text, rc);
	}
	buf_release(&names);
	return rc;
}
