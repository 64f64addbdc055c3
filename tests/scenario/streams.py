"""streams.py - inputs without a file: standard input, syslog over its four transports, the journal."""
import json
import os
import resource
import shutil
import socket
import subprocess
import threading
import time

import oracle
from killloop import Corpse
from procs import until
from scenario import Skip, scenario

TINY = {"buffer.memory": "1MiB", "max.block.ms": 600000, "request.timeout.ms": 5000, "reconnect.backoff.max.ms": 200}


def lines_of(t, n, first=0, pad=80):
    """Lines that tell themselves apart."""
    return [f"{t.run_id} {i} ".encode() + b"." * pad for i in range(first, first + n)]


def values(kafka, topic):
    return [value for _, _, _, value in oracle.consume(kafka.address, topic)]


def expect(kafka, topic, wanted, ordered=True):
    got = values(kafka, topic)
    assert sorted(got) == sorted(wanted), (len(got), len(wanted), set(wanted) - set(got), [v for v in got if v not in set(wanted)][:3])
    if ordered:
        assert got == wanted, "in another order"


def row(status, index=0):
    return status["inputs"][index]["files"][0]


def piped(t, agent, *options):
    """Starts `run` with a pipe as standard input; returns its end."""
    with open(agent.log, "ab") as log:
        agent.process = subprocess.Popen([agent.binary, "run", "-c", agent.config, *options], stdin=subprocess.PIPE, stdout=log,
                                         stderr=log, env=agent._environment())
    agent.exit_code = None
    t.closing.append(agent.process.stdin.close)
    return agent.process.stdin


def answers(agent):
    until(lambda: agent.snapshot() is not None, 30, "status", alive=agent.check_alive)


@scenario(core=True)
def a_hundred_thousand_lines_of_stdin_outlive_an_outage(t):
    """`run --once` reads a pipe to its end while the broker is away for a while: every line once, in order, exit 0."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.proxied, topic, inputs=[{"type": "stdin", "topic": topic}], producer={**TINY, "buffer.memory": "2MiB"})
    wanted = lines_of(t, int(100000 * t.scale))
    pipe = piped(t, agent, "--once")
    answers(agent)
    half = len(wanted) // 2
    pipe.write(b"\n".join(wanted[:100]) + b"\n")
    pipe.flush()
    agent.until(lambda s: s["records"]["acked"] >= 100, 60, "the first lines are acked")
    kafka.proxy.refuse()
    pipe.write(b"\r\n".join(wanted[100:half]) + b"\n")
    pipe.flush()
    agent.until(lambda s: s["records"]["read"] == half and s["records"]["spooled"] > 0, 60, "all is read, some of it spooled")
    kafka.proxy.forward()
    pipe.write(b"\n".join(wanted[half:]))      # the last without its LF
    pipe.close()
    assert agent.wait(120) == 0, agent.tail()
    expect(kafka, topic, wanted)


@scenario()
def an_agent_goes_on_when_its_stdin_has_ended(t):
    """Without --once the end of stdin is the end of an input and of nothing else."""
    kafka = t.kafka()
    topic, other = t.topic(kafka), t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic, inputs=[{"type": "stdin", "topic": topic},
                                                  {"paths": [os.path.join(t.logs, "*.log")], "topic": other}])
    pipe = piped(t, agent)
    answers(agent)
    pipe.write(b"only line")
    pipe.close()
    agent.until(lambda s: row(s)["state"] == "done" and s["records"]["acked"] == 1, 60, "stdin is done")
    w.write(100)
    agent.until_acked(101)
    agent.stop()
    expect(kafka, topic, [b"only line"])
    t.expect_all(kafka, other)


@scenario()
def lines_of_stdin_are_grouped_and_converted_as_those_of_files(t):
    """A stack trace that comes in pieces is one record, its end told by the next message, by time, or by the end; so in UTF-16."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.address, topic, inputs=[{"type": "stdin", "topic": topic, "encoding": "utf-16",
                                                   "multiline": {"start": "^[0-9]", "timeout": "4s"}}])
    pipe = piped(t, agent)
    answers(agent)
    text = "1 first\n at ä\n at b\n2 second\n at c\n"
    data = text.encode("utf-16")
    for i in range(0, len(data), 7):
        pipe.write(data[i:i + 7])
        pipe.flush()
    agent.until_acked(2)
    pipe.write("3 third\n at d".encode("utf-16-le"))
    pipe.close()
    agent.until_acked(3)
    agent.stop()
    expect(kafka, topic, ["1 first\n at ä\n at b".encode(), b"2 second\n at c", b"3 third\n at d"])


# --- syslog

def listening(agent, index):
    """(host, port) where an input with port 0 listens."""
    kind, host, port = row(agent.status(), index)["path"].split(":")
    return host, int(port)


def syslog_inputs(t, topic, **more):
    unix = t.path("log.sock")
    return [{"name": name, "type": "syslog", "listen": listen, "topic": topic, **more}
            for name, listen in (("udp", "udp:127.0.0.1:0"), ("tcp", "tcp:127.0.0.1:0"), ("unix", f"unix:{unix}"))], unix


def message(i, kind):
    text = f"message {i} of {kind}"
    if i % 2:
        return f"<{i % 192}>1 2003-10-11T22:14:15.003Z host app {i} ID{i} [a@1 n=\"{i}\"] {text}".encode()
    return f"<{i % 192}>Oct 11 22:14:15 host app[{i}]: {text}".encode()


def counted(m):
    return b"%d %s" % (len(m), m)


@scenario(core=True)
def syslog_comes_over_udp_tcp_and_a_unix_socket(t):
    """Both RFCs over UDP, a unix socket and TCP, there with octet counts and lines mixed and cut anywhere: every message once, as it
    was sent."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    inputs, unix = syslog_inputs(t, topic)
    agent = t.agent(kafka.address, topic, inputs=inputs).start()
    sent = {kind: [message(i, kind) for i in range(300)] for kind in ("udp", "unix", "counts", "lines", "mixed")}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for m in sent["udp"]:
            s.sendto(m, listening(agent, 0))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(unix)
        for m in sent["unix"]:
            s.send(m + b"\n")
    streams = [b"".join(map(counted, sent["counts"])), b"".join(m + b"\n" for m in sent["lines"]),
               b"".join(counted(m) if i % 3 else m + b"\r\n" for i, m in enumerate(sent["mixed"]))]
    silent = socket.create_connection(listening(agent, 1))      # it holds up nobody
    silent.sendall(b"100000 <1>never")
    conns = [socket.create_connection(listening(agent, 1)) for _ in streams]
    while any(streams):
        for i, c in enumerate(conns):
            n = t.rng.randint(1, 400)
            c.sendall(streams[i][:n])
            streams[i] = streams[i][n:]
    agent.until_acked(sum(map(len, sent.values())))
    for c in conns:
        c.close()
    silent.close()
    agent.until_acked(sum(map(len, sent.values())) + 1)
    agent.stop()
    got = values(kafka, topic)
    for kind, wanted in sent.items():
        assert [v for v in got if v.endswith(kind.encode())] == wanted, f"{kind} differs"
    assert b"<1>never" in got
    assert not os.path.exists(unix), "the socket is left"


@scenario()
def fields_of_syslog_decide_about_topic_and_key(t):
    """A field of the message becomes the key, others the JSON; a message that has none goes on."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    inputs, unix = syslog_inputs(t, topic, key="%{field.appname}", value="json")
    agent = t.agent(kafka.address, topic, inputs=inputs).start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(unix)
        for m in (message(5, "unix"), b"no syslog at all"):
            s.send(m)
    agent.until_acked(2)
    agent.stop()
    got = oracle.consume(kafka.address, topic)
    got.sort(key=lambda r: r[2] or b"~")
    first, second = (json.loads(value) for _, _, _, value in got)
    assert got[0][2] == b"app" and not got[1][2], got
    fields = first["fields"]
    assert fields["severity"] == "notice" and fields["structured_data"] == {"a@1": {"n": "5"}}, first
    assert first["message"].startswith("<5>1 ") and second["message"] == "no syslog at all", (first, second)


@scenario()
def what_syslog_sends_in_an_outage_is_spooled_at_once(t):
    """With memory for nothing and max.block.ms of ten minutes, messages are spooled as they come; TERM keeps everything, and
    the next life delivers it."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    inputs, unix = syslog_inputs(t, topic)
    agent = t.agent(kafka.proxied, topic, inputs=inputs, producer=TINY, shutdown_timeout="5s").start()
    wanted = lines_of(t, 20000)
    with socket.create_connection(listening(agent, 1)) as c:
        c.sendall(wanted[0] + b"\n")
        agent.until_acked(1)
        kafka.proxy.refuse()
        c.sendall(b"\n".join(wanted[1:]) + b"\n")
        agent.until(lambda s: s["records"]["spooled"] > 1000 and s["records"]["read"] == len(wanted), 120, "all is read, much spooled")
        agent.stop()
    rc, out, err = agent.command("status", "--json")
    assert rc == 0, err
    kafka.proxy.forward()
    agent.start()
    agent.until_acked(len(wanted))
    agent.stop()
    expect(kafka, topic, wanted)


@scenario()
def what_was_spooled_of_a_stream_survives_kill_9(t):
    """Spooled lines of stdin are delivered by the next life; what was only in memory is counted where it is known of; the books
    balance and nothing is stuck."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.proxied, topic, inputs=[{"type": "stdin", "topic": topic}], producer=TINY)
    wanted = lines_of(t, 20000)
    pipe = piped(t, agent)
    answers(agent)
    pipe.write(wanted[0] + b"\n")
    pipe.flush()
    agent.until_acked(1)
    kafka.proxy.refuse()
    pipe.write(b"\n".join(wanted[1:]) + b"\n")
    pipe.flush()
    s = agent.until(lambda s: s["records"]["read"] == len(wanted) and s["records"]["spooled"] > 1000, 60, "much is spooled")
    agent.kill()
    kafka.proxy.forward()
    pipe = piped(t, agent)
    answers(agent)
    s = agent.until(lambda s: s["records"]["spooled"] == 0 and s["records"]["in_memory"] == 0, 120, "the spool is empty")
    more = lines_of(t, 100, first=len(wanted))
    pipe.write(b"\n".join(more) + b"\n")
    pipe.flush()
    s = agent.until(lambda s: s["records"]["in_memory"] == 0 and s["records"]["read"] >= 1101, 60, "new lines are acked")
    pipe.close()
    agent.stop()
    got = values(kafka, topic)
    assert len(got) == len(set(got)), "doubled"
    there = set(got)
    assert got == [v for v in wanted + more if v in there], "in another order"
    assert got[-100:] == more and len(got) > 1000, len(got)
    rc, out, err = agent.command("spool", "verify")
    assert rc == 0, out + err


@scenario()
def a_batch_of_a_stream_in_flight_at_kill_9_is_settled(t):
    """Killed with one batch that Kafka has and one that it does not: the first counts as acked, the second as dropped and stands in
    the losses; neither holds up what comes, and the file that shares their topic loses nothing."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"linger.ms": 0, "request.timeout.ms": 15000, "evidence.settle.ms": 2000},
                    inputs=[{"type": "stdin", "topic": topic}, {"paths": [os.path.join(t.logs, "*.log")], "topic": topic}])
    pipe = piped(t, agent)
    answers(agent)
    pipe.write(b"acked\n")
    pipe.flush()
    agent.until_acked(1)
    kafka.proxy.hold_acks()
    pipe.write(b"kafka has it\n")
    pipe.flush()
    until(lambda: kafka.count(topic) == 2, 30, "Kafka has it", alive=agent.check_alive)
    kafka.proxy.black_hole()
    pipe.write(b"in flight\n")
    pipe.flush()
    agent.until(lambda s: s["producer"]["in_flight_batches"] == 2, 30, "both are on their way")
    w.write(10)
    agent.until(lambda s: s["records"]["read"] == 13 and s["producer"]["in_flight_batches"] > 2, 30, "and lines of the file")
    agent.kill()
    assert Corpse(agent.state_dir, t.path("scratch")).ledger >= 2
    kafka.proxy.cut()               # what is in the proxy by now never gets out of it
    kafka.proxy.forward()
    pipe = piped(t, agent)
    answers(agent)
    s = agent.until(lambda s: s["records"]["in_memory"] == 0 and s["records"]["acked"] >= 12, 200, "everything is settled")
    assert s["records"]["dropped"] == 1 and s["losses"]["records"] == 1, s["records"]
    loss = agent.json("losses")
    assert [(r["reason"], r["path"], r["end"] - r["start"]) for r in loss] == [("gone", "stdin", 10)], loss
    pipe.write(b"new\n")
    pipe.close()
    agent.until(lambda s: s["records"]["acked"] == 13, 60, "a new line is acked")
    agent.stop()
    got = values(kafka, topic)
    assert got[:2] == [b"acked", b"kafka has it"] and got[-1] == b"new" and b"in flight" not in got, got
    v = t.judge([r for r in oracle.consume(kafka.address, topic) if t.run_id.encode() in r[3]])
    assert v.good, str(v)
    assert len(got) == 13, got


@scenario(kills=True)
def kill_9_with_files_and_syslog_in_one_lane(t):
    """Killed again and again while files and syslog over TCP fill the same lanes and the broker comes and goes: lines of files arrive
    once, in order; of syslog nothing twice, nothing in another order, and all that was there at an orderly stop."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    inputs = [{"type": "syslog", "listen": "tcp:127.0.0.1:0", "topic": topic}, {"paths": [os.path.join(t.logs, "*.log")], "topic": topic}]
    agent = t.agent(kafka.proxied, topic, inputs=inputs,
                    producer={**TINY, "batch.size": "16KiB", "linger.ms": 1, "request.timeout.ms": 15000, "evidence.settle.ms": 2000})
    sent, safe, unresolved = 0, set(), 0
    for turn in range(6 * t.turns):
        if turn % 3 == 1:
            kafka.proxy.hold_acks()             # Kafka has them, the agent does not know
        agent.start()
        answers(agent)
        if turn % 3 == 2:
            kafka.proxy.black_hole()            # Kafka does not have them; memory is dry, and they are spooled
        before = agent.status()["records"]["acked"]
        mine = [f"<1>syslog {sent + i} ".encode() + b"." * 200 for i in range(t.rng.randint(10, 5000))]
        sent += len(mine)
        w.write(t.rng.randint(10, 3000))
        c = socket.create_connection(listening(agent, 0))
        c.settimeout(60)
        c.sendall(b"\n".join(mine) + b"\n")
        w.write(t.rng.randint(10, 3000))
        if turn % 3 == 0:
            agent.until(lambda s: s["records"]["acked"] > before, 200, "something is acked")    # noqa: B023
        else:
            agent.until(lambda s: s["producer"]["in_flight_batches"] + s["records"]["spooled"] > 0, 60, "batches are on their way")
        if turn % 5 == 4:
            kafka.proxy.forward()
            agent.until(lambda s: s["records"]["in_memory"] == 0 and s["records"]["spooled"] == 0, 200, "everything is finished")
            agent.stop()
            safe.update(mine)
        time.sleep(t.rng.random() / 10)
        agent.kill()
        c.close()
        unresolved += Corpse(agent.state_dir, t.path("scratch")).ledger
        kafka.proxy.forward()
    assert unresolved, "no kill met a batch on its way"
    agent.start()
    s = agent.until(lambda s: s["records"]["in_memory"] == 0 and s["records"]["spooled"] == 0 and
                    all(f["state"] == "active" and f["read"] == f["size"] for i in s["inputs"] for f in i["files"]), 200, "all is settled")
    agent.stop()
    records = oracle.consume(kafka.address, topic)
    v = t.judge([r for r in records if t.run_id.encode() in r[3]])
    assert v.good, str(v)
    got = [int(r[3].split()[1]) for r in records if r[3].startswith(b"<1>syslog")]
    assert len(got) == len(set(got)), f"{len(got) - len(set(got))} doubled"
    assert got == sorted(got), "in another order"
    assert not {int(m.split()[1]) for m in safe} - set(got), "what was finished is missing"
    assert s["records"]["acked"] == len(records), (s["records"], len(records))


@scenario()
def a_flood_in_an_outage_with_a_full_spool_ends_with_term(t):
    """Neither memory nor spool has room, UDP and TCP go on and on: status answers, TERM ends it; what was kept arrives in the next
    life, once and in order."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    inputs, unix = syslog_inputs(t, topic)
    agent = t.agent(kafka.proxied, topic, inputs=inputs, producer=TINY, spool={"max_size": "16MiB"}, shutdown_timeout="3s").start()
    tcp, udp = listening(agent, 1), listening(agent, 0)
    kafka.proxy.refuse()
    over = threading.Event()

    def flood():
        n = 0
        with socket.create_connection(tcp) as c, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as d:
            c.settimeout(0.2)
            while not over.is_set():
                rows = b"".join(b"<1>tcp %d %s\n" % (i, os.urandom(400).hex().encode()) for i in range(n, n + 100))
                n += 100
                try:
                    d.sendto(b"<1>udp " + b"u" * 1000, udp)
                    while rows and not over.is_set():
                        try:
                            rows = rows[c.send(rows):]
                        except TimeoutError:
                            d.sendto(b"<1>udp " + b"u" * 1000, udp)
                except OSError:
                    return

    flooder = threading.Thread(target=flood)
    flooder.start()
    try:
        agent.until(lambda s: any(f["state"] == "waiting" for i in s["inputs"] for f in i["files"]), 120, "there is no room any more")
        agent.stop(timeout=60)
    finally:
        over.set()
        flooder.join()
    kafka.proxy.forward()
    agent.start()
    s = agent.until(lambda s: s["records"]["in_memory"] == 0 and s["records"]["spooled"] == 0, 200, "the spool is empty")
    agent.stop()
    got = values(kafka, topic)
    assert s["records"]["acked"] == len(got), (s["records"], len(got))
    whole = [int(v.split()[1]) for v in got if v.startswith(b"<1>tcp") and len(v.split()) == 3]
    assert whole and whole == list(range(len(whole))), "lost or in another order"


@scenario()
def standard_descriptors_that_are_closed_are_not_taken_by_others(t):
    """Started without standard input, output and error: no file or socket gets their numbers, lines arrive, stdin has failed."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic, inputs=[{"type": "stdin", "topic": topic}, {"paths": [os.path.join(t.logs, "*.log")],
                                                                                      "topic": topic}])
    agent.process = subprocess.Popen(["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', agent.binary, "run", "-c", agent.config],
                                     env=agent._environment())
    agent.exit_code = None
    answers(agent)
    w.write(100)
    agent.until_acked(100)
    s = agent.status()
    assert row(s)["state"] == "failed", row(s)
    targets = [os.readlink(f"/proc/{agent.process.pid}/fd/{fd}") for fd in range(3)]
    assert targets == ["/dev/null"] * 3, targets
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def connections_take_no_descriptors_from_kafka_and_files(t):
    """With few descriptors and more connections than that, all silent: files are followed and sent, a reconnect finds a socket;
    when they leave, who waited is heard."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    inputs = [{"type": "syslog", "listen": "tcp:127.0.0.1:0", "topic": topic}, {"paths": [os.path.join(t.logs, "*.log")], "topic": topic}]
    agent = t.agent(kafka.proxied, topic, inputs=inputs)
    agent.limits = ((resource.RLIMIT_NOFILE, 160),)
    agent.start()
    crowd = [socket.create_connection(listening(agent, 0)) for _ in range(200)]
    writers = [t.writer(f"app{i}") for i in range(80)]
    for w in writers:
        w.write(10)
    agent.until_acked(800)
    kafka.proxy.cut()
    for w in writers:
        w.write(10)
    agent.until_acked(1600)
    crowd[-1].sendall(b"<1>I waited\n")
    for c in crowd[:-1]:
        c.close()
    agent.until_acked(1601)
    agent.stop()
    records = oracle.consume(kafka.address, topic)
    assert [r[3] for r in records if t.run_id.encode() not in r[3]] == [b"<1>I waited"]
    v = t.judge([r for r in records if t.run_id.encode() in r[3]])
    assert v.good, str(v)


# --- the journal

def export(entries):
    """Text that systemd-journal-remote takes: (message, unit, microseconds)."""
    out = bytearray()
    for i, (text, unit, us) in enumerate(entries):
        out += (f"__REALTIME_TIMESTAMP={us}\n__MONOTONIC_TIMESTAMP={us % 10**9}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n"
                f"_TRANSPORT=journal\nPRIORITY=6\n_SYSTEMD_UNIT={unit}\n").encode() + b"MESSAGE=" + text + b"\n\n"
    return bytes(out)


class Journal:
    """A directory of journal files, each made of some entries. What is added later has a file of its own."""

    def __init__(self, t):
        self.remote = next((p for p in ("/lib/systemd/systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote",
                                        shutil.which("systemd-journal-remote") or "") if p and os.path.exists(p)), None)
        if not self.remote:
            raise Skip("systemd-journal-remote is not installed")
        self.dir = t.path("journal")
        os.makedirs(self.dir)
        self.files, self.us = 0, 1700000000000000

    def add(self, texts, unit="app.service"):
        entries = []
        for text in texts:
            self.us += 1000
            entries.append((text, unit, self.us))
        made = os.path.join(self.dir, f"remote-{self.files:04}.journal")
        self.files += 1
        p = subprocess.run([self.remote, "-o", made + ".new.journal", "-"], input=export(entries), capture_output=True, check=False)
        assert p.returncode == 0, p.stderr
        os.rename(made + ".new.journal", made)
        return texts


def journal_agent(t, kafka, topic, journal, producer=None, **more):
    return t.agent(kafka.proxied, topic, inputs=[{"name": "sys", "type": "journald", "directory": journal.dir, "topic": topic, **more}],
                   producer=producer)


@scenario()
def entries_of_the_journal_arrive_once(t):
    """Entries that are there and entries that come, of the wanted units; a restart goes on where it was."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    j = Journal(t)
    wanted = j.add(lines_of(t, 500))
    j.add(lines_of(t, 50, first=10**6), unit="other.service")
    agent = journal_agent(t, kafka, topic, j, units=["app.service"]).start()
    agent.until_acked(len(wanted))
    wanted += j.add(lines_of(t, 500, first=500))
    agent.until_acked(len(wanted))
    agent.stop()
    wanted += j.add(lines_of(t, 500, first=1000))
    agent.start()
    agent.until_acked(len(wanted))
    s = agent.status()
    assert row(s)["read"] == 1550, row(s)
    agent.stop()
    expect(kafka, topic, wanted)
    agent.once()
    expect(kafka, topic, wanted)


@scenario(kills=True)
def kill_9_neither_loses_nor_doubles_entries_of_the_journal(t):
    """Killed again and again while entries come and the broker comes and goes: missing 0, doubled 0."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    j = Journal(t)
    agent = journal_agent(t, kafka, topic, j, producer={**TINY, "batch.size": "16KiB", "linger.ms": 1, "max.block.ms": 200})
    wanted, unresolved = [], 0
    for turn in range(8 * t.turns):
        wanted += j.add(lines_of(t, 3000, first=len(wanted), pad=200))
        if turn % 3 == 1:
            kafka.proxy.hold_acks()             # Kafka has them, the agent does not know
        agent.start()
        if turn % 3 == 1:
            agent.until(lambda s: s["producer"]["in_flight_batches"] > 0, 60, "batches are on their way")
        elif turn % 3 == 2:
            kafka.proxy.black_hole()            # Kafka does not have them
            agent.until(lambda s: s["records"]["read"] > 0, 60, "something is read")
        else:
            enough = min(agent.status()["records"]["acked"] + t.rng.randint(1, 2000), len(wanted))
            agent.until(lambda s: s["records"]["acked"] >= enough, 60, "something is acked")
        if turn % 4 == 0:                       # the next lives begin at a saved cursor
            agent.stop()
        time.sleep(t.rng.random() / 10)
        agent.kill()
        unresolved += Corpse(agent.state_dir, t.path("scratch")).ledger
        kafka.proxy.forward()
    assert unresolved, "no kill met a batch on its way"
    agent.start()
    s = agent.until_acked(len(wanted))
    assert s["records"]["acked"] == len(wanted) and s["losses"]["events"] == 0 and s["uncertain"]["records"] == 0, s["records"]
    agent.stop()
    got = values(kafka, topic)
    assert len(got) == len(set(got)), f"{len(got) - len(set(got))} doubled"
    expect(kafka, topic, wanted)


@scenario()
def a_vacuumed_journal_goes_on_at_its_oldest_entry(t):
    """Entries that were removed while the agent was away are said and entered in the losses; what is left arrives, what had arrived
    does not again."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    j = Journal(t)
    wanted = j.add(lines_of(t, 100))
    agent = journal_agent(t, kafka, topic, j).start()
    agent.until_acked(100)
    agent.stop()
    j.add(lines_of(t, 100, first=100))
    wanted += j.add(lines_of(t, 100, first=200))
    for name in ("remote-0000.journal", "remote-0001.journal"):
        os.unlink(os.path.join(j.dir, name))
    agent.start()
    agent.until_acked(200)
    s = agent.status()
    assert s["losses"]["events"] == 1, s["losses"]
    assert agent.json("losses")[0]["reason"] == "journal"
    agent.stop()
    agent.once()
    expect(kafka, topic, wanted)
