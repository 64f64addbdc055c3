"""scenario.py - what a scenario gets: a directory, a topic, a broker, agents, writers, and a judge at the end.

A scenario is a function `def a_sentence_of_behaviour(t)` with @scenario(...), its docstring's first sentence saying what
is promised. `t` is a Test. What a Test started it ends, in any case.
"""
import importlib.util
import os
import random
import shutil
import subprocess
import zlib

import agent as agent_module
import killloop
import oracle
import procs
from kafka import Broker
from secure import SecureBroker

ALL = []


class Skip(Exception):
    """This machine cannot run the scenario; the text says why."""


def scenario(core=False, needs_root=False, kills=False, walk=False):
    """Registers a scenario. core: also run under sanitizers. needs_root: mounts, or changes its user. kills: a loop of kills,
    walk: random operations; the soak repeats both."""
    def register(function):
        assert not any(row["name"] == function.__name__ for row in ALL), f"{function.__name__} is there twice"
        ALL.append({"name": function.__name__, "run": function, "core": core, "needs_root": needs_root,
                    "kills": kills, "walk": walk, "story": os.path.basename(function.__code__.co_filename)})
        return function
    return register


class Run:
    """What all scenarios of a run share: the binary, a work directory, two brokers. Thread: main only."""

    def __init__(self, binary, work, scale=1.0, sanitized=False, turns=1):
        self.binary, self.work, self.scale, self.sanitized = binary, work, scale, sanitized
        self.turns = turns              # of what a loop of kills does
        self.kills = killloop.Figures()
        self.walks, self.steps = [], 0  # figures of random walks, as text
        self.brokers = {}
        self.topics = 0

    def broker(self, which):
        """"shared": healthy, for tests that leave it alone. "own": for tests that stop it; healthy again at each asking.
        "secure": with a listener for each way to be trusted and believed."""
        b = self.brokers.get(which)
        if b is None:
            b = self.brokers[which] = (SecureBroker if which == "secure" else Broker)(
                os.path.join(self.work, f"kafka-{which}"))
        if b.running():
            b.thaw()
        else:
            b.start()
        if not b.answers():
            procs.until(b.answers, 30, "the broker answers again")
        b.proxy.forward()
        return b

    def close(self):
        for b in self.brokers.values():
            b.close()


class Test:
    """One scenario at work."""

    def __init__(self, run, name, directory, seed):
        self.shared, self.name, self.dir = run, name, directory
        self.seed = seed
        self.rng = random.Random(seed)
        self.scale, self.sanitized, self.turns = run.scale, run.sanitized, run.turns
        self.agents, self.writers, self.feeders, self.mounts, self.closing = [], [], [], [], []
        self.run_id = f"r{zlib.crc32(f'{name}{seed}'.encode()):08x}"
        self.lines = oracle.Lines(self.run_id, seed)
        self.ledger = oracle.Ledger(os.path.join(directory, "ledger"))
        self.logs = os.path.join(directory, "logs")
        os.makedirs(self.logs)

    # --- parts

    def kafka(self):
        return self.shared.broker("shared")

    def own_kafka(self):
        return self.shared.broker("own")

    def secure_kafka(self):
        return self.shared.broker("secure")

    def topic(self, broker, partitions=1, **config):
        self.shared.topics += 1
        name = f"t{self.shared.topics}-{os.getpid()}"
        broker.create_topic(name, partitions, **config)
        return name

    def agent(self, address, topic, paths=None, producer=None, inputs=None, name="agent", **top):
        """An agent that ships logs/*.log (or `paths`, or whole `inputs`) to a topic. Not started yet."""
        if inputs is None:
            inputs = [{"paths": paths or [os.path.join(self.logs, "*.log")], "topic": topic}]
        a = agent_module.Agent(self.shared.binary, self.dir, inputs, {"bootstrap.servers": address, **(producer or {})},
                               name=name, **top)
        self.agents.append(a)
        return a

    def writer(self, file_id, path=None, length=oracle.DEFAULT_LEN):
        """A writer of logs/FILE_ID.log."""
        w = oracle.Writer(self.lines, self.ledger, path or os.path.join(self.logs, f"{file_id}.log"), file_id, length)
        self.writers.append(w)
        return w

    def feeder(self, writers, **how):
        f = oracle.Feeder(writers, **how)
        self.feeders.append(f)
        return f

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def file(self, name, data, mode="wb"):
        """Writes logs/NAME with these bytes; returns its path."""
        path = os.path.join(self.logs, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, mode) as f:
            f.write(data)
        return path

    def tmpfs(self, name, size):
        """A small file system of its own; ends with the test."""
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        rc, _, err = procs.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path])
        if rc:
            raise Skip(f"cannot mount a tmpfs: {err.decode(errors='replace').strip()}")
        self.mounts.append(path)
        return path

    # --- judging

    def verdict(self, broker, topic, by="kcat", between_partitions=False):
        records = oracle.console_consume(broker, topic) if by == "console" else oracle.consume(broker.address, topic)
        return self.judge(records, between_partitions)

    def judge(self, records, between_partitions=False):
        v = oracle.judge(self.run_id, oracle.Ledger.load(self.ledger.path), oracle.triples(records), between_partitions)
        if not v.good:                  # for whoever looks for the cause
            with open(self.path("runs"), "w") as f:
                f.writelines("partition %d offset %d: file %s lines %d to %d\n" % tuple(run) for run in oracle.runs(oracle.triples(records)))
        return v

    def expect_all(self, broker, topic, **how):
        """Every line that was written is in Kafka once, whole and in order."""
        v = self.verdict(broker, topic, **how)
        assert v.good, str(v)
        return v

    def expect_shipped(self, broker, agent, topic, **how):
        """The same of a running agent, which is stopped; what it put off, and would have doubled later, a last run has to show."""
        agent.until_acked(self.ledger.total())
        agent.stop()
        agent.once()
        return self.expect_all(broker, topic, **how)

    # --- the end

    def close(self):
        """Ends what the test started. Returns the words of sanitizers, if any."""
        for f in self.feeders:
            f.ending.set()
            f.join()
        for a in self.agents:
            a.kill()
        for end in self.closing:
            end()
        for w in self.writers:
            w.close()
        for path in self.mounts:
            subprocess.run(["umount", "-l", path], check=False)
        self.ledger.file.close()
        return [r for r in (a.reports() for a in self.agents) if r]


def loaded(directory):
    """Imports every story next to run.py, so that ALL is full."""
    for name in sorted(os.listdir(directory)):
        if name.endswith(".py") and name not in ("run.py", "demo.py"):
            spec = importlib.util.spec_from_file_location(f"story_{name[:-3]}", os.path.join(directory, name))
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
    return ALL


def first_sentence(function):
    text = " ".join((function.__doc__ or "").split())
    return text.split(". ")[0].rstrip(".") + "." if text else ""


def remove(path):
    shutil.rmtree(path, ignore_errors=True)

