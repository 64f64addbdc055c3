"""intercept.py - interceptors and serializers at work on the lines of files, as Kafka's consumers see them."""
import json

import oracle
import procs
from scenario import scenario

HEADER = {"header": {"name": "dc", "value": "eu1"}}
REDACT = {"redact": {"pattern": "[0-9]{8}", "with": "########"}}
DROP = {"drop": {"pattern": "^DEBUG"}}


def chain(*steps):
    return {"interceptor.classes": json.dumps(steps), "linger.ms": 0}


def lines(first, count):
    """Every third line is to be dropped, every other one has something to redact."""
    return "".join(f"{'DEBUG ' if i % 3 == 0 else ''}line {i} {'card 12345678' if i % 2 else ''}\n"
                   for i in range(first, first + count)).encode()


def kept(data, redacted=b"########"):
    return [x.replace(b"12345678", redacted) for x in data.split(b"\n")[:-1] if not x.startswith(b"DEBUG")]


def headers(kafka, topic):
    """The headers of all records, each as kcat's %h says them."""
    rc, out, err = procs.run(["kcat", "-C", "-q", "-e", "-b", kafka.address, "-t", topic, "-o", "beginning", "-f", "%h\n"],
                             timeout=60)
    assert rc == 0, err
    return out.decode().split("\n")[:-1]


def got(kafka, topic):
    return oracle.values(oracle.consume(kafka.address, topic))


@scenario(core=True)
def headers_and_redacted_values_arrive(t):
    """Each record carries the header; what the pattern finds never reaches Kafka."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    t.file("a.log", lines(0, 3000))
    t.agent(kafka.address, topic, producer=chain(HEADER, REDACT)).once()
    want = lines(0, 3000).replace(b"12345678", b"########").split(b"\n")[:-1]
    assert got(kafka, topic) == want
    assert set(headers(kafka, topic)) == {"dc=eu1"}


@scenario()
def dropped_lines_count_as_filtered_and_the_books_balance(t):
    """A third of the lines is dropped: `filtered` says so, beside books that balance, and positions reach the end."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.address, topic, producer=chain(DROP)).start()
    data = b""
    for i in range(10):
        more = lines(i * 300, 300) + b"DEBUG last of this piece\n"
        data += more
        path = t.file("a.log", more, "ab")
        agent.until(lambda s: s["records"]["acked"] == len(kept(data)), 30, "the lines that are kept are acked")
    total = data.count(b"\n")
    s = agent.until(lambda s: s["records"]["filtered"] == total - len(kept(data)), 20, "each dropped line is counted")
    assert s["records"]["read"] == s["records"]["acked"], s["records"]
    agent.until_finished(path)
    agent.stop()
    agent.start()
    assert agent.status()["records"]["filtered"] == total - len(kept(data))
    agent.stop()
    assert got(kafka, topic) == kept(data, b"12345678")


@scenario()
def a_renamed_topic_gets_the_lines(t):
    """Lines of an input for one topic arrive in the other, and none in the first."""
    kafka = t.kafka()
    first, second = t.topic(kafka), t.topic(kafka)
    t.file("a.log", lines(0, 1000))
    t.agent(kafka.address, first, producer=chain({"rename": {"topic": first, "to": second}})).once()
    assert got(kafka, second) == lines(0, 1000).split(b"\n")[:-1]
    assert kafka.count(first) == 0


@scenario(core=True)
def killed_amid_interceptors_nothing_is_lost_or_doubled(t):
    """kill -9 again and again while lines are dropped, redacted and given headers: what was in flight is built again to the byte."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.proxied, topic, producer=chain(HEADER, REDACT, DROP)).start()
    data = b""
    for life in range(5):
        kafka.proxy.forward()
        more = lines(life * 9000, 3000)
        t.file("a.log", more, "ab")
        data += more
        agent.until(lambda s: s["records"]["acked"] >= len(kept(data)) - 1000, 60, "most lines are acked")
        kafka.proxy.black_hole()
        more = lines(life * 9000 + 3000, 6000)
        t.file("a.log", more, "ab")
        data += more
        agent.until(lambda s: s["producer"]["in_flight_batches"] >= 1, 30, "a batch is in flight")
        agent.kill()
        kafka.proxy.cut()
        agent.start()
    kafka.proxy.forward()
    s = agent.until(lambda s: s["records"]["acked"] == len(kept(data)), 120, "all lines that are kept are acked")
    s = agent.until(lambda s: s["records"]["filtered"] == data.count(b"\n") - len(kept(data)), 30, "each dropped line counts once")
    assert s["records"]["dropped"] == 0, s["records"]
    agent.stop()
    assert got(kafka, topic) == kept(data)
    assert set(headers(kafka, topic)) == {"dc=eu1"}


@scenario()
def what_was_in_flight_is_resent_as_it_was_after_the_configuration_changed(t):
    """Killed with batches in flight, started with another redaction: those keep the old one, new lines get the new one."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    # One batch of what is written at once: a second one would not be planned while the first is not answered.
    agent = t.agent(kafka.proxied, topic, producer={**chain(REDACT, DROP), "linger.ms": 500}).start()
    first = lines(0, 300)
    t.file("a.log", first, "ab")
    agent.until_acked(len(kept(first)))
    kafka.proxy.black_hole()
    flight = lines(300, 30)
    t.file("a.log", flight, "ab")
    agent.until(lambda s: s["producer"]["in_flight_batches"] >= 1 and s["records"]["in_memory"] == len(kept(flight)), 30,
                "the lines are in flight")
    agent.kill()
    kafka.proxy.cut()
    agent.settings["producer"].update(chain({"redact": {"pattern": "[0-9]{8}", "with": "new"}}, DROP))
    agent.write_config()
    kafka.proxy.forward()
    agent.start()
    last = lines(330, 300)
    t.file("a.log", last, "ab")
    agent.until(lambda s: s["records"]["acked"] == len(kept(first + flight + last)), 60, "all are acked")
    agent.stop()
    assert got(kafka, topic) == kept(first + flight) + kept(last, b"new")


@scenario()
def lines_that_a_serializer_refuses_are_set_aside(t):
    """value.serializer json: lines that are no JSON are counted as rejected, over a kill too, and the others arrive."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.address, topic, producer={"value.serializer": "json", "linger.ms": 0}).start()
    path = t.file("a.log", b'{"a":1}\nno json\n[1, 2]\n\n"x"\n')
    s = agent.until(lambda s: s["records"]["acked"] == 3 and s["records"]["rejected"] == 2, 30, "three arrive, two are set aside")
    assert s["records"]["read"] == 5, s["records"]
    agent.until_finished(path)
    agent.kill()
    agent.start()
    t.file("a.log", b"{}\n", "ab")
    s = agent.until(lambda s: s["records"]["acked"] == 4, 30, "it goes on")
    assert s["records"]["rejected"] == 2 and s["records"]["read"] == 6, s["records"]
    rows = [json.loads(x) for x in agent.command("spool", "export", "--rejected")[1].splitlines()]
    assert [(r["reason"], r["value"]) for r in rows] == [("SERIALIZATION", "no json"), ("SERIALIZATION", "")], rows
    agent.stop()
    assert got(kafka, topic) == [b'{"a":1}', b"[1, 2]", b'"x"', b"{}"]


@scenario()
def refused_lines_beyond_their_share_hold_their_file(t):
    """When there is no room for more rejected lines their file waits and says so; with another serializer it goes on there, once."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    producer = {"value.serializer": "json", "linger.ms": 0}
    agent = t.agent(kafka.address, topic, producer=producer, spool={"max_size": "32MiB", "min_free": "0B"}).start()
    data = b"".join(b"no json %d %s\n" % (i, b"x" * 1000) for i in range(9000))
    t.file("a.log", data)
    agent.until(lambda s: any("no room for rejected lines" in r for r in s["reasons"]), 60, "the reason is said")
    s = agent.status()
    aside = s["records"]["rejected"]
    assert 1000 < aside < 9000 and s["records"]["read"] == aside, s["records"]
    agent.kill()
    producer = dict(agent.settings["producer"])
    producer["value.serializer"] = "bytes"
    agent.settings["producer"] = producer
    agent.write_config()
    agent.start()
    s = agent.until(lambda s: s["records"]["rejected"] + s["records"]["acked"] == 9000, 60, "the others arrive")
    agent.stop()
    assert s["records"]["rejected"] >= aside
    assert got(kafka, topic) == data.split(b"\n")[s["records"]["rejected"]:-1]
