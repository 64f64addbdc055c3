"""oracle.py - lines that can be recognised, and the judge that counts what became of them.

A line is	run-id file-id seq len crc payload
with blanks between; `len` is the length of the whole line without its LF, `crc` the CRC-32 of all that stands before and
behind it. File and sequence number name a line once and for all, so of each one it can be said whether it is missing,
doubled, corrupt, or came before one that was written earlier; a line of another run is unknown.

The generator keeps its own ledger: a file of `file-id count` rows, synced after the lines themselves. The judge believes
that ledger and a consumer, never the agent.
"""
import os
import random
import subprocess
import threading
import time
import zlib

import procs

DEFAULT_LEN = 178
_FILE_TIME = 5          # CLOCK_REALTIME_COARSE, which Python has no name for
_WORDS = ("accepted connection from request for upstream timed out while reading header client closed keepalive worker process "
          "session opened user service started unit entered failed state retrying in queue depth latency ms status bytes sent "
          "GET POST /api/v1/orders /api/v1/items /health /static/app.js HTTP/1.1 200 301 404 502 Mozilla/5.0 curl/7.88.1 cache "
          "miss hit shard replica commit offset partition leader elected INFO WARN ERROR DEBUG main thread pool-7 scheduler").split()


def payloads(seed, count=512, longest=4096):
    """Texts that compress about as log text does; the same for the same seed."""
    rng = random.Random(seed)
    out = []
    for _ in range(count):
        words = []
        size = 0
        while size < longest:
            roll = rng.random()
            if roll < 0.7:
                w = rng.choice(_WORDS)
            elif roll < 0.9:
                w = f"{rng.choice(_WORDS)}={rng.randrange(1 << 20)}"
            else:
                w = f"{rng.getrandbits(64):016x}"
            words.append(w)
            size += len(w) + 1
        out.append(" ".join(words)[:longest].encode())
    return out


class Lines:
    """Makes the lines of one run. Thread-safe as long as no two threads share a file id."""

    def __init__(self, run_id, seed=1):
        self.run = run_id.encode()
        self.texts = payloads(seed)

    def line(self, file_id, seq, length=DEFAULT_LEN):
        """Line `seq` of a file, with its LF."""
        head = b"%s %s %08d %05d " % (self.run, file_id, seq, length)
        room = max(length - len(head) - 9, 1)
        text = self.texts[(seq * 2654435761 >> 7) % len(self.texts)]
        while len(text) < room:
            text += text
        text = text[:room]
        return b"%s%08x %s\n" % (head, zlib.crc32(text, zlib.crc32(head)), text)

    def block(self, file_id, first, count, length=DEFAULT_LEN):
        return b"".join([self.line(file_id, seq, length) for seq in range(first, first + count)])


class Ledger:
    """What was really written, on disk before anybody is asked about it. Lock: guards the counts and the file."""

    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()
        self.counts = {}
        self.file = open(path, "wb", buffering=0)

    def wrote(self, file_id, count, sync=True):
        self.wrote_all([file_id], count, sync)

    def wrote_all(self, file_ids, count, sync=True):
        """The same for many files, with one sync."""
        with self.lock:
            for file_id in file_ids:
                self.counts[file_id] = self.counts.get(file_id, 0) + count
            self.file.write(b"".join([b"%s %d\n" % (file_id, count) for file_id in file_ids]))
            if sync:
                os.fsync(self.file.fileno())

    def total(self):
        with self.lock:
            return sum(self.counts.values())

    @staticmethod
    def load(path):
        """The counts of a ledger as they are on disk."""
        counts = {}
        with open(path, "rb") as f:
            for row in f:
                file_id, count = row.split()
                counts[file_id] = counts.get(file_id, 0) + int(count)
        return counts


def let_time_pass(fd):
    """Waits until what is written from now on is younger than that file: times tell generations apart, and the kernel's are coarse."""
    last = os.fstat(fd).st_mtime_ns
    procs.until(lambda: time.clock_gettime_ns(_FILE_TIME) > last, 10, "the time of files goes on", every=0.001)


class Writer:
    """An application that logs into one path: appends, rotates by rename, writes halves of lines.

    The file id stays the same over rotations: the order that the judge expects is that of the whole log."""

    def __init__(self, lines, ledger, path, file_id, length=DEFAULT_LEN):
        self.lines, self.ledger, self.path = lines, ledger, path
        self.id = file_id.encode()
        self.length = length
        self.seq = 0
        self.rotated = []               # where the older generations are, oldest first
        self.fd = self._open()

    def _open(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def _put(self, data):
        while data:
            data = data[os.write(self.fd, data):]

    def write(self, count, block=2000, sync=True):
        """Appends `count` lines in pieces of `block`, then enters them in the ledger. sync: both are on disk then."""
        left = count
        while left:
            n = min(left, block)
            self._put(self.lines.block(self.id, self.seq, n, self.length))
            self.seq += n
            left -= n
        if sync:
            os.fdatasync(self.fd)
        self.ledger.wrote(self.id, count, sync)

    def write_in_pieces(self, count, rng):
        """Appends lines cut anywhere, each piece by a write of its own."""
        data = self.lines.block(self.id, self.seq, count, self.length)
        at = 0
        while at < len(data):
            step = rng.randint(1, 3 * self.length)
            self._put(data[at:at + step])
            at += step
        self.seq += count
        os.fdatasync(self.fd)
        self.ledger.wrote(self.id, count)

    def rotate(self, to=None):
        """Renames the file away and opens a new one under the old name. Returns the new name of the old file."""
        to = to or f"{self.path}.{len(self.rotated) + 1}"
        os.rename(self.path, to)
        self.rotated.append(to)
        let_time_pass(self.fd)
        os.close(self.fd)
        self.fd = self._open()
        return to

    def delete_rotated(self):
        for path in self.rotated:
            if os.path.exists(path):
                os.unlink(path)

    def close(self):
        """Once is enough: the number may be somebody else's by the second time."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Feeder(threading.Thread):
    """Writes with several writers in turn until stopped or `total` lines are out; rotates each after `rotate_every` lines."""

    def __init__(self, writers, lines_per_s=20000, total=None, rotate_every=None, burst=200):
        super().__init__(daemon=True)
        self.writers, self.rate, self.total = writers, lines_per_s, total
        self.rotate_every, self.burst = rotate_every, burst
        self.ending = threading.Event()
        self.written = 0
        self.failure = None
        self.turning = set()            # writers that are to rotate; the set is replaced, never changed, by rotate()
        self.start()

    def run(self):
        try:
            begin = time.monotonic()
            since = {w: 0 for w in self.writers}
            while not self.ending.is_set() and (self.total is None or self.written < self.total):
                w = self.writers[(self.written // self.burst) % len(self.writers)]
                w.write(self.burst)
                self.written += self.burst
                since[w] += self.burst
                if (self.rotate_every and since[w] >= self.rotate_every) or w in self.turning:
                    w.rotate()
                    since[w] = 0
                    self.turning = self.turning - {w}
                self.ending.wait(max(0.0, begin + self.written / self.rate - time.monotonic()))
        except Exception as e:                          # reported by stop(): a thread has nobody to raise to
            self.failure = e

    def rotate(self):
        """Has each writer rotate once, at its next turn."""
        self.turning = set(self.writers)

    def done(self):
        return not self.is_alive()

    def stop(self):
        self.ending.set()
        self.join()
        if self.failure:
            raise self.failure


class Verdict:
    """Counts of the judge. `good` when every line is there once, whole and in order."""

    def __init__(self):
        self.written = self.records = 0
        self.missing = self.doubled = self.unknown = self.corrupt = self.reordered = 0
        self.examples = []

    @property
    def good(self):
        return not (self.missing or self.doubled or self.unknown or self.corrupt or self.reordered)

    def note(self, kind, text):
        if sum(1 for k, _ in self.examples if k == kind) < 5:
            self.examples.append((kind, text))

    def __str__(self):
        text = (f"written {self.written}, records {self.records}: missing {self.missing}, doubled {self.doubled}, "
                f"unknown {self.unknown}, corrupt {self.corrupt}, reordered {self.reordered}")
        return text + "".join(f"\n    {kind}: {what}" for kind, what in self.examples)


def judge(run_id, counts, records, between_partitions=False):
    """Compares consumed records with the ledger's counts.

    `records`: (partition, offset, value) in the order of each partition. Order is judged per file and partition, or, with
    `between_partitions`, it is not judged at all."""
    run = run_id.encode()
    v = Verdict()
    seen = {file_id: bytearray(n) for file_id, n in counts.items()}
    last = {}
    v.written = sum(counts.values())
    for partition, offset, value in records:
        v.records += 1
        parts = value.split(b" ", 5)
        if len(parts) != 6 or parts[0] != run or parts[1] not in seen:
            v.unknown += 1
            v.note("unknown", f"{partition}@{offset} {value[:100]!r}")
            continue
        _, file_id, seq, length, crc, text = parts
        head = len(value) - len(text) - 9
        try:
            n = int(seq)
            sound = int(length) == len(value) and zlib.crc32(text, zlib.crc32(value[:head])) == int(crc, 16)
        except ValueError:
            sound = False
        if not sound:
            v.corrupt += 1
            v.note("corrupt", f"{partition}@{offset} {value[:100]!r}")
            continue
        row = seen[file_id]
        if n >= len(row):
            v.unknown += 1
            v.note("unknown", f"{partition}@{offset} {file_id.decode()} line {n} of {len(row)}")
            continue
        if row[n]:
            v.doubled += 1
            v.note("doubled", f"{partition}@{offset} {file_id.decode()} line {n}")
            row[n] = min(row[n] + 1, 255)
            continue
        row[n] = 1
        key = file_id, partition
        if not between_partitions and n < last.get(key, -1):
            v.reordered += 1
            v.note("reordered", f"{partition}@{offset} {file_id.decode()} line {n} after {last[key]}")
        else:
            last[key] = n
    for file_id, row in seen.items():
        lost = row.count(0)
        if lost:
            v.missing += lost
            v.note("missing", f"{file_id.decode()} {lost} of {len(row)}: {_spans(row)}")
    return v


def runs(records):
    """What lies in the log, short: (partition, offset, file id, first line, last line) of each unbroken run of lines."""
    out = []
    for partition, offset, value in records:
        parts = value.split(b" ", 3)
        file_id, seq = (parts[1].decode(), int(parts[2])) if len(parts) == 4 and parts[2].isdigit() else ("?", -1)
        open_run = out[-1] if out else None
        if open_run and (open_run[0], open_run[2], open_run[4]) == (partition, file_id, seq - 1):
            open_run[4] = seq
        else:
            out.append([partition, offset, file_id, seq, seq])
    return out


def _spans(row):
    """The first few runs of zeros, as text."""
    out, at = [], 0
    while len(out) < 4:
        begin = row.find(0, at)
        if begin < 0:
            break
        end = begin
        while end < len(row) and not row[end]:
            end += 1
        out.append(f"{begin}-{end - 1}")
        at = end
    return " ".join(out)


# --- consumers

def _parse(data):
    """The records in kcat's output of consume()."""
    out, at, size = [], 0, len(data)
    while at < size:
        end = data.index(b"\n", at)
        partition, offset, klen, vlen = data[at:end].split()
        at = end + 1
        key = None
        if int(klen) >= 0:
            key = data[at:at + int(klen)]
            at += int(klen)
        n = max(int(vlen), 0)
        out.append((int(partition), int(offset), key, data[at:at + n]))
        at += n + 1
    return out


def consume(address, topic, timeout=180):
    """All records of a topic by kcat: (partition, offset, key, value), in the order of each partition."""
    argv = ["kcat", "-C", "-q", "-e", "-m", "60", "-b", address, "-t", topic, "-o", "beginning", "-X", "check.crcs=true",
            "-f", "%p %o %K %S\n%k%s\n"]
    rc, out, err = procs.run(argv, timeout=timeout)
    if rc:
        raise RuntimeError(f"kcat ended with {rc}: {err.decode(errors='replace')[-1000:]}")
    return sorted(_parse(out), key=lambda r: (r[0], r[1]))


def console_consume(broker, topic, timeout=400):
    """All records of a topic by Kafka's own ConsoleConsumer, from offset 0: (partition, offset, key, value).

    For lines without LF inside, which is what a log shipper sends. It reads as many records as the broker says there are."""
    from kafka import tool
    count = broker.count(topic)
    if not count:
        return []
    out = tool("org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", broker.address, "--topic", topic,
               "--from-beginning", "--max-messages", count, "--timeout-ms", int(120000 * procs.SLOWNESS),
               "--property", "print.partition=true", "--property", "print.offset=true",
               "--property", "print.key=true", "--property", "key.separator=|", timeout=timeout)
    rows = []
    for row in out.split(b"\n")[:-1]:
        # Partition:0|Offset:17|key|value
        partition, offset, key, value = row.split(b"|", 3)
        rows.append((int(partition[10:]), int(offset[7:]), None if key == b"null" else key, value))
    return sorted(rows, key=lambda r: (r[0], r[1]))


def values(records, partition=None):
    return [r[3] for r in records if partition is None or r[0] == partition]


def triples(records):
    return ((r[0], r[1], r[3]) for r in records)
