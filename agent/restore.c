/* restore.c - see restore.h. */
#include <string.h>

#include "agent/base/mem.h"
#include "agent/restore.h"

static int add_skip(void *arg, int64_t from, int64_t to)
{
	struct tail_known *k = arg;
	void *v = mem_grow(k->skips, k->skip_count, sizeof k->skips[0]);

	if (!v)
		return ERR_NOMEM;
	k->skips = v;
	k->skips[k->skip_count].from = from;
	k->skips[k->skip_count++].to = to;
	return 0;
}

static int add_file(void *arg, const struct spool_file *f)
{
	struct restored *r = arg;
	struct tail_known **list = f->cursor ? &r->streams : &r->files;
	size_t *n = f->cursor ? &r->stream_count : &r->file_count;
	struct tail_known *v = mem_grow(*list, *n, sizeof *v);

	if (!v)
		return ERR_NOMEM;
	*list = v;
	v += (*n)++;
	*v = (struct tail_known){ .file = *f };
	v->file.path = mem_strdup(f->path);
	v->file.origin = mem_strdup(f->origin);
	v->file.cursor = f->cursor ? mem_strdup(f->cursor) : NULL;
	return v->file.path && v->file.origin && (v->file.cursor || !f->cursor) ? 0 : ERR_NOMEM;
}

static int add_route(void *arg, const struct spool_route *from)
{
	struct restored *r = arg;
	struct spool_route *v = mem_grow(r->routes, r->route_count, sizeof *v);
	void *key = NULL;

	if (!v)
		return ERR_NOMEM;
	r->routes = v;
	v += r->route_count++;
	*v = *from;
	v->key = NULL;
	v->topic = mem_strdup(from->topic);
	v->spec = mem_strdup(from->spec);
	if (!from->key_null) {
		v->key = key = mem_alloc(from->key_len + 1);
		if (key)
			memcpy(key, from->key, from->key_len);
	}
	return v->topic && v->spec && (from->key_null || key) ? 0 : ERR_NOMEM;
}

int restored_read(struct spool *s, struct restored *ret, struct err *ret_err)
{
	int rc;

	*ret = (struct restored){ .next_file_id = spool_next_file_id(s) };
	rc = spool_files_each(s, add_file, ret, ret_err);
	for (size_t i = 0; i < ret->file_count + ret->stream_count && rc >= 0; i++) {
		struct tail_known *k = i < ret->file_count ? &ret->files[i] : &ret->streams[i - ret->file_count];

		k->marker_count = spool_markers(s, k->file.id, k->markers);
		rc = spool_skips_each(s, k->file.id, add_skip, k);
	}
	if (rc >= 0)
		rc = spool_routes_each(s, add_route, ret, ret_err);
	if (rc < 0)
		restored_release(ret);
	return rc;
}

static void release_known(struct tail_known *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		mem_free((char *)v[i].file.path);
		mem_free((char *)v[i].file.origin);
		mem_free((char *)v[i].file.cursor);
		mem_free(v[i].skips);
	}
	mem_free(v);
}

void restored_release(struct restored *r)
{
	release_known(r->files, r->file_count);
	release_known(r->streams, r->stream_count);
	for (size_t i = 0; i < r->route_count; i++) {
		mem_free((char *)r->routes[i].topic);
		mem_free((char *)r->routes[i].spec);
		mem_free((void *)r->routes[i].key);
	}
	mem_free(r->routes);
	*r = (struct restored){ 0 };
}
