"""syscalls.py - the order of what reaches the kernel, as strace sees it: the promises about crashes rest on nothing else."""
import os
import re
import shutil
import time

from scenario import Skip, scenario

CALL = re.compile(r"^\d+ +(\d+\.\d+) (\w+)\(\d+<([^>]*)>(.*)")


def traced(t, agent):
    """Lets `agent` run under strace; the path of its record."""
    if not shutil.which("strace"):
        raise Skip("strace is not there")
    out, wrapper = t.path("trace"), t.path("traced")
    with open(wrapper, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\nexec strace -D -f -y -ttt -xx -s 8 -e trace=pwrite64,fdatasync,fsync,ftruncate,sendmsg,sendto,writev"
                f" -e signal=none -o {out} {os.path.abspath(agent.binary)} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    agent.binary = wrapper
    return out


def calls(path):
    """(time, name, file, rest) of each call that was made by one line."""
    with open(path, encoding="latin-1") as f:
        for line in f:
            m = CALL.match(line)
            if m:
                name = bytes.fromhex(m[3].replace("\\x", "")).decode("latin-1")
                yield float(m[1]), m[2], os.path.basename(name), m[4]


def is_produce(name, rest):
    """The head of a request: four bytes of length, then api key 0."""
    m = re.search(r'"((?:\\x[0-9a-f]{2}){8})', rest)
    return name in ("sendmsg", "sendto", "writev") and m and m[1].split("\\x")[5:7] == ["00", "00"]


@scenario()
def a_batch_is_in_the_ledger_before_its_first_byte_is_sent(t):
    """Line by line, each after the one before it is recorded as acked: between its writing and its Produce request the WAL is
    written."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(1)
    agent = t.agent(kafka.address, topic)
    trace = traced(t, agent)
    agent.start()
    agent.until_acked(1)
    written = []
    for n in range(2, 12):
        time.sleep(0.1)                 # acks of before are recorded by now, and a write of theirs cannot be taken for ours
        written.append(time.time())
        w.write(1)
        agent.until_acked(n)
    agent.stop()
    seen = list(calls(trace))
    for at in written:
        after = [c for c in seen if c[0] > at]
        sent = next(i for i, c in enumerate(after) if is_produce(c[1], c[3]))
        assert any(c[1] == "pwrite64" and c[2] == "spool.db-wal" for c in after[:sent]), f"sent without a record: {after[:sent + 1]}"
    v = t.verdict(kafka, topic)
    assert v.missing == 0 and v.doubled == 0, str(v)


@scenario()
def the_database_is_written_behind_its_synced_wal_and_the_wal_anew_behind_the_synced_database(t):
    """An outage fills the spool through many checkpoints, then it drains: no page goes into the database while the WAL that holds
    it is not synced, and no WAL begins anew before the database is."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, shutdown_timeout="2s",
                    producer={"buffer.memory": "2MiB", "max.block.ms": 300, "compression.type": "none"})
    kafka.proxy.refuse()
    trace = traced(t, agent)
    agent.start()
    w.write(200000)
    agent.until(lambda s: s["records"]["spooled"] > 150000, 120, "most lines are in the spool")
    kafka.proxy.forward()
    agent.until_acked(200000, 120)
    agent.stop()
    dirty = {"spool.db": False, "spool.db-wal": False}
    moved = begun = 0
    for _, name, file, rest in calls(trace):
        if file not in dirty:
            continue
        if name in ("fdatasync", "fsync"):
            dirty[file] = False
        elif name == "pwrite64":
            if file == "spool.db":
                assert not dirty["spool.db-wal"], f"the database is written before its WAL is synced: {rest}"
                moved += 1
            elif rest.endswith(", 0) = 32") or re.search(r", 0\) += +\d+$", rest):
                assert not dirty["spool.db"], f"the WAL begins anew before the database is synced: {rest}"
                begun += 1
            dirty[file] = True
    assert moved > 20 and begun > 3, f"{moved} writes of the database, {begun} beginnings of the WAL"
    v = t.verdict(kafka, topic)
    assert v.missing == 0 and v.doubled == 0, str(v)
