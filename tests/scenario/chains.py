"""chains.py - generations that nobody saw come and go: their lines, and their order."""
import os

from procs import until
from scenario import scenario


def rotate_unseen(w, times, lines=700):
    """Renames as logrotate does, with new files that are written to."""
    for _ in range(times):
        for n in range(9, 0, -1):
            if os.path.exists(f"{w.path}.{n}"):
                os.rename(f"{w.path}.{n}", f"{w.path}.{n + 1}")
        w.rotate(f"{w.path}.1")
        w.write(lines)


def put(t, name, data):
    with open(os.path.join(t.logs, name), "wb") as f:
        f.write(data)


def several_rotations_while_stopped(t, suffix):
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(1000)
    agent = t.agent(kafka.address, topic, paths=[w.path + suffix]).start()
    for _ in range(2):
        agent.until_acked(t.ledger.total())
        agent.stop()
        w.write(500)
        rotate_unseen(w, 3)
        agent.start()
    agent.until_acked(t.ledger.total())
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def several_rotations_while_stopped_within_the_globs(t):
    """Three generations between two runs, twice: each line once, in the order of the generations."""
    several_rotations_while_stopped(t, "*")


@scenario()
def several_rotations_while_stopped_out_of_the_globs(t):
    """The same where only the log itself is matched: those in between are found by their names."""
    several_rotations_while_stopped(t, "")


@scenario()
def somebody_elses_files_beside_a_rotated_log_are_not_read(t):
    """A log of another name, a copy, something compressed and an old generation lie beside it when it was rotated while stopped."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    put(t, "app.log.8", b"older than the log\n")
    os.utime(f"{w.path}.8", (1, 1))
    w.write(1000)
    agent = t.agent(kafka.address, topic, paths=[w.path]).start()
    agent.until_acked(1000)
    agent.stop()
    for name, data in (("app.log.err", b"another\n"), ("app.log.1.bak", b"another\n"), ("app.logs.1", b"another\n"),
                       ("app.log.9", b"\x1f\x8b\x08 packed\n"), ("app.log.7", open(w.path, "rb").read())):
        put(t, name, data)
    rotate_unseen(w, 1)
    agent.start()
    agent.until_acked(t.ledger.total())
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def the_last_line_of_a_file_rotated_within_the_globs_is_sent(t):
    """It has no LF and never will: it is sent when the file was rotated and quiet for 5 s."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic, paths=[w.path + "*"]).start()
    w.write(10)
    last = w.lines.block(w.id, w.seq, 1, w.length).rstrip(b"\n")
    os.write(w.fd, last)
    w.seq += 1
    w.ledger.wrote(w.id, 1)
    w.rotate(f"{w.path}.1")
    other = t.writer("app2", path=w.path)
    other.write(10)
    until(lambda: agent.status()["records"]["acked"] >= 21, 20, "the last line is sent", alive=agent.check_alive)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def the_state_directory_is_no_log(t):
    """A glob that takes in everything takes in our own files too; they are left alone, with one warning."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic, paths=[w.path, t.path("agent.state", "**", "*")])
    w.write(1000)
    agent.start()
    agent.until_acked(1000)
    for f in agent.status()["inputs"][0]["files"]:
        assert not f["path"].startswith(agent.state_dir + "/"), f
    agent.stop()
    assert agent.log_text().count("files in state_dir") == 1, agent.tail()
    t.expect_all(kafka, topic)
