"""reject.py - batches and records that a topic does not take: sent in parts, set aside, or held with words."""
import json
import subprocess
import time

import oracle
from scenario import scenario

TOO_LARGE = 10


def exported(agent):
    """What `spool export --rejected` prints, parsed."""
    rc, out, err = agent.command("spool", "export", "--rejected")
    assert rc == 0, err
    return [json.loads(line) for line in out.splitlines()]


def mixed(t, name, count, each, large):
    """A file of short lines; every `each`-th is `large` bytes long. Returns (short ones, long ones)."""
    lines = []
    for i in range(count):
        n = large if i % each == each // 2 else t.rng.randint(20, 400)
        # Little that a codec could use.
        noise = "%x" % t.rng.getrandbits(4 * n)
        lines.append(f"{name} {i:06d} {noise}"[:n])
    t.file(f"{name}.log", "".join(line + "\n" for line in lines).encode())
    return [line for line in lines if len(line) < large], [line for line in lines if len(line) == large]


def in_topic(kafka, topic):
    return [v.decode() for v in oracle.values(oracle.consume(kafka.address, topic))]


@scenario(core=True)
def lines_too_large_for_their_topic_are_rejected_and_all_others_arrive(t):
    """With a small max.message.bytes, lz4 and none: every line that fits arrives once and in order, the others are exported
    whole, the books balance."""
    kafka = t.kafka()
    for codec in ("none", "lz4"):
        topic = t.topic(kafka, max_message_bytes=20000)
        short, long = mixed(t, f"app-{codec}", 6000, 1500, 40000)
        agent = t.agent(kafka.address, topic, name=codec, paths=[t.path("logs", f"app-{codec}.log")],
                        producer={"compression.type": codec, "batch.size": "200KiB"}).start()
        agent.until(lambda s: s["records"]["acked"] == len(short) and s["records"]["rejected"] == len(long), 60,
                    "all lines are acked or rejected")
        rejected = exported(agent)
        assert [r["value"] for r in rejected] == long, [r["value"][:20] for r in rejected]
        assert {(r["topic"], r["code"], r["key"]) for r in rejected} == {(topic, TOO_LARGE, None)}
        agent.stop()
        assert in_topic(kafka, topic) == short
        # The same is said when no agent runs.
        assert exported(agent) == rejected
        listed = agent.json("spool", "ls", "--rejected")
        assert [r["id"] for r in listed] == [r["id"] for r in rejected]
        s = agent.json("status")["records"]
        assert (s["acked"], s["rejected"], s["spooled"]) == (len(short), len(long), 0), s


@scenario()
def a_limit_lowered_under_load_loses_and_doubles_nothing(t):
    """max.message.bytes falls three times while lines flow: batches are sent in parts, later ones are smaller."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=2)
    writers = [t.writer(n) for n in ("a", "b")]
    agent = t.agent(kafka.address, topic, producer={"batch.size": "256KiB", "compression.type": "none"}).start()
    feed = t.feeder(writers, lines_per_s=20000)
    for limit in (60000, 12000, 5000):
        before = agent.status()["records"]["acked"]
        agent.until(lambda s: s["records"]["acked"] > before + 5000, 60, "lines flow")
        kafka.alter_topic(topic, max_message_bytes=limit)
    before = agent.status()["records"]["acked"]
    agent.until(lambda s: s["records"]["acked"] > before + 20000, 60, "lines flow")
    feed.stop()
    # What was in flight without an answer when the limit fell would wait for it to rise again.
    s = agent.until_acked(t.ledger.total())
    assert s["records"]["rejected"] == 0 and s["records"]["dropped"] == 0, s["records"]
    assert "is sent in parts" in agent.log_text()
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def kill_9_in_the_middle_of_a_split_loses_and_doubles_nothing(t):
    """Killed at ten random moments while batches are refused and cut; what may have been sent is looked for in the log first."""
    kafka = t.kafka()
    topic = t.topic(kafka, max_message_bytes=20000)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic, producer={"batch.size": "200KiB", "compression.type": "none", "linger.ms": 20,
                                                    "max.block.ms": 500})
    cuts = 0
    for life in range(10):
        kafka.alter_topic(topic, max_message_bytes=20000)
        agent.start()
        w.write(3000)
        known = agent.log_text().count("is sent in parts")
        if life % 2:
            agent.until(lambda s: agent.log_text().count("is sent in parts") > known or
                        any("may be in the log already" in r for r in s["reasons"]), 30, "something is cut or looked for", every=0.001)
        time.sleep(t.rng.uniform(0, 0.08))
        agent.kill()
        cuts = agent.log_text().count("is sent in parts")
        # What is uncertain after this kill needs a topic that takes it whole.
        kafka.alter_topic(topic, max_message_bytes=1000000)
        agent.start()
        if life % 3 == 0:
            agent.until_acked(t.ledger.total())
        agent.kill()
    assert cuts > 0
    agent.start()
    s = agent.until_acked(t.ledger.total())
    assert s["uncertain"]["records"] == 0 and s["records"]["rejected"] == 0, s
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_compacted_topic_holds_lines_without_keys_and_no_others(t):
    """Its lane is held and says why, nothing is rejected, the other topic's lines flow; with keys allowed to lack they go."""
    kafka = t.kafka()
    compacted, other = t.topic(kafka, cleanup_policy="compact"), t.topic(kafka)
    a, b = t.writer("a"), t.writer("b")
    agent = t.agent(kafka.address, None, inputs=[
        {"paths": [t.path("logs", "a.log")], "topic": compacted}, {"paths": [t.path("logs", "b.log")], "topic": other}]).start()
    a.write(2000)
    b.write(2000)
    agent.until(lambda s: s["records"]["acked"] == 2000, 60, "the other lines are acked")
    s = agent.until(lambda s: any("compacted" in r for r in s["reasons"]), 60, "the reasons say why")
    assert s["records"]["rejected"] == 0, s["records"]
    assert any(lane["topic"] == compacted and lane["state"] == "held" for lane in s["lanes"]), s["lanes"]
    assert kafka.count(other) == 2000 and kafka.count(compacted) == 0
    kafka.alter_topic(compacted, cleanup_policy="delete")
    agent.until_acked(4000)
    agent.stop()
    assert len(in_topic(kafka, compacted)) == 2000


@scenario()
def rejected_records_wait_for_room_and_are_purged(t):
    """When their share of max_size is full the lane is held with words; after a purge it goes on."""
    kafka = t.kafka()
    topic = t.topic(kafka, max_message_bytes=20000)
    short, long = mixed(t, "app", 300, 3, 40000)        # 4 MB of rejected lines; their share is 2 MiB
    agent = t.agent(kafka.address, topic, spool={"max_size": "16MiB", "min_free": 0},
                    producer={"compression.type": "none", "batch.size": "100KiB"}).start()
    agent.until(lambda s: any("no room left for rejected" in r for r in s["reasons"]), 60, "the reasons say what to do")
    first = exported(agent)
    done = subprocess.run([agent.binary, "spool", "purge", "--rejected", "-c", agent.config], input=b"y\n", capture_output=True,
                          check=True)
    assert f"{len(first)} rejected records were deleted" in done.stdout.decode(), done
    agent.until(lambda s: s["records"]["acked"] == len(short) and s["records"]["rejected"] == len(long), 60, "the rest goes")
    assert [r["value"] for r in first + exported(agent)] == long
    agent.stop()
    assert in_topic(kafka, topic) == short
