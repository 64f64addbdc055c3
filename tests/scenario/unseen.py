"""unseen.py - what happens between two looks: files are rotated, truncated, rewritten, replaced while the agent sleeps."""
import ctypes
import os
import struct

from scenario import Skip, scenario


def begin(t, paths="app.log*"):
    """One log of 1,000 shipped lines, and its agent."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(1000)
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, paths)]).start()
    agent.until_acked(1000)
    return kafka, topic, w, agent


def shift(path, keep=9):
    """app.log.1 becomes app.log.2 and so on."""
    for n in range(keep, 0, -1):
        if os.path.exists(f"{path}.{n}"):
            os.rename(f"{path}.{n}", f"{path}.{n + 1}")


def rotated_in_sleep(t, paths):
    kafka, topic, w, agent = begin(t, paths)
    for _ in range(3):
        with agent.asleep():
            w.write(300)
            for _ in range(5):
                shift(w.path)
                w.rotate(f"{w.path}.1")
                w.write(500)
        agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)


@scenario(core=True)
def five_rotations_within_one_look_within_the_globs(t):
    """The agent sleeps while the log is renamed and shifted five times, three times over: all generations, each once, in order."""
    rotated_in_sleep(t, "app.log*")


@scenario()
def five_rotations_within_one_look_out_of_the_globs(t):
    """The same where only the log itself is matched."""
    rotated_in_sleep(t, "app.log")


@scenario()
def a_hundred_rotations_in_a_row_are_followed(t):
    """A rotation every few milliseconds, 20 lines a generation, rotated names out of the globs."""
    kafka, topic, w, agent = begin(t, "app.log")
    for _ in range(100):
        w.rotate()
        w.write(20)
    t.expect_shipped(kafka, agent, topic)


@scenario(core=True)
def a_file_rewritten_between_two_looks_is_read_from_its_beginning(t):
    """Truncated and written again with as much as before to the byte, with more, and with less, while the agent sleeps."""
    kafka, topic, w, agent = begin(t)
    for lines in (1000, 1000, 2500, 700):
        before = os.path.getsize(w.path)
        with agent.asleep():
            os.ftruncate(w.fd, 0)
            w.write(lines)
            assert lines != 1000 or os.path.getsize(w.path) == before
        agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_log_replaced_twice_between_two_looks_gives_all_three(t):
    """Unlinked and made again, and renamed over, while the agent sleeps with an unread rest of the first."""
    kafka, topic, w, agent = begin(t)
    second, third = t.writer("second", path=t.path("new", "2")), t.writer("third", path=t.path("new", "3"))
    for other in (second, third):
        other.write(400)
    with agent.asleep():
        w.write(200)
        os.rename(second.path, w.path)
        os.rename(w.path, w.path + ".1")
        os.rename(third.path, w.path)
    t.expect_shipped(kafka, agent, topic)


IN_MODIFY, IN_Q_OVERFLOW = 0x2, 0x4000


class Witness:
    """A second queue of the same directory's events, that nobody reads: where it overflowed the agent's did."""

    def __init__(self, directory):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self.fd, os.fsencode(directory), IN_MODIFY) > 0

    def overflowed(self):
        """Reads all; whether some were lost."""
        lost = False
        try:
            while True:
                data, at = os.read(self.fd, 1 << 16), 0
                while at < len(data):
                    _, mask, _, name = struct.unpack_from("iIII", data, at)
                    lost = lost or bool(mask & IN_Q_OVERFLOW)
                    at += 16 + name
        except BlockingIOError:
            os.close(self.fd)
            return lost


@scenario()
def more_events_than_the_kernel_keeps_lose_nothing(t):
    """The queue of inotify overflows while the agent sleeps; among those events are rotations and new files."""
    kafka, topic, w, agent = begin(t)
    with open("/proc/sys/fs/inotify/max_queued_events") as f:
        room = int(f.read())
    if room > 100000:
        raise Skip(f"the kernel keeps {room} events")
    fds = [os.open(t.file(f"app.log.noise{i}", b""), os.O_WRONLY | os.O_APPEND) for i in range(2)]
    agent.until(lambda s: len(s["inputs"][0]["files"]) == 3, 20, "all three are known")
    witness = Witness(t.logs)
    with agent.asleep():
        for fd in fds * (room // 2 + 500):
            os.ftruncate(fd, 0)         # an event each: two alike in a row would be one
        assert witness.overflowed()
        for _ in range(3):
            w.write(300)
            w.rotate()
        w.write(300)
        t.writer("late", path=os.path.join(t.logs, "app.log.late")).write(300)
    for fd in fds:
        os.close(fd)
    t.expect_shipped(kafka, agent, topic)


def remade(path, inode):
    """Makes files until one has this inode; it gets the path. The others are removed."""
    made = []
    try:
        for i in range(5000):
            made.append(f"{path}.made{i}")
            with open(made[-1], "wb") as f:
                if os.fstat(f.fileno()).st_ino == inode:
                    os.rename(made.pop(), path)
                    return
    finally:
        for name in made:
            os.unlink(name)
    raise Skip("the file system gives an inode number to no second file")


@scenario()
def a_new_file_with_the_inode_of_a_deleted_one_is_read_from_its_beginning(t):
    """While the agent is stopped the log is deleted and another one gets its inode number: shorter, as long, longer."""
    kafka, topic, w, agent = begin(t)
    for turn, lines in enumerate((300, 300, 900)):
        inode = os.stat(w.path).st_ino
        agent.stop()
        w.close()
        os.unlink(w.path)
        remade(w.path, inode)
        w = t.writer(f"turn{turn}", path=w.path)
        w.write(lines)
        assert os.stat(w.path).st_ino == inode
        agent.start()
        agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_file_deleted_while_the_agent_is_stopped_troubles_nobody(t):
    """It was shipped to its end; another one takes its name, the others go on, nothing is in the losses."""
    kafka, topic, w, agent = begin(t)
    other = t.writer("other", path=os.path.join(t.logs, "app.log.other"))
    other.write(200)
    agent.until_acked(1200)
    agent.stop()
    w.close()
    os.unlink(w.path)
    agent.start()
    other.write(200)
    agent.until_acked(1400)
    t.writer("again", path=w.path).write(300)
    agent.until_acked(1700)
    assert agent.status()["losses"]["events"] == 0
    t.expect_shipped(kafka, agent, topic)
