"""copytruncate.py - rotation by copying: the log is copied, then truncated, while its application goes on writing to it."""
import contextlib
import os
import shutil
import time

import procs
from procs import until
from scenario import scenario

QUIET_S = 2             # a copy that does not change for so long, its original still there, is a file of its own


def shipped(t, kafka, agent, topic, **how):
    agent.until_acked(t.ledger.total())
    agent.stop()
    return t.expect_all(kafka, topic, **how)


def begin(t, matched=True, proxied=False):
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied if proxied else kafka.address, topic, paths=[w.path + ("*" if matched else "")])
    return kafka, topic, w, agent


def shift(path, keep=5):
    """As logrotate does before it copies."""
    for n in range(keep, 0, -1):
        if os.path.exists(f"{path}.{n}"):
            os.rename(f"{path}.{n}", f"{path}.{n + 1}")


@contextlib.contextmanager
def still_a_copy():
    """From copying to what makes an end of the original, which has to come in time: a machine that takes longer shows nothing."""
    begin = time.monotonic()
    yield
    if time.monotonic() - begin >= QUIET_S:
        raise procs.Timeout(f"{QUIET_S} s passed between copying and truncation")


def copy_and_truncate(w, copy):
    with still_a_copy():
        shutil.copyfile(w.path, copy)
        os.ftruncate(w.fd, 0)


def truncated(agent):
    _, out, _ = agent.command("losses")
    return [line for line in out.splitlines() if "truncated" in line]


@scenario(core=True)
def a_copy_that_an_input_matches_gives_back_what_was_written_before_the_truncation(t):
    """Lines are written before, while and after the log is copied; eight times, the copies shifted on: each line once, in order."""
    kafka, topic, w, agent = begin(t)
    agent.start()
    for i in range(8):
        w.write(1500)
        if i % 2:
            agent.until_acked(t.ledger.total())
        w.write(20)
        shift(w.path)
        copy_and_truncate(w, f"{w.path}.1")
        w.write(30)
    w.write(500)
    shipped(t, kafka, agent, topic)
    assert not truncated(agent), truncated(agent)


@scenario()
def a_copy_that_waits_for_its_truncation_is_not_sent_twice(t):
    """The truncation comes a second after copying, when the application has written more: what the copy lacks was read before."""
    kafka, topic, w, agent = begin(t)
    agent.start()
    for _ in range(3):
        w.write(1000)
        agent.until_acked(t.ledger.total())
        with still_a_copy():
            shutil.copyfile(w.path, f"{w.path}.copy")
            until(lambda: any(f["path"].endswith(".copy") for i in agent.status()["inputs"] for f in i["files"]), 10, "the copy is seen")
            w.write(100, sync=False)            # a busy disk may take longer than there is
            agent.until_acked(t.ledger.total())
            os.ftruncate(w.fd, 0)
        w.write(100)
        agent.until_acked(t.ledger.total())
        os.rename(f"{w.path}.copy", t.path("away"))
    shipped(t, kafka, agent, topic)


@scenario()
def a_writer_that_does_not_append_leaves_a_hole(t):
    """Without O_APPEND the application goes on at its old offset: the hole of NULs is no line."""
    kafka, topic, w, agent = begin(t)
    w.close()
    w.fd = os.open(w.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    agent.start()
    for _ in range(4):
        w.write(1000)
        agent.until_acked(t.ledger.total())
        w.write(10)
        shift(w.path)
        copy_and_truncate(w, f"{w.path}.1")
    w.write(10)
    shipped(t, kafka, agent, topic)


@scenario(core=True)
def copied_and_truncated_while_stopped(t):
    """The copy goes on where the original was; what was written since comes after it."""
    kafka, topic, w, agent = begin(t)
    for _ in range(3):
        agent.start()
        w.write(1000)
        agent.until_acked(t.ledger.total())
        agent.stop()
        w.write(300)
        shift(w.path)
        shutil.copyfile(w.path, f"{w.path}.1")
        os.ftruncate(w.fd, 0)
        w.write(200)
    agent.start()
    shipped(t, kafka, agent, topic)


@scenario()
def killed_between_copy_and_truncation(t):
    """Without a broker the lines are in memory alone when the agent is killed; they are built again from the copy."""
    kafka, topic, w, agent = begin(t, proxied=True)
    agent.start()
    w.write(1000)
    agent.until_acked(1000)
    kafka.proxy.refuse()
    w.write(2000)
    until(lambda: agent.status()["records"]["read"] >= 3000, 20, "all is read", alive=agent.check_alive)
    with still_a_copy():
        shutil.copyfile(w.path, f"{w.path}.1")
        until(lambda: len(agent.status()["inputs"][0]["files"]) > 1, 10, "the copy is seen")
        agent.kill()
    os.ftruncate(w.fd, 0)
    w.write(500)
    kafka.proxy.forward()
    agent.start()
    shipped(t, kafka, agent, topic)


@scenario()
def truncated_under_a_broker_outage_and_killed(t):
    """The original is truncated while its lines are in memory alone; the agent is killed after that."""
    kafka, topic, w, agent = begin(t, proxied=True)
    agent.start()
    w.write(1000)
    agent.until_acked(1000)
    kafka.proxy.refuse()
    w.write(2000)
    until(lambda: agent.status()["records"]["read"] >= 3000, 20, "all is read", alive=agent.check_alive)
    copy_and_truncate(w, f"{w.path}.1")
    w.write(500)
    until(lambda: agent.status()["records"]["read"] >= 3500, 20, "the rest is read", alive=agent.check_alive)
    agent.kill()
    kafka.proxy.forward()
    agent.start()
    shipped(t, kafka, agent, topic)


@scenario()
def what_was_seen_and_never_read_is_in_the_losses(t):
    """No copy that an input matches: the half line that was there when the log was truncated is entered, with its bytes."""
    kafka, topic, w, agent = begin(t, matched=False)
    agent.start()
    w.write(100)
    agent.until_acked(100)
    os.write(w.fd, b"this line never ends")

    def seen():
        f = agent.status()["inputs"][0]["files"][0]
        return f["size"] == os.path.getsize(w.path) and f["lag_bytes"] == 20

    until(seen, 10, "the half line is seen")
    os.ftruncate(w.fd, 0)
    w.write(100)
    agent.until_acked(200)
    losses = agent.status()["losses"]
    assert losses["bytes"] == 20, losses
    agent.stop()
    assert truncated(agent), "the list of losses says nothing"
    t.expect_all(kafka, topic)


@scenario()
def moved_to_another_file_system(t):
    """mv copies and unlinks there: the new file goes on where the old one was."""
    kafka, topic, w, agent = begin(t)
    agent.start()
    w.write(1000)
    agent.until_acked(1000)
    w.write(100)
    with still_a_copy():
        shutil.copyfile(w.path, f"{w.path}.moved")
        os.unlink(w.path)
    agent.until_acked(1100)
    w.close()
    w.fd = os.open(f"{w.path}.moved", os.O_WRONLY | os.O_APPEND)
    w.write(100)
    shipped(t, kafka, agent, topic)
