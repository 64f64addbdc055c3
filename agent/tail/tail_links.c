/* tail_links.c - where matched links lead (follow_symlinks): events happen there, under names that no input matches.
 *
 * A link is resolved hop by hop; each hop's name is remembered with the link that began there, and its directory is watched
 * (a missing one: the nearest that exists, for it tells when something is made in it). What happens to a hop happened to the link.
 * All is made anew by each walk; a new link is added when it is looked at.
 * Threads: tail. Failure: no memory, a loop, a chain that is too long: found by the next walk, if at all.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/tail/tail_inside.h"

#define HOPS_MAX 40

struct hop {
	struct hop *next;		/* another link over the same name */
	char *link;
};

static void hop_add(struct tail *t, const char *name, const char *link)
{
	struct hop *first = map_get(&t->hops, name, strlen(name)), *h;

	for (h = first; h; h = h->next)
		if (!strcmp(h->link, link))
			return;
	h = mem_new(struct hop);
	if (!h)
		return;
	*h = (struct hop){ .next = first, .link = mem_strdup(link) };
	if (h->link && map_put(&t->hops, name, strlen(name), h) == 0)
		return;
	mem_free(h->link);
	mem_free(h);
}

/* Watches the directory of `name`, or the nearest above it that is there. */
static void watch_above(struct tail *t, const char *name)
{
	char dir[PATH_MAX];
	struct stat st;
	char *slash;

	memcpy(dir, name, strlen(name) + 1);
	while ((slash = strrchr(dir, '/'))) {
		*slash = 0;
		if (slow_stat(*dir ? dir : "/", &st) == 0) {
			find_dir(t, *dir ? dir : "/");
			return;
		}
	}
}

/* "." and ".." in a target, as far as names tell: a directory that is a link itself is found by its own name. */
static void clean(char *path)
{
	char *out = path, *p = path;

	while (*p) {
		size_t n = strcspn(p + 1, "/") + 1;

		if (n == 1 || (n == 2 && p[1] == '.')) {
			;
		} else if (n == 3 && p[1] == '.' && p[2] == '.') {
			while (out > path && *--out != '/')
				;
		} else {
			memmove(out, p, n);
			out += n;
		}
		p += n;
	}
	*out = 0;
}

/* Replaces the link's name by what it leads to. false: it is no link, or leads nowhere that can be named. */
static bool next_hop(char *name)
{
	char target[PATH_MAX], dir[PATH_MAX], real[PATH_MAX];
	ssize_t n = readlink(name, target, sizeof target - 1);
	size_t len = (size_t)(strrchr(name, '/') - name);

	if (n <= 0)
		return false;
	target[n] = 0;
	if (target[0] != '/') {
		memcpy(dir, name, len);
		dir[len] = 0;
		/* ".." means the directory above the real one. */
		len = len && slow_realpath(dir, real) ? strlen(real) : 0;
		if (len + 1 + (size_t)n >= PATH_MAX)
			return false;
		memcpy(name, real, len);
		name[len] = '/';
		memcpy(name + len + 1, target, (size_t)n + 1);
	} else {
		memcpy(name, target, (size_t)n + 1);
	}
	clean(name);
	return name[0] == '/';
}

void links_add(struct tail *t, const char *link)
{
	char name[PATH_MAX];

	if (strlen(link) >= sizeof name)
		return;
	memcpy(name, link, strlen(link) + 1);
	for (int i = 0; i < HOPS_MAX && next_hop(name); i++) {
		hop_add(t, name, link);
		watch_above(t, name);
	}
}

bool links_each(struct tail *t, const char *name, void (*fn)(struct tail *t, const char *link))
{
	struct hop *first = map_get(&t->hops, name, strlen(name));

	for (struct hop *h = first; h; h = h->next)
		fn(t, h->link);
	return first != NULL;
}

const char *links_home(const struct tail *t, const char *name)
{
	struct hop *h = map_get(&t->hops, name, strlen(name));

	return h ? h->link : NULL;
}

void links_clear(struct tail *t)
{
	struct hop *h, *next;
	size_t it = 0;

	while ((h = map_next(&t->hops, &it))) {
		for (; h; h = next) {
			next = h->next;
			mem_free(h->link);
			mem_free(h);
		}
	}
	map_release(&t->hops);
	map_init(&t->hops);
}
