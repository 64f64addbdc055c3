#!/usr/bin/env python3
"""demo.py - the whole story in a minute: a real Kafka, an outage, deleted files, and books that balance.

	demo.py [--spillway PATH] [--lines N]

The counts at the end come from a fresh consumer that reads the topic from offset 0 and from the generator's own ledger,
never from the agent. Exit code 1 if they differ.
"""
import argparse
import os
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "lib"), os.path.join(os.path.dirname(HERE), "kafka")]

import kafka                                                            # noqa: E402
import oracle                                                           # noqa: E402
import procs                                                            # noqa: E402
from agent import Agent, brief                                          # noqa: E402

TOPIC = "demo"
FILES = ("access", "error", "worker")
RUN = "demo"


def say(text, start=[time.monotonic()]):
    print(f"[{time.monotonic() - start[0]:5.1f} s] {text}", flush=True)


def tell_status(agent):
    s = agent.status()
    r = s["records"]
    say(f"    agent says: {s['state']}, read {r['read']}, acked {r['acked']}, spooled {r['spooled']}, in memory {r['in_memory']}")


def story(options, work):
    logs = os.path.join(work, "logs")
    os.makedirs(logs)
    say("starting Apache Kafka (KRaft, one node) ...")
    broker = kafka.Broker(os.path.join(work, "kafka")).start()
    agent = None
    try:
        broker.create_topic(TOPIC, partitions=3)
        say(f"Kafka answers on {broker.address}, topic `{TOPIC}` has 3 partitions")
        agent = Agent(options.spillway, work, [{"paths": [os.path.join(logs, "*.log")], "topic": TOPIC}],
                      {"bootstrap.servers": broker.address, "buffer.memory": "4MiB", "max.block.ms": "1s"})
        agent.start()
        say("spillway is running with this configuration:")
        with open(agent.config) as f:
            print("".join(f"            {row}" for row in f))
        act(options, work, logs, broker, agent)
        return judge(work, broker)
    finally:
        if agent:
            agent.kill()
        broker.close()


def act(options, work, logs, broker, agent):
    ledger = oracle.Ledger(os.path.join(work, "ledger"))
    lines = oracle.Lines(RUN)
    writers = [oracle.Writer(lines, ledger, os.path.join(logs, f"{name}.log"), name) for name in FILES]
    part = max(options.lines // 10 // len(writers), 1)

    for _ in range(3):
        for w in writers:
            w.write(part)
            w.rotate()
    agent.until_acked(ledger.total())
    say(f"{ledger.total()} lines written into {len(writers)} files, rotated three times each: all acknowledged")

    say("stopping the broker")
    broker.stop()
    for _ in range(5):
        for w in writers:
            w.write(part)
            w.rotate()
    say(f"{ledger.total()} lines written so far, five more rotations each, and no broker")
    agent.until(lambda s: s["records"]["read"] == ledger.total() and s["spool"]["rows"] > 0, 60, "lines are in the spool")
    tell_status(agent)
    for w in writers:
        w.delete_rotated()
    say(f"deleted all {sum(len(w.rotated) for w in writers)} rotated files")
    for w in writers:
        w.write(part)

    say("starting the broker again")
    broker.start()
    agent.until(lambda s: s["spool"]["rows"] == 0, 60, "the spool is empty")
    for w in writers:
        w.write(part)
    s = agent.until_acked(ledger.total())
    say("the spool is drained: " + str(brief(s)["records"]))
    agent.stop()
    say("spillway stopped in order")
    for w in writers:
        w.close()


def judge(work, broker):
    say("counting with a fresh Kafka consumer, from offset 0 ...")
    records = oracle.console_consume(broker, TOPIC)
    v = oracle.judge(RUN, oracle.Ledger.load(os.path.join(work, "ledger")), oracle.triples(records))
    print(f"\nlines written = {v.written}, records in Kafka = {v.records}, lost {v.missing}, doubled {v.doubled}")
    print(f"out of order {v.reordered}, damaged {v.corrupt}, unknown {v.unknown}", flush=True)
    if not v.good or v.written != v.records:
        print(f"THE BOOKS DO NOT BALANCE\n{v}", flush=True)
        return 1
    return 0


def main(argv):
    p = argparse.ArgumentParser(description="Lines survive a broker outage and the deletion of their files.")
    p.add_argument("--spillway", default=os.path.join(procs.ROOT, "build", "release", "spillway"))
    p.add_argument("--lines", type=int, default=300000)
    options = p.parse_args(argv)
    options.spillway = os.path.abspath(options.spillway)
    if not os.access(options.spillway, os.X_OK):
        print(f"{options.spillway}: no such program; build it first", file=sys.stderr)
        return 69
    work = tempfile.mkdtemp(prefix="spillway-demo.")
    try:
        code = story(options, work)
    except (procs.Timeout, AssertionError, RuntimeError) as e:
        print(f"the demo failed: {e}", file=sys.stderr)
        code = 1
    if code == 0:
        shutil.rmtree(work, ignore_errors=True)
    else:
        print(f"its files are kept in {work}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
