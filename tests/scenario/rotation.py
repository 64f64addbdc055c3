"""rotation.py - files come, go, grow, shrink and change their names."""
import os

import oracle
from procs import until
from scenario import scenario


def shipped(t, kafka, agent, topic, **how):
    agent.until_acked(t.ledger.total())
    agent.stop()
    return t.expect_all(kafka, topic, **how)


@scenario(core=True)
def a_rotated_file_is_read_to_its_end_before_its_successor(t):
    """Ten renames in a row under traffic, rotated names outside the globs: all lines of the log, in order, in one partition."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic).start()
    for _ in range(10):
        w.write(3000)
        w.rotate()
    w.write(3000)
    shipped(t, kafka, agent, topic)


@scenario()
def rotated_files_that_still_match_the_globs_are_read_once(t):
    """The same with rotated names inside the globs."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, "app.log*")]).start()
    for _ in range(10):
        w.write(3000)
        w.rotate()
    w.write(3000)
    shipped(t, kafka, agent, topic)


@scenario()
def shifting_names_as_logrotate_does_are_followed(t):
    """app.log.1 becomes app.log.2, app.log becomes app.log.1: each file keeps its identity under its new name."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, "app.log*")]).start()
    for _ in range(6):
        w.write(2000)
        for n in range(5, 0, -1):
            if os.path.exists(f"{w.path}.{n}"):
                os.rename(f"{w.path}.{n}", f"{w.path}.{n + 1}")
        w.rotate(f"{w.path}.1")
    w.write(2000)
    shipped(t, kafka, agent, topic)


@scenario(core=True)
def lines_written_to_both_files_after_a_rename_all_arrive(t):
    """The application keeps its old descriptor for a while: lines go to the renamed file and to the new one."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    old, new = t.writer("old", path=os.path.join(t.logs, "app.log")), None
    agent = t.agent(kafka.address, topic).start()
    old.write(2000)
    os.rename(old.path, old.path + ".1")
    new = t.writer("new", path=os.path.join(t.logs, "app.log"))
    for _ in range(10):
        new.write(300)
        old.write(300)
    shipped(t, kafka, agent, topic)


@scenario()
def several_files_rotated_at_once_are_all_followed(t):
    """Twelve files, renamed at the same moment, three times."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    writers = [t.writer(f"f{i:02d}") for i in range(12)]
    agent = t.agent(kafka.address, topic).start()
    for _ in range(3):
        for w in writers:
            w.write(500)
        for w in writers:
            w.rotate()
    for w in writers:
        w.write(200)
    shipped(t, kafka, agent, topic)


def rotated_while_stopped(t, paths):
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(3000)
    agent = t.agent(kafka.address, topic, paths=paths).start()
    agent.until_acked(3000)
    agent.stop()
    w.write(2000)
    w.rotate()
    w.write(2000)
    agent.start()
    shipped(t, kafka, agent, topic)


@scenario(core=True)
def a_rotation_while_stopped_is_noticed_at_the_next_start(t):
    """The rest of the old file comes first, then the new one; both names match the globs."""
    rotated_while_stopped(t, [os.path.join(t.logs, "app.log*")])


@scenario()
def a_file_renamed_out_of_the_globs_while_stopped_is_finished(t):
    """The old file is found by its identity in its directory, though its new name matches no glob."""
    rotated_while_stopped(t, [os.path.join(t.logs, "app.log")])


@scenario(core=True)
def files_and_directories_that_appear_later_are_found(t):
    """Globs without a match at the start; files, nested directories and a directory moved into place come later."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, "**", "*.log")]).start()
    assert agent.status()["records"]["read"] == 0
    for place in ("x.log", "one/y.log", "one/two/three/z.log"):
        t.writer(place.replace("/", "-"), path=os.path.join(t.logs, place)).write(200)
    ready = t.path("ready")
    t.writer("moved", path=os.path.join(ready, "deep", "m.log")).write(200)
    os.rename(ready, os.path.join(t.logs, "moved-here"))
    agent.until_acked(800)
    t.writer("late", path=os.path.join(t.logs, "one/two/late.log")).write(100)
    shipped(t, kafka, agent, topic)


@scenario()
def directories_made_and_removed_again_lose_no_line(t):
    """Five times: make a tree, write, wait until it is shipped, remove it."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, "*", "b", "*.log")]).start()
    for i in range(5):
        w = t.writer(f"w{i}", path=os.path.join(t.logs, "a", "b", "x.log"))
        w.write(300)
        agent.until_acked(t.ledger.total())
        os.unlink(w.path)
        os.rmdir(os.path.dirname(w.path))
        os.rmdir(os.path.dirname(os.path.dirname(w.path)))
    shipped(t, kafka, agent, topic)


@scenario()
def brackets_and_question_marks_in_globs_match_as_in_a_shell(t):
    """`app-[0-9]?.log` takes what a shell would take, and nothing else."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    for name in ("app-1a.log", "app-77.log"):
        t.writer(name[:-4]).write(10)
    for name in ("app-.log", "app-1.log", "app-xa.log", "app-1ab.log", "app-1a.log.gz"):
        t.file(name, b"must not be read\n")
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, "app-[0-9]?.log")])
    agent.once()
    t.expect_all(kafka, topic)


@scenario()
def excluded_files_are_left_alone(t):
    """`exclude` takes patterns of names and of whole paths."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    t.writer("good").write(50)
    t.file("bad.debug.log", b"must not be read\n")
    t.file("private/x.log", b"must not be read\n")
    inputs = [{"paths": [os.path.join(t.logs, "**", "*.log")], "topic": topic,
               "exclude": ["*.debug.log", os.path.join(t.logs, "private", "*")]}]
    t.agent(kafka.address, topic, inputs=inputs).once()
    t.expect_all(kafka, topic)


@scenario(core=True)
def a_truncated_file_is_read_from_its_beginning(t):
    """copytruncate, and then less, as much, and more than before is written: all of the new content, nothing twice."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic).start()
    for lines in (2000, 500, 500, 4000):
        w.write(lines)
        agent.until_acked(t.ledger.total())
        os.ftruncate(w.fd, 0)
    w.write(100)
    shipped(t, kafka, agent, topic)


@scenario()
def a_file_overwritten_while_stopped_is_read_anew(t):
    """Smaller, equal and larger content under the same name and inode."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic)
    for lines in (1000, 400, 400, 2000):
        os.ftruncate(w.fd, 0)
        w.write(lines)
        agent.start()
        agent.until_acked(t.ledger.total())
        agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_file_renamed_over_another_is_read_from_its_beginning(t):
    """Atomic replacement: the old content is finished, the new one is a file of its own."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("first", path=os.path.join(t.logs, "app.log"))
    agent = t.agent(kafka.address, topic).start()
    w.write(1000)
    agent.until_acked(1000)
    other = t.writer("second", path=t.path("new"))
    other.write(1500)
    os.rename(other.path, w.path)
    shipped(t, kafka, agent, topic)


@scenario()
def a_path_deleted_and_made_again_is_a_new_file(t):
    """Unlink and create, five times, also when the inode number comes back."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.address, topic).start()
    for i in range(5):
        w = t.writer(f"gen{i}", path=os.path.join(t.logs, "app.log"))
        w.write(700)
        until(lambda: agent.status()["records"]["read"] == t.ledger.total(), 30, "the file was read")
        os.unlink(w.path)
    shipped(t, kafka, agent, topic)


@scenario(core=True)
def lines_written_in_pieces_arrive_whole(t):
    """Writes that end anywhere within a line: no half line is ever sent."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic, producer={"linger.ms": 0}).start()
    for _ in range(5):
        w.write_in_pieces(400, t.rng)
    shipped(t, kafka, agent, topic)


@scenario()
def a_last_line_without_newline_is_sent_once_its_file_was_rotated_away(t):
    """Held back while the file can grow; sent after the rename and five quiet seconds."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    path = t.file("app.log", b"one\ntwo without newline")
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(1)
    assert agent.status()["records"]["read"] == 1
    os.rename(path, path + ".1")
    t.file("app.log", b"three\n")
    agent.until_acked(3)
    agent.stop()
    got = sorted(oracle.values(oracle.consume(kafka.address, topic)))
    assert got == [b"one", b"three", b"two without newline"], got


@scenario()
def many_small_files_are_all_shipped(t):
    """Five hundred files of a few lines, found at once."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    for i in range(500):
        name = b"s%03d" % i
        t.file(f"{name.decode()}.log", t.lines.block(name, 0, 4))
        t.ledger.wrote(name, 4)
    t.agent(kafka.address, topic).once()
    t.expect_all(kafka, topic)


@scenario()
def symlinks_and_hard_links_do_not_double_lines(t):
    """By default symlinks are not followed, and two names of one file are one file."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(300)
    os.symlink(w.path, os.path.join(t.logs, "link.log"))
    os.link(w.path, os.path.join(t.logs, "hard.log"))
    t.agent(kafka.address, topic).once()
    t.expect_all(kafka, topic)


@scenario()
def reading_can_begin_at_the_end_of_existing_files(t):
    """`read_from: end` skips what is there at the very first start; later files are read from their beginning."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    old = t.file("old.log", b"old line\n" * 1000)
    inputs = [{"paths": [os.path.join(t.logs, "*.log")], "topic": topic, "read_from": "end"}]
    agent = t.agent(kafka.address, topic, inputs=inputs).start()
    agent.until(lambda s: agent.file(old, s) is not None, 20, "the file is known")
    t.file("old.log", b"appended\n", mode="ab")
    t.file("new.log", b"new file\n")
    agent.until_acked(2)
    agent.stop()
    got = sorted(oracle.values(oracle.consume(kafka.address, topic)))
    assert got == [b"appended", b"new file"], got
