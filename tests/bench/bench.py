#!/usr/bin/env python3
"""bench.py - what a gigabyte of log costs: CPU of `spillway run --once` beside `kcat -P`, same file, same broker, in turn.

	bench.py [--spillway PATH] [--rounds N] [--mb N] [--all] [--codecs none,lz4] [--records N] [--rate N] [--large] [--no-spill] [--no-shapes]

--codecs "" leaves the CPU part out, --records 0 the latency part (latency.py), --no-spill the outage (spill.py, bench_spool),
--no-shapes what is not plain lines, and ten thousand idle files (shapes.py); --large opens a spool of 10 GiB instead of 2.

CPU is user + system time of the process from wait4, in seconds for 10^9 bytes of log. The rounds of the two alternate, so
that what else runs on the machine hits both; compare figures of one run only. kcat polls without pause while it waits for
a broker that does not keep up, so on a busy machine its cost grows with its wall time, and the median flatters spillway:
then the lowest round of each is the fair comparison, and a low MB/s beside a high cost is the sign. Each process starts with fresh state, reads
the same files from the page cache and delivers every line with acks=all and idempotence; the end offsets are checked.
"""
import argparse
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "lib"), os.path.join(os.path.dirname(HERE), "kafka")]

import kafka                                                            # noqa: E402
import latency                                                          # noqa: E402
import oracle                                                           # noqa: E402
import procs                                                            # noqa: E402
import shapes                                                           # noqa: E402
import spill                                                            # noqa: E402
from agent import Agent                                                 # noqa: E402

GB = 1e9
LINE = 178              # bytes without LF
CHUNK_LINES = 20000


NUMBER = 9              # digits of the running number that begins each line
WORDS = ("worker", "upstream", "handler", "queue", "retry", "backend", "session", "timeout", "shard", "replica", "cache", "pool", "node",
         "request", "completed", "pending", "closed", "connection", "keepalive", "scheduler")


def log_line(rng, when):
    """A line as a web server, sshd, a kernel or a service would write it, cut or filled up to its length."""
    room = LINE - NUMBER - 1
    host = f"web-{rng.randrange(1, 9):02d}"
    stamp = time.strftime("%b %d %H:%M:%S", time.gmtime(when))
    kind = rng.random()
    if kind < 0.55:
        text = (f"{rng.randrange(1, 224)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)} - - "
                f"[{time.strftime('%d/%b/%Y:%H:%M:%S +0000', time.gmtime(when))}] \"{rng.choice(('GET', 'GET', 'GET', 'POST', 'PUT'))} "
                f"/{rng.choice(('api/v1/orders', 'api/v1/items', 'static/app.js', 'img/logo.png', 'login', 'search'))}"
                f"?id={rng.randrange(10 ** 6)} HTTP/1.1\" {rng.choice((200, 200, 200, 200, 304, 404, 500))} {rng.randrange(100, 99999)} "
                f"\"-\" \"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/{rng.randrange(90, 130)}.0\" {rng.random():.3f}")
    elif kind < 0.75:
        text = (f"{stamp} {host} app[{rng.randrange(300, 32000)}]: level={rng.choice(('info', 'info', 'debug', 'warn'))} "
                f"request_id={rng.getrandbits(64):016x} user={rng.randrange(10 ** 5)} duration_ms={rng.randrange(1, 5000)} "
                f"msg=\"{rng.choice(('order accepted', 'cache miss, loading from shard', 'retrying payment provider', 'session renewed'))}\" "
                f"trace={rng.getrandbits(96):024x}")
    elif kind < 0.9:
        text = (f"{stamp} {host} sshd[{rng.randrange(300, 32000)}]: {rng.choice(('Failed password for invalid user', 'Accepted publickey for'))} "
                f"{rng.choice(('admin', 'root', 'deploy', 'oracle', 'test'))} from {rng.randrange(1, 224)}.{rng.randrange(256)}."
                f"{rng.randrange(256)}.{rng.randrange(1, 255)} port {rng.randrange(1024, 65535)} ssh2")
    else:
        text = (f"{stamp} {host} kernel: [{rng.random() * 1e6:12.6f}] {rng.choice(('eth0: link up', 'TCP: request_sock_TCP: Possible SYN flooding', 'EXT4-fs (vda1): mounted filesystem with ordered data mode'))}"
                f" on port {rng.randrange(1024, 65535)} cpu={rng.randrange(8)} seq={rng.randrange(1 << 32)}")
    while len(text) < room:
        text += f" {rng.choice(WORDS)}={rng.choice(WORDS) if rng.random() < 0.7 else rng.randrange(10 ** 4)}"
    return text[:room]


def generate(path, megabytes):
    """Writes the log; the same bytes each time. Returns (bytes, lines)."""
    rng = random.Random(20)
    chunk = [log_line(rng, 1750000000 + i // 50) for i in range(CHUNK_LINES)]
    want = int(megabytes * 1e6 / (LINE + 1))
    lines = 0
    with open(path, "w") as f:
        while lines < want:
            # Each round in another order and with other numbers: within a batch, and within a codec's window, nothing repeats.
            rng.shuffle(chunk)
            n = min(CHUNK_LINES, want - lines)
            f.write("".join([f"{lines + i:0{NUMBER}d} {row}\n" for i, row in enumerate(chunk[:n])]))
            lines += n
    return os.path.getsize(path), lines


class Bench:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.log = os.path.join(work, "bench.log")
        self.broker = kafka.Broker(os.path.join(work, "kafka"))
        self.runs = 0

    def topic(self):
        self.runs += 1
        name = f"bench{self.runs}"
        self.broker.create_topic(name)
        return name

    def check(self, topic):
        got = self.broker.count(topic)
        if got != self.lines:
            raise RuntimeError(f"{topic} holds {got} records, {self.lines} lines were written")
        with self.broker.client() as c:
            c.delete_topic(topic)

    def spillway(self, codec):
        topic = self.topic()
        agent = Agent(self.options.spillway, self.work, [{"paths": [self.log], "topic": topic}],
                      {"bootstrap.servers": self.broker.address, "compression.type": codec}, name=f"run{self.runs}")
        begin = time.monotonic()
        agent.once(timeout=300)
        took = time.monotonic() - begin
        self.check(topic)
        shutil.rmtree(agent.state_dir, ignore_errors=True)
        return agent.cpu_seconds(), took

    def kcat(self, codec):
        topic = self.topic()
        argv = ["kcat", "-P", "-b", self.broker.address, "-t", topic, "-z", codec, "-l", "-X", "linger.ms=50", "-X", "batch.size=262144",
                "-X", "acks=all", "-X", "enable.idempotence=true", self.log]
        begin = time.monotonic()
        p = procs.spawn(argv, stderr=subprocess.PIPE)
        err = p.stderr.read()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        took = time.monotonic() - begin
        if p.returncode:
            raise RuntimeError(f"kcat ended with {p.returncode}: {err.decode(errors='replace')[-500:]}")
        self.check(topic)
        return usage.ru_utime + usage.ru_stime, took

    def measure(self, codec, subjects):
        """Runs the rounds; prints each, then the median and the lowest of each subject."""
        cost = {name: [] for name in subjects}
        for r in range(self.options.rounds):
            for name in subjects:
                cpu, took = getattr(self, name)(codec)
                cost[name].append(cpu / self.bytes * GB)
                print(f"  {codec:5} round {r + 1} {name:9} {cost[name][-1]:6.2f} s/GB   {self.bytes / took / 1e6:6.0f} MB/s", flush=True)
        for word, pick in (("median", statistics.median), ("lowest", min)):
            figure = {name: pick(v) for name, v in cost.items()}
            ratio = f"   {figure['spillway'] / figure['kcat']:.2f} of kcat" if "kcat" in figure else ""
            print(f"  {codec:5} {word}  " + "   ".join(f"{n} {m:.2f} s/GB" for n, m in figure.items()) + ratio, flush=True)


def first_line(argv):
    try:
        out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True).stdout
    except OSError:
        return "absent"
    return next((row.strip() for row in out.splitlines() if row.strip()), "?")


def machine():
    cpu = "?"
    with open("/proc/cpuinfo") as f:
        m = re.search(r"model name\s*: (.*)", f.read())
        if m:
            cpu = m.group(1)
    return f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}"


def header(options, have_kcat):
    print(f"date     {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}")
    print(f"machine  {machine()}, load {os.getloadavg()[0]:.1f}")
    print(f"spillway {first_line([options.spillway, 'version'])}")
    if have_kcat:
        version = re.search(r"Version (\S+).*librdkafka (\S+)", subprocess.run(["kcat", "-V"], capture_output=True, text=True).stdout)
        print("kcat     " + (f"{version.group(1)}, librdkafka {version.group(2)}" if version else "of an unknown version"))
    else:
        print("kcat     absent: its rows are left out, and so are the ratios")
    print("broker   Apache Kafka 4.1.0 on the same machine, one partition, acks=all, idempotence, linger 50 ms, batches of 256 KiB")


def spool_rows(large):
    """Spilling and draining alone, if that bench was built."""
    path = os.path.join(procs.ROOT, "build", "release", "tests", "bench", "bench_spool")
    if os.access(path, os.X_OK):
        print("spool    spill and drain, without a broker:", flush=True)
        with tempfile.TemporaryDirectory(prefix="spillway-bench.") as work:
            subprocess.run([path, work, "256", "10" if large else "2"], check=False)


def main(argv):
    p = argparse.ArgumentParser(description="CPU seconds per GB of log, beside kcat.")
    p.add_argument("--spillway", default=os.path.join(procs.ROOT, "build", "release", "spillway"))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--mb", type=float, default=300)
    p.add_argument("--all", action="store_true", help="zstd too")
    p.add_argument("--codecs", help="comma-separated; overrides the choice")
    p.add_argument("--records", type=int, default=10000, help="of a latency round")
    p.add_argument("--rate", type=int, default=1000, help="records a second of a latency round")
    p.add_argument("--large", action="store_true", help="open a spool of 10 GiB")
    p.add_argument("--no-spill", action="store_true", help="no outage")
    p.add_argument("--no-shapes", action="store_true", help="plain lines only")
    options = p.parse_args(argv)
    options.spillway = os.path.abspath(options.spillway)
    if not os.access(options.spillway, os.X_OK):
        print(f"{options.spillway}: no such program; build it first", file=sys.stderr)
        return 69
    codecs = ["none", "lz4"] + (["zstd"] if options.all else [])
    if options.codecs is not None:
        codecs = [c for c in options.codecs.split(",") if c]
    subjects = ["spillway"] + (["kcat"] if shutil.which("kcat") else [])
    work = tempfile.mkdtemp(prefix="spillway-bench.")
    bench = Bench(options, work)
    try:
        header(options, "kcat" in subjects)
        bench.bytes, bench.lines = generate(bench.log, options.mb)
        print(f"log      {bench.bytes / 1e6:.0f} MB, {bench.lines} lines of {LINE} bytes", flush=True)
        bench.broker.start()
        for name in subjects if codecs else ():
            getattr(bench, name)(codecs[0])     # not measured: the broker's code is compiled, the log is in the page cache
        for codec in codecs:
            bench.measure(codec, subjects)
        if not options.no_shapes:
            shapes.measure(bench)
            shapes.crowd(bench)
        if options.records:                     # last: the broker's priority is raised by it
            latency.measure(bench.broker, options.rounds, options.records, options.rate)
        if not options.no_spill:
            bench.broker.stop()
            print("outage   against the fake broker, which takes what a socket gives:", flush=True)
            spill.measure(bench, codecs or ["none"])
    finally:
        bench.broker.close()
        shutil.rmtree(work, ignore_errors=True)
    if not options.no_spill:
        spool_rows(options.large)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
