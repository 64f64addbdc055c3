"""library.py - the producer as a library: installed, linked, its examples run, its limits met by a real broker."""
import os
import subprocess
import threading

import oracle
import procs
from procs import until
from scenario import scenario

CC = ["cc", "-Wall", "-Wextra", "-Werror", "-O1"]
HEADER = os.path.join(procs.ROOT, "producer", "producer.h")
EXAMPLES = os.path.join(procs.ROOT, "producer", "examples")
TOOL = os.path.join(procs.ROOT, "build", "release", "tests", "lib", "tool_send")
BATCH_HEAD, RECORD_HEAD = 61, 11        # of a record of about a MiB, without key and headers


def command(*argv, **more):
    rc, out, err = procs.run(list(argv), **more)
    assert rc == 0, f"{' '.join(argv)[:300]} ended with {rc}: {(err + out).decode(errors='replace')[-2000:]}"
    return out.decode()


def installed(t):
    """`make install` into a prefix of the test's own, once a run: (prefix, environment for pkg-config)."""
    prefix = os.path.join(t.shared.work, "prefix")
    if not os.path.exists(prefix):
        procs.install(f"PREFIX={prefix}")
    return prefix, {**os.environ, "PKG_CONFIG_PATH": os.path.join(prefix, "lib", "pkgconfig")}


def example(t, name, static=False):
    """Builds an example as its first lines say; returns its path."""
    prefix, env = installed(t)
    flags = command("pkg-config", "--cflags", "--libs", *(["--static"] if static else []), "libspillway-producer", env=env).split()
    if static:      # the archive in place of what -l would find first
        flags = [os.path.join(prefix, "lib", "libspillway-producer.a") if f == "-lspillway-producer" else f for f in flags]
    else:
        flags.append(f"-Wl,-rpath,{prefix}/lib")
    path = t.path(f"{name}-{'static' if static else 'shared'}")
    command(*CC, os.path.join(EXAMPLES, f"{name}.c"), "-o", path, *flags)
    return path


def send(address, topic, lines, *argv, expect=0):
    """tool_send's answers, split."""
    rc, out, err = run_with(lines, TOOL, address, topic, *argv)
    assert rc == expect, f"tool_send ended with {rc}: {err.decode(errors='replace')}{out[:500]}"
    return [line.split(" ", 2) for line in out.decode().splitlines()]


def run_with(data, *argv, timeout=120):
    p = procs.spawn(list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = p.communicate(data, timeout=timeout * procs.SLOWNESS)
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
        raise
    return p.returncode, out, err


def consume(kafka, topic, form):
    """kcat's own words on each record."""
    return command("kcat", "-C", "-q", "-e", "-b", kafka.address, "-t", topic, "-o", "beginning", "-f", form)


# --- the files ---

@scenario()
def the_header_alone_is_c11_and_c_plus_plus(t):
    """producer.h compiles alone with -pedantic as C11 and as C++17, by gcc and clang, and includes the C library only."""
    for compiler, language, standard in (("gcc", "c", "c11"), ("clang", "c", "c11"), ("gcc", "c++", "c++17")):
        command(compiler, f"-std={standard}", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", language, "-include",
                HEADER, "/dev/null")
    with open(HEADER) as f:
        includes = {line.split()[1] for line in f if line.startswith("#include")}
    assert includes == {"<stdbool.h>", "<stddef.h>", "<stdint.h>"}, includes


@scenario()
def only_what_the_header_declares_is_exported(t):
    """nm shows producer_* and nothing else in both libraries, and the shared one has its name."""
    prefix, _ = installed(t)
    with open(HEADER) as f:
        text = f.read()
    for name, flags in (("libspillway-producer.so", ["-D"]), ("libspillway-producer.a", ["-g"])):
        out = command("nm", *flags, "--defined-only", os.path.join(prefix, "lib", name))
        names = {line.split()[2].split("@")[0] for line in out.splitlines() if len(line.split()) == 3}
        strays = {n for n in names if not n.startswith("producer_") or f"{n}(" not in text} - {"SPILLWAY_PRODUCER_0"}
        assert not strays, f"{name}: {sorted(strays)}"
        assert {"producer_open", "producer_send", "producer_close"} <= names, names
    out = command("readelf", "-d", os.path.join(prefix, "lib", "libspillway-producer.so"))
    assert "[libspillway-producer.so.0]" in out, out


# --- the examples ---

@scenario()
def a_program_linked_by_pkg_config_delivers_through_both_libraries(t):
    """The first example, built against the installed shared and static library, delivers 1,000 records each."""
    kafka = t.kafka()
    topic = t.topic(kafka, 2)
    for static in (False, True):
        program = example(t, "send", static)
        assert ("libspillway-producer" in command("ldd", program)) != static
        assert command(program, kafka.address, topic, "1000") == "1000 delivered, 0 failed\n"
    values = sorted(r[3] for r in oracle.consume(kafka.address, topic))
    assert values == sorted(f"record {i}".encode() for i in range(1000) for _ in range(2))


@scenario()
def the_example_partitioner_sends_high_priority_to_partition_0(t):
    """Lines with "!" are in partition 0 with their header, all others elsewhere."""
    kafka = t.kafka()
    topic = t.topic(kafka, 4)
    lines = b"".join(b"%sline %d\n" % (b"!" if i % 5 == 0 else b"", i) for i in range(100))
    rc, out, err = run_with(lines, example(t, "partitioner"), kafka.address, topic)
    assert rc == 0, err
    rows = [r.split("|") for r in consume(kafka, topic, "%p|%h|%s\n").splitlines()]
    assert len(rows) == 100
    for partition, headers, value in rows:
        high = value.startswith("!")
        assert (partition == "0") == high and (headers == "priority=high") == high, (partition, headers, value)
    assert {r[0] for r in rows} == {"0", "1", "2", "3"}, "the others share what is left"


@scenario()
def the_example_serializer_writes_protobuf(t):
    """Kafka has Protobuf's wire format of each measure, under its key."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    out = command(example(t, "serializer"), kafka.address, topic)
    assert out.startswith("roof: partition 0, offset 0, 8 bytes\n"), out
    got = [(r[2], r[3]) for r in oracle.consume(kafka.address, topic)]
    assert got == [(b"roof", b"\n\4roof\x10\x2a"), (b"cellar", b"\n\6cellar\x10\7"),
                   (b"attic", b"\n\5attic\x10" + b"\xff" * 9 + b"\1")], got


@scenario()
def the_example_interceptor_adds_a_header_and_hides_numbers(t):
    """Each record has its trace, and no card number arrives."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    rc, out, err = run_with(b"paid with 1234567812345678\nnothing\n", example(t, "interceptor"), kafka.address, topic)
    assert (rc, out) == (0, b"2 sent, 2 delivered\n"), (rc, out, err)
    assert consume(kafka, topic, "%h|%s\n") == "trace=1|paid with ****\ntrace=2|nothing\n"


# --- records ---

@scenario()
def headers_and_null_keys_and_values_arrive_as_they_were(t):
    """Headers in their order, null and empty ones apart; null and empty keys and values apart, with their sizes told."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    headers = ["-h", "a=1", "-h", "null", "-h", "empty=", "-h", "a=2"]
    rows = send(kafka.address, topic, b"k\tv\n\tno key\nno value\t\n", "-p", "0", "-k", "-n", *headers)
    rows += send(kafka.address, topic, b"\t\n", "-k")
    sizes = [r[2].split()[1:] for r in rows]
    assert sizes == [["1", "1"], ["-1", "6"], ["8", "-1"], ["0", "0"]], sizes
    got = consume(kafka, topic, "%K %S %h|%k|%s\n").splitlines()
    h = "a=1,null=NULL,empty=,a=2"
    assert got == [f"1 1 {h}|k|v", f"-1 6 {h}||no key", f"8 -1 {h}|no value|", "0 0 ||"], got


@scenario()
def timestamps_are_the_brokers_where_the_topic_says_so(t):
    """With LogAppendTime the callback has the time that is in the log; else the time of the send."""
    kafka = t.kafka()
    for kind in ("LogAppendTime", "CreateTime"):
        topic = t.topic(kafka, message_timestamp_type=kind)
        rows = send(kafka.address, topic, b"one\ntwo\n", "batch.size=1")
        told = [r[2].split()[0] for r in rows]
        assert consume(kafka, topic, "%T\n").split() == told, (kind, told)


@scenario()
def messages_at_the_size_limits(t):
    """Of exactly max.request.size: accepted; one byte more: refused at once. Of exactly max.message.bytes: taken by the broker;
    one byte more: its callback has MESSAGE_TOO_LARGE."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    fits = 1048576 - BATCH_HEAD - RECORD_HEAD
    rows = send(kafka.address, topic, b"x" * fits + b"\n" + b"x" * (fits + 1) + b"\n", expect=75)
    taken, refused = sorted(rows)       # the callback of the one may come before or after the refusal of the other
    assert taken[:2] == ["0", "0"], rows
    assert refused[:2] == ["refused", "-1003"] and "takes 1048577 bytes, max.request.size allows 1048576" in refused[2], rows
    assert [len(r[3]) for r in oracle.consume(kafka.address, topic)] == [fits]

    small = t.topic(kafka, max_message_bytes=1000)
    fits = 1000 - BATCH_HEAD - (RECORD_HEAD - 2)
    rows = send(kafka.address, small, b"x" * fits + b"\n" + b"x" * (fits + 1) + b"\n", "batch.size=0", expect=75)
    assert rows[0][:2] == ["0", "0"] and rows[1] == ["error", "10", "MESSAGE_TOO_LARGE"], rows


@scenario()
def a_thousand_sends_and_a_close_are_a_thousand_records(t):
    """However long linger is and however the batches are cut, close delivers everything, and every callback has its offset."""
    kafka = t.kafka()
    lines = b"".join(b"%d\n" % i for i in range(1000))
    for settings in (["linger.ms=60000"], ["batch.size=0"], ["batch.size=1", "compression.type=zstd"], ["acks=1"]):
        topic = t.topic(kafka)
        rows = send(kafka.address, topic, lines, *settings)
        assert [r[1] for r in rows] == [str(i) for i in range(1000)], settings
        assert [r[3] for r in oracle.consume(kafka.address, topic)] == lines.split(), settings


@scenario()
def every_callback_runs_once_across_a_restart_of_the_broker(t):
    """While lines flow the broker is killed and comes back: each record has one answer and is in Kafka once, in order."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    p = procs.spawn([TOOL, kafka.address, topic, "linger.ms=2", "compression.type=lz4", "max.block.ms=120000"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    answers = []
    reader = threading.Thread(target=lambda: answers.extend(p.stdout))
    reader.start()
    sent = 0

    def feed(n):
        nonlocal sent
        for _ in range(n):
            p.stdin.write(b"%d\n" % sent)
            sent += 1
        p.stdin.flush()

    try:
        feed(20000)
        until(lambda: kafka.count(topic) > 0, 30, "the first records arrive")
        kafka.kill()
        feed(20000)
        kafka.launch()
        until(kafka.answers, 60, "the broker answers again")
        feed(20000)
        p.stdin.close()
        assert p.wait(120) == 0
    finally:
        p.kill()
        p.wait()
        reader.join()
    assert [a.split()[1] for a in answers] == [b"%d" % i for i in range(sent)], f"{len(answers)} answers of {sent}"
    assert [int(r[3]) for r in oracle.consume(kafka.address, topic)] == list(range(sent))
