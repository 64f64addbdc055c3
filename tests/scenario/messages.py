"""messages.py - records that are more, or less, than a line: traces, containers' logs, fields, filters, lines that are cut."""
import json
import os
import random

import oracle
import unresolved
from agent import check_books
from scenario import scenario

TIME = "2026-01-02T03:04:05.678901234Z"


def got(kafka, topic):
    return oracle.values(oracle.consume(kafka.address, topic))


def inputs(t, topic, **keys):
    return [{"paths": [t.path("logs", "*.log")], "topic": topic, **keys}]


def append(path, data):
    with open(path, "ab") as f:
        f.write(data)


def pieces(data, rng, longest=4000):
    """Cut anywhere, as writers' buffers do."""
    at = 0
    while at < len(data):
        n = rng.randint(1, longest)
        yield data[at:at + n]
        at += n


# --- groups

def trace(i):
    """One record of an application: every third has a stack trace."""
    rows = [f"2026-01-02 03:04:05,{i % 1000:03d} ERROR request {i} failed"]
    if i % 3 == 0:
        rows += [f"java.lang.IllegalStateException: state {i}", f"\tat org.example.Service.call(Service.java:{i})", "\t... 23 more",
                 f"Caused by: java.io.IOException: {i}", "\tat java.base/java.io.Reader.read(Reader.java:1)"]
    return "\n".join(rows).encode()


@scenario(core=True, kills=True)
def traces_are_one_record_each_through_rotation_restart_and_kill(t):
    """A file that rotates while its traces are written in pieces; the agent is stopped or killed in the middle of them."""
    kafka, rng = t.kafka(), random.Random(t.seed)
    topic = t.topic(kafka)
    path = t.file("app.log", b"")
    agent = t.agent(kafka.address, topic, inputs=[{"paths": [t.path("logs", "app.log")], "topic": topic, "multiline": {
        "start": r"^\d{4}-", "timeout": "60s"}}], producer={"linger.ms": 0}).start()
    want, n = [], 0
    for turn in range(8 * t.turns):
        groups = [trace(i) for i in range(n, n + 300)]
        n += 300
        data = b"".join(g + b"\n" for g in groups)
        want += groups
        for k, piece in enumerate(pieces(data, rng, 8000)):
            append(path, piece)
            if k == 3:
                agent.kill() if turn % 2 else agent.stop()
                agent.start()
        if turn % 3 == 2:
            # The name may be used again once the file is finished; until then each has its own.
            os.rename(path, t.path("logs", f"app.{turn}"))
            append(path, b"")
            agent.until(lambda s: s["records"]["acked"] + s["records"]["in_memory"] >= n, 60, "the rotated file is read")
    agent.until_acked(n - 1)
    agent.stop()
    agent.once()
    assert got(kafka, topic) == want
    check_books(agent.start().status())
    agent.stop()


@scenario()
def a_trace_whose_file_is_quiet_is_sent_after_its_timeout(t):
    """The last trace of a file comes without another one behind it, as one record; what is written later is a record of its own."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    path = t.file("a.log", trace(0) + b"\n")
    agent = t.agent(kafka.address, topic, inputs=inputs(t, topic, multiline={"preset": "java", "timeout": "500ms"})).start()
    count = len(trace(0).split(b"\n"))
    agent.until_finished(path)
    append(path, b"\tat later.Than(That.java:1)\n")
    agent.until_finished(path)
    agent.stop()
    values = got(kafka, topic)
    assert b"\n".join(values) == trace(0) + b"\n\tat later.Than(That.java:1)", values
    assert values[-1] == b"\tat later.Than(That.java:1)" and len(values) < count, values


# --- containers

def cri(stream, part, text):
    return f"{TIME} {stream} {'P' if part else 'F'} {text}\n".encode()


def docker(stream, part, text):
    return (json.dumps({"log": text + ("" if part else "\n"), "stream": stream, "time": TIME}) + "\n").encode()


def container_lines(frame, rng, first, count, want):
    """`count` messages of both streams, a third of them in parts, with the other stream's lines between."""
    out, left = [], {"stdout": "", "stderr": ""}
    made = 0
    while made < count or any(left.values()):
        stream = rng.choice(("stdout", "stderr"))
        if not left[stream]:
            if made == count:
                continue
            left[stream] = " ".join(f"{stream}-{first + made}.{k}" for k in range(rng.choice((1, 1, 3, 40))))
            want[stream].append(left[stream].encode())
            made += 1
        n = rng.choice((len(left[stream]), rng.randint(1, 200)))
        text, left[stream] = left[stream][:n], left[stream][n:]
        out.append(frame(stream, bool(left[stream]), text))
    return b"".join(out)


def container_survives(t, frame, name):
    kafka, rng = t.kafka(), random.Random(t.seed)
    topic = t.topic(kafka)
    path = t.file("c.log", b"")
    agent = t.agent(kafka.address, topic, inputs=inputs(t, topic, format=name), producer={"linger.ms": 0}).start()
    want = {"stdout": [], "stderr": []}
    n = 0
    for _ in range(8 * t.turns):
        data = container_lines(frame, rng, n, 400, want)
        n += 400
        cuts = list(pieces(data, rng, 12000))
        for k, piece in enumerate(cuts):
            append(path, piece)
            if k == len(cuts) // 2:
                agent.kill()
                agent.start()
    agent.until_acked(n)
    s = agent.until_finished(path)
    check_books(s)
    assert s["records"]["read"] == n and s["losses"]["events"] == 0, s["records"]
    agent.stop()
    values = got(kafka, topic)
    for stream, lines in want.items():
        assert [v for v in values if v.startswith(stream.encode())] == lines, stream
    assert len(values) == n


@scenario(core=True, kills=True)
def parts_of_cri_lines_are_joined_over_kills(t):
    """stdout and stderr stand between each other, parts of lines too; kill -9 in the middle: each message once and whole."""
    container_survives(t, cri, "cri")


@scenario(kills=True)
def parts_of_docker_lines_are_joined_over_kills(t):
    """The same with Docker's JSON lines."""
    container_survives(t, docker, "docker")


class Container:
    """Writes messages of both streams, all of them whole at the end."""

    def __init__(self, path, rng):
        self.path, self.rng, self.count = path, rng, 0
        self.want = {"stdout": [], "stderr": []}

    def write(self, count):
        append(self.path, container_lines(cri, self.rng, self.count, count, self.want))
        self.count += count


@scenario()
def messages_in_flight_at_a_kill_are_built_again_from_their_parts(t):
    """Batches of both streams' messages are in flight when the agent is killed, some of them unknown to the broker: each is there once."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = Container(t.file("c.log", b""), random.Random(t.seed))
    # One batch of what is written at once, even where the agent has to wait for the processor in the middle of it.
    agent = t.agent(kafka.proxied, topic, inputs=inputs(t, topic, format="cri"), producer={"linger.ms": 500}).start()
    for _ in range(2):
        w.write(100)
        agent.until_acked(w.count)
        unresolved.half_known(t, kafka, topic, agent, w, 200)
        agent.start()
        agent.until_acked(w.count)
    agent.stop()
    values = got(kafka, topic)
    for stream, lines in w.want.items():
        assert [v for v in values if v.startswith(stream.encode())] == lines, stream
    assert len(values) == w.count
    assert "cannot be built again" not in agent.log_text()


class Traces:
    """Writes a container's lines whose records are groups of lines, each of them perhaps in parts, stdout and stderr between each other."""

    def __init__(self, path, rng):
        self.path, self.rng, self.made = path, rng, 0
        self.want = {"stdout": [], "stderr": []}

    @property
    def count(self):
        """What is complete: the last group of a stream is open until its next one begins."""
        return self.made - sum(bool(v) for v in self.want.values())

    def write(self, count):
        rng, todo, out, until_made = self.rng, {"stdout": [], "stderr": []}, [], self.made + count
        while self.made < until_made or any(todo.values()):
            stream = rng.choice(("stdout", "stderr"))
            if not todo[stream] and self.made < until_made:
                lines = [f"{stream}-{self.made} begins"] + [" " + "x" * rng.choice((0, 3, 300)) for _ in range(rng.choice((0, 0, 1, 5)))]
                self.want[stream].append("\n".join(lines).encode())
                self.made += 1
                for line in lines:
                    cuts = sorted(rng.randint(0, len(line)) for _ in range(rng.choice((0, 0, 1, 2))))
                    texts = [line[a:b] for a, b in zip([0] + cuts, cuts + [len(line)])]
                    todo[stream] += [cri(stream, k < len(texts) - 1, text) for k, text in enumerate(texts)]
            for _ in range(rng.choice((1, 1, 2, 8))):
                if todo[stream]:
                    out.append(todo[stream].pop(0))
        append(self.path, b"".join(out))


@scenario(kills=True)
def groups_of_two_streams_in_flight_at_kills_are_built_again(t):
    """Groups of lines in parts, both streams between each other, in small batches: answers are lost, the agent is killed, and killed
    again while it builds them anew: each record once, whole and in its stream's order."""
    kafka, rng = t.own_kafka(), random.Random(t.seed)
    topic = t.topic(kafka)
    w = Traces(t.file("c.log", b""), rng)
    agent = t.agent(kafka.proxied, topic, inputs=inputs(t, topic, format="cri", multiline={"start": r"^\S", "timeout": "60s"}),
                    producer={"linger.ms": 0, "batch.size": 2000, "request.timeout.ms": 3000}).start()
    for turn in range(6 * t.turns):
        w.write(150)
        agent.until_acked(w.count)
        rng.choice((kafka.proxy.swallow, kafka.proxy.black_hole))()
        w.write(200)
        agent.until(lambda s: s["producer"]["in_flight_batches"] >= 3, 20, "batches are in flight")
        agent.kill()
        kafka.proxy.cut()
        if turn % 2:
            kafka.proxy.lose_acks(2)
            agent.start()
            agent.kill()
        kafka.proxy.forward()
        agent.start()
    agent.until_acked(w.count)
    s = agent.status()
    check_books(s)
    assert s["losses"]["events"] == 0, s["losses"]
    agent.stop()
    assert "cannot be built again" not in agent.log_text()
    agent.once()
    values = got(kafka, topic)
    for stream, groups in w.want.items():
        assert [v for v in values if v.startswith(stream.encode())] == groups, stream
    assert len(values) == w.made


# --- fields

@scenario(kills=True)
def keys_out_of_json_keep_their_order_over_kills(t):
    """%{field.user} is the key: all of a user's records are in one partition, in order, once, through kill -9."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=4)
    path = t.file("a.log", b"")
    agent = t.agent(kafka.address, topic, inputs=inputs(t, topic, key="%{field.user}"), producer={"linger.ms": 0}).start()
    n = 0
    for _ in range(4 * t.turns):
        for _ in range(4):
            append(path, b"".join(b'{"n":%d,"user":"u%d"}\n' % (i, i % 37) for i in range(n, n + 500)))
            n += 500
        agent.kill()
        agent.start()
    agent.until_acked(n)
    agent.stop()
    where, last = {}, {}
    records = oracle.consume(kafka.address, topic)
    for partition, _, key, value in records:
        row = json.loads(value)
        assert key == row["user"].encode(), (key, value)
        assert where.setdefault(key, partition) == partition, key
        assert last.get(key, -1) < row["n"], (key, row)
        last[key] = row["n"]
    assert len(records) == n and len(set(where.values())) > 1


@scenario()
def a_field_chooses_among_the_topics_that_are_allowed(t):
    """Two topics by a field; a line that names any other is set aside, and the books balance."""
    kafka = t.kafka()
    first, second = t.topic(kafka), t.topic(kafka)
    path = t.file("a.log", b"".join(b'{"n":%d,"t":"%s"}\n' % (i, (first, second, "elsewhere")[i % 3].encode()) for i in range(900)))
    agent = t.agent(kafka.address, first, inputs=inputs(t, "%{field.t}", topics_allowed=[first, second])).start()
    s = agent.until(lambda s: s["records"]["acked"] == 600 and s["records"]["rejected"] == 300, 60, "600 acked, 300 set aside")
    check_books(s)
    agent.until_finished(path)
    agent.stop()
    for k, topic in enumerate((first, second)):
        assert [json.loads(v)["n"] for v in got(kafka, topic)] == list(range(k, 900, 3))


@scenario(kills=True)
def filtered_groups_are_in_the_books_once(t):
    """Traces that exclude_lines finds are filtered, each counted once, through kill -9, and positions reach the end."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    path = t.file("a.log", b"")
    agent = t.agent(kafka.address, topic, inputs=inputs(t, topic, multiline={"start": r"^\d{4}-", "timeout": "1s"},
                                                        exclude_lines=[r"IOException: \d*[02468]\n\tat"]),
                    producer={"linger.ms": 0}).start()
    want = []
    for turn in range(4):
        groups = [trace(i) for i in range(turn * 300, turn * 300 + 300)]
        append(path, b"".join(g + b"\n" for g in groups))
        want += [g for i, g in enumerate(groups, turn * 300) if i % 6]
        agent.until_finished(path, 60)
        agent.kill()
        agent.start()
    s = agent.until(lambda s: s["records"]["acked"] == len(want), 30, "all is acked")
    check_books(s)
    assert s["records"]["filtered"] == 200, s["records"]
    agent.stop()
    assert got(kafka, topic) == want


# --- lines that are cut

@scenario()
def lines_that_are_too_long_are_cut_or_skipped_and_in_the_losses(t):
    """long_lines truncate and skip: what nobody gets is entered by file and range, the books balance, the next line is whole."""
    kafka = t.kafka()
    for mode in ("truncate", "skip"):
        topic = t.topic(kafka)
        data = b"first\n" + b"x" * 700000 + b"\n" + b"y" * 2000 + b"\nlast\n"
        path = t.file(f"{mode}.log", data)
        agent = t.agent(kafka.address, topic, inputs=[{"paths": [path], "topic": topic, "max_line": 1000, "long_lines": mode}],
                        name=mode).start()
        s = agent.until_finished(path)
        check_books(s)
        assert s["records"]["dropped"] == (2 if mode == "skip" else 0), s["records"]
        lost = [r for r in agent.json("losses") if r["reason"] == "long_line"]
        agent.stop()
        kept = [b"first", b"x" * 1000, b"y" * 1000, b"last"]
        assert got(kafka, topic) == [v for v in kept if mode == "truncate" or len(v) < 1000]
        assert sum(r["bytes"] for r in lost) == len(data) - (2000 if mode == "truncate" else 0) - 11, lost
        assert "longer than max_line" in agent.log_text()


@scenario()
def utf_16_becomes_utf_8_over_restarts(t):
    """A file with a byte order mark that grows by pieces of characters, with stops in between."""
    kafka, rng = t.kafka(), random.Random(t.seed)
    topic = t.topic(kafka)
    lines = [f"Zeile {i} mit Ümläuten 🦆" for i in range(500)]
    data = b"\xff\xfe" + "".join(x + "\r\n" for x in lines).encode("utf-16-le")
    path = t.file("a.log", b"")
    agent = t.agent(kafka.address, topic, inputs=inputs(t, topic, encoding="utf-16")).start()
    for k, piece in enumerate(pieces(data, rng, 1501)):
        append(path, piece)
        if k % 10 == 5:
            agent.stop()
            agent.start()
    agent.until_acked(len(lines))
    agent.until_finished(path)
    agent.stop()
    assert got(kafka, topic) == [x.encode() for x in lines]
