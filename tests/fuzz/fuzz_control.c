/* fuzz_control.c - any bytes as a question on the control socket: pages of a state database, and orders to purge it. Each is
 * answered or left alone, and an answer begins with a whole line. Positions are the tail thread's and are not asked for here.
 *
 * The database is empty and opened once: nothing that is asked puts anything into it.
 */
#include <ftw.h>
#include <string.h>
#include <unistd.h>

#include "agent/order.h"
#include "agent/page.h"
#include "tests/fuzz/fuzz.h"

#define QUESTION_MAX 4160	/* what control.c takes */

static struct pipeline pipeline;

static char dir[] = "/tmp/spillway-fuzz-control-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static void remove_dir(void)
{
	nftw(dir, remove_one, 4, FTW_DEPTH | FTW_PHYS);
}

static void open_state(void)
{
	struct conf conf = { .spool.sync = CONF_SYNC_NORMAL };
	struct spool_conf sc = { .max_size = 1 << 20 };
	struct spool *s;
	struct err e;

	sc.dir = mkdtemp(dir);
	atexit(remove_dir);
	CHECK(sc.dir && spool_open(&sc, &s, &e) == 0);
	books_init(&pipeline.books);
	CHECK(state_open(s, &conf, &pipeline.books, &pipeline.state) == 0);
}

static void ask(const char *question)
{
	struct buf out;
	bool known;

	buf_init(&out, 64u << 20);
	known = page_answer(pipeline.state, question, &out) || order_answer(&pipeline, question, &out);
	CHECK(known == (out.len > 0) && !out.failed);
	CHECK(!known || strchr(out.data, '\n'));
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char question[QUESTION_MAX];

	if (!pipeline.state)
		open_state();
	n = n < sizeof question - 1 ? n : sizeof question - 1;
	memcpy(question, data, n);
	question[n] = '\0';
	if (strncmp(question, "position ", 9) != 0)
		ask(question);
	return 0;
}
