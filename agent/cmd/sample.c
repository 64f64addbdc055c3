/* sample.c - see sample.h. Here: which input, the file's bytes, messages, records. sample_print.c says them.
 *
 * Invariant: bytes are cut into messages and messages are made records by the very functions of the tail thread; what is not
 *	done here is only what needs time (groups are ended by the end of the file).
 * Threads: one, without any other. Failure: see sample.h; what was printed before it stays.
 */
#include "agent/cmd/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/record/glob.h"
#include "agent/record/line.h"
#include "agent/record/recipe.h"
#include "agent/cmd/sample_print.h"
#include "agent/tail/unpack.h"
#include "conf/path.h"
#include "conf/template.h"

#define CHUNK 65536
#define SPEC_MAX (16u << 20)
#define READ_MAX (16 << 20)		/* bytes, then it ends without ten records too */

struct sample {
	const struct loaded *l;
	const struct conf_input *in;
	char *path;
	char host[256];
	struct recipe *recipe;
	struct recipe_room *room;
	struct buf topic, key;
	struct sample_print print;

	int fd;
	struct unpack *unpack;		/* NULL: as it is */
	struct buf bytes;		/* those that are not used up, from `at` on */
	int64_t at, end;		/* end: behind the last byte that was read */
	int64_t used;			/* behind the last byte that something was said of */
	bool eof, enough;
};

/* --- which input --- */

static int matches(const struct conf_strings *patterns, const char *cwd, const char *path, bool exclude)
{
	struct conf_strings all = { 0 };
	bool found = false;
	int rc = 0;

	for (size_t i = 0; i < patterns->n && rc == 0; i++)
		rc = (exclude ? glob_expand_exclude : glob_expand)(patterns->v[i], cwd, &all);
	for (size_t i = 0; i < all.n && !found; i++)
		found = (exclude ? glob_excludes : glob_match)(all.v[i], path);
	glob_strings_release(&all);
	return rc < 0 ? rc : found;
}

/* The first that matches, else the first that reads files. */
static int find_input(struct sample *s, bool *ret_matches, struct err *ret_err)
{
	const struct conf *c = s->l->conf;
	char cwd[GLOB_PATH_MAX];

	*ret_matches = false;
	if (!getcwd(cwd, sizeof cwd))
		cwd[0] = '\0';
	for (size_t i = 0; i < c->input_count && !*ret_matches; i++) {
		const struct conf_input *in = &c->inputs[i];

		if (in->type != CONF_TYPE_FILE)
			continue;
		if (!s->in)
			s->in = in;
		if (matches(&in->paths, cwd, s->path, false) == 1 && matches(&in->exclude, cwd, s->path, true) == 0) {
			s->in = in;
			*ret_matches = true;
		}
	}
	return s->in ? 0 : err_set(ret_err, ERR_CONFIG, "no input of this configuration reads files");
}

/* --- its bytes --- */

static int open_file(struct sample *s, struct err *ret_err)
{
	struct stat st;
	int kind;

	s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return err_set(ret_err, -errno, "%s: %s", s->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(ret_err, ERR_BAD_DATA, "%s is not a regular file", s->path);
	kind = s->in->compressed ? unpack_kind(s->fd) : UNPACK_NONE;
	if (kind < 0)
		return err_set(ret_err, kind, "%s: %s", s->path, err_text(kind));
	if (kind == UNPACK_NONE)
		return 0;
	s->unpack = unpack_new(s->fd, (enum unpack_kind)kind);
	return s->unpack ? 0 : err_set(ret_err, ERR_NOMEM, "out of memory");
}

/* The next chunk, behind what is there. What is damaged ends there. */
static int read_more(struct sample *s, struct err *ret_err)
{
	ssize_t n;

	if (buf_reserve(&s->bytes, CHUNK) < 0)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	if (s->unpack)
		n = unpack_pread(s->unpack, s->bytes.data + s->bytes.len, CHUNK, s->end);
	else if ((n = pread(s->fd, s->bytes.data + s->bytes.len, CHUNK, s->end)) < 0)
		n = -errno;
	if (n == ERR_BAD_DATA || n == ERR_AGAIN) {
		sample_print_note(&s->print, n == ERR_AGAIN ? "the compressed file ends in the middle" : unpack_trouble(s->unpack));
		n = 0;
	}
	if (n < 0)
		return err_set(ret_err, (int)n, "%s: %s", s->path, err_text((int)n));
	s->bytes.len += (size_t)n;
	s->end += n;
	s->eof = n == 0;
	s->enough = s->end >= READ_MAX;
	return 0;
}

static void use(struct sample *s, size_t n)
{
	memmove(s->bytes.data, s->bytes.data + n, s->bytes.len - n);
	s->bytes.len -= n;
	s->at += (int64_t)n;
}

/* --- records --- */

/* The recipe, with the encoding that the file's byte order mark says; the mark is no part of a line. */
static int make_recipe(struct sample *s, struct err *ret_err)
{
	const char *encoding = NULL;
	struct buf spec, marked;
	size_t skip = 0;
	int rc;

	buf_init(&spec, SPEC_MAX);
	buf_init(&marked, SPEC_MAX);
	rc = recipe_spec(s->l->producer, s->in, s->host, &spec, ret_err);
	if (rc >= 0 && s->in->encoding)
		encoding = assemble_resolve(s->in->encoding, (const uint8_t *)s->bytes.data, s->bytes.len, &skip);
	if (rc >= 0 && encoding && (rc = recipe_set_encoding(spec.data, encoding, &marked)) < 0)
		err_set(ret_err, rc, "%s", err_text(rc));
	if (rc >= 0)
		rc = recipe_new(encoding ? marked.data : spec.data, &s->recipe, ret_err);
	use(s, skip);
	buf_release(&spec);
	buf_release(&marked);
	return rc;
}

/* What is the same for all records of the file. */
static int prepare(struct sample *s, struct err *ret_err)
{
	struct template_values v = { .path = s->path, .host = s->host, .input = s->in->name, .offset = -1 };
	bool one_key = s->in->key && !template_per_record(s->in->key, false);
	int rc = make_recipe(s, ret_err);

	if (rc < 0)
		return rc;
	buf_puts(&s->topic, "");
	s->room = recipe_room_new();
	rc = s->room ? 0 : ERR_NOMEM;
	if (rc == 0 && !recipe_has_topic(s->recipe) && (rc = template_expand_topic(s->in->topic, &v, &s->topic)) < 0)
		err_set(ret_err, rc, "topic: what the template makes of this path is none (%s)", err_text(rc));
	if (rc == 0 && one_key && (rc = template_expand(s->in->key, &v, &s->key)) < 0)
		err_set(ret_err, rc, "key: %s", err_text(rc));
	if (rc == 0 && s->key.len)
		rc = recipe_key(producer_config_get(s->l->producer, "key.serializer"), s->topic.data, &s->key, ret_err);
	return rc;
}

static void step_failed(void *arg, const char *text)
{
	struct sample *s = arg;

	sample_print_note(&s->print, text);
}

static int take(struct sample *s, const struct message *m)
{
	struct lane_record r = { .key = s->key.len ? s->key.data : NULL, .key_len = s->key.len, .value = m->value,
				 .value_len = m->value_len, .timestamp = -1 };
	struct recipe_input in = { .path = s->path, .offset = m->spans[0].from, .message = m };
	const char *topic = s->topic.data;
	struct err e = { .text = "" };
	int rc = 0;

	if (s->recipe)
		rc = recipe_apply(s->recipe, s->room, s->topic.data, &in, &r, &topic, step_failed, s, &e);
	topic = recipe_topic(s->recipe, topic);
	s->used = m->spans[m->span_count - 1].to;
	if (rc == 0)
		sample_print_record(&s->print, m, topic, &r);
	else if (rc == 1)
		sample_print_filtered(&s->print, s->in, m);
	else if (rc == ERR_BAD_DATA)
		sample_print_rejected(&s->print, m, e.text);
	return rc == ERR_BAD_DATA || rc == 1 ? 0 : rc;
}

/* Lines as they are. */
static int read_lines(struct sample *s, struct err *ret_err)
{
	size_t max = (size_t)s->in->max_line;
	int rc = 0;

	while (rc == 0 && !sample_print_enough(&s->print)) {
		struct line ln;

		if (line_next((const uint8_t *)s->bytes.data, s->bytes.len, max, s->eof, &ln)) {
			struct message_span span = { s->at, s->at + (int64_t)ln.span };
			struct message m = { .value = ln.value, .value_len = ln.value_len, .spans = &span, .span_count = 1,
					     .lines = 1, .piece = ln.piece };

			rc = take(s, &m);
			use(s, ln.span);
		} else if (s->eof || s->enough) {
			break;
		} else {
			rc = read_more(s, ret_err);
		}
	}
	return rc;
}

static int take_message(struct sample *s, const struct message *m)
{
	int rc = m->value ? take(s, m) : 0;

	if (m->lost.to > m->lost.from) {
		sample_print_lost(&s->print, &m->lost);
		s->used = m->lost.to;
	}
	return rc;
}

static int take_all(struct sample *s, struct assembly *a)
{
	struct message m;
	int rc = 0;

	while (rc == 0 && !sample_print_enough(&s->print) && (rc = assembly_next(a, &m)) == 1)
		rc = take_message(s, &m);
	return rc;
}

/* Lines that are converted, unwrapped, cut or grouped. */
static int read_messages(struct sample *s, const struct assemble_rules *rules, struct err *ret_err)
{
	struct assembly *a = assembly_new();
	int rc = a ? 0 : ERR_NOMEM;

	if (a)
		assembly_begin(a, rules, s->at, false);
	while (rc == 0 && !sample_print_enough(&s->print)) {
		assembly_feed(a, (const uint8_t *)s->bytes.data, s->bytes.len, s->eof);
		rc = take_all(s, a);
		use(s, s->bytes.len);
		if (rc < 0 || s->eof || s->enough)
			break;
		rc = read_more(s, ret_err);
	}
	if (rc == 0 && s->eof && !sample_print_enough(&s->print)) {
		assembly_end(a);
		rc = take_all(s, a);
	}
	assembly_free(a);
	return rc;
}

static int read_records(struct sample *s, struct err *ret_err)
{
	const struct assemble_rules *rules = recipe_rules(s->recipe);

	return rules ? read_messages(s, rules, ret_err) : read_lines(s, ret_err);
}

static void release(struct sample *s)
{
	recipe_free(s->recipe);
	recipe_room_free(s->room);
	unpack_free(s->unpack);
	if (s->fd >= 0)
		close(s->fd);
	buf_release(&s->topic);
	buf_release(&s->key);
	buf_release(&s->bytes);
	mem_free(s->path);
}

int sample(const struct loaded *l, const char *path, bool json, struct buf *out, struct err *ret_err)
{
	struct sample s = { .l = l, .fd = -1, .print = { .out = out, .json = json } };
	bool is_its_own;
	int rc = path_absolute(path, false, &s.path, ret_err);

	buf_init(&s.topic, 4096);
	buf_init(&s.key, 1 << 20);
	buf_init(&s.bytes, (1u << 30) + 2 * CHUNK);
	gethostname(s.host, sizeof s.host - 1);
	if (rc == 0)
		rc = find_input(&s, &is_its_own, ret_err);
	if (rc == 0)
		rc = open_file(&s, ret_err);
	if (rc == 0)
		sample_print_begin(&s.print, s.path, s.in->name, is_its_own);
	if (rc == 0)
		rc = read_more(&s, ret_err);
	if (rc == 0)
		rc = prepare(&s, ret_err);
	if (rc == 0)
		rc = read_records(&s, ret_err);
	if (rc == 0)
		sample_print_end(&s.print, s.used);
	release(&s);
	return rc == ERR_NOMEM ? err_set(ret_err, rc, "out of memory") : rc;
}
