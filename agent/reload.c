/* reload.c - see reload.h.
 *
 * Why so little: brokers move and credentials end while an agent runs, and a restart for them would interrupt shipping. The
 * rest is compared with what runs, so that nobody believes a change is in force that is not.
 * Failure: whatever fails, the running configuration goes on.
 */
#include "agent/reload.h"

#include <string.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "conf/conf.h"

#define PRINT_MAX (4u << 20)
#define NAMES_MAX 4096

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

/* What producer_reload takes over. */
static bool taken_over(const char *name)
{
	return !strcmp(name, "bootstrap.servers") || !strcmp(name, "security.protocol") || !strncmp(name, "ssl.", 4) ||
	       !strncmp(name, "sasl.", 5);
}

/* The names of the producer's keys that differ. producer_config_get's answer lives until its next call. */
static void compare_producer(const struct loaded *a, const struct loaded *b, struct buf *names)
{
	const char *name;

	for (size_t i = 0; (name = producer_config_name(i)); i++) {
		const char *value = taken_over(name) ? NULL : producer_config_get(a->producer, name);
		char *old = value ? mem_strdup(value) : NULL;
		const char *new = old ? producer_config_get(b->producer, name) : NULL;

		if (new && strcmp(old, new) != 0)
			buf_printf(names, "%s%s", names->len ? ", " : "", name);
		mem_free(old);
	}
}

static bool same_rest(const struct loaded *a, const struct loaded *b)
{
	struct buf x, y;
	bool same;

	buf_init(&x, PRINT_MAX);
	buf_init(&y, PRINT_MAX);
	conf_print(a->conf, &x);
	conf_print(b->conf, &y);
	same = !x.failed && !y.failed && x.len == y.len && (!x.len || !memcmp(x.data, y.data, x.len));
	buf_release(&x);
	buf_release(&y);
	return same;
}

static void say_what_needs_a_restart(const struct loaded *running, const struct loaded *fresh)
{
	struct buf names;

	buf_init(&names, NAMES_MAX);
	compare_producer(running, fresh, &names);
	if (!same_rest(running, fresh))
		buf_printf(&names, "%sother sections than producer", names.len ? ", " : "");
	if (names.len)
		log_warn("these changes need a restart, they are not in force", KS("what", names.data));
	buf_release(&names);
}

void reload(const char *path, const struct loaded *running, struct producer *p)
{
	struct producer_error e;
	struct loaded fresh = { 0 };
	struct buf text;
	int rc;

	buf_init(&text, PRINT_MAX);
	rc = load_conf(path, &fresh, &text);
	log_problems(&text);
	buf_release(&text);
	if (rc < 0) {
		log_error("the configuration was not reloaded, the old one stays", KS("path", path));
		return;
	}
	rc = producer_reload(p, fresh.producer, &e);
	if (rc < 0) {
		log_error("the configuration was not reloaded, the old one stays", KS("path", path), KS("reason", e.text));
	} else {
		log_info("reloaded: brokers and credentials are used for new connections", KS("path", path));
		say_what_needs_a_restart(running, &fresh);
	}
	loaded_release(&fresh);
}
