"""restart.py - stopped, killed and started again: nothing is lost, doubled or out of order."""
import os
import shutil
import signal
import time

import oracle
from procs import until
from scenario import scenario

MiB = 1 << 20


def wait_for_lines(t, agent, timeout=120):
    """Until everything in the ledger is acknowledged."""
    return agent.until_acked(t.ledger.total(), timeout)


def sleep_at_random(t, low, high):
    """A random moment is what is tested here, so this is no waiting for something."""
    time.sleep(t.rng.uniform(low, high))


@scenario(core=True)
def a_restart_goes_on_where_the_last_run_stopped(t):
    """After TERM `positions ls` shows every byte safe, and the next run sends only what came later."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(5000)
    agent = t.agent(kafka.address, topic).start()
    wait_for_lines(t, agent)
    agent.stop()
    row, = agent.json("positions", "ls")
    assert row["path"] == w.path and row["safe"] == row["size"] == os.path.getsize(w.path), row
    s = agent.json("status")
    assert s["state"] == "stopped" and s["records"]["acked"] == 5000, s["records"]
    w.write(3000)
    agent.start()
    s = wait_for_lines(t, agent)
    assert s["records"]["read"] == 8000, s["records"]
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def term_at_any_moment_loses_and_doubles_nothing(t):
    """Fifteen stops at random moments while three files grow and rotate: exit 0 each time, every line once."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=3)
    writers = [t.writer(n) for n in ("a", "b", "c")]
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, "*.log*")], producer={"batch.size": "32KiB", "linger.ms": 20})
    feed = t.feeder(writers, lines_per_s=15000, rotate_every=20000)
    for _ in range(15):
        agent.start(wait=False)
        sleep_at_random(t, 0.02, 0.6)
        agent.stop()
    feed.stop()
    agent.start()
    wait_for_lines(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def kill_9_with_the_broker_up_loses_and_doubles_nothing(t):
    """Fifteen kills at random moments while three files grow and rotate: every line once and in order."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    writers = [t.writer(n) for n in ("a", "b", "c")]
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, "*.log*")], producer={"batch.size": "32KiB", "linger.ms": 20})
    feed = t.feeder(writers, lines_per_s=15000, rotate_every=20000)
    for _ in range(15):
        agent.start(wait=False)
        sleep_at_random(t, 0.05, 0.8)
        agent.kill()
    feed.stop()
    agent.start()
    s = wait_for_lines(t, agent)
    assert s["uncertain"]["records"] == 0, s["uncertain"]
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def kill_9_over_several_partitions_loses_and_doubles_nothing(t):
    """Ten kills with key-less lines over eight partitions, small batches and five requests in flight."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=8)
    writers = [t.writer(n) for n in ("a", "b", "c", "d")]
    agent = t.agent(kafka.address, topic, producer={"batch.size": "8KiB", "linger.ms": 0})
    feed = t.feeder(writers, lines_per_s=20000)
    for _ in range(10):
        agent.start(wait=False)
        sleep_at_random(t, 0.05, 0.8)
        agent.kill()
    feed.stop()
    agent.start()
    wait_for_lines(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def kill_9_while_catching_up_loses_and_doubles_nothing(t):
    """Kills while an agent reads a large file at full speed."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    t.writer("big").write(int(400000 * t.scale), block=20000)
    agent = t.agent(kafka.address, topic)
    for _ in range(8):
        agent.start(wait=False)
        sleep_at_random(t, 0.03, 0.25)
        agent.kill()
    agent.start()
    wait_for_lines(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def lost_acks_and_kill_9_together_double_nothing(t):
    """The broker has what the agent was never told: after kill -9 the same batches are sent again and recognised."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"batch.size": "16KiB"})
    for _ in range(5):
        kafka.proxy.forward()
        w.write(1000)
        agent.start()
        wait_for_lines(t, agent)
        kafka.proxy.swallow()
        before = kafka.count(topic)
        w.write(1000)
        until(lambda: kafka.count(topic) > before, 30, "the broker has lines whose acks were lost")
        agent.kill()
    kafka.proxy.forward()
    agent.start()
    s = wait_for_lines(t, agent)
    assert s["uncertain"]["records"] == 0, s["uncertain"]
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def kill_9_during_an_outage_keeps_the_spooled_lines(t):
    """Rotated files are deleted once their bytes are safe in the spool; five kills later, and with the broker back, every line is there once."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(1000)
    agent = t.agent(kafka.proxied, topic, paths=[os.path.join(t.logs, "*.log*")],
                    producer={"buffer.memory": "2MiB", "max.block.ms": 300, "compression.type": "none"})
    agent.start()
    wait_for_lines(t, agent)
    kafka.proxy.refuse()
    for _ in range(3):
        w.write(15000)
        w.rotate()
    gone = list(w.rotated)
    agent.until(lambda s: all((agent.file(p, s) or {}).get("lag_bytes") == 0 for p in gone), 60, "rotated files are in the spool")
    w.delete_rotated()
    for _ in range(5):
        agent.kill()
        w.write(3000)
        agent.start(wait=False)
        sleep_at_random(t, 0.05, 0.5)
    s = agent.status()
    assert s["records"]["spooled"] > 0, s["records"]
    agent.kill()
    kafka.proxy.forward()
    agent.start()
    wait_for_lines(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def term_with_the_broker_down_keeps_what_no_file_holds_any_more(t):
    """TERM in an outage spools the lines of a rotated-away file, so it may be deleted before the next start."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(1000)
    agent = t.agent(kafka.proxied, topic, shutdown_timeout="5s").start()
    wait_for_lines(t, agent)
    kafka.proxy.refuse()
    w.write(4000)
    old = w.rotate()
    w.write(2000)
    agent.until(lambda s: s["records"]["read"] == 7000, 30, "all lines are read")
    begin = time.monotonic()
    agent.stop()
    took = time.monotonic() - begin
    assert took < 30, f"TERM took {took:.0f} s"
    os.unlink(old)
    kafka.proxy.forward()
    agent.start()
    wait_for_lines(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def term_with_a_deleted_file_in_memory_keeps_its_lines(t):
    """A file that was deleted while its lines were unsent is spooled at TERM."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(500)
    agent = t.agent(kafka.proxied, topic, shutdown_timeout="5s").start()
    wait_for_lines(t, agent)
    kafka.proxy.refuse()
    w.write(3000)
    agent.until(lambda s: s["records"]["read"] == 3500, 30, "all lines are read")
    os.unlink(w.path)
    agent.stop()
    kafka.proxy.forward()
    agent.start()
    wait_for_lines(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def an_orderly_stop_leaves_everything_in_one_file(t):
    """After exit 0 spool.db stands alone: a copy of it in another place has the positions and the rows."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(1000)
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "1MiB", "max.block.ms": 200}, shutdown_timeout="3s").start()
    wait_for_lines(t, agent)
    kafka.proxy.refuse()
    w.write(30000)
    agent.until(lambda s: s["spool"]["rows"] > 0, 30, "rows are in the spool")
    agent.stop()
    wal = os.path.join(agent.state_dir, "spool.db-wal")
    assert not os.path.exists(wal) or os.path.getsize(wal) == 0, f"the WAL holds {os.path.getsize(wal)} bytes"
    before = agent.json("status")["records"]
    other = t.path("copy.state")
    os.mkdir(other, 0o700)
    with open(os.path.join(agent.state_dir, "spool.db"), "rb") as src, open(os.path.join(other, "spool.db"), "wb") as dst:
        dst.write(src.read())
    agent.settings["state_dir"] = other
    agent.write_config()
    assert agent.json("status")["records"] == before, (agent.json("status")["records"], before)
    kafka.proxy.forward()


@scenario()
def a_last_line_without_newline_waits_for_its_rest_over_a_restart(t):
    """Half a line before TERM and the other half after it make one record."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    path = t.file("half.log", b"whole\nfirst ha")
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(1)
    agent.stop()
    t.file("half.log", b"lf\n", mode="ab")
    agent.start()
    agent.until_acked(2)
    assert agent.file(path)["safe"] == os.path.getsize(path)
    agent.stop()
    got = oracle.values(oracle.consume(kafka.address, topic))
    assert got == [b"whole", b"first half"], got


@scenario()
def a_second_signal_skips_the_delivering(t):
    """With a silent broker the first TERM waits for shutdown_timeout, a second one ends it now; nothing is lost."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(500)
    agent = t.agent(kafka.proxied, topic, shutdown_timeout="60s").start()
    wait_for_lines(t, agent)
    kafka.proxy.black_hole()
    w.write(2000)
    agent.until(lambda s: s["records"]["read"] == 2500, 30, "all lines are read")
    agent.signal(signal.SIGTERM)
    agent.until(lambda s: s["state"] == "stopping", 10, "the agent is stopping", every=0.01)
    begin = time.monotonic()
    agent.stop()                                # sends the second one
    assert time.monotonic() - begin < 30, "the second signal did not shorten the stop"
    kafka.proxy.forward()
    agent.start()
    wait_for_lines(t, agent)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_state_directory_that_was_copied_says_so_and_goes_on(t):
    """Copied like from a backup, used in its new place: one warning, what was shipped before stays shipped; the next start is silent."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic)
    for lines in (1000, 2000):
        w.write(1000)
        agent.start()
        agent.until_acked(lines)
        agent.stop()
    words = "was moved, copied or restored"
    assert words not in agent.log_text(), "the same place"
    shutil.copytree(agent.state_dir, agent.state_dir + ".copy")
    agent.settings["state_dir"] += ".copy"
    agent.write_config()
    for lines in (3000, 4000):
        w.write(1000)
        agent.start()
        agent.until_acked(lines)
        agent.stop()
    assert agent.log_text().count(words) == 1, "once"
    t.expect_all(kafka, topic)
