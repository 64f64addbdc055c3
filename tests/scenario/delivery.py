"""delivery.py - delivery: at_least_once: cheaper, nothing lost, some twice after a kill; and changing over to it and back."""
import agent as agent_module
from procs import until
from scenario import scenario

SMALL = {"buffer.memory": "1MiB", "max.block.ms": 100, "batch.size": "16KiB", "linger.ms": 5, "request.timeout.ms": 1500}


ONE_BATCH = {"linger.ms": 200}          # of all lines that are written at once; without, it is sent while they are being read


def in_flight_and_killed(t, kafka, topic, agent, w, lines=50):
    """Lines are in Kafka, their answers are held back, the agent dies."""
    before = kafka.count(topic)
    kafka.proxy.hold_acks()
    w.write(lines)
    until(lambda: kafka.count(topic) == before + lines, 20, "the broker has the lines")
    agent.kill()
    kafka.proxy.forward()


def change_over(agent, delivery, **producer):
    agent.settings["delivery"] = delivery
    for name in ("acks", "enable.idempotence"):
        agent.settings["producer"].pop(name, None)
    agent.settings["producer"].update(producer)
    agent.write_config()


@scenario(core=True)
def at_least_once_loses_nothing_through_kills_and_outages(t):
    """kill -9 at random moments with the broker up, cut, or swallowing answers: no line is missing or out of order."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    writers = [t.writer(n) for n in ("a", "b")]
    agent = t.agent(kafka.proxied, topic, producer=SMALL, delivery="at_least_once").start()
    feed = t.feeder(writers, lines_per_s=8000, rotate_every=30000)
    for i in range(12):
        acked = agent.status()["records"]["acked"]
        agent.until(lambda s: s["records"]["acked"] > acked, 30, "lines flow")
        (kafka.proxy.refuse, kafka.proxy.hold_acks, kafka.proxy.forward)[i % 3]()
        seen = agent.status()["records"]["read"]
        agent.until(lambda s: s["records"]["read"] > seen + t.rng.randrange(2000), 30, "more is read")
        agent.kill()
        kafka.proxy.cut()
        kafka.proxy.forward()
        agent.start()
    feed.stop()
    s = agent.until(lambda s: not s["records"]["spooled"] and not s["records"]["in_memory"]
                    and s["records"]["read"] == t.ledger.total(), 60, "all lines are acked")
    agent_module.check_books(s)
    assert s["records"]["dropped"] == 0 and s["uncertain"]["records"] == 0, s
    agent.stop()
    v = t.verdict(kafka, topic)
    assert not (v.missing or v.reordered or v.corrupt or v.unknown), str(v)


@scenario()
def what_at_least_once_saves_is_what_a_kill_may_double(t):
    """The same kill doubles lines with at_least_once and none with exactly_once."""
    for delivery in ("at_least_once", "exactly_once"):
        kafka = t.kafka()
        topic = t.topic(kafka)
        w = t.writer(delivery, path=t.path(f"{delivery}.txt"))
        agent = t.agent(kafka.proxied, topic, paths=[w.path], name=delivery, producer=ONE_BATCH, delivery=delivery).start()
        w.write(100)
        agent.until_acked(100)
        in_flight_and_killed(t, kafka, topic, agent, w)
        agent.start()
        agent.until_acked(150)
        agent.stop()
        v = t.verdict(kafka, topic)
        assert (v.records, v.doubled) == ((200, 50) if delivery == "at_least_once" else (150, 0)), str(v)


@scenario()
def at_least_once_works_with_every_acks(t):
    """acks 0, 1 and all, and without idempotence: all lines are delivered, through an outage too where there are answers."""
    for acks, idempotence in (("0", None), ("1", None), ("all", "false")):
        kafka = t.kafka()
        topic = t.topic(kafka)
        name = f"acks-{acks}"
        w = t.writer(name, path=t.path(f"{name}.txt"))
        producer = dict(SMALL, acks=acks)
        if idempotence:
            producer["enable.idempotence"] = idempotence
        agent = t.agent(kafka.proxied, topic, paths=[w.path], name=name, producer=producer, delivery="at_least_once").start()
        w.write(2000)
        agent.until(lambda s: s["records"]["acked"] == 2000, 30, "acknowledged")
        if acks == "0":
            until(lambda: kafka.count(topic) == 2000, 30, "what nobody answers arrived, before the connection goes")
        else:
            kafka.proxy.refuse()
            w.write(30000)
            agent.until(lambda s: s["records"]["spooled"] > 20000, 30, "spooled")
            agent.stop()
            agent.start()
            kafka.proxy.forward()
            agent.until(lambda s: s["records"]["acked"] == 32000, 60, "all acknowledged")
        agent.stop()
        v = t.verdict(kafka, topic)
        assert v.records >= w.seq and not (v.unknown or v.corrupt), str(v)
        assert v.missing == t.ledger.total() - w.seq, str(v)        # those of the other agents' files


@scenario()
def a_stop_with_at_least_once_doubles_nothing(t):
    """TERM while answers are held back: what was sent is kept with its identity, also of a file that is deleted."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer=ONE_BATCH, delivery="at_least_once", shutdown_timeout="1s").start()
    w.write(100)
    agent.until_acked(100)
    kafka.proxy.hold_acks()
    w.write(50)
    agent.until(lambda s: s["producer"]["in_flight_batches"] == 1 and s["records"]["in_memory"] == 50, 20, "a batch is in flight")
    agent.stop()
    assert agent.json("status")["records"]["spooled"] == 50, agent.json("status")["records"]
    kafka.proxy.cut()
    kafka.proxy.forward()
    agent.start()
    agent.until_acked(150)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def batches_in_flight_stay_exact_when_delivery_is_changed(t):
    """Killed with exactly_once, started with at_least_once and acks 1: what was recorded is repeated and recognised. And back."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer=ONE_BATCH).start()
    w.write(100)
    agent.until_acked(100)
    in_flight_and_killed(t, kafka, topic, agent, w)
    change_over(agent, "at_least_once", acks="1")
    agent.start()
    w.write(25)
    agent.until_acked(175)
    agent.stop()
    change_over(agent, "exactly_once")
    agent.start()
    w.write(25)
    agent.until_acked(200)
    in_flight_and_killed(t, kafka, topic, agent, w)
    agent.start()
    agent.until_acked(250)
    agent.stop()
    t.expect_all(kafka, topic)
