"""send, bench and metadata: the producer on the command line, against a real Kafka."""
import json
import os
import subprocess
import time

import oracle
import procs
from scenario import scenario

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def spillway(t, *argv, text=b"", env=None, timeout=60):
    """(exit code, stdout, stderr), as text."""
    p = subprocess.run([t.shared.binary, *map(str, argv)], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=timeout * procs.SLOWNESS, env={**os.environ, **(env or {})})
    return p.returncode, p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")


def good(result):
    rc, out, err = result
    assert rc == 0, f"ended with {rc}: {err}"
    return out


@scenario()
def send_makes_a_record_of_each_line(t):
    """Files and stdin, empty lines, a last line without its end, in order, with every codec."""
    kafka = t.kafka()
    for codec in CODECS:
        topic = t.topic(kafka)
        path = t.file(f"{codec}.txt", b"".join(b"line %d\n" % i for i in range(2000)))
        good(spillway(t, "send", "-b", kafka.address, "-t", topic, "-z", codec, path, "-", text=b"first\r\n\nlast"))
        want = [b"line %d" % i for i in range(2000)] + [b"first", b"", b"last"]
        assert oracle.values(oracle.consume(kafka.address, topic)) == want, codec


@scenario()
def send_takes_keys_headers_and_a_partition(t):
    """-K splits a line at the first delimiter, -k is the key of all, -H adds headers, -p names the partition."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=3)
    good(spillway(t, "send", "-b", kafka.address, "-t", topic, "-K", "::", "-p", 2, "-H", "dc=eu1", "-H", "empty=",
                  text=b"k1::v1\nk2::v::2\nno key\n"))
    good(spillway(t, "send", "-b", kafka.address, "-t", topic, "-k", "all", "-p", 1, text=b"x\n"))
    records = [(r[0], r[2], r[3]) for r in oracle.consume(kafka.address, topic)]
    assert [r for r in records if r[0] == 2] == [(2, b"k1", b"v1"), (2, b"k2", b"v::2"), (2, None, b"no key")], records
    assert [r for r in records if r[0] == 1] == [(1, b"all", b"x")], records
    rc, out, _ = procs.run(["kcat", "-C", "-m", "60", "-b", kafka.address, "-t", topic, "-p", "2", "-e", "-q", "-f", "%h\n"])
    assert rc == 0 and out.decode().split("\n")[0] == "dc=eu1,empty=", out


@scenario()
def send_reports_each_record_in_order_of_acknowledgement(t):
    """--report json: one object a line with the offset that Kafka gave; --stats: records per partition."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    rc, out, err = spillway(t, "send", "-b", kafka.address, "-t", topic, "--report", "json", "--stats",
                            text=b"".join(b"%d\n" % i for i in range(500)))
    assert rc == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert [r["offset"] for r in rows] == list(range(500)), rows[:3]
    assert {(r["topic"], r["partition"]) for r in rows} == {(topic, 0)}
    assert all(r["timestamp"] > 1600000000000 for r in rows)
    assert "partition 0: 500 records" in err, err


@scenario()
def a_report_that_nobody_reads_keeps_no_record_from_being_delivered(t):
    """stdout is a pipe to a pager that does not read on: records are acknowledged all the same."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    n = 5000                                    # their report is more than a pipe holds
    p = subprocess.Popen([t.shared.binary, "send", "-b", kafka.address, "-t", topic, "--report", "json", "-X", "batch.size=1"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdin.write(b"x\n" * n)
    p.stdin.close()
    procs.until(lambda: kafka.count(topic) == n, 60, "all records are there before anybody reads")
    out, err = p.stdout.read(), p.stderr.read()
    assert p.wait() == 0, err
    assert [json.loads(line)["offset"] for line in out.splitlines()] == list(range(n))
    p = subprocess.Popen([t.shared.binary, "send", "-b", kafka.address, "-t", topic, "--report", "json"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.close()
    p.stdin.write(b"x\n")
    p.stdin.close()
    err = p.stderr.read().decode()
    assert p.wait() == 74 and "cannot write the output: Broken pipe" in err, err


@scenario()
def send_serializes_numbers_as_java_does(t):
    """value.serializer by Kafka's class name: 8 big-endian bytes; what is no number is named by its place, the rest is sent."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    rc, out, err = spillway(t, "send", "-b", kafka.address, "-t", topic, "-X",
                            "value.serializer=org.apache.kafka.common.serialization.LongSerializer", text=b"1\nx\n-2\n")
    assert rc == 65, (rc, err)
    assert "stdin:2: the value is not what value.serializer takes" in err, err
    got = oracle.values(oracle.consume(kafka.address, topic))
    assert got == [(1).to_bytes(8, "big", signed=True), (-2).to_bytes(8, "big", signed=True)], got


@scenario()
def send_takes_a_properties_file_of_java(t):
    """-F: Kafka's own names in Java's format, -X wins over it, a wrong name is said with its line."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    path = t.file("client.properties", f"# as for Java\nbootstrap.servers = {kafka.address}\ncompression.type: gzip\n"
                  "key.serializer=org.apache.kafka.common.serialization.StringSerializer\n".encode())
    good(spillway(t, "send", "-t", topic, "-F", path, "-X", "linger.ms=5", text=b"hello\n"))
    assert oracle.values(oracle.consume(kafka.address, topic)) == [b"hello"]
    bad = t.file("bad.properties", b"linger.ms=5\nlinger.mss=5\n")
    rc, _, err = spillway(t, "send", "-t", topic, "-b", kafka.address, "-F", bad, text=b"x\n")
    assert rc == 78 and f"{bad}:2:" in err and 'did you mean "linger.ms"' in err, (rc, err)


@scenario()
def send_takes_no_secret_from_the_command_line(t):
    """-X sasl.password=... is refused before anything is sent, ${env:NAME} is not; the secret stands in no message."""
    rc, out, err = spillway(t, "send", "-b", "127.0.0.1:1", "-t", "t", "-X", "sasl.password=hunter2", text=b"x\n")
    assert rc == 64 and "-F" in err and "${env:" in err, (rc, err)
    assert "hunter2" not in out + err
    for value in ("hunter2${env:PW}", "${env:PW}hunter2", "${env:NONE:-hunter2}"):
        rc, out, err = spillway(t, "send", "-b", "127.0.0.1:1", "-t", "t", "-X", f"sasl.password={value}", text=b"x\n",
                                env={"PW": ""})
        assert rc == 64 and "hunter2" not in out + err, (value, rc, err)
    rc, out, err = spillway(t, "send", "-b", "127.0.0.1:1", "-t", "t", "-X", "sasl.password=${env:PW}", "-X", "max.block.ms=300",
                            text=b"x\n", env={"PW": "hunter2"})
    assert rc == 69 and "hunter2" not in out + err, (rc, err)


@scenario()
def send_to_nobody_ends_with_69_and_says_why(t):
    """No broker within max.block.ms: the first line says what it waited for, the command ends."""
    rc, _, err = spillway(t, "send", "-b", f"127.0.0.1:{procs.free_port()}", "-t", "t", "-X", "max.block.ms=3000", text=b"x\ny\n")
    assert rc == 69, (rc, err)
    assert "max.block.ms" in err and "refused" in err, err


@scenario()
def send_says_which_line_was_too_large_and_sends_the_rest(t):
    """A line above max.request.size: its place, exit 65, all others acknowledged."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    rc, _, err = spillway(t, "send", "-b", kafka.address, "-t", topic, text=b"a\n" + b"x" * 1100000 + b"\nb\n")
    assert rc == 65 and "stdin:2:" in err, (rc, err)
    assert oracle.values(oracle.consume(kafka.address, topic)) == [b"a", b"b"]


@scenario()
def bench_prints_the_figures_of_kafkas_perf_test(t):
    """Text in producer-perf-test's words; --json with the same figures; records per partition add up; all are in Kafka."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=2)
    out = good(spillway(t, "bench", "-b", kafka.address, "-t", topic, "--num-records", 5000, "--record-size", 100, "--preset",
                        "balanced"))
    rows = [row for row in out.splitlines() if not row.endswith(" max latency.")]      # those are of each 5 s
    assert rows[0].startswith("5000 records sent, ") and rows[0].endswith(" ms 99.9th."), out
    assert sum(int(row.split()[2]) for row in rows[1:]) == 5000, out
    payload = t.file("payload.txt", b"one\ntwo\nthree\n")
    begin = time.monotonic()
    figures = json.loads(good(spillway(t, "bench", "-b", kafka.address, "-t", topic, "--num-records", 300, "--payload-file", payload,
                                       "--throughput", 1000, "--json")))
    assert figures["records"] == 300 and figures["failed"] == 0 and sum(figures["partitions"].values()) == 300, figures
    assert 0.25 <= figures["seconds"] <= time.monotonic() - begin, figures
    latency = figures["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["p99_9"] <= latency["max"], latency
    assert kafka.count(topic) == 5300
    values = oracle.values(oracle.consume(kafka.address, topic))
    assert sum(v in (b"one", b"two", b"three") for v in values) == 300, len(values)


@scenario()
def metrics_carry_the_names_of_javas_producer(t):
    """bench --print-metrics and `status --metrics` of an agent: what was sent is counted, each name is declared once."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    out = good(spillway(t, "bench", "-b", kafka.address, "-t", topic, "--num-records", 700, "--record-size", 50, "--print-metrics",
                        "-X", "client.id=me"))
    assert 'kafka_producer_topic_record_send_total{client_id="me",topic="%s"} 700\n' % topic in out, out
    t.writer("a").write(300)
    agent = t.agent(kafka.address, topic).start()
    agent.until_acked(300)
    rc, text, err = agent.command("status", "--metrics")
    assert rc == 0, err
    rows = dict(row.rsplit(" ", 1) for row in text.splitlines() if not row.startswith("#"))
    value = {name.split("{")[0]: float(v) for name, v in rows.items()}
    assert value["kafka_producer_record_send_total"] >= 300 and value["kafka_producer_record_error_total"] == 0, value
    assert value["kafka_producer_partition_record_send_total"] == 300 and value["kafka_producer_partition_last_offset"] == 999, value
    assert value["kafka_producer_request_latency_seconds_count"] >= 1 and value["kafka_producer_buffer_total_bytes"] > 2 ** 20, value
    types = [row for row in text.splitlines() if row.startswith("# TYPE")]
    assert len(types) == len(set(types)), types


@scenario()
def metadata_shows_brokers_topics_and_leaders(t):
    """Text and JSON name the broker's address, a topic's partitions and leaders; a topic that is not there ends with 69."""
    kafka = t.kafka()
    topic = t.topic(kafka, partitions=3)
    out = good(spillway(t, "metadata", "-b", kafka.address))
    assert f"1  {kafka.address}" in out and f"{topic}  3 partitions" in out, out
    m = json.loads(good(spillway(t, "metadata", "-b", kafka.address, "-t", topic, "--json")))
    assert [f"{b['host']}:{b['port']}" for b in m["brokers"]] == [kafka.address], m
    assert [x["name"] for x in m["topics"]] == [topic] and m["topics"][0]["error"] is None and len(m["topics"][0]["id"]) == 22, m
    assert [(p["partition"], p["leader"], p["replicas"], p["isr"]) for p in m["topics"][0]["partitions"]] == \
        [(0, 1, [1], [1]), (1, 1, [1], [1]), (2, 1, [1], [1])], m
    rc, _, err = spillway(t, "metadata", "-b", kafka.address, "-t", "not-there")
    assert rc == 69 and "UNKNOWN_TOPIC_OR_PARTITION" in err, (rc, err)
    rc, _, err = spillway(t, "metadata", "-b", kafka.address, "-t", "no name")
    assert rc == 65 and "INVALID_TOPIC_EXCEPTION" in err, (rc, err)


@scenario()
def wrong_use_of_a_client_command_ends_with_64(t):
    """No topic, no brokers, no count, an option of another command: each is said."""
    for argv, words in ((["send", "-b", "x:1"], "-t TOPIC"), (["send", "-t", "t"], "-b HOST"),
                        (["bench", "-b", "x:1", "-t", "t", "--record-size", "5"], "--num-records"),
                        (["bench", "-b", "x:1", "-t", "t", "--num-records", "5"], "--record-size"),
                        (["bench", "-b", "x:1", "-t", "t", "--num-records", "5", "--record-size", "5", "--throughput", "0"],
                         "--throughput 0"), (["send", "-b", "x:1", "-t", "t", "--log-level", "loud"], "--log-level takes error"),
                        (["metadata", "-b", "x:1", "--stats"], "--stats"), (["send", "-b", "x:1", "-t", "t", "-X", "linger"], "name=value"),
                        (["send", "-b", "x:1", "-t", "t", "-H", "x"], "NAME=VALUE")):
        rc, _, err = spillway(t, *argv)
        assert rc == 64 and words in err, (argv, rc, err)


CHECKED = """\
inputs:
  - {{ name: app, paths: ["{dir}/{{app,web}}/*.log"], topic: app, exclude: ["*.tmp"] }}
  - {{ name: all, paths: ["{dir}/**/*.log", "{dir}/*.no"], topic: all, exclude: ["secret*"] }}
  - {{ name: net, type: syslog, listen: "udp:127.0.0.1:5514", topic: net }}
state_dir: {dir}/state
producer:
  bootstrap.servers: 127.0.0.1:1
  interceptor.classes: [{{ drop: {{ pattern: "^#" }} }}, {{ header: {{ name: dc, value: eu1 }} }}]
"""


def checked(t):
    """A directory with files and a configuration of them; (path of the configuration, directory)."""
    root = t.path("tree")
    os.makedirs(os.path.join(root, "app"))
    for name, data in (("app/a.log", b"# head\none\ntwo\n"), ("b.log", b"")):
        with open(os.path.join(root, name), "wb") as f:
            f.write(data)
    os.symlink(os.path.join(root, "b.log"), os.path.join(root, "l.log"))
    return t.file("checked.yaml", CHECKED.format(dir=root).encode()), root


@scenario()
def check_says_what_may_surprise(t):
    """Files of two inputs, globs without a file, links, a directory that is not there, what is listened to: one line each, exit 0."""
    config, root = checked(t)
    lines = good(spillway(t, "check", "-c", config)).splitlines()
    assert [line for line in lines if "input " in line] == [
        f"warning: input app: {root}/web/*.log: there is no directory {root}/web (yet)",
        "ok:      input app: 1 file",
        f"warning: input all: {root}/*.no: no file matches (yet)",
        f"warning: input all: {root}/app/a.log: read by input app, which stands first",
        f"warning: input all: {root}/l.log: a link, not read: follow_symlinks is false",
        "ok:      input all: 1 file",
        "ok:      input net: listens for syslog on udp:127.0.0.1:5514"], lines


@scenario()
def check_sample_shows_the_first_records(t):
    """Topic, headers and value of each record, filtered lines with the reason; --json prints one object a line."""
    config, root = checked(t)
    out = good(spillway(t, "check", "-c", config, "--sample", f"{root}/app/a.log"))
    assert f"{root}/app/a.log, read by input app\n" in out and "filtered: bytes 0 to 7, dropped by an interceptor\n" in out, out
    assert "record 1: bytes 7 to 11\n  topic: app\n  header dc: eu1\n  value: one\n" in out, out
    rows = [json.loads(line) for line in good(spillway(t, "check", "-c", config, "--sample", f"{root}/app/a.log",
                                                       "--json")).splitlines()]
    assert [r.get("value") for r in rows] == ["# head", "one", "two"] and "filtered" in rows[0] and rows[1]["topic"] == "app", rows
    rc, _, err = spillway(t, "check", "-c", config, "--sample", f"{root}/gone.log")
    assert rc == 74 and "gone.log" in err, f"{rc}: {err}"
