"""model.py - what a random walk has written, and what the interface promises of it.

A Content is what a file holds from its creation, or from its last truncation, on; its name and its line's number are in each
line. Contents of one log that follow each other by rename or truncation are a chain: the lines that one held when its
successor came have to precede the successor's in every partition. A deletion ends the chain: nothing is promised across it.

Nothing may be missing but lines that a model calls forgiven: of a file that was deleted, from the last position on that the
agent was seen to have finished when it died.
"""
import os
import random
import zlib

ASCII = bytes(c for c in range(32, 127))
# Everything but NUL (the fake broker keeps texts), LF and CR: both end lines.
BYTES = bytes(c for c in range(1, 256) if c not in (10, 13))
LONG = 1 << 60


class Content:
    def __init__(self, name, topic, chain, place, path):
        self.id, self.topic, self.path = name.encode(), topic, path
        self.chain, self.place = chain, place
        self.fd, self.inode = -1, 0
        self.crcs, self.ends = [], []           # of each line; None: an empty one
        self.size = 0
        self.left = b""                         # of a line that was begun and is not yet whole
        self.cut = False                        # its last line is without LF for good
        self.held = LONG                        # lines when its successor came
        self.before = -1                        # how long this file was when it was truncated: a look may still see that
        self.least = 0                          # of a copy: what its row says at least, once it has the original's
        self.original = None                    # of a file that was copied and truncated: where its old content is
        self.seen = False                       # the agent has recorded that there is this file
        self.open = False                       # in its present life
        self.safe = 0                           # as last seen
        self.deleted = False
        self.forgiven = LONG                    # missing is allowed from this line on

    @property
    def finished(self):
        """All of it was seen to be acknowledged or spooled."""
        return self.safe == self.size and not self.left

    def write(self, data):
        while data:
            n = os.write(self.fd, data)
            self.size += n
            data = data[n:]

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Verdict:
    def __init__(self):
        self.records = self.written = self.missing = self.forgiven = 0
        self.doubled = self.reordered = self.unknown = 0
        self.examples = []

    @property
    def good(self):
        return not (self.missing or self.doubled or self.reordered or self.unknown)

    def note(self, kind, words):
        if sum(1 for k, _ in self.examples if k == kind) < 8:
            self.examples.append((kind, words))

    def __str__(self):
        return (f"written {self.written}, records {self.records}: missing {self.missing}, forgiven {self.forgiven}, "
                f"doubled {self.doubled}, reordered {self.reordered}, unknown or corrupt {self.unknown}"
                + "".join(f"\n    {kind}: {words}" for kind, words in self.examples))


class Model:
    def __init__(self, run_id):
        self.run = run_id.encode()
        self.contents = {}
        self.chains = 0

    # --- writing

    def content(self, name, topic, path, after=None):
        """A new content; `after`: the one that it follows in its chain."""
        if not after:
            self.chains += 1
        c = Content(f"{name}.{len(self.contents)}", topic, after.chain if after else self.chains, after.place + 1 if after else 0, path)
        self.contents[c.id] = c
        return c

    def line(self, c, rng):
        """The next line of a content, whole, with its LF: any shape and size. It is entered as written."""
        n = len(c.crcs)
        if n and rng.random() < 0.02:           # never the first: two files of which each is one empty line are the same
            c.crcs.append(None)
            return b"\r\n" if rng.random() < 0.3 else b"\n"
        roll = rng.random()
        size = rng.randrange(0, 250) if roll < 0.93 else rng.randrange(250, 6000) if roll < 0.99 else rng.randrange(6000, 60000)
        value = b"%s %s %d %s" % (self.run, c.id, n, _text(rng, size))
        c.crcs.append(zlib.crc32(value))
        return value + (b"\r\n" if rng.random() < 0.05 else b"\n")

    def append(self, c, count, rng):
        """Whole lines, by one write; first what a line begun earlier still lacks."""
        data = bytearray(c.left)
        at = c.size
        if c.left:
            c.ends.append(at + len(data))
            c.left = b""
        for _ in range(count):
            data += self.line(c, rng)
            c.ends.append(at + len(data))
        c.write(bytes(data))

    def begin(self, c, rng, whole=False):
        """A line without its end; whole: only LF is missing."""
        self.append(c, 0, rng)
        data = self.line(c, rng)
        cut = len(data.rstrip(b"\r\n")) if whole else rng.randrange(len(data))
        c.left = data[cut:]
        c.write(data[:cut])

    def end(self, c, rng):
        """Nothing is to be cut off in the middle: a line begun is ended."""
        self.append(c, 0, rng)

    def leave(self, c):
        """The last line stays without its LF for good: it counts once its file is rotated and quiet."""
        c.left = b""
        if c.crcs[-1] is None:
            c.crcs.pop()                        # an empty line without its LF is nothing
            return
        c.ends.append(c.size)
        c.held = len(c.crcs) - 1                # it is no complete line
        c.cut = True

    # --- what may be missing

    def forgive(self, c):
        """The agent died; whatever it had not finished of a deleted file is nowhere any more."""
        c.forgiven = min(c.forgiven, sum(1 for end in c.ends if end <= c.safe))

    def written(self):
        return sum(len(c.crcs) - bool(c.left) for c in self.contents.values())

    def forgivable(self):
        return sum(max(0, len(c.crcs) - c.forgiven) for c in self.contents.values())

    # --- judging

    def judge(self, topic, records):
        """Compares (partition, offset, value) of a topic, in the order of each partition, with what was written to it."""
        v = Verdict()
        mine = {c.id: c for c in self.contents.values() if c.topic == topic}
        seen = {i: bytearray(len(c.crcs)) for i, c in mine.items()}
        last, newest = {}, {}
        empty = 0
        for partition, offset, value in records:
            v.records += 1
            if not value:
                empty += 1
                continue
            c, n = self._known(mine, value)
            if c is None:
                v.unknown += 1
                v.note("unknown or corrupt", f"{partition}@{offset} {value[:80]!r}, {len(value)} bytes")
                continue
            if seen[c.id][n]:
                v.doubled += 1
                v.note("doubled", f"{partition}@{offset} {c.id.decode()} line {n}")
                continue
            seen[c.id][n] = 1
            before, ahead = last.get((c.id, partition), -1), newest.get((c.chain, partition), c)
            if n < before or (ahead.place > c.place and n < c.held):
                v.reordered += 1
                v.note("reordered", f"{partition}@{offset} {c.id.decode()} line {n} after "
                       + (f"line {before}" if n < before else f"lines of {ahead.id.decode()}"))
            last[c.id, partition] = max(n, before)
            if c.place >= ahead.place:
                newest[c.chain, partition] = c
        self._missing(v, mine, seen, empty)
        return v

    def _known(self, mine, value):
        parts = value.split(b" ", 3)
        if len(parts) == 4 and parts[0] == self.run and parts[1] in mine and parts[2].isdigit():
            c, n = mine[parts[1]], int(parts[2])
            if n < len(c.crcs) and c.crcs[n] == zlib.crc32(value):
                return c, n
        return None, 0

    def _missing(self, v, mine, seen, empty):
        """Empty lines have no name: of them only the number can be right."""
        least = most = 0
        for i, row in seen.items():
            c = mine[i]
            count = len(c.crcs) - bool(c.left)
            v.written += count
            for n in range(count):
                if c.crcs[n] is None:
                    most += 1
                    least += n < c.forgiven
                elif not row[n] and n >= c.forgiven:
                    v.forgiven += 1
                elif not row[n]:
                    v.missing += 1
                    v.note("missing", f"{i.decode()} line {n} of {count}, {c.path}, bytes to {c.ends[n]}, seen finished to {c.safe}")
        if empty > most:
            v.doubled += empty - most
            v.note("doubled", f"{empty} empty lines, {most} written")
        if empty < least:
            v.missing += least - empty
            v.note("missing", f"{empty} empty lines, at least {least} expected")
        v.forgiven += max(0, most - empty) if empty >= least else most - least


def _text(rng, size):
    if rng.random() < 0.8:
        return bytes(rng.choices(ASCII, k=min(size, 40))) * (size // 40 + 1)
    return bytes(rng.choices(BYTES, k=min(size, 200))) * (size // 200 + 1)
