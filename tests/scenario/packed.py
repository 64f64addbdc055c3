"""packed.py - compressed files: a backlog is read once, damage is said, and what was read before it was compressed is known."""
import gzip
import os
import subprocess

from procs import until
from scenario import scenario


def everything(t, topic, address, **how):
    """An agent that reads all of logs/, compressed or not."""
    inputs = [{"paths": [os.path.join(t.logs, "*")], "topic": topic, "compressed": True}]
    return t.agent(address, topic, inputs=inputs, **how)


def pack(path, tool="gzip"):
    """As logrotate does: PATH becomes PATH.gz (or .zst), another file."""
    subprocess.run([tool, "-q", *(["--rm"] if tool == "zstd" else []), path], check=True)
    return path + (".zst" if tool == "zstd" else ".gz")


def written(t, name, count, length=178):
    """The path of a new file with that many lines."""
    w = t.writer(name, length=length)
    w.write(count)
    w.close()
    return w.path


def is_done(agent, path):
    row = agent.file(path)
    return row is not None and row["state"] == "done" and row["size"] == row["safe"]


def nothing_more(agent, total):
    """It is at rest, and nothing was read besides."""
    agent.until_acked(total)
    s = agent.status()
    assert s["records"]["read"] == total, f"{s['records']['read']} records were read of {total} lines"
    return s


@scenario(core=True)
def a_compressed_backlog_is_read_once(t):
    """.gz and .zst, of one and of two members: each line once, also after renames, a restart, and a copy of one of them."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    one, two = pack(written(t, "a", 5000)), pack(written(t, "b", 5000), "zstd")
    w = t.writer("c")
    three = os.path.join(t.logs, "c.log.gz")
    with open(three, "wb") as f:
        for _ in range(2):
            w.write(2000)
            with open(w.path, "rb") as plain:
                f.write(gzip.compress(plain.read()))
            os.truncate(w.path, 0)
    w.close()
    os.unlink(w.path)
    agent = everything(t, topic, kafka.address).start()
    agent.until(lambda s: all(is_done(agent, p) for p in (one, two, three)), 60, "all of them are done")
    nothing_more(agent, 14000)
    os.rename(one, one.replace("a.log", "a.log.2"))
    agent.stop()
    os.rename(two, two.replace("b.log", "b.log.2"))
    with open(three, "rb") as f:
        t.file("c.copy.gz", f.read())
    agent.start()
    t.writer("end").write(100)
    nothing_more(agent, 14100)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def a_damaged_compressed_file_is_read_as_far_as_it_goes(t):
    """Cut off, and damaged in the middle: what lies before arrives, the damage is in the log, `reasons` and the losses, once."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    cut, bad = pack(written(t, "cut", 3000)), pack(written(t, "bad", 3000))
    with open(cut, "ab") as f:
        f.write(gzip.compress(b"never seen\n")[:8])
    with open(bad, "ab") as f:
        f.write(gzip.compress(b"")[:10] + b"\x07" + bytes(1000))       # a block of a type that there is not
    agent = everything(t, topic, kafka.address).start()
    agent.until(lambda s: s["losses"]["events"] == 2, 60, "the damage of both is entered")
    agent.until(lambda s: is_done(agent, cut) and is_done(agent, bad), 60, "both are done")
    s = nothing_more(agent, 6000)
    assert s["losses"]["records"] == 0 and s["losses"]["bytes"] >= 1000, s["losses"]
    for path in (cut, bad):
        assert any(path in r and "damaged" in r for r in s["reasons"]), s["reasons"]
        assert agent.log_text().count(f"path={path} what=") == 1, agent.log_text()
    agent.stop()
    agent.start()
    t.writer("end").write(100)
    agent.until(lambda s: is_done(agent, cut) and is_done(agent, bad), 60, "both are done again")
    s = nothing_more(agent, 6100)
    assert s["losses"]["events"] == 2, s["losses"]
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def a_half_read_compressed_file_goes_on_where_it_was(t):
    """Stopped in the middle of a .gz and a .zst, then killed with -9, three times each: every line once."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    total = int(120000 * t.scale)
    pack(written(t, "a", total // 2))
    pack(written(t, "b", total // 2), "zstd")
    agent = everything(t, topic, kafka.proxied, producer={"buffer.memory": "2MiB", "compression.type": "none"})
    kafka.proxy.rate(3000000)
    for i in range(1, 7):
        agent.start()
        agent.until(lambda s: s["records"]["acked"] >= total * i // 10, 60, "some of it is acknowledged", every=0.01)
        if i % 2:
            agent.stop()
        else:
            agent.kill()
    kafka.proxy.forward()
    agent.start()
    nothing_more(agent, total)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def a_file_compressed_after_it_was_read_is_not_read_again(t):
    """Renamed, compressed and deleted while the agent runs, finished or not; ten generations."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = everything(t, topic, kafka.address).start()
    for i in range(10):
        w.write(2000)
        if i % 2:
            agent.until_acked(w.seq)
        old = w.rotate()
        last = pack(old)
    w.write(100)
    agent.until(lambda s: is_done(agent, last), 60, "the last one is recognised")
    nothing_more(agent, w.seq)
    agent.stop()
    agent.start()
    w.write(100)
    nothing_more(agent, w.seq)
    agent.stop()
    t.expect_all(kafka, topic)


def compressed_while_stopped(t, end, **how):
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = everything(t, topic, kafka.proxied, producer={"buffer.memory": "2MiB", "batch.size": "16KiB"}, **how).start()
    w.write(3000)
    agent.until_acked(3000)
    kafka.proxy.hold_acks()
    w.write(3000)
    agent.until(lambda s: s["records"]["in_memory"] > 0, 30, "lines are on their way")
    end(agent)
    w.write(2000)
    packed = pack(w.rotate())
    w.write(500)
    kafka.proxy.forward()
    agent.start()
    agent.until(lambda s: is_done(agent, packed), 60, "the compressed file is read")
    nothing_more(agent, w.seq)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def a_file_compressed_while_the_agent_was_dead_goes_on_from_the_gz(t):
    """Killed with lines in flight, the file is written on, renamed, compressed, deleted: what was in flight is built again out of
    the .gz, the unread rest is read from it, and nothing is doubled."""
    compressed_while_stopped(t, lambda agent: agent.kill())


@scenario()
def a_file_compressed_while_the_agent_was_stopped_goes_on_from_the_gz(t):
    """The same after TERM: what could not be acknowledged is in the spool."""
    compressed_while_stopped(t, lambda agent: agent.stop(), shutdown_timeout="2s")


# --- logrotate

MATRIX = {"create": ["create 0644", "compress"], "nocreate": ["nocreate", "compress"],
          "create, delayed": ["create 0644", "compress", "delaycompress"],
          "nocreate, delayed": ["nocreate", "compress", "delaycompress"]}


class Logrotate:
    """One log of an application that opens it anew after each rotation."""

    def __init__(self, t, w, options):
        self.t, self.w = t, w
        self.conf, self.state = t.path("rotate.conf"), t.path("rotate.state")
        with open(self.conf, "w") as f:
            body = "\n".join(["size 1", "rotate 50", *options])
            f.write(f"{w.path} {{\n{body}\n}}\n")
        os.chmod(self.conf, 0o644)

    def turn(self):
        subprocess.run(["/usr/sbin/logrotate", "-f", "-s", self.state, self.conf], check=True)
        os.close(self.w.fd)
        self.w.fd = self.w._open()


def matrix(t, options, pause):
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    log = Logrotate(t, w, options)
    agent = everything(t, topic, kafka.proxied).start()
    for i in range(8):
        w.write(1500)
        pause(agent, i)
        log.turn()
        if not agent.running():
            w.write(300)
            log.turn()
            kafka.proxy.forward()
            agent.start()
    w.write(100)
    kafka.proxy.forward()
    until(lambda: any(n.endswith(".gz") for n in os.listdir(t.logs)), 30, "logrotate compressed something")
    nothing_more(agent, w.seq)
    agent.stop()
    agent.start()
    w.write(100)
    nothing_more(agent, w.seq)
    agent.stop()
    t.expect_all(kafka, topic)


def wait_sometimes(agent, i):
    if i % 3 == 1:
        agent.until(lambda s: not s["records"]["in_memory"], 30, "all is acknowledged")


def end_sometimes(agent, i):
    if i % 4 == 1:
        agent.stop()
    elif i % 4 == 3:
        agent.kill()


@scenario(core=True)
def logrotate_with_compress_loses_and_doubles_nothing(t):
    """create and compress, eight forced rotations under a running agent: each line once and in order, no .gz is read again."""
    matrix(t, MATRIX["create"], wait_sometimes)


@scenario()
def logrotate_with_nocreate_loses_and_doubles_nothing(t):
    """The same with nocreate: the application makes the new file."""
    matrix(t, MATRIX["nocreate"], wait_sometimes)


@scenario()
def logrotate_with_delaycompress_loses_and_doubles_nothing(t):
    """create and nocreate with delaycompress: a rotated file is compressed a rotation later."""
    matrix(t, MATRIX["create, delayed"], wait_sometimes)


@scenario()
def logrotate_with_nocreate_and_delaycompress_loses_and_doubles_nothing(t):
    """The same without a new file."""
    matrix(t, MATRIX["nocreate, delayed"], wait_sometimes)


@scenario(core=True)
def logrotate_while_the_agent_is_stopped_or_dead_loses_and_doubles_nothing(t):
    """TERM and kill -9 in turn, two rotations meanwhile: the .gz files are where the unread rest is."""
    matrix(t, MATRIX["create"], end_sometimes)


@scenario()
def logrotate_with_delaycompress_while_the_agent_is_stopped_or_dead_loses_and_doubles_nothing(t):
    """The same with nocreate and delaycompress: what nobody saw is in a plain file and in compressed ones."""
    matrix(t, MATRIX["nocreate, delayed"], end_sometimes)
