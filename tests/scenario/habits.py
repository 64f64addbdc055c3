"""habits.py - what people and programs do to logs: shells, editors, sed, rsync, loggers that shift names, rings, full disks."""
import errno
import mmap
import os
import subprocess

import oracle
from scenario import scenario


def sh(script, *args):
    subprocess.run(["sh", "-euc", script, "sh", *args], check=True)


def begin(t, paths=("app.log",), lines=1000, **how):
    """One log with shipped lines, and its agent."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(lines)
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, p) for p in paths], **how).start()
    agent.until_acked(lines)
    return kafka, topic, w, agent


def reopen(w, path=None):
    """As after a signal: the application closes its log and opens what has the name now."""
    os.close(w.fd)
    w.path = path or w.path
    w.fd = w._open()


def values(kafka, topic):
    return oracle.values(oracle.consume(kafka.address, topic))


# --- emptied, overwritten

@scenario()
def a_log_emptied_by_hand_is_read_from_its_beginning(t):
    """`: > log`, `cp /dev/null log`, `truncate -s 0`, tee; each while the writer appends, the agent running, then stopped."""
    kafka, topic, w, agent = begin(t)
    for script in (': > "$1"', 'cp /dev/null "$1"', 'truncate -s 0 "$1"', 'printf "" | tee "$1"'):
        sh(script, w.path)
        w.write(300)
        agent.until_acked(t.ledger.total())
        agent.stop()
        sh(script, w.path)
        w.write(300)
        agent.start()
        agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_service_that_begins_its_log_anew_at_each_start_is_followed(t):
    """`service > log`: truncated as it opens, its own offset from 0, with fewer, as many and more lines than before."""
    kafka, topic, w, agent = begin(t, lines=600)
    for turn, lines in enumerate((200, 200, 600, 900, 100)):
        os.close(w.fd)
        if turn == 3:
            agent.stop()
        w.fd = os.open(w.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        w.write(lines)
        if turn == 3:
            agent.start()
        agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_ring_of_logs_that_are_overwritten_in_turn_is_followed(t):
    """One log a day of the week: three names, ten turns, each truncated when its turn comes again."""
    kafka, topic, w, agent = begin(t, ("app*.log",), lines=100)
    for turn in range(10):
        os.close(w.fd)
        w.fd = os.open(os.path.join(t.logs, f"app.{turn % 3}.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        w.write(100 + 37 * (turn % 4))
        agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_log_edited_in_place_is_a_new_file(t):
    """`sed -i` takes a line out: another file under the same name, read from its beginning."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    lines = [b"line %d" % i for i in range(500)]
    path = t.file("app.log", b"".join(x + b"\n" for x in lines))
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(500)
    sh('sed -i "/^line 7$/d" "$1"', path)
    edited = [x for x in lines if x != b"line 7"]
    agent.until_acked(500 + len(edited))
    agent.stop()
    agent.once()
    assert values(kafka, topic) == lines + edited


@scenario()
def a_log_rewritten_in_place_with_all_its_lines_goes_on(t):
    """Opened without truncation and written from its first byte, the same and then some more, as a mirror in place does."""
    kafka, topic, w, agent = begin(t)
    for _ in range(3):
        with open(w.path, "r+b") as f:
            data = f.read()
            f.seek(0)
            f.write(data)
        w.write(200)
        agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)


# --- renamed

@scenario()
def logs_rotated_into_another_directory_are_finished(t):
    """`olddir` on the same file system, out of the globs: half read at each rotation, five times."""
    kafka, topic, w, agent = begin(t)
    os.mkdir(t.path("logs", "old"))
    for i in range(5):
        with agent.asleep():
            w.write(2000)
            w.rotate(os.path.join(t.logs, "old", f"app.log.{i}"))
            w.write(500)
        agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)


@scenario()
def logs_rotated_into_another_matched_directory_while_stopped_are_finished(t):
    """The same with the other directory in the globs, the agent stopped or killed meanwhile."""
    kafka, topic, w, agent = begin(t, ("app.log", "old/*"))
    os.mkdir(t.path("logs", "old"))
    for i in range(4):
        agent.kill() if i % 2 else agent.stop()
        w.write(500)
        w.rotate(os.path.join(t.logs, "old", f"app.log.{i}"))
        w.write(500)
        agent.start()
        agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)


@scenario()
def rotated_names_with_dates_are_followed(t):
    """`dateext`: app.log-20260102 and so on, in and out of the globs, the agent running or stopped."""
    kafka = t.kafka()
    for glob in ("app.log*", "app.log"):
        topic = t.topic(kafka)
        w = t.writer(f"app{len(glob)}", path=t.path(f"dir{len(glob)}", "app.log"))
        agent = t.agent(kafka.address, topic, paths=[t.path(f"dir{len(glob)}", glob)], name=f"agent{len(glob)}").start()
        for day in range(1, 8):
            w.write(300)
            if day % 3 == 0:
                agent.until_acked(w.seq)
                agent.stop()
                w.write(100)
            w.rotate(f"{w.path}-202601{day:02d}")
            w.write(100)
            if not agent.running():
                agent.start()
        agent.until_acked(w.seq)
        agent.stop()
        agent.once()
        records = [r for r in oracle.consume(kafka.address, topic)]
        v = oracle.judge(t.run_id, {w.id: w.seq}, oracle.triples(records))
        assert v.good, f"{glob}: {v}"


@scenario()
def a_logger_that_shifts_all_names_down_is_followed(t):
    """The oldest of five is deleted, app-2 becomes app-1 and so on, app.log the last: after each turn every name is
    another file's."""
    kafka, topic, w, agent = begin(t, ("*.log",))
    for _ in range(10):
        w.write(400)
        agent.until_acked(t.ledger.total() - 400)
        names = [os.path.join(t.logs, f"app-{i}.log") for i in range(1, 6)]
        free = next((n for n in names if not os.path.exists(n)), None)
        if not free:
            agent.until_acked(t.ledger.total())
            os.unlink(names[0])
            for old, new in zip(names[1:], names):
                os.rename(old, new)
            free = names[-1]
        w.rotate(free)
    w.write(400)
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_log_rotated_by_links_is_followed(t):
    """The old file gets a second name, a new one is renamed over the first; in the globs."""
    kafka, topic, w, agent = begin(t, ("app.log*",))
    for i in range(6):
        w.write(400)
        os.link(w.path, f"{w.path}.{i}")
        w.write(50)
        oracle.let_time_pass(w.fd)
        open(t.path("new"), "wb").close()
        os.rename(t.path("new"), w.path)
        reopen(w)
    w.write(400)
    t.expect_shipped(kafka, agent, topic)


@scenario()
def files_moved_between_two_matched_directories_are_read_once(t):
    """From incoming to done, read or half read or unread, back and forth."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, d, "*.log") for d in ("incoming", "done")]).start()
    os.makedirs(os.path.join(t.logs, "done"))
    for i in range(8):
        w = t.writer(f"w{i}", path=os.path.join(t.logs, "incoming", f"{i}.log"))
        w.write(500)
        if i % 2:
            agent.until_acked(t.ledger.total())
        done = w.path.replace("incoming", "done")
        os.rename(w.path, done)
        if i % 4 > 1:
            os.rename(done, w.path)
            os.rename(w.path, done)
        w.write(100)
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_file_renamed_out_of_the_globs_and_back_is_read_once(t):
    """Away and back with lines before, in and after it; the last time while the agent is stopped."""
    kafka, topic, w, agent = begin(t)
    away = t.path("logs", "away")
    for turn in range(4):
        w.write(200)
        if turn == 3:
            agent.until_acked(t.ledger.total())
            agent.stop()
        os.rename(w.path, away)
        w.write(200)
        if turn == 1:
            agent.until_acked(t.ledger.total())
        os.rename(away, w.path)
        w.write(200)
        if turn == 3:
            agent.start()
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_rotated_log_without_a_successor_is_followed_until_there_is_one(t):
    """Renamed out of the globs, written on for a while; the new file comes much later, and both are written."""
    kafka, topic, w, agent = begin(t)
    os.rename(w.path, w.path + ".1")
    for _ in range(3):
        w.write(200)
        agent.until_acked(t.ledger.total())
    new = t.writer("new", path=w.path)
    for _ in range(3):
        new.write(200)
        w.write(100)
        agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)


@scenario(core=True)
def a_directory_renamed_with_followed_files_loses_nothing(t):
    """To a name in the globs and to one outside of them, with unread lines in its files, written to
    afterwards; then made anew."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, "srv-*", "*.log")]).start()
    at = os.path.join(t.logs, "srv-a")
    writers = [t.writer(f"w{i}", path=os.path.join(at, f"{i}.log")) for i in range(5)]
    for turn, name in enumerate(("srv-b", "srv-c", "away")):
        for w in writers:
            w.write(200)
        if turn == 1:
            agent.until_acked(t.ledger.total())
        os.rename(at, os.path.join(t.logs, name))
        at = os.path.join(t.logs, name)
        for w in writers:
            w.write(100)
    t.writer("again", path=os.path.join(t.logs, "srv-a", "0.log")).write(200)
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_link_to_the_newest_release_is_followed_to_its_logs(t):
    """current -> release-1, turned twice, logs below it; both are written, the agent stopped at the second turn."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    writers = [t.writer(f"r{i}", path=t.path(f"release-{i}", "log", "app.log")) for i in range(3)]
    os.symlink("release-0", t.path("current"))
    agent = t.agent(kafka.address, topic, inputs=[{"paths": [t.path("current", "log", "*.log")], "topic": topic,
                                                   "follow_symlinks": True}]).start()
    writers[0].write(300)
    for i in range(1, 3):
        agent.until_acked(t.ledger.total())
        if i == 2:
            agent.stop()
        os.symlink(f"release-{i}", t.path("new"))
        os.rename(t.path("new"), t.path("current"))
        writers[i].write(300)
        if i == 2:
            agent.start()
        else:
            writers[i - 1].write(50)
    t.expect_shipped(kafka, agent, topic)


# --- written

@scenario()
def many_writers_of_one_log_keep_each_their_order(t):
    """Four programs append to the same file, as `tee -a` does, through two rotations that each notices later than the others."""
    kafka, topic, w, agent = begin(t, ("app.log*",), lines=100)
    writers = [w] + [t.writer(f"also{i}", path=w.path) for i in range(3)]
    for turn in range(2):
        for _ in range(20):
            for one in writers:
                one.write(15)
        os.rename(w.path, f"{w.path}.{turn}")
        for one in writers:
            reopen(one)
            one.write(15)
    for one in writers:
        one.write(100)
    t.expect_shipped(kafka, agent, topic)


@scenario(needs_root=True)
def a_writer_on_a_full_disk_gets_its_lines_through(t):
    """The disk of the log is full in the middle of a line; the rest of that line follows when an old file was deleted."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    disk = t.tmpfs("disk", "1m")
    ballast = os.path.join(disk, "ballast")
    with open(ballast, "wb") as f:
        f.write(bytes(512 << 10))
    w = t.writer("app", path=os.path.join(disk, "app.log"))
    agent = t.agent(kafka.address, topic, paths=[os.path.join(disk, "*.log")]).start()
    data = w.lines.block(w.id, 0, 4000, w.length)
    at = 0
    while True:
        try:
            at += os.write(w.fd, data[at:at + 100000])
        except OSError as e:
            assert e.errno == errno.ENOSPC, e
            break
    whole = data.count(b"\n", 0, at)
    assert data[at - 1:at] != b"\n", "the disk was full at the end of a line"
    agent.until(lambda s: s["records"]["acked"] == whole, 30, "all whole lines are acknowledged")
    os.unlink(ballast)
    w._put(data[at:])
    t.ledger.wrote(w.id, 4000)
    t.expect_shipped(kafka, agent, topic)


# --- written through a mapping

@scenario()
def a_preallocated_log_gives_the_lines_that_fill_it(t):
    """Made with its final size, all of it NULs, and filled through a mapping, of which no event tells; cut to its size at the end."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    path = os.path.join(t.logs, "app.log")
    agent = t.agent(kafka.address, topic, paths=[path]).start()
    with open(path, "w+b") as f:
        os.ftruncate(f.fileno(), 4 << 20)
        agent.until(lambda s: (agent.file(path, s) or {"size": 0})["size"] == 4 << 20, 20, "it is known")
        data = t.lines.block(b"app", 0, 20000)
        with mmap.mmap(f.fileno(), 4 << 20) as m:
            with agent.asleep():        # what is copied in one call is not there in the order of its bytes
                m[:len(data)] = data
            t.ledger.wrote(b"app", 20000)
            agent.until_acked(20000, 60)
        os.ftruncate(f.fileno(), len(data))
    t.expect_shipped(kafka, agent, topic)
