"""many.py - many files: more than descriptors, growing at once, idle, busy ones and backlogs beside quiet ones."""
import os
import re
import resource
import time

import oracle
import procs
from scenario import scenario


def writers(t, count):
    """So many logs, each closed between its lines: the test has few descriptors as well."""
    return [f"f{i:05d}" for i in range(count)]


class Append:
    """Appends lines to many files, one after the other."""

    def __init__(self, t, ids):
        self.t, self.ids, self.seq = t, ids, dict.fromkeys(ids, 0)

    def path(self, name):
        return os.path.join(self.t.logs, f"{name}.log")

    def write(self, count, only=None):
        names = only or self.ids
        for name in names:
            with open(self.path(name), "ab") as f:
                f.write(self.t.lines.block(name.encode(), self.seq[name], count, oracle.DEFAULT_LEN))
            self.seq[name] += count
        self.t.ledger.wrote_all([name.encode() for name in names], count)


def with_descriptors(t, files, descriptors, rounds):
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=2)
    logs = Append(t, writers(t, files))
    logs.write(20)
    agent = t.agent(kafka.address, topic)
    agent.limits = ((resource.RLIMIT_NOFILE, descriptors),)
    agent.start()
    for _ in range(rounds):
        agent.until_acked(t.ledger.total())
        assert len(os.listdir(f"/proc/{agent.pid}/fd")) <= descriptors
        logs.write(5)
        logs.write(5, logs.ids[::7])
    for name in logs.ids[::10]:                         # rotated while most of them are closed
        os.rename(logs.path(name), logs.path(name) + ".1")
    logs.write(5)
    agent.until_acked(t.ledger.total())
    agent.stop()
    said = re.findall("more files than descriptors", agent.log_text())
    assert len(said) == 1, f"said {len(said)} times"
    t.expect_all(kafka, topic, between_partitions=True)


@scenario()
def two_hundred_files_with_descriptors_for_half_of_them_are_all_read(t):
    """RLIMIT_NOFILE 100: every line of every file once, over several rounds of writing and a rotation."""
    with_descriptors(t, 200, 100, 4)


@scenario()
def two_thousand_files_with_256_descriptors_are_all_read(t):
    """The same with ten times as many."""
    with_descriptors(t, 2000, 256, 2)


@scenario()
def a_busy_file_starves_nobody(t):
    """One file is written as fast as can be; each of twenty others gets its line through within seconds."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    busy, quiet = t.writer("busy"), [t.writer(f"quiet{i:02d}") for i in range(20)]
    agent = t.agent(kafka.address, topic).start()
    for w in quiet:
        busy.write(4000)
        w.write(1)
        agent.until(lambda s, w=w: (agent.file(w.path, s) or {"read": 0})["read"] >= os.path.getsize(w.path), 10,
                    "the quiet file is read")
    agent.until_acked(t.ledger.total())
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_backlog_does_not_delay_live_lines(t):
    """Four backlogs of 50,000 lines and max_rate: the line of a live file is read while most of them is still unread."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    live = t.writer("live")
    live.write(1)
    agent = t.agent(kafka.address, topic, producer={"buffer.memory": 8 << 20}).start()
    agent.until_acked(1)
    backlog = [t.writer(f"backlog{i}", path=os.path.join(t.path("new"), f"backlog{i}.log")) for i in range(4)]
    for w in backlog:
        w.write(50000)
        os.rename(w.path, os.path.join(t.logs, os.path.basename(w.path)))
    live.write(1)
    begin = time.monotonic()
    s = agent.until(lambda s: (agent.file(live.path, s) or {"read": 0})["read"] >= os.path.getsize(live.path), 60, "the live line is read")
    took, read = time.monotonic() - begin, s["records"]["read"]
    assert took < 5 * procs.SLOWNESS or read < t.ledger.total() // 2, f"{took:.1f} s, and {read} lines were read by then"
    agent.until_acked(t.ledger.total())
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_thousand_files_growing_at_once_are_all_read(t):
    """Ten rounds of lines to each of a thousand files."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=4)
    logs = Append(t, writers(t, 1000))
    agent = t.agent(kafka.address, topic).start()
    for _ in range(10):
        logs.write(10)
    agent.until_acked(t.ledger.total())
    agent.stop()
    t.expect_all(kafka, topic, between_partitions=True)


@scenario()
def ten_thousand_idle_files_lose_nothing_when_one_grows(t):
    """Each has one line; then a few of them grow, one by one."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    logs = Append(t, writers(t, 10000))
    logs.write(1)
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(10000)
    for name in logs.ids[::1000]:
        logs.write(3, [name])
        agent.until_acked(t.ledger.total(), 20)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def files_older_than_ignore_older_wait_for_their_next_line(t):
    """Two hours old: not read; when one is written again it is read from its beginning, a known one from where it was."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    known, unknown = t.writer("known"), None
    known.write(300)
    inputs = [{"paths": [os.path.join(t.logs, "*.log")], "topic": topic, "ignore_older": "1h"}]
    agent = t.agent(kafka.address, topic, inputs=inputs)
    agent.once()
    unknown = t.writer("unknown")
    unknown.write(200)
    for w in (known, unknown):
        os.utime(w.path, (time.time() - 7200,) * 2)
    agent.start()
    live = t.writer("live")
    live.write(100)
    agent.until(lambda s: s["records"]["acked"] >= 400, 30, "the live file is shipped")
    assert agent.file(unknown.path) is None, "an old file was opened"
    known.write(50)
    unknown.write(50)
    agent.until(lambda s: kafka.count(topic) >= t.ledger.total(), 30, "all of it arrived")
    agent.stop()
    t.expect_all(kafka, topic)
