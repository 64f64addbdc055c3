"""compat.py - older brokers: Kafka 3.9 in earnest, and the releases back to 2.1 as the fake broker plays them.
"""
import oracle
from fake import Fake
from kafka import Broker
from procs import until
from scenario import scenario

PARTITIONS = 3
# What an agent must have spoken with each release: the highest that both know.
PRODUCE, METADATA, INIT_PRODUCER_ID = 0, 3, 22
SPOKEN = {"2.1": {PRODUCE: 7, METADATA: 7, INIT_PRODUCER_ID: 1},
          "2.4": {PRODUCE: 8, METADATA: 9, INIT_PRODUCER_ID: 2},
          "2.8": {PRODUCE: 9, METADATA: 11, INIT_PRODUCER_ID: 4}}


@scenario()
def kafka_3_9_takes_every_line_once_through_an_outage_and_a_kill(t):
    """A run to the end, then rotating files through lost acks, kill -9 of the agent and a broker that is away: every line once."""
    kafka = Broker(t.path("kafka"), version="3.9")
    t.closing.append(kafka.close)
    kafka.start()
    topic = t.topic(kafka, PARTITIONS)
    writers = [t.writer(n) for n in ("a", "b")]
    for w in writers:
        w.write(2000)
    agent = t.agent(kafka.proxied, topic, producer={"batch.size": "16KiB", "linger.ms": 5, "max.block.ms": 500})
    agent.once()
    agent.start()
    feed = t.feeder(writers, lines_per_s=6000, rotate_every=4000)
    agent.until(lambda s: s["records"]["acked"] > 2000, 30, "lines flow")
    kafka.proxy.swallow()
    until(lambda: kafka.proxy.acks_lost, 30, "the broker has lines whose acks were lost")
    agent.kill()
    kafka.kill()
    agent.start()
    written = t.ledger.total()
    until(lambda: t.ledger.total() > written + 3000, 30, "lines are written while the broker is away")
    kafka.proxy.forward()
    kafka.start()
    feed.stop()
    s = agent.until(lambda s: s["records"]["read"] == s["records"]["acked"] and
                    kafka.count(topic) >= t.ledger.total(), 60, "all lines are acked")
    assert s["uncertain"]["records"] == 0, s["uncertain"]
    agent.stop()
    t.expect_all(kafka, topic)


def run_against(t, release):
    fake = Fake(t.shared.binary, release, nodes=2, partitions=PARTITIONS)
    t.closing.append(fake.close)
    topic = "old"
    w = t.writer("app")
    agent = t.agent(fake.address, topic, producer={"batch.size": "8KiB", "linger.ms": 0, "request.timeout.ms": 2000}).start()
    feed = t.feeder([w], lines_per_s=5000)
    acked = 0

    def flow():
        nonlocal acked
        acked = agent.until(lambda s: s["records"]["acked"] > acked + 200, 30, "lines flow")["records"]["acked"]

    flow()
    for disturb in (("fault", -1, "close-after", 0, 3), ("fault", -1, "error", 19, 3), ("lead", 0, 1), ("fault", -1, "swallow", 0, 1)):
        fake.tell(*disturb)
        flow()
    agent.kill()                # with batches in flight
    for node in (0, 1):
        fake.tell("down", node)
    fake.tell("reload", 1)
    agent.start()
    for node in (0, 1):
        fake.tell("up", node)
    flow()
    feed.stop()
    agent.until(lambda s: s["records"]["read"] == s["records"]["acked"] and fake.count(topic) >= t.ledger.total(), 60,
                "all lines are acked")
    agent.stop()
    spoken = {api: int(fake.tell("version", api)) for api in SPOKEN[release]}
    assert spoken == SPOKEN[release], f"spoken {spoken}"
    v = oracle.judge(t.run_id, oracle.Ledger.load(t.ledger.path), fake.records(topic, t.dir))
    assert v.good and v.records == t.ledger.total(), str(v)


@scenario(core=True)
def a_broker_like_2_1_gets_every_line_once(t):
    """The oldest broker supported, by the fake's profile: cuts, refusals, a lost leader, kill -9, a restart: every line once."""
    run_against(t, "2.1")


@scenario()
def a_broker_like_2_4_gets_every_line_once(t):
    """The same with the release that refuses unknown producers, and tells what it would speak."""
    run_against(t, "2.4")


@scenario()
def a_broker_like_2_8_gets_every_line_once(t):
    """The same with the first release whose Produce is in the flexible format."""
    run_against(t, "2.8")
