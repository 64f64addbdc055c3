"""links.py - links that are followed, and names that are traps."""
import os
import socket

from procs import until
from scenario import scenario

NOBODY = 65534


def following(t, kafka, topic, *paths, **how):
    """An agent that follows links."""
    return t.agent(kafka.address, topic, inputs=[{"paths": [t.path(p) for p in paths], "topic": topic, "follow_symlinks": True, **how}])


def point(path, target):
    """Makes `path` a link to `target`, or turns it there, at once."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(target, path + ".new")
    os.rename(path + ".new", path)


def known(agent, writer):
    """Waits until the agent has found what the link leads to: of a target that was one while nobody looked it cannot know."""
    inode = os.stat(writer.path).st_ino
    agent.until(lambda s: any(f["inode"] == inode for i in s["inputs"] for f in i["files"]), 30, "the target is found", every=0.005)


def warnings(agent, word):
    return sum(1 for line in agent.log_text().splitlines() if "level=info" not in line and "level=debug" not in line and word in line)


@scenario()
def a_link_turned_to_another_file_gives_the_lines_of_both(t):
    """current -> a, turned to b, c and so on while all of them are written: every line once, each file in order."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    writers = [t.writer(f"target{i}", path=t.path("data", f"{i}.txt")) for i in range(6)]
    writers[0].write(500)
    point(t.path("links", "current"), writers[0].path)
    agent = following(t, kafka, topic, "links/current").start()
    for old, new in zip(writers, writers[1:]):
        old.write(300)
        new.write(200)
        point(t.path("links", "current"), os.path.relpath(new.path, t.path("links")))
        old.write(300)
        new.write(300)
        known(agent, new)
    agent.until_acked(t.ledger.total())
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_link_turned_while_the_agent_is_stopped_loses_nothing(t):
    """What was not read of the old target is read first: it is beside the new one."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    a, b = t.writer("a", path=t.path("data", "a")), t.writer("b", path=t.path("data", "b"))
    point(t.path("links", "current"), a.path)
    agent = following(t, kafka, topic, "links/current").start()
    a.write(500)
    agent.until_acked(500)
    agent.stop()
    a.write(500)
    b.write(500)
    point(t.path("links", "current"), b.path)
    agent.start()
    agent.until_acked(1500)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def dangling_and_removed_links_make_no_storm_of_errors(t):
    """A link without a target, one in a loop, one that is removed while its target lives: nothing is said of them, and the
    target is read when it appears."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    late, gone = t.path("data", "deep", "late"), t.writer("gone", path=t.path("data", "gone"))
    point(t.path("links", "late.log"), late)
    point(t.path("links", "loop.log"), "loop.log")
    point(t.path("links", "gone.log"), gone.path)
    agent = following(t, kafka, topic, "links/*.log").start()
    gone.write(300)
    agent.until_acked(300)
    gone.write(300)
    os.unlink(t.path("links", "gone.log"))
    agent.until_acked(600)
    w = t.writer("late", path=late)
    w.write(300)
    agent.until_acked(900)
    agent.stop()
    assert not warnings(agent, "/links/"), agent.log_text()
    t.expect_all(kafka, topic)


@scenario()
def a_chain_of_links_is_followed_through_rotation_at_its_end(t):
    """containers/x.log -> pods/x/0.log -> docker/x-json.log, rotated by renaming as the container runtime does."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("x", path=t.path("docker", "x-json.log"))
    point(t.path("pods", "x", "0.log"), w.path)
    point(t.path("containers", "x.log"), t.path("pods", "x", "0.log"))
    agent = following(t, kafka, topic, "containers/*.log").start()
    for _ in range(8):
        w.write(1500)
        w.rotate()
    w.write(1500)
    agent.until_acked(t.ledger.total())
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def the_truncated_target_of_a_link_is_read_from_its_beginning(t):
    """Truncated through the link and directly, under a writer that appends."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app", path=t.path("data", "app"))
    point(t.path("links", "app.log"), w.path)
    agent = following(t, kafka, topic, "links/*.log").start()
    for path in (w.path, t.path("links", "app.log"), w.path):
        w.write(700)
        agent.until_acked(t.ledger.total())
        os.truncate(path, 0)
    w.write(100)
    agent.until_acked(t.ledger.total())
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def ten_links_to_one_file_give_its_lines_once(t):
    """Ten links in one directory, some of them removed under traffic."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app", path=t.path("data", "app"))
    for i in range(10):
        point(t.path("links", f"{i}.log"), w.path)
    agent = following(t, kafka, topic, "links/*.log").start()
    for i in range(5):
        w.write(400)
        agent.until_acked(t.ledger.total())
        os.unlink(t.path("links", f"{i}.log"))
    w.write(400)
    agent.until_acked(t.ledger.total())
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def what_is_no_file_is_refused_and_holds_nothing_up(t):
    """A FIFO, a device, a directory, a socket and a link where logs should be: the log beside them is shipped."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    os.mkfifo(os.path.join(t.logs, "fifo.log"))
    os.mkdir(os.path.join(t.logs, "directory.log"))
    os.symlink("/dev/zero", os.path.join(t.logs, "zero.log"))
    os.symlink(t.file("elsewhere", b"not ours\n"), os.path.join(t.logs, "link.log"))
    if os.geteuid() == 0:
        os.mknod(os.path.join(t.logs, "device.log"), 0o20644, os.makedev(1, 5))
    s = socket.socket(socket.AF_UNIX)
    s.bind(os.path.join(t.logs, "socket.log"))
    w.write(1000)
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(1000)
    os.rename(w.path, os.path.join(t.logs, "fifo.log"))     # a log where the FIFO was is one
    w.write(500)
    agent.until_acked(1500)
    agent.stop()
    s.close()
    t.expect_all(kafka, topic)


@scenario(needs_root=True)
def a_hard_link_to_a_secret_in_a_directory_of_others_is_refused(t):
    """Root's file of mode 0600, linked into a directory of the application: not a byte of it is shipped, it is said once, and the
    other logs flow."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    secret = t.path("secret")
    with open(secret, "w") as f:
        f.write("root:secret\n")
    os.chmod(secret, 0o600)
    os.chown(t.logs, NOBODY, NOBODY)
    os.link(secret, os.path.join(t.logs, "stolen.log"))
    w = t.writer("app")
    w.write(500)
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(500)
    s = until(lambda: (lambda s: s if any("hard link" in r for r in s["reasons"]) else None)(agent.status()), 20, "it is a reason")
    assert any("stolen.log" in r for r in s["reasons"]), s["reasons"]
    w.write(500)
    agent.until_acked(1000)
    agent.stop()
    assert warnings(agent, "stolen.log") == 1, agent.log_text()
    assert agent.status()["records"]["acked"] == 1000 if agent.running() else True
    t.expect_all(kafka, topic)
