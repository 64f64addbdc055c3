/* journal.c - see journal.h; what libsystemd needs to be told.
 * It is loaded when a journal is first opened: with what it needs itself it would take most of a megabyte of every agent. */
#include "agent/intake/journal.h"

#ifdef HAVE_JOURNALD

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>

#include "agent/base/beat.h"
#include "agent/base/buf.h"
#include "agent/base/mem.h"
#include "agent/intake/syslog.h"

#define MESSAGE_MAX (768u << 20)	/* what the journal itself takes */

#define FUNCTIONS \
	X(close) X(enumerate_data) X(get_cursor) X(get_data) X(get_fd) X(get_realtime_usec) X(next) X(open) \
	X(open_directory) X(previous) X(process) X(restart_data) X(seek_cursor) X(seek_head) X(seek_tail) \
	X(set_data_threshold) X(test_cursor)

static struct {
#define X(name) __typeof__(sd_journal_##name) *name;
	FUNCTIONS
#undef X
} library;
static bool loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
	void *so = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);

	loaded = so != NULL;
#define X(name) loaded = loaded && (library.name = (__typeof__(sd_journal_##name) *)dlsym(so, "sd_journal_" #name));
	FUNCTIONS
#undef X
}

static const char READING[] = "read of the journal";	/* its files are mapped: a dead disk holds the thread up in it */

struct journal {
	sd_journal *sd;
	bool at;			/* sd stands at the entry that journal_next is to give */
	struct buf message;
};

int journal_open(const char *dir, struct journal **ret, struct err *ret_err)
{
	struct journal *j;
	int rc;

	pthread_once(&once, load);
	if (!loaded)
		return err_set(ret_err, ERR_CONFIG, "cannot open the journal: libsystemd.so.0 is not here, or too old");
	j = mem_new(struct journal);
	rc = !j ? -ENOMEM : dir ? library.open_directory(&j->sd, dir, 0) : library.open(&j->sd, SD_JOURNAL_LOCAL_ONLY);
	if (rc < 0) {
		mem_free(j);
		return err_set(ret_err, rc, "cannot open the journal%s%s: %s", dir ? " in " : "", dir ? dir : "", strerror(-rc));
	}
	(void)library.set_data_threshold(j->sd, 0);	/* else long messages are cut */
	buf_init(&j->message, MESSAGE_MAX);
	*ret = j;
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	library.close(j->sd);
	buf_release(&j->message);
	mem_free(j);
}

int journal_fd(struct journal *j)
{
	return library.get_fd(j->sd);
}

void journal_changed(struct journal *j)
{
	beat_into(READING);
	(void)library.process(j->sd);
	beat_out();
}

static int seek(struct journal *j, const char *cursor)
{
	int rc;

	j->at = false;
	if (!*cursor)
		return library.seek_head(j->sd);
	rc = library.seek_cursor(j->sd, cursor);
	if (rc == 0)
		rc = library.next(j->sd);
	if (rc <= 0)			/* nothing is there, or nothing behind it */
		return rc < 0 ? rc : ERR_NOT_FOUND;
	if (library.test_cursor(j->sd, cursor) > 0)
		return 0;
	j->at = true;
	return ERR_NOT_FOUND;
}

int journal_seek(struct journal *j, const char *cursor)
{
	int rc;

	beat_into(READING);
	rc = seek(j, cursor);
	beat_out();
	return rc;
}

int journal_seek_end(struct journal *j)
{
	int rc;

	j->at = false;
	beat_into(READING);
	rc = library.seek_tail(j->sd);
	if (rc == 0)
		rc = library.previous(j->sd);	/* without an entry under it next() would begin anywhere */
	rc = rc == 0 ? library.seek_head(j->sd) : rc < 0 ? rc : 0;
	beat_out();
	return rc;
}

int journal_next(struct journal *j)
{
	int rc = 1;

	if (!j->at) {
		beat_into(READING);
		rc = library.next(j->sd);
		beat_out();
	}
	j->at = false;
	return rc;
}

uint64_t journal_time_us(struct journal *j)
{
	uint64_t t = 0;

	(void)library.get_realtime_usec(j->sd, &t);
	return t ? t : 1;
}

char *journal_cursor(struct journal *j)
{
	char *sd = NULL, *copy;

	if (library.get_cursor(j->sd, &sd) < 0)
		return NULL;
	copy = mem_strdup(sd);
	mem_free(sd);		/* the heap is one */
	return copy;
}

/* --- entries --- */

static bool is_field(struct journal *j, const char *name, const char *value)
{
	const void *p;
	size_t n, lead = strlen(name) + 1;

	return library.get_data(j->sd, name, &p, &n) == 0 && n == lead + strlen(value) &&
	       !memcmp((const char *)p + lead, value, n - lead);
}

bool journal_is_of(struct journal *j, const struct conf_strings *units)
{
	for (size_t i = 0; i < units->n; i++)
		if (is_field(j, "_SYSTEMD_UNIT", units->v[i]) ||
		    (is_field(j, "UNIT", units->v[i]) && is_field(j, "_PID", "1")))
			return true;
	return units->n == 0;
}

/* A field may stand there several times. */
static bool add_field(json_t *o, const char *name, size_t name_len, json_t *text)
{
	json_t *was = json_object_getn(o, name, name_len), *list;

	if (!text || !was)
		return text && json_object_setn_new(o, name, name_len, text) == 0;
	if (json_is_array(was))
		return json_array_append_new(was, text) == 0;
	list = json_array();
	if (!list || json_array_append(list, was) < 0 || json_object_setn_new(o, name, name_len, list) < 0) {
		json_decref(text);
		return false;
	}
	return json_array_append_new(list, text) == 0;
}

static int take_field(struct journal *j, json_t *o, const char *p, size_t n)
{
	const char *eq = memchr(p, '=', n);
	size_t name = eq ? (size_t)(eq - p) : 0;

	if (!name)
		return 0;
	if (name == 7 && !memcmp(p, "MESSAGE", 7)) {
		buf_clear(&j->message);
		return buf_put(&j->message, eq + 1, n - name - 1);
	}
	return add_field(o, p, name, syslog_text(eq + 1, n - name - 1)) ? 0 : ERR_NOMEM;
}

int journal_read(struct journal *j, struct journal_entry *ret)
{
	const void *p;
	size_t n;
	int rc;

	buf_clear(&j->message);
	*ret = (struct journal_entry){ .fields = json_object(), .time_us = journal_time_us(j) };
	if (!ret->fields)
		return ERR_NOMEM;
	beat_into(READING);
	library.restart_data(j->sd);
	while ((rc = library.enumerate_data(j->sd, &p, &n)) > 0)
		if ((rc = take_field(j, ret->fields, p, n)) < 0)
			break;
	beat_out();
	if (rc < 0) {
		json_decref(ret->fields);
		ret->fields = NULL;
		return rc;
	}
	ret->message = (const uint8_t *)(j->message.len ? j->message.data : "");
	ret->len = j->message.len;
	return 0;
}

#else

int journal_open(const char *dir, struct journal **ret, struct err *ret_err)
{
	(void)dir, (void)ret;
	return err_set(ret_err, ERR_CONFIG, "this spillway was built without journald (libsystemd)");
}

void journal_close(struct journal *j) { (void)j; }
int journal_fd(struct journal *j) { (void)j; return ERR_CONFIG; }
void journal_changed(struct journal *j) { (void)j; }
int journal_seek(struct journal *j, const char *cursor) { (void)j, (void)cursor; return ERR_CONFIG; }
int journal_seek_end(struct journal *j) { (void)j; return ERR_CONFIG; }
int journal_next(struct journal *j) { (void)j; return ERR_CONFIG; }
uint64_t journal_time_us(struct journal *j) { (void)j; return 1; }
char *journal_cursor(struct journal *j) { (void)j; return NULL; }
bool journal_is_of(struct journal *j, const struct conf_strings *units) { (void)j, (void)units; return false; }
int journal_read(struct journal *j, struct journal_entry *ret) { (void)j, (void)ret; return ERR_CONFIG; }

#endif
