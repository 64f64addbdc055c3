/* process_metrics.c - process_* under the names that every Prometheus client library gives them, out of /proc. What cannot be read
 * there is left out.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/web/agent_metrics.h"

static void put(struct metrics_text *t, enum producer_metric_kind kind, const char *name, const char *help, double v)
{
	metrics_text_row(t, kind, name, help, NULL, 0, v);
}

/* Seconds since 1970; 0: not known. */
static double boot_time(void)
{
	FILE *f = fopen("/proc/stat", "re");
	char line[256];
	long long at = 0;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "btime %lld", &at) == 1)
			break;
	if (f)
		fclose(f);
	return (double)at;
}

static int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 3;		/* . and .., and the directory's own */
}

static void put_stat(struct metrics_text *t)
{
	double hz = (double)sysconf(_SC_CLK_TCK), page = (double)sysconf(_SC_PAGESIZE), boot = boot_time();
	unsigned long long user, system, start, virtual;
	FILE *f = fopen("/proc/self/stat", "re");
	char text[1024], *rest;
	long long pages, threads;
	size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
	rest = strrchr(text, ')');	/* the name before it may hold anything */
	if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %lld %*d %llu %llu "
			    "%lld", &user, &system, &threads, &start, &virtual, &pages) != 6)
		return;
	put(t, PRODUCER_COUNTER, "process_cpu_seconds_total", "Processor time used, of user and system",
	    ((double)user + (double)system) / hz);
	put(t, PRODUCER_GAUGE, "process_resident_memory_bytes", "Memory in use", (double)pages * page);
	put(t, PRODUCER_GAUGE, "process_virtual_memory_bytes", "Size of the address space", (double)virtual);
	put(t, PRODUCER_GAUGE, "process_threads", "Threads", (double)threads);
	if (boot > 0)
		put(t, PRODUCER_GAUGE, "process_start_time_seconds", "When the process began, in seconds since 1970",
		    boot + (double)start / hz);
}

void process_metrics_put(struct metrics_text *t)
{
	struct rlimit limit;
	int n = open_descriptors();

	put_stat(t);
	if (n >= 0)
		put(t, PRODUCER_GAUGE, "process_open_fds", "Open file descriptors", n);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		put(t, PRODUCER_GAUGE, "process_max_fds", "How many there may be", (double)limit.rlim_cur);
}
