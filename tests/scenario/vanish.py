"""vanish.py - files that vanish, or are not what they were, while nobody can send or nobody looks."""
import os

from power import boot_again
from scenario import scenario


def in_the_spool(s):
    return s["records"]["spooled"] > 0 and s["records"]["in_memory"] == 0


def shipped_up_to_now(t, agent):
    agent.until_acked(t.ledger.total())
    agent.stop()


@scenario(core=True)
def the_lines_of_a_deleted_file_are_spooled_long_before_memory_is_dry(t):
    """The broker is away, a small file is written and deleted; its lines are on the disk soon, and kill -9 loses none."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(100)
    agent = t.agent(kafka.proxied, topic).start()
    agent.until_acked(100)
    kafka.proxy.refuse()
    gone = t.writer("gone")
    gone.write(500)
    agent.until(lambda s: s["records"]["read"] == 600, 30, "all lines are read")
    os.unlink(gone.path)
    agent.until(in_the_spool, 30, "its lines are in the spool")
    agent.kill()
    kafka.proxy.forward()
    agent.start()
    shipped_up_to_now(t, agent)
    t.expect_all(kafka, topic)


@scenario()
def a_rotated_file_may_be_deleted_in_an_outage(t):
    """Renamed out of the globs with unread lines behind it, then deleted as by a compressing rotation: kill -9 loses none."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=3)
    w = t.writer("app")
    w.write(100)
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "1MiB", "compression.type": "none"}).start()
    agent.until_acked(100)
    kafka.proxy.refuse()
    w.write(30000)              # several times what memory holds
    old = w.rotate()
    os.unlink(old)
    agent.until(lambda s: s["records"]["read"] == 30100 and in_the_spool(s), 60, "its lines are in the spool")
    agent.kill()
    kafka.proxy.forward()
    agent.start()
    shipped_up_to_now(t, agent)
    t.expect_all(kafka, topic)


@scenario(core=True)
def changed_device_numbers_are_no_new_files(t):
    """After a reboot all device numbers are others: short, long and empty files go on where they were."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    short, long = t.writer("short"), t.writer("long")
    short.write(3)
    long.write(3000)
    t.file("empty.log", b"")
    agent = t.agent(kafka.address, topic).start()
    shipped_up_to_now(t, agent)
    boot_again(agent)
    short.write(5)
    long.write(5)
    agent.start()
    shipped_up_to_now(t, agent)
    t.expect_all(kafka, topic)


def lost_its_end(t, damage):
    """Everything was shipped; damage(path) happens to the file, as by a power loss. Missing is nothing, and what comes
    twice is said to."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic).start()
    for _ in range(10):         # positions move in steps, and each leaves a marker
        w.write(1000)
        agent.until_acked(t.ledger.total())
    agent.stop()
    boot_again(agent)
    damage(w.path)
    agent.start()
    agent.until(lambda s: any("lost its end" in r for r in s["reasons"]), 30, "the damage is said")
    w.write(1000)
    s = agent.until(lambda s: agent.file(w.path, s)["lag_bytes"] == 0, 30, "all is shipped")
    agent.stop()
    v = t.verdict(kafka, topic)
    assert not v.missing and not v.unknown and not v.corrupt, str(v)
    assert v.doubled == s["uncertain"]["records"] < 5000, (str(v), s["uncertain"])
    assert s["records"]["dropped"] == 0 and s["losses"]["events"] == 0, s["losses"]


@scenario(core=True)
def a_log_file_that_lost_its_end_goes_on_at_the_last_marker(t):
    """Shorter than it was read to: not read from its beginning, nothing is missing, what is doubled stands in `uncertain`."""
    lost_its_end(t, lambda path: os.truncate(path, os.path.getsize(path) - 5000))


@scenario()
def zeros_at_the_end_of_a_log_file_are_no_lines(t):
    """Its size was on the disk, its last bytes were not: they read as zeros."""
    def zero(path):
        size = os.path.getsize(path)
        os.truncate(path, size - 5000)
        os.truncate(path, size)
    lost_its_end(t, zero)
