#!/usr/bin/env python3
"""transcript.py - the README's transcripts: a fixed story with a real Kafka, told by the commands themselves.

	transcript.py [--spillway PROGRAM]		tells the story and compares; exit status 1 and a diff when the README differs
	transcript.py --write				puts what was said into the README

A transcript is a block behind a line `<!-- transcript: NAME -->`. Before it is shown, paths, host name and addresses of the scratch
directory are replaced by those that a reader would have. What differs from run to run is compared as a shape: any number is like any
other, and so are units of size and time; words, order and columns have to be the same.
"""
import argparse
import difflib
import os
import re
import shutil
import socket
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "kafka")]

import procs                                                            # noqa: E402
import scenario                                                         # noqa: E402

README = os.path.join(procs.ROOT, "README.md")
BLOCK = re.compile(r"(<!-- transcript: (\w+) -->\n```console\n)(.*?)(^```$)", re.M | re.S)


# --- the story

class Teller:
    """Runs commands as a reader would type them, and keeps what they said."""

    def __init__(self, t, agent, broker):
        self.t, self.agent, self.broker, self.told = t, agent, broker, {}

    def tell(self, name, command, *argv, text=b"", whole=lambda said: True):
        """`command` is what stands behind the prompt; argv is what is run, again when a machine that is busy had it say something else."""
        said = procs.until(lambda: (lambda said: said if whole(said) else None)(self.said(command, argv, text)), 60, f"{command} is quick")
        self.told[name] = self.told.get(name, "") + f"$ {command}\n{said}"

    def said(self, command, argv, text):
        p = procs.subprocess.run([self.agent.binary, *argv], input=text, stdout=procs.subprocess.PIPE, stderr=procs.subprocess.STDOUT,
                                 timeout=120 * procs.SLOWNESS, cwd=self.t.dir)
        assert p.returncode == 0, f"{command} ended with {p.returncode}: {p.stdout.decode(errors='replace')}"
        return self.presentable(p.stdout.decode(errors="replace"))

    def presentable(self, said):
        for one, other in ((self.t.logs, "/var/log/nginx"), (self.agent.state_dir, "/var/lib/spillway"),
                           (self.agent.config, "spillway.yaml"), (self.broker.address, "kafka-1:9092"),
                           (self.broker.proxied, "kafka-1:9092"), (socket.gethostname(), "web-1")):
            said = said.replace(one, other)
        return "".join(f"{line.rstrip()}\n" for line in said.splitlines())


def story(t):
    """{name: text} of all transcripts. Looks at: a configuration, an agent in an outage, one record, a benchmark."""
    broker = t.own_kafka()
    for topic in ("nginx", "greetings", "perf"):
        broker.create_topic(topic, 1)
    access, error = t.writer("access"), t.writer("error")
    agent = t.agent(broker.proxied, "nginx", producer={"buffer.memory": "4MiB", "max.block.ms": "1s", "client.id": "spillway"})
    teller = Teller(t, agent, broker)
    access.write(2000)
    error.write(10)
    teller.tell("check", "spillway check -c spillway.yaml", "check", "-c", agent.config)
    agent.start()
    agent.until_acked(2010)
    teller.tell("send", "printf 'alice:hello\\nbob:hi\\n' | spillway send -b kafka-1:9092 -t greetings -K : --report json",
                "send", "-b", broker.address, "-t", "greetings", "-K", ":", "--report", "json", text=b"alice:hello\nbob:hi\n")
    teller.tell("bench", "spillway bench -b kafka-1:9092 -t perf --num-records 200000 --record-size 100 -z lz4",
                "bench", "-b", broker.address, "-t", "perf", "--num-records", "200000", "--record-size", "100", "-z", "lz4",
                whole=lambda said: said.count("records sent") == 1)         # another line for each five seconds
    broker.proxy.refuse()
    feeder = t.feeder([access], lines_per_s=10000)
    teller.tell("status", "spillway status", "status", "-c", agent.config,
                whole=lambda said: " lasts " in said and "Connection refused" in said and "the disk of" not in said)
    feeder.stop()
    broker.proxy.forward()
    agent.until_acked(t.ledger.total())
    return teller.told


# --- comparing

def shape(text):
    """What has to be the same each time: not numbers, units, the bar, and where lines are wrapped for their length."""
    text = re.sub(r"\n {10}(?=\S)", " ", re.sub(r"[#.]{20}", "BAR", text))
    text = re.sub(r"[+-]?\d+(?:[.,:]\d+)*", "0", text)
    text = re.sub(r"\b0 ?(?:bytes|B|KiB|MiB|GiB|TiB|[kKMG]B)\b", "0 SIZE", text)
    text = re.sub(r"\b0 ?(?:ms|s|min|m|h|d)\b(?: 0 ?(?:ms|s|min|m|h|d)\b)*", "0 TIME", text)
    return [" ".join(line.split()) for line in text.splitlines()]


def blocks(readme):
    return {m[2]: m[3] for m in BLOCK.finditer(readme)}


def differences(readme, told):
    """Words about each transcript that is not as it is told."""
    shown = blocks(readme)
    if set(shown) != set(told):
        return f"the README shows {sorted(shown)}, the story tells {sorted(told)}\n"
    return "".join(line + "\n" for name, text in told.items() if shape(text) != shape(shown[name])
                   for line in difflib.unified_diff(shape(shown[name]), shape(text), f"{name} in the README", f"{name} as it is", lineterm=""))


def with_transcripts(readme, told):
    return BLOCK.sub(lambda m: m[1] + told[m[2]] + m[4], readme)


def main(argv):
    p = argparse.ArgumentParser(description="Tells the README's transcripts anew, and compares or writes them.")
    p.add_argument("--spillway", default=os.path.join(procs.ROOT, "build", "release", "spillway"))
    p.add_argument("--write", action="store_true")
    p.add_argument("--show", action="store_true", help="only print them")
    options = p.parse_args(argv)
    work = tempfile.mkdtemp(prefix="spillway-transcript.")
    run = scenario.Run(os.path.abspath(options.spillway), work)
    os.makedirs(os.path.join(work, "story"))
    t = scenario.Test(run, "transcript", os.path.join(work, "story"), 1)
    try:
        told = story(t)
    finally:
        t.close()
        run.close()
        shutil.rmtree(work, ignore_errors=True)
    if options.show:
        print("\n".join(f"--- {name}\n{text}" for name, text in told.items()))
        return 0
    with open(README) as f:
        readme = f.read()
    if options.write:
        assert set(blocks(readme)) == set(told), (sorted(blocks(readme)), sorted(told))
        with open(README, "w") as f:
            f.write(with_transcripts(readme, told))
        return 0
    diff = differences(readme, told)
    if diff:
        print(f"{diff}run tests/lib/transcript.py --write")
    return 1 if diff else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
