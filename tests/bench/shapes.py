"""shapes.py - what a gigabyte costs when lines are more than lines: containers' frames, groups, fields, filters, compressed files.

Each shape is the same log in another dress; cost is CPU for 10^9 bytes of what was read (of a .gz: of its content), beside plain
lines of the same run. Fluent Bit reads the shapes that it knows, where it is installed; it ends at the end of the file.
"""
import gzip
import os
import shutil
import statistics
import subprocess
import time

from agent import Agent

GB = 1e9
GROUP = 10              # lines of a stack trace


def plain(rows, out):
    out.writelines(row + b"\n" for row in rows)


def cri(rows, out):
    out.writelines(b"2026-01-02T03:04:05.678901234Z stdout F " + row + b"\n" for row in rows)


def docker(rows, out):
    out.writelines(b'{"log":"' + row.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'\\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}\n'
                   for row in rows)


def java(rows, out):
    for i, row in enumerate(rows):
        out.write((b"java.lang.IllegalStateException: " if i % GROUP == 0 else b"\tat org.example.Service.call(") + row + b"\n")


def json_lines(rows, out):
    out.writelines(b'{"level":"info","user":"u%d","msg":"' % (i % 997) + row.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"}\n'
                   for i, row in enumerate(rows))


def packed(rows, out):
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6) as z:
        z.writelines(row + b"\n" for row in rows)


# Name -> (how it is written, the input's keys, lines of a record, Fluent Bit's keys or None).
SHAPES = {
    "plain": (plain, {}, 1, {}),
    "cri": (cri, {"format": "cri"}, 1, {"multiline.parser": "cri"}),
    "docker": (docker, {"format": "docker"}, 1, {"multiline.parser": "docker"}),
    "java": (java, {"multiline": {"preset": "java"}}, GROUP, {"multiline.parser": "java"}),
    "json key": (json_lines, {"key": "%{field.user}"}, 1, None),
    "envelope": (plain, {"value": "json"}, 1, None),
    "filter": (plain, {"exclude_lines": ["NOTHING LIKE THIS"]}, 1, None),
    "gzip": (packed, {"compressed": True}, 1, None),
}


def write(path, how, rows):
    with open(path, "wb") as out:
        how(rows, out)


def spillway(bench, path, keys):
    topic = bench.topic()
    agent = Agent(bench.options.spillway, bench.work, [{"paths": [path], "topic": topic, **keys}],
                  {"bootstrap.servers": bench.broker.address, "compression.type": "none"}, name=f"run{bench.runs}")
    agent.once(timeout=300)
    count = bench.broker.count(topic)
    with bench.broker.client() as c:
        c.delete_topic(topic)
    shutil.rmtree(agent.state_dir, ignore_errors=True)
    return agent.cpu_seconds(), count


def fluent_bit(bench, path, keys):
    topic = bench.topic()
    argv = ["fluent-bit", "-q", "-i", "tail", "-p", f"path={path}", "-p", "read_from_head=on", "-p", "exit_on_eof=on"]
    for name, value in keys.items():
        argv += ["-p", f"{name}={value}"]
    argv += ["-o", "kafka", "-m", "*", "-p", f"brokers={bench.broker.address}", "-p", f"topics={topic}", "-p", "format=raw", "-p", "raw_log_key=log"]
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(p.pid, 0)
    count = bench.broker.count(topic)
    with bench.broker.client() as c:
        c.delete_topic(topic)
    return usage.ru_utime + usage.ru_stime, count


def measure(bench):
    """Prints the median of each shape, and its ratio to plain lines."""
    with open(bench.log, "rb") as f:
        rows = f.read().splitlines()
    have_fluent = shutil.which("fluent-bit") is not None
    print("shapes   CPU for a GB that is read, codec none" + ("" if have_fluent else "; Fluent Bit is absent"), flush=True)
    base = None
    for name, (how, keys, lines, theirs) in SHAPES.items():
        path = os.path.join(bench.work, "shape.log" + (".gz" if how is packed else ""))
        write(path, how, rows)
        size = bench.bytes if how is packed else os.path.getsize(path)
        cost, other = [], []
        for _ in range(bench.options.rounds):
            cpu, count = spillway(bench, path, keys)
            if count != -(-len(rows) // lines):         # the last group may be a short one
                raise RuntimeError(f"{name}: {count} records of {len(rows)} lines")
            cost.append(cpu / size * GB)
            if have_fluent and theirs is not None:
                cpu, _ = fluent_bit(bench, path, theirs)
                other.append(cpu / size * GB)
        median = statistics.median(cost)
        base = base or median
        print(f"  {name:9} {median:6.2f} s/GB   {median / base:5.2f} of plain"
              + (f"   Fluent Bit {statistics.median(other):6.2f} s/GB" if other else ""), flush=True)
        os.unlink(path)


# --- many files ---

IDLE = 10000


def crowd(bench, seconds=20):
    """Ten thousand files that nobody writes to: CPU and memory of an agent that has read them, over and above one with a single file."""
    directory = os.path.join(bench.work, "crowd")
    os.makedirs(directory)
    figures = []
    for files in (1, IDLE):
        for i in range(files):
            with open(os.path.join(directory, f"f{i:05d}.log"), "w") as f:
                f.write(f"the only line of {i}\n")
        agent = Agent(bench.options.spillway, bench.work, [{"paths": [directory + "/*.log"], "topic": bench.topic()}],
                      {"bootstrap.servers": bench.broker.address}, name=f"crowd{files}").start()
        agent.until_acked(files)
        time.sleep(10)                          # the walk behind the first one is over
        before = ticks(agent.pid)
        time.sleep(seconds)
        cpu = (ticks(agent.pid) - before) / seconds
        figures.append((cpu, agent.memory()))
        agent.stop()
    (cpu1, rss1), (cpu, rss) = figures
    print(f"idle     {IDLE} files: {100 * cpu:.3f} % of a core (one file: {100 * cpu1:.3f} %), "
          f"{(rss - rss1) / IDLE:.0f} bytes of memory a file", flush=True)
    shutil.rmtree(directory)


def ticks(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
