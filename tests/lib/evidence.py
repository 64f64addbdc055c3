"""evidence.py - experiments on what a broker tells of producers and of its log, for tests/scenario/idempotence.py to play.

Why: batches whose fate is unknown are judged by DescribeProducers, ListOffsets and Fetch. Each is asked by a reader of its own
(wire.py) and by the producer's (tool_evidence), of a real Kafka and of the fake broker: all have to say the same.
"""
import os
import re
import subprocess

import wire
from procs import until

MINUTE = 60000
BATCH_WORDS = ("base_offset", "length", "leader_epoch", "attributes", "last_offset_delta", "producer_epoch", "base_sequence", "count",
               "whole", "sound")


# --- answers as they can be compared: ids and times by whose they are

def who(s, pid):
    return {-1: "nobody", s.pid: "we"}.get(pid, f"we + {pid - s.pid}")


def when(s, time):
    if time == -1:
        return "none"
    return f"T{time - s.timestamp:+d}" if abs(time - s.timestamp) <= MINUTE else "another time"


def note_producers(s, partition=0, topic=None):
    error, rows = s.client.described(topic or s.name, partition)
    s.note(f"producers: error {error} " + str(sorted((who(s, pid), epoch, last, when(s, time)) for pid, epoch, last, time in rows)))


def note_offset(s, timestamp, version=4):
    error, offset, time = s.client.offset_at(s.name, 0, timestamp, version)
    s.note(f"offset at {timestamp if timestamp < 0 else when(s, timestamp)}: error {error} offset {offset} time {when(s, time)}")


def note_log(s, offset=0, version=10, max_bytes=1 << 20):
    f = s.client.fetch(s.name, 0, offset, version, max_bytes)
    s.note(f"log from {offset}: error {f.error} end {f.high_watermark} start {f.log_start} {len(f.data)} bytes")
    for h in wire.headers(f.data):
        words = " ".join(f"{word} {h[word]}" for word in BATCH_WORDS)
        s.note(f"batch of {who(s, h['producer_id'])} {words} time {when(s, h['base_timestamp'])} max {when(s, h['max_timestamp'])}")


# --- the producer's own readers

def asked_by_tool(s, offset, max_bytes, timestamp):
    """tool_evidence's lines."""
    port = s.client.sock.getpeername()[1]
    argv = [os.path.join(s.broker.tools, "tool_evidence"), *map(str, (port, s.name, 0, offset, max_bytes, timestamp))]
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert p.returncode == 0, f"tool_evidence: {p.stdout}"
    return p.stdout.splitlines()


def asked_by_wire(s, offset, max_bytes, timestamp, fetches, lists):
    """The same lines, read without any of the producer's code."""
    lines = []
    if wire.DESCRIBE_PRODUCERS in s.client.api_versions():
        error, rows = s.client.described(s.name, 0)
        lines += [f"producer id={pid} epoch={epoch} last={last} time={time}" for pid, epoch, last, time in rows]
        lines.append(f"describe 0 error={error}")
    for v in lists:
        error, found, time = s.client.offset_at(s.name, 0, timestamp, v)
        lines.append(f"offsets {v} error={error} offset={found} time={time}")
    for v in fetches:
        f = s.client.fetch(s.name, 0, offset, v, max_bytes)
        lines.append(f"fetch {v} error={f.error} end={f.high_watermark} start={f.log_start} bytes={len(f.data)}")
        for h in wire.headers(f.data):
            lines.append(f"batch {v} base={h['base_offset']} last={h['base_offset'] + h['last_offset_delta']} id={h['producer_id']} "
                         f"epoch={h['producer_epoch']} sequence={h['base_sequence']} count={h['count']} time={h['base_timestamp']} "
                         f"max={h['max_timestamp']} attributes={h['attributes']} whole={h['whole']:d}")
    return lines


def versions_in(lines, api):
    return [int(line.split()[1]) for line in lines if line.split()[0] == api]


def note_both(s, offset, max_bytes, timestamp):
    got = asked_by_tool(s, offset, max_bytes, timestamp)
    want = asked_by_wire(s, offset, max_bytes, timestamp, versions_in(got, "fetch"), versions_in(got, "offsets"))
    producers = [line for line in got if line.startswith("producer ")]
    lines = [re.sub(r"id=(-?\d+)", lambda m: f"id={who(s, int(m[1]))}", line) for line in got]
    lines = [re.sub(r"(time|max)=(-?\d+)", lambda m: f"{m[1]}={when(s, int(m[2]))}", line) for line in lines]
    told = [line for line in lines if line.startswith("producer ")]     # a broker has no order of them
    for line in sorted(told) + lines[len(told):]:
        s.note(line)
    s.note("the two readers agree" if got == want else f"the producer reads {got}, the tests {want}")


# --- the experiments

def what_is_remembered_of_producers_is_told(s):
    note_producers(s)
    s.send(0, 10)
    s.send(10, 5, timestamp=s.timestamp + 7)
    s.send(0, 10)                                               # a duplicate changes nothing
    note_producers(s)
    s.send(0, 3, pid=s.pid + 500000, timestamp=s.timestamp - 9)
    s.send(30, 1)                                               # refused: nor does this
    note_producers(s)
    s.send(0, 2, epoch=4)
    note_producers(s)
    s.restart()
    note_producers(s)
    s.send(2147483647, 2, pid=s.pid + 500001)
    note_producers(s)
    note_producers(s, 7)
    note_producers(s, 0, s.name + "-absent")


def offsets_are_found_by_time(s):
    for version in range(1, 8):
        note_offset(s, s.timestamp, version)
    s.send(0, 3)
    s.send(3, 4, timestamp=s.timestamp + 1000)
    s.send(7, 2, timestamp=s.timestamp - 1000)
    s.send(9, 1, timestamp=s.timestamp + 1001)
    for version in range(1, 8):
        for timestamp in (-2, -1, 0, s.timestamp - 1000, s.timestamp, s.timestamp + 1, s.timestamp + 1001, s.timestamp + 1002):
            note_offset(s, timestamp, version)


def a_log_is_read_from_header_to_header(s):
    note_log(s)
    s.five()
    s.send(0, 1, pid=s.pid + 500000, epoch=3)
    s.send(-1, 2, pid=-1, epoch=-1)
    for version in range(4, 13):
        note_log(s, version=version)
    for offset in (9, 10, 50, 51, 53, 54, 1000):
        note_log(s, offset)
    for max_bytes in (0, 1, 60, 61, 62, 400, 500, 700):
        note_log(s, 0, max_bytes=max_bytes)
        note_log(s, 15, 12, max_bytes)


def a_log_with_append_time_has_it_in_its_headers(s):
    a = s.client.produce(s.name, 0, wire.batch([b"one"], s.pid, 0, 0, 1000))
    b = wire.headers(s.client.fetch(s.name, 0, 0).data)[0]
    s.note(f"max is the time of appending: {b['max_timestamp'] == a.append_time}, base {b['base_timestamp']}, "
           f"attributes {b['attributes']}, sound {b['sound']}")
    s.note(f"found by it: {s.client.offset_at(s.name, 0, a.append_time)[:2]}, not later: "
           f"{s.client.offset_at(s.name, 0, a.append_time + 1)}, remembered: "
           f"{s.client.described(s.name, 0)[1][0][3] == a.append_time}")


def deleted_records_are_out_of_range(s):
    s.five()
    s.broker.delete_records(s.name, 13)
    for offset in (0, 12, 13, 20):
        note_log(s, offset)
    for timestamp in (-2, -1, s.timestamp, s.timestamp + 1):
        note_offset(s, timestamp)
    s.send(40, 10)
    note_producers(s)
    s.broker.delete_records(s.name, 50)
    note_log(s, 50)
    note_offset(s, s.timestamp)
    note_producers(s)
    s.send(50, 1)


def the_producers_own_readers_understand_it(s):
    s.five()
    s.send(0, 1, pid=s.pid + 500000, epoch=3)
    note_both(s, 0, 1 << 20, s.timestamp)
    note_both(s, 15, 300, -2)
    note_both(s, 51, 300, -1)
    note_both(s, 52, 300, s.timestamp + 1)


def e8_what_an_expired_producer_wrote_is_still_in_the_log(s):
    s.send(0, 10)
    note_producers(s)
    s.broker.expire(s.name, s.pid)
    note_producers(s)
    note_log(s)
    s.timestamp += MINUTE // 2
    s.send(0, 10)
    note_producers(s)
    note_log(s)


def e9_an_old_batch_is_found_though_its_producer_is_forgotten(s):
    s.timestamp -= 2 * 24 * 60 * MINUTE
    s.send(0, 10)
    until(lambda: s.pid not in s.client.producers(s.name, 0), 20, "the producer is forgotten")
    note_log(s)
    note_offset(s, s.timestamp)
    s.send(0, 10)
    note_log(s)


def e15_the_second_of_two_writers_is_nowhere(s):
    s.send(0, 10)
    s.reconnect()
    s.send(0, 10, text="somebody else")
    note_producers(s)
    note_log(s)


def who_does_not_lead_tells_some_of_it(s):
    s.send(0, 10)
    s.client.close()
    s.client = s.broker.connect_other(s.name)
    until(lambda: s.client.fetch(s.name, 0, 0, 11).high_watermark == 10, 20, "the replica has it")
    for version in (4, 10, 11, 12):
        note_log(s, 0, version)
    note_offset(s, -1)
    note_offset(s, s.timestamp, 7)
    note_producers(s)


EXPERIMENTS = [what_is_remembered_of_producers_is_told, offsets_are_found_by_time, a_log_is_read_from_header_to_header,
               a_log_with_append_time_has_it_in_its_headers, deleted_records_are_out_of_range,
               the_producers_own_readers_understand_it, e8_what_an_expired_producer_wrote_is_still_in_the_log,
               e9_an_old_batch_is_found_though_its_producer_is_forgotten, e15_the_second_of_two_writers_is_nowhere]
WITH_REPLICAS = [who_does_not_lead_tells_some_of_it]
CONFIGS = {a_log_with_append_time_has_it_in_its_headers: {"message_timestamp_type": "LogAppendTime"}}
