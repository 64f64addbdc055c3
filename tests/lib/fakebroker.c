/* fakebroker.c - see fakebroker.h. One thread, poll, one lock over everything. */
#define _GNU_SOURCE
#include "tests/lib/fakebroker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/crc32c.h"
#include "agent/base/err.h"
#include "producer/wire.h"

#define NODES_MAX 3
#define CONNS_MAX 64
#define TOPICS_MAX 16
#define PARTITIONS_MAX 8
#define PRODUCERS_MAX 32
#define FAULTS_MAX 64
#define WINDOW 5
#define FRAME_MAX (64u << 20)

struct sequence { int32_t first, last; int64_t offset; };
struct producer_state { int64_t id; int16_t epoch; int n; struct sequence window[WINDOW]; };

struct log {
	char **values;
	size_t n, cap;
	struct producer_state producers[PRODUCERS_MAX];
	int producer_count;
};

struct fake_topic { char name[250]; int16_t error; struct log logs[PARTITIONS_MAX]; };
struct fault { int partition; enum fault_kind kind; int value, times; };

struct fake_conn {
	int fd, node;
	uint8_t *in;
	size_t in_len, in_cap;
	struct buf out;
	size_t out_at;
	int64_t busy_until_ms;	/* the answer in `out` leaves then */
	bool dead;		/* to be closed when out is empty */
};

struct fake {
	pthread_mutex_t mu;
	pthread_t thread;
	int wake[2], listen[NODES_MAX], port[NODES_MAX];
	bool stop, down[NODES_MAX];
	int nodes, partitions, leader[PARTITIONS_MAX], leader_epoch[PARTITIONS_MAX];
	char address[32];
	struct fake_conn conns[CONNS_MAX];
	struct fake_topic topics[TOPICS_MAX];
	int topic_count;
	struct fault faults[FAULTS_MAX];
	int fault_count;
	int64_t next_producer_id;
	fake_seen_fn *seen;
	void *seen_arg;
	uint64_t requests, codes[128];
};

static void die(const char *what)
{
	fprintf(stderr, "fake broker: %s\n", what);
	abort();
}

static void poke(struct fake *f)
{
	if (write(f->wake[1], "x", 1) < 0 && errno != EAGAIN)
		die("wake");
}

/* --- logs --- */

static struct fake_topic *topic(struct fake *f, const char *name, size_t n)
{
	for (int i = 0; i < f->topic_count; i++)
		if (strlen(f->topics[i].name) == n && !memcmp(f->topics[i].name, name, n))
			return &f->topics[i];
	if (f->topic_count == TOPICS_MAX || n >= sizeof f->topics[0].name)
		die("too many topics");
	memcpy(f->topics[f->topic_count].name, name, n);
	return &f->topics[f->topic_count++];
}

static void add_value(struct log *l, const void *p, size_t n)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->values = realloc(l->values, l->cap * sizeof *l->values);
	}
	l->values[l->n] = malloc(n + 1);
	memcpy(l->values[l->n], p, n);
	l->values[l->n++][n] = 0;
}

static int64_t signed_varint(struct wire *r)
{
	return unzigzag(wire_uvarint(r));
}

static void add_records(struct log *l, const uint8_t *p, size_t n, int32_t count)
{
	struct wire r;

	wire_init(&r, p, n, true);
	for (int32_t i = 0; i < count; i++) {
		struct wire one;
		int64_t len = signed_varint(&r), value_len, key_len;
		const uint8_t *body = wire_bytes(&r, (size_t)len);

		if (!body)
			die("record cut");
		wire_init(&one, body, (size_t)len, true);
		wire_i8(&one);
		signed_varint(&one);
		if (signed_varint(&one) != i)
			die("offset delta");
		key_len = signed_varint(&one);
		if (key_len > 0)
			wire_bytes(&one, (size_t)key_len);
		value_len = signed_varint(&one);
		add_value(l, value_len > 0 ? wire_bytes(&one, (size_t)value_len) : "", value_len > 0 ? (size_t)value_len : 0);
		if (one.failed)
			die("record malformed");
	}
	if (wire_end(&r) < 0)
		die("records left over");
}

static void add_batch(struct log *l, const uint8_t *p, size_t n, int codec, int32_t count)
{
	size_t cap = 32u << 20, left = n, out = cap;
	LZ4F_dctx *d;
	uint8_t *raw;

	if (codec == 0) {
		add_records(l, p, n, count);
		return;
	}
	if (codec != 3)
		die("codec");
	raw = malloc(cap);
	if (LZ4F_isError(LZ4F_createDecompressionContext(&d, LZ4F_VERSION)) || LZ4F_decompress(d, raw, &out, p, &left, NULL) != 0)
		die("lz4 frame");
	add_records(l, raw, out, count);
	LZ4F_freeDecompressionContext(d);
	free(raw);
}

/* --- the broker's side of idempotence --- */

static struct producer_state *state_of(struct log *l, int64_t id)
{
	for (int i = 0; i < l->producer_count; i++)
		if (l->producers[i].id == id)
			return &l->producers[i];
	return NULL;
}

static struct producer_state *new_state(struct log *l, int64_t id, int16_t epoch)
{
	if (l->producer_count == PRODUCERS_MAX)
		die("too many producers");
	l->producers[l->producer_count] = (struct producer_state){ .id = id, .epoch = epoch };
	return &l->producers[l->producer_count++];
}

static int16_t check_sequence(struct log *l, struct producer_state *s, int16_t epoch, struct sequence *q)
{
	(void)l;
	if (epoch < s->epoch)
		return 47;
	if (epoch > s->epoch)
		return q->first == 0 ? 0 : 45;
	for (int i = 0; i < s->n; i++)
		if (s->window[i].first == q->first && s->window[i].last == q->last) {
			q->offset = s->window[i].offset;
			return -100;	/* duplicate */
		}
	if (s->n && q->first != (int32_t)(((uint32_t)s->window[s->n - 1].last + 1) & 0x7fffffff))
		return 45;
	return 0;
}

static void remember(struct producer_state *s, int16_t epoch, const struct sequence *q)
{
	if (epoch > s->epoch)
		s->n = 0;
	s->epoch = epoch;
	if (s->n == WINDOW) {
		memmove(s->window, s->window + 1, (WINDOW - 1) * sizeof s->window[0]);
		s->n--;
	}
	s->window[s->n++] = *q;
}

struct result { int16_t code; int64_t offset; };

static struct result append(struct fake *f, struct log *l, const uint8_t *p, size_t n)
{
	int64_t id;
	int16_t epoch, code = 0;
	int32_t count;
	struct producer_state *s;
	struct sequence q;

	if (n < 61 || be32_get(p + 8) != n - 12 || p[16] != 2 || be64_get(p) != 0)
		die("batch header");
	if (be32_get(p + 17) != crc32c(0, p + 21, n - 21))
		die("batch crc");
	id = (int64_t)be64_get(p + 43);
	epoch = (int16_t)be16_get(p + 51);
	count = (int32_t)be32_get(p + 57);
	q = (struct sequence){ .first = (int32_t)be32_get(p + 53), .offset = (int64_t)l->n };
	q.last = (int32_t)(((uint32_t)q.first + (uint32_t)count - 1) & 0x7fffffff);
	if ((int32_t)be32_get(p + 23) != count - 1)
		die("last offset delta");
	if (f->seen)
		f->seen(f->seen_arg, id, epoch, q.first, count);
	if (id >= 0) {
		s = state_of(l, id);
		if (s)
			code = check_sequence(l, s, epoch, &q);
		else
			s = new_state(l, id, epoch);
		if (code == -100)
			return (struct result){ 0, q.offset };
		if (code)
			return (struct result){ code, -1 };
		remember(s, epoch, &q);
	}
	add_batch(l, p + 61, n - 61, be16_get(p + 21) & 7, count);
	return (struct result){ 0, q.offset };
}

/* --- requests --- */

static struct fault *fault_for(struct fake *f, int partition)
{
	for (int i = 0; i < f->fault_count; i++)
		if (f->faults[i].times > 0 && (f->faults[i].partition < 0 || f->faults[i].partition == partition)) {
			f->faults[i].times--;
			return &f->faults[i];
		}
	return NULL;
}

struct produce { struct fake_conn *c; bool close, swallow; int delay, throttle; };

static void produce_partition(struct fake *f, struct fake_topic *t, struct wire *r, struct wire_out *w, struct produce *pr)
{
	int32_t partition = wire_i32(r), n = wire_i32(r);
	const uint8_t *bytes = wire_bytes(r, (size_t)n);
	struct fault *fault = fault_for(f, partition);
	struct result res = { 6, -1 };

	if (!bytes || partition >= f->partitions)
		die("produce request");
	if (fault && fault->kind == FAULT_CLOSE_BEFORE)
		pr->close = true;
	else if (fault && fault->kind == FAULT_ERROR)
		res.code = (int16_t)fault->value;
	else if (f->leader[partition] == pr->c->node)
		res = append(f, &t->logs[partition], bytes, (size_t)n);
	if (fault && fault->kind == FAULT_CLOSE_AFTER)
		pr->close = true;
	if (fault && fault->kind == FAULT_SWALLOW)
		pr->swallow = true;
	if (fault && fault->kind == FAULT_DELAY)
		pr->delay = fault->value;
	if (fault && fault->kind == FAULT_THROTTLE)
		pr->throttle = fault->value;
	if (fault && fault->kind == FAULT_ERROR_AFTER)
		res = (struct result){ (int16_t)fault->value, -1 };
	if (res.code >= 0 && res.code < 128)
		f->codes[res.code]++;
	wire_put_i32(w, partition);
	wire_put_i16(w, res.code);
	wire_put_i64(w, res.offset);
	wire_put_i64(w, -1);
	wire_put_i64(w, 0);
	wire_put_count(w, 0);
	wire_put_string(w, NULL);
}

static void produce(struct fake *f, struct wire *r, struct wire_out *w, struct produce *pr)
{
	size_t n, topics, partitions;

	f->requests++;
	wire_nullable(r, &n);
	wire_i16(r);
	wire_i32(r);
	topics = wire_count(r, 1);
	wire_put_count(w, topics);
	while (topics-- > 0) {
		const char *name = wire_string(r, &n);
		struct fake_topic *t = topic(f, name, n);

		partitions = wire_count(r, 1);
		wire_put_i16(w, (int16_t)n);
		buf_put(w->buf, name, n);
		wire_put_count(w, partitions);
		while (partitions-- > 0)
			produce_partition(f, t, r, w, pr);
	}
	wire_put_i32(w, pr->throttle);
	if (wire_end(r) < 0)
		die("produce request malformed");
}

static void metadata_topic(struct fake *f, struct fake_topic *t, struct wire_out *w)
{
	wire_put_i16(w, t->error);
	wire_put_string(w, t->name);
	wire_put_i8(w, 0);
	wire_put_count(w, t->error ? 0 : (size_t)f->partitions);
	for (int i = 0; i < f->partitions && !t->error; i++) {
		wire_put_i16(w, 0);
		wire_put_i32(w, i);
		wire_put_i32(w, f->leader[i]);
		wire_put_i32(w, f->leader_epoch[i]);
		for (int k = 0; k < 2; k++) {
			wire_put_count(w, 1);
			wire_put_i32(w, f->leader[i]);
		}
		wire_put_count(w, 0);
	}
	wire_put_i32(w, 0);
}

static void metadata(struct fake *f, struct wire *r, struct wire_out *w)
{
	size_t topics = wire_count(r, 1), n;

	wire_put_i32(w, 0);
	wire_put_count(w, (size_t)f->nodes);
	for (int i = 0; i < f->nodes; i++) {
		wire_put_i32(w, i);
		wire_put_string(w, "127.0.0.1");
		wire_put_i32(w, f->port[i]);
		wire_put_string(w, NULL);
	}
	wire_put_string(w, "fake-cluster");
	wire_put_i32(w, 0);
	wire_put_count(w, topics);
	while (topics-- > 0) {
		const char *name = wire_string(r, &n);

		metadata_topic(f, topic(f, name, n), w);
	}
	wire_put_i32(w, 0);
}

static void versions(struct wire_out *w, int16_t version)
{
	static const int16_t ranges[][3] = { { 0, 3, 8 }, { 3, 0, 8 }, { 18, 0, 0 }, { 22, 0, 1 } };

	wire_put_i16(w, version > 0 ? 35 : 0);
	wire_put_count(w, 4);
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 3; k++)
			wire_put_i16(w, ranges[i][k]);
}

static void init_producer_id(struct fake *f, struct wire_out *w)
{
	wire_put_i32(w, 0);
	wire_put_i16(w, 0);
	wire_put_i64(w, f->next_producer_id++);
	wire_put_i16(w, 0);
}

static void serve(struct fake *f, struct fake_conn *c, const uint8_t *p, size_t n)
{
	struct buf answer;
	struct wire r;
	struct wire_out w = { .buf = &answer };
	struct produce pr = { .c = c };
	uint8_t size[4];
	size_t ignored;
	int16_t key, version;

	buf_init(&answer, FRAME_MAX);
	wire_init(&r, p, n, false);
	key = wire_i16(&r);
	version = wire_i16(&r);
	wire_put_i32(&w, wire_i32(&r));
	wire_nullable(&r, &ignored);
	if (key == 0)
		produce(f, &r, &w, &pr);
	else if (key == 3)
		metadata(f, &r, &w);
	else if (key == 18)
		versions(&w, version);
	else if (key == 22)
		init_producer_id(f, &w);
	else
		die("unknown request");
	if (pr.close) {
		c->dead = true;
	} else if (!pr.swallow) {
		be32_put(size, (uint32_t)answer.len);
		buf_put(&c->out, size, 4);
		buf_put(&c->out, answer.data, answer.len);
		c->busy_until_ms = clock_mono_ms() + pr.delay;
	} else {
		c->busy_until_ms = INT64_MAX;
	}
	buf_release(&answer);
}

/* --- sockets --- */

static void drop(struct fake_conn *c)
{
	struct linger hard = { 1, 0 };

	if (c->fd < 0)
		return;
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	close(c->fd);
	free(c->in);
	buf_release(&c->out);
	*c = (struct fake_conn){ .fd = -1 };
}

static bool listen_on(struct fake *f, int node)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)f->port[node]),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 64) < 0) {
		close(fd);
		return false;
	}
	f->listen[node] = fd;
	return true;
}

/* Below the range that connecting sockets get: the port stays ours while the node is down. */
static void find_port(struct fake *f, int node)
{
	static _Atomic unsigned int turn;

	for (int i = 0; i < 1000; i++) {
		f->port[node] = 20000 + (int)(((unsigned int)getpid() * 37 + turn++ * 101) % 12000);
		if (listen_on(f, node))
			return;
	}
	die("no free port");
}

static void take_conn(struct fake *f, int node)
{
	int fd = accept4(f->listen[node], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 0; i < CONNS_MAX; i++) {
		struct fake_conn *c = &f->conns[i];

		if (c->fd >= 0)
			continue;
		*c = (struct fake_conn){ .fd = fd, .node = node };
		buf_init(&c->out, FRAME_MAX);
		return;
	}
	close(fd);
}

static void write_out(struct fake_conn *c)
{
	while (c->out_at < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->out_at, c->out.len - c->out_at, MSG_NOSIGNAL);

		if (n < 0) {
			if (errno != EAGAIN)
				c->dead = true;
			return;
		}
		c->out_at += (size_t)n;
	}
	buf_clear(&c->out);
	c->out_at = 0;
}

static void read_in(struct fake_conn *c)
{
	ssize_t n;

	if (c->in_cap - c->in_len < 65536) {
		c->in_cap = c->in_cap ? c->in_cap * 2 : 1u << 18;
		c->in = realloc(c->in, c->in_cap);
	}
	n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		c->dead = true;
	else if (n > 0)
		c->in_len += (size_t)n;
}

/* One request at a time: the next is looked at when the answer of the last one is out. */
static void work(struct fake *f, struct fake_conn *c, int64_t now_ms)
{
	while (c->fd >= 0 && !c->dead) {
		uint32_t size;

		if (c->busy_until_ms > now_ms)
			return;
		write_out(c);
		if (c->out.len || c->in_len < 4)
			return;
		size = be32_get(c->in);
		if (size > FRAME_MAX)
			die("frame size");
		if (c->in_len < 4 + size)
			return;
		serve(f, c, c->in + 4, size);
		c->in_len -= 4 + size;
		memmove(c->in, c->in + 4 + size, c->in_len);
	}
}

static int timeout_ms(struct fake *f, int64_t now_ms)
{
	int64_t ms = 1000;

	for (int i = 0; i < CONNS_MAX; i++)
		if (f->conns[i].fd >= 0 && f->conns[i].busy_until_ms > now_ms && f->conns[i].busy_until_ms - now_ms < ms)
			ms = f->conns[i].busy_until_ms - now_ms;
	return (int)ms;
}

static int gather_fds(struct fake *f, struct pollfd *p)
{
	int n = 0;

	p[n++] = (struct pollfd){ .fd = f->wake[0], .events = POLLIN };
	for (int i = 0; i < f->nodes; i++)
		p[n++] = (struct pollfd){ .fd = f->down[i] ? -1 : f->listen[i], .events = POLLIN };
	for (int i = 0; i < CONNS_MAX; i++) {
		struct fake_conn *c = &f->conns[i];
		short events = POLLIN;

		if (c->fd >= 0 && c->out.len && c->busy_until_ms <= clock_mono_ms())
			events |= POLLOUT;
		p[n++] = (struct pollfd){ .fd = c->fd, .events = events };
	}
	return n;
}

static void react(struct fake *f, struct pollfd *p)
{
	int64_t now_ms = clock_mono_ms();
	char byte[64];

	if (p[0].revents && read(f->wake[0], byte, sizeof byte) < 0 && errno != EAGAIN)
		die("wake");
	for (int i = 0; i < f->nodes; i++)
		if (p[1 + i].revents && !f->down[i])
			take_conn(f, i);
	for (int i = 0; i < CONNS_MAX; i++) {
		struct fake_conn *c = &f->conns[i];
		struct pollfd *q = &p[1 + f->nodes + i];

		if (c->fd < 0)
			continue;
		if (f->down[c->node])
			c->dead = true;
		else if (q->fd == c->fd && q->revents & (POLLIN | POLLHUP | POLLERR))
			read_in(c);
		work(f, c, now_ms);
		if (c->dead)
			drop(c);
	}
}

static void *run(void *arg)
{
	struct fake *f = arg;
	struct pollfd p[1 + NODES_MAX + CONNS_MAX];
	int n, ms;

	for (;;) {
		pthread_mutex_lock(&f->mu);
		if (f->stop)
			break;
		n = gather_fds(f, p);
		ms = timeout_ms(f, clock_mono_ms());
		pthread_mutex_unlock(&f->mu);
		poll(p, (nfds_t)n, ms);
		pthread_mutex_lock(&f->mu);
		react(f, p);
		pthread_mutex_unlock(&f->mu);
	}
	pthread_mutex_unlock(&f->mu);
	return NULL;
}

/* --- the test's side --- */

struct fake *fake_open(int nodes, int partitions)
{
	struct fake *f = calloc(1, sizeof *f);

	f->nodes = nodes;
	f->partitions = partitions;
	f->next_producer_id = 1000;
	pthread_mutex_init(&f->mu, NULL);
	for (int i = 0; i < CONNS_MAX; i++)
		f->conns[i].fd = -1;
	for (int i = 0; i < nodes; i++)
		find_port(f, i);
	for (int i = 0; i < partitions; i++)
		f->leader[i] = i % nodes;
	snprintf(f->address, sizeof f->address, "127.0.0.1:%d", f->port[0]);
	if (pipe2(f->wake, O_NONBLOCK | O_CLOEXEC) < 0 || pthread_create(&f->thread, NULL, run, f))
		die("start");
	return f;
}

void fake_close(struct fake *f)
{
	pthread_mutex_lock(&f->mu);
	f->stop = true;
	pthread_mutex_unlock(&f->mu);
	poke(f);
	pthread_join(f->thread, NULL);
	for (int i = 0; i < CONNS_MAX; i++)
		drop(&f->conns[i]);
	for (int i = 0; i < f->nodes; i++)
		if (!f->down[i])
			close(f->listen[i]);
	for (int t = 0; t < f->topic_count; t++)
		for (int i = 0; i < PARTITIONS_MAX; i++) {
			struct log *l = &f->topics[t].logs[i];

			while (l->n)
				free(l->values[--l->n]);
			free(l->values);
		}
	close(f->wake[0]);
	close(f->wake[1]);
	pthread_mutex_destroy(&f->mu);
	free(f);
}

const char *fake_address(struct fake *f)
{
	return f->address;
}

#define LOCKED(f, what) do { pthread_mutex_lock(&(f)->mu); what; pthread_mutex_unlock(&(f)->mu); poke(f); } while (0)

void fake_fault(struct fake *f, int partition, enum fault_kind kind, int value, int times)
{
	LOCKED(f, if (f->fault_count == FAULTS_MAX) die("too many faults");
	       f->faults[f->fault_count++] = ((struct fault){ partition, kind, value, times }));
}

void fake_heal(struct fake *f)
{
	LOCKED(f, f->fault_count = 0);
}

static void cut(struct fake *f, int node)
{
	if (f->down[node])
		return;
	f->down[node] = true;
	/* The thread's poll still holds it open for a moment; this ends listening at once. */
	shutdown(f->listen[node], SHUT_RDWR);
	close(f->listen[node]);
	for (int i = 0; i < CONNS_MAX; i++)
		if (f->conns[i].fd >= 0 && f->conns[i].node == node)
			drop(&f->conns[i]);
}

void fake_down(struct fake *f, int node)
{
	LOCKED(f, cut(f, node));
}

void fake_up(struct fake *f, int node)
{
	LOCKED(f, if (f->down[node]) { if (!listen_on(f, node)) die("listen"); f->down[node] = false; });
}

void fake_lead(struct fake *f, int partition, int node)
{
	LOCKED(f, f->leader[partition] = node; f->leader_epoch[partition]++);
}

void fake_topic_error(struct fake *f, const char *name, int16_t code)
{
	LOCKED(f, topic(f, name, strlen(name))->error = code);
}

static void each_state(struct fake *f, bool forget)
{
	for (int t = 0; t < f->topic_count; t++)
		for (int i = 0; i < PARTITIONS_MAX; i++) {
			struct log *l = &f->topics[t].logs[i];

			for (int k = 0; k < l->producer_count && !forget; k++) {
				struct producer_state *s = &l->producers[k];

				if (s->n > 1)
					s->window[0] = s->window[s->n - 1];
				s->n = s->n ? 1 : 0;
			}
			if (forget)
				l->producer_count = 0;
		}
}

void fake_reload(struct fake *f)
{
	LOCKED(f, each_state(f, false));
}

void fake_forget(struct fake *f)
{
	LOCKED(f, each_state(f, true));
}

void fake_on_batch(struct fake *f, fake_seen_fn *fn, void *arg)
{
	LOCKED(f, f->seen = fn; f->seen_arg = arg);
}

size_t fake_records(struct fake *f, const char *name, int partition)
{
	size_t n = 0;

	LOCKED(f, struct fake_topic *t = topic(f, name, strlen(name));
	       for (int i = 0; i < f->partitions; i++) if (partition < 0 || partition == i) n += t->logs[i].n);
	return n;
}

const char *fake_record(struct fake *f, const char *name, int partition, size_t i)
{
	const char *v = NULL;

	LOCKED(f, struct log *l = &topic(f, name, strlen(name))->logs[partition]; if (i < l->n) v = l->values[i]);
	return v;
}

uint64_t fake_requests(struct fake *f)
{
	uint64_t n;

	LOCKED(f, n = f->requests);
	return n;
}

uint64_t fake_code_answers(struct fake *f, int16_t code)
{
	uint64_t n;

	LOCKED(f, n = f->codes[code]);
	return n;
}
