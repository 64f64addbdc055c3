"""shapes.py - files that are large, that stay open too long, that grow slowly over many lives."""
import os
import time

from procs import until
from scenario import scenario

HOLE = 5 << 30


@scenario()
def offsets_beyond_four_gib_are_right_over_a_kill(t):
    """Five GiB of hole and lines behind it: shipped, killed, appended to: every line once, positions to the byte."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("large")
    os.truncate(w.path, HOLE)
    w.write(2000)
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(2000)
    agent.kill()
    w.write(2000)
    agent.start()
    s = agent.until_acked(4000)
    size = os.stat(w.path).st_size
    assert size > HOLE and agent.file(w.path, s)["read"] == size, agent.file(w.path, s)
    agent.until(lambda s: agent.file(w.path, s)["safe"] == size, 30, "its position is at its end")
    agent.stop()
    t.expect_all(kafka, topic)


def deleted_files_open(agent):
    directory = f"/proc/{agent.pid}/fd"
    links = []
    for fd in os.listdir(directory):
        try:
            links.append(os.readlink(os.path.join(directory, fd)))
        except FileNotFoundError:
            continue
    return [link for link in links if link.endswith(" (deleted)") and ".log" in link]


@scenario()
def a_deleted_file_that_is_finished_gives_its_descriptor_back(t):
    """Ten files are shipped and deleted: soon no descriptor keeps their bytes on the disk."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    writers = [t.writer(f"f{i}") for i in range(10)]
    agent = t.agent(kafka.address, topic).start()
    for w in writers:
        w.write(500)
    agent.until_acked(5000)
    for w in writers:
        w.close()
        os.unlink(w.path)
    until(lambda: not deleted_files_open(agent), 60, "all deleted files are closed")
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_file_that_grows_by_a_line_over_many_lives_stays_the_same_file(t):
    """From some bytes to beyond its fingerprint, a line a life, every second life killed: one row, every line once."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("slow", length=100)
    agent = t.agent(kafka.address, topic)
    for life in range(16):
        w.write(1)
        agent.start()
        agent.until_acked(life + 1)
        agent.kill() if life % 2 else agent.stop()
    rows = agent.json("positions", "ls")
    assert len(rows) == 1 and rows[0]["inode"] == os.stat(w.path).st_ino, rows
    t.expect_all(kafka, topic)


@scenario()
def a_file_deleted_while_all_is_blocked_waits_for_as_long_as_it_takes(t):
    """No broker, a full spool, a rotated file deleted with unread bytes: longer than any idle time, and nothing is missing."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "1MiB", "max.block.ms": 100, "compression.type": "none"},
                    spool={"max_size": "1MiB"}).start()
    w.write(100)
    agent.until_acked(100)
    kafka.proxy.refuse()
    w.write(40000)
    agent.until(lambda s: s["state"] == "blocked", 60, "memory and spool are full")
    os.unlink(w.rotate())
    w.write(1000)
    time.sleep(8)                                       # longer than deleted files are kept at their end: what is tested
    s = agent.status()
    assert s["state"] == "blocked" and s["records"]["read"] < 40000, (s["state"], s["reasons"], s["spool"], s["inputs"])
    kafka.proxy.forward()
    agent.until_acked(41100)
    agent.stop()
    t.expect_all(kafka, topic)
