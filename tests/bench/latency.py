"""latency.py - how long a record takes from send to acknowledgement: bench_latency beside librdkafka and Java's producer.

Same broker, same topic settings (one partition), linger.ms=0, acks=all, idempotence, 178-byte records at a fixed modest rate;
rounds alternate. The two C programs are one loop with one clock (tests/bench/latency.h) and leave out their first 1000 records.
Java's figures are its own tool's (ProducerPerformance): whole milliseconds, its start included; it sends three times as many, so
that its start is less than the hundredth that its p99 leaves out.

A millisecond is less than a busy machine lets a thread wait for a core, so broker and clients run at real-time priority where
that is permitted; where it is not, only a machine that does nothing else gives figures worth reading.
"""
import os
import re
import statistics
import subprocess

import kafka
import procs

BUILD = os.path.join(procs.ROOT, "build", "release", "tests", "bench")
PERCENTILES = ("p50", "p95", "p99", "p99.9", "max")
RECORD = 178
JAVA_RECORDS = 3        # times as many
REALTIME = ["chrt", "-r", "10"]


def realtime_permitted():
    try:
        return subprocess.run([*REALTIME, "true"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def spillway(address, topic, records, rate):
    return [os.path.join(BUILD, "bench_latency"), address, topic, records, rate]


def librdkafka(address, topic, records, rate):
    return [os.path.join(BUILD, "bench_latency_rdkafka"), address, topic, records, rate]


def java(address, topic, records, rate):
    return kafka.java("org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", JAVA_RECORDS * records,
                      "--record-size", RECORD, "--throughput", rate, "--producer-props", f"bootstrap.servers={address}", "linger.ms=0", "acks=all",
                      "enable.idempotence=true")


def percentiles(text):
    """The figures in either form: "p50 0.2 ... max 3.1 ms", or ProducerPerformance's last line."""
    own = dict(re.findall(r"(p[\d.]+|max) ([\d.]+)", text))
    if own:
        return {p: float(own[p]) for p in PERCENTILES}
    last = text.strip().splitlines()[-1]
    theirs = {word: float(ms) for ms, word in re.findall(r"([\d.]+) ms (50th|95th|99th|99\.9th|max latency)", last)}
    return {p: theirs[w] for p, w in zip(PERCENTILES, ("50th", "95th", "99th", "99.9th", "max latency"))}


def warm_up(broker, rate):
    """The broker's code is compiled and its files are there before the first round."""
    broker.create_topic("latency-warm")
    rc, _, err = procs.run([str(a) for a in librdkafka(broker.address, "latency-warm", 3 * rate, rate)], timeout=120)
    if rc:
        raise RuntimeError(f"cannot warm up: {err.decode(errors='replace')[-500:]}")


def row(figures):
    return "   ".join(f"{p} {figures[p]:7.3f}" for p in PERCENTILES) + " ms"


def measure(broker, rounds, records, rate):
    """Prints each round, the medians, and our p99 over the others'. A ratio proves nothing on a busy machine: none is asserted."""
    subjects = {"spillway": spillway, "librdkafka": librdkafka, "java": java}
    prefix = REALTIME if realtime_permitted() else []
    if prefix:
        subprocess.run(["chrt", "-a", "-r", "-p", "10", str(broker.process.pid)], check=True, stdout=subprocess.DEVNULL)
    print(f"latency  send to callback, {records} records of {RECORD} bytes, {rate} a second, linger 0, acks=all, idempotence, "
          f"{'at real-time priority' if prefix else 'at the priority of everything else: an idle machine is needed'}", flush=True)
    warm_up(broker, rate)
    got = {name: [] for name in subjects}
    for r in range(rounds):
        for name, command in subjects.items():
            topic = f"latency-{name}-{r}"
            broker.create_topic(topic)
            argv = [str(a) for a in command(broker.address, topic, records, rate)]
            rc, out, err = procs.run([*prefix, *argv], timeout=120 + 2 * JAVA_RECORDS * records // rate)
            if rc:
                raise RuntimeError(f"{name} ended with {rc}: {(err + out).decode(errors='replace')[-500:]}")
            got[name].append(percentiles(out.decode()))
            print(f"  round {r + 1} {name:10} {row(got[name][-1])}", flush=True)
    medians = {name: {p: statistics.median(f[p] for f in figures) for p in PERCENTILES} for name, figures in got.items()}
    for name, figures in medians.items():
        ratio = "" if name == "spillway" or not figures["p99"] else f"   our p99 is {medians['spillway']['p99'] / figures['p99']:.2f} of it"
        print(f"  median  {name:10} {row(figures)}{ratio}", flush=True)
