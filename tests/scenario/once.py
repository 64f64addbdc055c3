"""once.py - what a line becomes: `run --once` from file to Kafka, as Kafka's own consumer sees it."""
import os
import re

import oracle
import wire
from scenario import scenario

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def records_of(data, max_line=1000 * 1024):
    """The records that these bytes of a finished file make: the contract of `Lines` in one function."""
    data = data[len(data) - len(data.lstrip(b"\0")):]
    out = []
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for line in lines:
        if line.endswith(b"\r"):
            line = line[:-1]
        pieces = [line[i:i + max_line] for i in range(0, len(line), max_line)] or [b""]
        out += pieces
    return out


def ships_every_line_with(t, codec):
    kafka = t.kafka()
    topic = t.topic(kafka)
    for name in ("a", "b", "c"):
        t.writer(name).write(20000)
    agent = t.agent(kafka.address, topic, producer={"compression.type": codec})
    agent.once()
    t.expect_all(kafka, topic, by="console")
    used = {b["attributes"] & 7 for b in kafka.batches(topic)}
    assert used == {CODECS[codec]}, f"codecs of the batches: {used}"
    agent.once()
    t.expect_all(kafka, topic)


@scenario()
def run_once_ships_every_line_uncompressed(t):
    """Three files arrive whole in Kafka's ConsoleConsumer, and a second `run --once` sends nothing again."""
    ships_every_line_with(t, "none")


@scenario()
def run_once_ships_every_line_with_gzip(t):
    """Three files arrive whole in Kafka's ConsoleConsumer, and a second `run --once` sends nothing again."""
    ships_every_line_with(t, "gzip")


@scenario()
def run_once_ships_every_line_with_snappy(t):
    """Three files arrive whole in Kafka's ConsoleConsumer, and a second `run --once` sends nothing again."""
    ships_every_line_with(t, "snappy")


@scenario(core=True)
def run_once_ships_every_line_with_lz4(t):
    """Three files arrive whole in Kafka's ConsoleConsumer, and a second `run --once` sends nothing again."""
    ships_every_line_with(t, "lz4")


@scenario()
def run_once_ships_every_line_with_zstd(t):
    """Three files arrive whole in Kafka's ConsoleConsumer, and a second `run --once` sends nothing again."""
    ships_every_line_with(t, "zstd")


@scenario(core=True)
def lines_of_every_shape_arrive_byte_for_byte(t):
    """Empty lines, CR before LF, lone CRs, NULs, bytes that are no UTF-8, and a last line without LF are records as promised."""
    data = (b"first\n\n\nwith cr\r\n\r\na\rb\rc\n" + b"nul \0 in the middle\0\n" + b"\0\0\0\n" + bytes(range(1, 10)) + b"\xff\xfe\x80\n"
            + "täglich ☃\n".encode() + b" blanks \t \n" + b"x" * 70000 + b"\n" + b"the last line has no newline")
    t.file("shapes.log", data)
    kafka = t.kafka()
    topic = t.topic(kafka)
    t.agent(kafka.address, topic).once()
    got = oracle.values(oracle.consume(kafka.address, topic))
    assert got == records_of(data), f"{got!r:.600} instead of {records_of(data)!r:.600}"
    console = oracle.values(oracle.console_consume(kafka, topic))
    assert console == got, "ConsoleConsumer sees something else than kcat"


@scenario()
def an_empty_file_and_a_file_of_empty_lines_are_fine(t):
    """A file of no bytes makes no record; three empty lines make three empty records."""
    t.file("empty.log", b"")
    t.file("newlines.log", b"\n\n\n")
    kafka = t.kafka()
    topic = t.topic(kafka)
    t.agent(kafka.address, topic).once()
    got = oracle.values(oracle.consume(kafka.address, topic))
    assert got == [b"", b"", b""], f"{got!r}"


@scenario(core=True)
def long_lines_are_split_at_max_line(t):
    """A line longer than max_line becomes pieces of max_line bytes, in order, and its neighbours are left alone."""
    data = b"before\n" + bytes(97 + i % 26 for i in range(10300)) + b"\nbetween\n" + b"y" * 2048 + b"\n" + b"z" * 2049 + b"\nafter\n"
    t.file("long.log", data)
    kafka = t.kafka()
    topic = t.topic(kafka)
    inputs = [{"paths": [os.path.join(t.logs, "*.log")], "topic": topic, "max_line": "1KiB"}]
    agent = t.agent(kafka.address, topic, inputs=inputs).start()
    want = records_of(data, 1024)
    s = agent.until(lambda s: s["records"]["acked"] == len(want), 30, "all pieces are acked")
    assert s["line_splits"] == 10 + 1 + 2, s["line_splits"]
    agent.stop()
    got = oracle.values(oracle.consume(kafka.address, topic))
    assert got == want, f"lengths {[len(v) for v in got]} instead of {[len(v) for v in want]}"


@scenario()
def a_run_of_nuls_at_the_beginning_of_a_file_is_skipped_and_counted(t):
    """What copytruncate leaves under a writer without O_APPEND makes no record; the books say `filtered` beside them."""
    data = b"\0" * 100000 + b"the first real line\nthe second\n"
    path = t.file("hole.log", data)
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.address, topic)
    agent.start()
    s = agent.until(lambda s: s["records"]["acked"] == 2 and (agent.file(path, s) or {}).get("safe") == len(data), 30, "both lines acked")
    assert s["records"]["read"] == 2, s["records"]
    agent.stop()
    assert oracle.values(oracle.consume(kafka.address, topic)) == records_of(data)


@scenario(core=True)
def lines_of_a_file_stay_in_order_in_each_partition(t):
    """Key-less lines of four files over six partitions: each partition has the lines of a file in the file's order."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=6)
    for name in ("a", "b", "c", "d"):
        t.writer(name).write(30000)
    t.agent(kafka.address, topic, producer={"batch.size": "32KiB", "linger.ms": 5}).once()
    t.expect_all(kafka, topic)
    used = [p for p, end in kafka.ends(topic).items() if end]
    assert len(used) > 1, f"key-less lines all went to partition {used}"


@scenario()
def a_key_template_places_lines_as_javas_producer_does(t):
    """With `key: "%{file}"` every record carries the file's name, in the partition that murmur2 gives it."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=5)
    names = ["a", "b", "longer-name", "x1", "x2", "x3"]
    for name in names:
        t.writer(name).write(500)
    inputs = [{"paths": [os.path.join(t.logs, "*.log")], "topic": topic, "key": "%{file}"}]
    t.agent(kafka.address, topic, inputs=inputs).once()
    t.expect_all(kafka, topic)
    for partition, offset, key, value in oracle.consume(kafka.address, topic):
        want = value.split()[1] + b".log"
        assert key == want, f"key {key!r}, expected {want!r}"
        assert partition == wire.partition_of_key(key, 5), f"{key!r} in partition {partition}, not {wire.partition_of_key(key, 5)}"


@scenario()
def an_explicit_partition_takes_all_lines(t):
    """`partition: 2` sends every line of that input there, and the other input's lines elsewhere too."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=4)
    t.writer("fixed").write(3000)
    t.writer("other").write(3000)
    inputs = [{"paths": [os.path.join(t.logs, "fixed.log")], "topic": topic, "partition": 2},
              {"paths": [os.path.join(t.logs, "other.log")], "topic": topic}]
    t.agent(kafka.address, topic, inputs=inputs).once()
    t.expect_all(kafka, topic)
    where = {r[0] for r in oracle.consume(kafka.address, topic) if r[3].split()[1] == b"fixed"}
    assert where == {2}, f"lines of `partition: 2` are in {where}"


@scenario()
def a_topic_template_sends_files_to_their_own_topics(t):
    """`topic: "PREFIX-%{dir}"` makes a topic of the directory's name."""
    kafka = t.kafka()
    base = t.topic(kafka)
    for name in ("web", "db"):
        kafka.create_topic(f"{base}-{name}")
        t.file(f"{name}/x.log", f"line of {name}\n".encode())
    inputs = [{"paths": [os.path.join(t.logs, "*", "*.log")], "topic": f"{base}-%{{dir}}"}]
    t.agent(kafka.address, base, inputs=inputs).once()
    for name in ("web", "db"):
        got = oracle.values(oracle.consume(kafka.address, f"{base}-{name}"))
        assert got == [f"line of {name}".encode()], got


@scenario()
def lines_for_more_topics_than_max_lanes_wait_in_their_files(t):
    """Three topics and `max_lanes: 2`: two get their lines, the third's file is named; with a larger limit its lines follow."""
    kafka = t.kafka()
    base = t.topic(kafka)
    for name in ("a", "b", "c"):
        kafka.create_topic(f"{base}-{name}")
        t.file(f"{name}/x.log", f"line of {name}\n".encode())
    inputs = [{"paths": [os.path.join(t.logs, "*", "*.log")], "topic": f"{base}-%{{dir}}"}]
    agent = t.agent(kafka.address, base, inputs=inputs, max_lanes=2).start()
    s = agent.until(lambda s: s["records"]["acked"] == 2 and any("max_lanes" in r for r in s["reasons"]), 30, "the limit is said")
    assert s["records"]["read"] == 2, s["records"]
    agent.stop()
    agent.settings["max_lanes"] = 3
    agent.write_config()
    agent.once()
    for name in ("a", "b", "c"):
        assert oracle.values(oracle.consume(kafka.address, f"{base}-{name}")) == [f"line of {name}".encode()], name


def batches_of_dump(text):
    """Field dictionaries of the batch lines in DumpLogSegments' output."""
    for row in text.splitlines():
        if row.startswith("baseOffset:"):
            yield dict(re.findall(r"(\w+): (\S+)", row))


@scenario()
def kafkas_dump_tool_finds_every_batch_valid(t):
    """DumpLogSegments --deep-iteration: valid batches of one producer id whose sequences touch, in the configured codec."""
    kafka = t.kafka()
    for codec in CODECS:
        topic = t.topic(kafka)
        path = t.file(f"{codec}.log", t.lines.block(b"dump", 0, 5000))
        t.agent(kafka.address, topic, paths=[path], producer={"compression.type": codec, "batch.size": "64KiB"}, name=codec).once()
        rows = list(batches_of_dump(kafka.dump(topic)))
        assert len(rows) > 1, f"{codec}: only {len(rows)} batch"
        assert {r["isvalid"] for r in rows} == {"true"}, f"{codec}: {rows}"
        assert {r["compresscodec"].lower() for r in rows} == {codec}, {r["compresscodec"] for r in rows}
        assert len({(r["producerId"], r["producerEpoch"]) for r in rows}) == 1 and int(rows[0]["producerId"]) >= 0, rows[:3]
        expected = 0
        for r in rows:
            assert int(r["baseSequence"]) == expected, f"{codec}: sequence {r['baseSequence']}, expected {expected}"
            expected = int(r["lastSequence"]) + 1
        assert expected == 5000, expected


@scenario()
def files_of_several_inputs_go_to_their_topics(t):
    """Two inputs with two topics do not mix."""
    kafka = t.kafka()
    one, two = t.topic(kafka), t.topic(kafka)
    a = t.file("a.log", b"a1\na2\n")
    b = t.file("b.txt", b"b1\n")
    inputs = [{"paths": [a], "topic": one}, {"paths": [b], "topic": two}]
    t.agent(kafka.address, one, inputs=inputs).once()
    assert oracle.values(oracle.consume(kafka.address, one)) == [b"a1", b"a2"]
    assert oracle.values(oracle.consume(kafka.address, two)) == [b"b1"]
