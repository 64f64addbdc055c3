/* test_intake_tcp.c - what connections may keep, asked with the clock in hand: pairs of sockets, no thread. */
#include "agent/intake/intake_tcp.c"

#include <fcntl.h>
#include <stdlib.h>

#include "agent/base/mem.h"
#include "tests/lib/lane_double.h"
#include "tests/lib/unit.h"

#define MAX 20000

struct fixture {
	struct producer *p;
	struct conf conf;
	struct conf_input conf_input;
	struct tail_hooks hooks;
	struct intake owner;
	struct tcp t;
	struct loop loop;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	log_setup(LOG_LEVEL_ERROR, false);
	f->p = double_new(4u << 20);
	f->hooks = double_hooks(f->p);
	f->conf_input = (struct conf_input){ .name = (char *)"in", .type = CONF_TYPE_SYSLOG, .listen = (char *)"tcp:",
					     .max_line = MAX, .partition = -1 };
	f->conf = (struct conf){ .inputs = &f->conf_input, .input_count = 1, .max_lanes = 10 };
	f->owner.conf.conf = &f->conf;
	f->owner.hooks = &f->hooks;
	assert_int_equal(loop_init(&f->owner.loop, NULL, NULL, NULL), 0);
	f->t.in = (struct intake_input){ .owner = &f->owner, .conf = &f->conf_input, .kind = &intake_tcp, .shown = (char *)"tcp",
					 .topic = (char *)"t", .row = { .id = 1, .path = "tcp" } };
	map_init(&f->t.in.lanes);
	f->owner.conf.producer = f->p;
	f->t.fd.fd = f->t.sock = -1;
	f->t.opened = true;
	f->t.most = 8;
	f->t.rules = (struct frame_rules){ .syslog = true, .max = MAX };
	f->t.room = 2 * MAX;
	f->t.scratch = mem_alloc(READ_BYTES);
	list_init(&f->t.conns);
	list_init(&f->t.ready);
	f->owner.loop.now_ms = 1000000;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	intake_turn_end(&f->t.in);
	close_tcp(&f->t.in);
	map_release(&f->t.in.lanes);
	timer_cancel(&f->owner.loop, &f->owner.work);
	loop_release(&f->owner.loop);
	double_free(f->p);
	free(f);
	return 0;
}

/* The sender's end; it gets what it sends before anyone looks. */
static int connected(struct fixture *f)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	conn_new(&f->t, pair[0]);
	return pair[1];
}

static void say(int fd, size_t n)
{
	char *text = malloc(n);

	memset(text, 'x', n);
	text[0] = '<';
	assert_int_equal(write(fd, text, n), n);
	free(text);
}

static void turns(struct fixture *f, int64_t later_ms)
{
	f->owner.loop.now_ms += later_ms;
	tick(&f->t.in);
	list_each(it, &f->t.conns)
		conn_ready(list_entry(it, struct conn, node));
	for (int i = 0; i < 20; i++) {
		size_t n = list_count(&f->t.ready);

		while (n-- && !list_empty(&f->t.ready))
			conn_turn(list_first(&f->t.ready, struct conn, turn));
	}
}

/* Whoever sends a byte now and then could keep all room for ever. */
static void who_does_not_finish_his_message_is_dropped_when_others_need_the_room(void **state)
{
	struct fixture *f = *state;
	int slow = connected(f), other;

	say(slow, 17000);
	turns(f, 0);
	assert_int_equal(f->t.count, 1);
	for (int i = 0; i < 3; i++) {
		say(slow, 1);
		turns(f, STALE_MS / 2);
	}
	f->t.room = f->t.kept + BUF_FIRST;
	other = connected(f);
	say(other, 17000);
	turns(f, 0);
	assert_int_equal(f->t.count, 1);
	assert_int_equal(list_first(&f->t.conns, struct conn, node)->n, 17000);
	assert_int_equal(f->p->loss_count, 1);
	assert_string_equal(f->p->losses[0].reason, SPOOL_LOSS_SOCKET);
	assert_int_equal(f->p->losses[0].bytes, 17003);
	close(slow);
	close(other);
}

/* In an outage nobody is read: that is no sender's fault. */
static void time_in_which_nobody_is_read_makes_no_message_old(void **state)
{
	struct fixture *f = *state;
	int slow = connected(f), other;

	say(slow, 17000);
	turns(f, 0);
	pause_tcp(&f->t.in, true);
	f->owner.loop.now_ms += 100 * STALE_MS;
	pause_tcp(&f->t.in, false);
	f->t.room = f->t.kept + BUF_FIRST;
	other = connected(f);
	say(other, 17000);
	turns(f, 0);
	assert_int_equal(f->t.count, 2);
	assert_int_equal(f->p->loss_count, 0);
	turns(f, STALE_MS + 1);			/* now it was */
	assert_int_equal(f->t.count, 1);
	assert_int_equal(f->p->loss_count, 1);
	close(slow);
	close(other);
}

static void without_memory_for_a_connection_the_others_stay(void **state)
{
	struct fixture *f = *state;
	int first = connected(f), pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	mem_fail_nth(1);
	conn_new(&f->t, pair[0]);
	mem_fail_nth(0);
	assert_int_equal(f->t.count, 1);
	assert_int_equal(fcntl(pair[0], F_GETFD), -1);		/* closed */
	say(first, 10);
	turns(f, 0);
	assert_int_equal(list_first(&f->t.conns, struct conn, node)->n, 10);
	close(first);
	close(pair[1]);
}

/* Each gives what it had at the end, and not for ever. */
static void at_the_end_a_sender_that_goes_on_is_cut(void **state)
{
	struct fixture *f = *state;
	int fd = connected(f);
	struct conn *c = list_first(&f->t.conns, struct conn, node);

	f->t.in.last = true;
	c->at_the_end = LAST_BYTES - 5;
	say(fd, 5);
	conn_turn(c);
	assert_true(list_empty(&f->t.conns));
	assert_int_equal(f->p->record_count, 1);
	close(fd);
}

int main(int argc, char **argv)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(who_does_not_finish_his_message_is_dropped_when_others_need_the_room),
		TEST(time_in_which_nobody_is_read_makes_no_message_old),
		TEST(without_memory_for_a_connection_the_others_stay),
		TEST(at_the_end_a_sender_that_goes_on_is_cut),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}
