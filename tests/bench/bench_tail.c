/* bench_tail.c - the tail thread alone: read, split, hand over to a lane that forgets. One number: CPU seconds a GB.
 *
 * Beside it the floor of the same machine: pread of 256 KiB and memchr, nothing else.
 * Usage: bench_tail [MB] [BYTES A LINE]	(300 and 178; the file lies in /dev/shm, so no disk is measured)
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "tests/lib/lane_double.h"

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void make_log(const char *path, size_t bytes, size_t line)
{
	FILE *f = fopen(path, "w");

	if (!f || line < 2)
		abort();
	for (size_t at = 0, i = 0; at < bytes; i++) {
		/* lengths vary by a half around the mean, as in real logs */
		size_t n = line / 2 + (i * 7919) % line, head;

		head = (size_t)fprintf(f, "2026-11-21T00:00:00Z line %zu ", i);
		for (; head + 1 < n; head++)
			fputc('a' + (int)(head * 31 + i) % 26, f);
		fputc('\n', f);
		at += head + 1;
	}
	fclose(f);
}

static double floor_seconds(const char *path, uint64_t *ret_lines)
{
	double begin = cpu_seconds();
	char *buf = malloc(262144), *p, *lf;
	int fd = open(path, O_RDONLY);
	uint64_t lines = 0;
	ssize_t n;

	while ((n = read(fd, buf, 262144)) > 0)
		for (p = buf; (lf = memchr(p, '\n', (size_t)(buf + n - p))); p = lf + 1)
			lines++;
	close(fd);
	free(buf);
	*ret_lines = lines;
	return cpu_seconds() - begin;
}

static bool all_was_read(struct producer *p, void *arg)
{
	(void)arg;
	return p->all_read > 0;
}

int main(int argc, char **argv)
{
	size_t bytes = (argc > 1 ? strtoul(argv[1], NULL, 10) : 300) * 1000000;
	size_t line = argc > 2 ? strtoul(argv[2], NULL, 10) : 178;
	char dir[] = "/dev/shm/spillway-bench-XXXXXX", path[128], *paths = path;
	struct conf_input in = { .name = paths, .paths = { &paths, 1 }, .max_line = 1024000, .topic = paths, .partition = -1 };
	struct conf conf = { .inputs = &in, .input_count = 1, .max_lanes = 1000 };
	double gb = (double)bytes / 1e9, begin, tail_s, floor_s;
	struct producer *p = double_new(4u << 20);
	struct tail_conf c = { .conf = &conf, .producer = p, .hooks = double_hooks(p), .next_file_id = 1, .once = true,
			       .hostname = "host" };
	struct tail *t;
	uint64_t lines;
	char topic[] = "t";
	bool ok;

	log_setup(LOG_LEVEL_ERROR, false);
	in.topic = topic;
	p->discard = true;
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof path, "%s/a.log", dir);
	make_log(path, bytes, line);
	floor_s = floor_seconds(path, &lines);
	begin = cpu_seconds();
	if (tail_open(&c, &t, NULL) < 0 || tail_start(t) < 0 || !double_wait(p, all_was_read, NULL))
		return 1;
	tail_stop(t);
	tail_s = cpu_seconds() - begin;
	printf("tail: %.3f s/GB, floor (read + memchr): %.3f s/GB, %llu lines of %llu\n", tail_s / gb, floor_s / gb,
	       (unsigned long long)p->discarded, (unsigned long long)lines);
	ok = p->discarded == lines;
	tail_close(t);
	double_free(p);
	unlink(path);
	rmdir(dir);
	return ok ? 0 : 1;
}
