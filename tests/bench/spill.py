"""spill.py - an outage at full speed: what spilling, draining and the ledger cost in the agent itself.

The broker is the fake one (tool_fake): it takes bytes as fast as a socket gives them, so that the agent is the limit. The same
log goes three ways: through memory, with the broker there (what share of the CPU is the ledger's, the state thread's own time);
into the spool, with the broker away, and out of it; and by `spillway send`, which knows no state at all. Rates are those between
a tenth and nine tenths of the way: the start, max.block.ms and the reconnect are no part of them.
"""
import os
import shutil
import subprocess
import time

from agent import Agent
from fake import Fake
import procs

PROFILE = "4.1"
GB = 1e9


def thread_cpu(pid):
    """Seconds by name of the thread; the time of those that have ended is not in it."""
    cpu = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/comm") as f:
                name = f.read().strip()
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                cpu[name] = cpu.get(name, 0) + int(f.read().split()[0]) / 1e9
        except FileNotFoundError:
            continue
    return cpu


def follow(agent, done, value, total, timeout=120):
    """Bytes a second between a tenth and nine tenths of `total`, by `value(status)`, until done(status)."""
    seen = []

    def look():
        s = agent.snapshot()
        if s:
            seen.append((time.monotonic(), value(s)))
        return s if s and done(s) else None

    procs.until(look, timeout, "the way of the bytes", every=0.01)
    inner = [(t, v) for t, v in seen if total * 0.1 <= v <= total * 0.9]
    if len(inner) < 2 or inner[-1][0] == inner[0][0]:
        return None
    return (inner[-1][1] - inner[0][1]) / (inner[-1][0] - inner[0][0])


class Spill:
    def __init__(self, bench):
        self.bench, self.runs = bench, 0

    def agent(self, fake, codec, **producer):
        self.runs += 1
        b = self.bench
        return Agent(b.options.spillway, b.work, [{"paths": [b.log], "topic": f"t{self.runs}"}],
                     {"bootstrap.servers": fake.address, "compression.type": codec, **producer}, name=f"spill{self.runs}",
                     spool={"max_size": "8GiB"})

    def end(self, agent):
        agent.stop()
        shutil.rmtree(agent.state_dir, ignore_errors=True)

    def through(self, codec):
        """With the broker there: (CPU seconds a GB, of these the ledger's)."""
        fake = Fake(self.bench.options.spillway, PROFILE)
        agent = self.agent(fake, codec).start()
        agent.until_acked(self.bench.lines)
        cpu = thread_cpu(agent.pid)
        self.end(agent)
        fake.close()
        return sum(cpu.values()) / self.bench.bytes * GB, cpu["state"] / self.bench.bytes * GB

    def outage(self, codec):
        """(rate into the spool, rate out of it, rows' bytes)."""
        fake = Fake(self.bench.options.spillway, PROFILE)
        lines = self.bench.lines
        memory = min(32 << 20, max(2 << 20, self.bench.bytes // 8))         # a small log would fit in and never be spooled
        agent = self.agent(fake, codec, **{"buffer.memory": memory, "max.block.ms": 0})
        fake.tell("down", 0)
        agent.start()
        into = follow(agent, lambda s: s["records"]["spooled"] > 0.95 * lines, lambda s: s["records"]["spooled"], lines)
        size = agent.status()["spool"]["bytes"]
        fake.tell("up", 0)
        out = follow(agent, lambda s: s["records"]["acked"] >= lines, lambda s: s["records"]["acked"], lines)
        self.end(agent)
        fake.close()
        scale = self.bench.bytes / lines
        return into and into * scale, out and out * scale, size

    def send(self, codec):
        fake = Fake(self.bench.options.spillway, PROFILE)
        begin = time.monotonic()
        subprocess.run([self.bench.options.spillway, "send", "-b", fake.address, "-t", "send", "--preset", "balanced", "-z", codec, self.bench.log],
                       check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        took = time.monotonic() - begin
        fake.close()
        return self.bench.bytes / took


def rate(v):
    return f"{v / 1e6:6.0f} MB/s" if v else "  too short"


def measure(bench, codecs):
    s = Spill(bench)
    for codec in codecs:
        all_cpu, ledger = s.through(codec)
        into, out, size = s.outage(codec)
        send = s.send(codec)
        print(f"  {codec:5} spill {rate(into)}   drain {rate(out)}   of send ({rate(send).strip()}) {100 * out / send if out else 0:.0f} %   "
              f"ledger {ledger:.3f} of {all_cpu:.2f} s/GB ({100 * ledger / all_cpu:.1f} %)", flush=True)
