"""wire.py - as much of Kafka's protocol as the tests need, over one socket a client.

Why: Kafka's own tools cost a JVM start (two seconds) for each topic that a test creates. What is here asks a broker
directly; what a consumer sees is still read by real consumers (kcat, ConsoleConsumer).
Only versions without tagged fields are used, except by DescribeProducers, which has no other, and by Produce, Fetch, ListOffsets
and the look-up of topic ids, which speak what they are told to: their answers are compared between brokers.
"""
import collections
import socket
import struct

import procs

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS = 0, 1, 2, 3, 18
CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, INIT_PRODUCER_ID, CREATE_PARTITIONS = 19, 20, 21, 22, 37
ELECT_LEADERS, ALTER_CONFIGS, REASSIGN, DESCRIBE_PRODUCERS = 43, 44, 45, 61
CREATE_ACLS, DELETE_ACLS = 30, 31
COORDINATOR_LOADING, TOPIC_ALREADY_EXISTS = 14, 36
NOT_LED_YET = (5, 6)            # LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER
TOPIC_RESOURCE, BROKER_RESOURCE = 2, 4
ACL_ANY, ACL_DENY, ACL_ALLOW, ACL_LITERAL, ACL_READ, ACL_WRITE = 1, 2, 3, 3, 3, 4
CONFIG_SET, CONFIG_DELETE = 0, 1
ADMIN_MS = 25000                # that a broker has for what an administrator asks, less than a client waits


class WireError(Exception):
    """The broker said no, or said nothing."""


def string(s):
    if s is None:
        return struct.pack(">h", -1)
    raw = s.encode()
    return struct.pack(">h", len(raw)) + raw


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def uvarint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def zigzag(n):
    """A varint as records have it."""
    return uvarint(2 * n if n >= 0 else -2 * n - 1)


def compact_string(s):
    return uvarint(0) if s is None else uvarint(len(s.encode()) + 1) + s.encode()


def compact_array(items):
    return uvarint(len(items) + 1) + b"".join(items)


class Reader:
    """Takes a response apart, field by field."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, fmt):
        size = struct.calcsize(">" + fmt)
        if self.at + size > len(self.data):
            raise WireError("response is too short")
        value, = struct.unpack_from(">" + fmt, self.data, self.at)
        self.at += size
        return value

    def raw(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def string(self):
        n = self.take("h")
        return None if n < 0 else self.raw(n).decode()

    def array(self, item):
        return [item(self) for _ in range(self.take("i"))]

    def uvarint(self):
        value = shift = 0
        while True:
            b = self.take("B")
            value |= (b & 0x7f) << shift
            shift += 7
            if b < 0x80:
                return value

    def compact_string(self):
        n = self.uvarint()
        return None if n == 0 else self.raw(n - 1).decode()

    def compact_array(self, item):
        return [item(self) for _ in range(self.uvarint() - 1)]

    def tags(self):
        for _ in range(self.uvarint()):
            self.uvarint()
            self.raw(self.uvarint())

    def only_partition(self, flexible):
        """Up to the index of the only partition of the only topic; that index."""
        for skip in ((self.compact_string if flexible else self.string), None):
            n = self.uvarint() - 1 if flexible else self.take("i")
            if n != 1:
                raise WireError(f"{n} topics or partitions in the answer, not one")
            if skip:
                skip()
        return self.take("i")

    def ends(self, structures):
        """The tags of so many structures, and nothing behind."""
        for _ in range(structures):
            self.tags()
        if self.at != len(self.data):
            raise WireError(f"{len(self.data) - self.at} bytes left over")


class Client:
    """One connection. Use as a context manager, or close()."""

    def __init__(self, host, port, timeout=30):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def _read(self, n):
        out = b""
        while len(out) < n:
            part = self.sock.recv(n - len(out))
            if not part:
                raise WireError("connection closed by the broker")
            out += part
        return out

    def send(self, api, version, body, flexible=False):
        """The request alone; what comes back is the caller's."""
        self.correlation += 1
        head = struct.pack(">hhi", api, version, self.correlation) + string("tests") + (b"\0" if flexible else b"")
        self.sock.sendall(struct.pack(">i", len(head) + len(body)) + head + body)

    def call(self, api, version, body, flexible=False):
        self.send(api, version, body, flexible)
        r = self.receive()
        if flexible:
            r.tags()
        return r

    def receive(self):
        """The answer to the last request, behind its correlation id."""
        size, = struct.unpack(">i", self._read(4))
        r = Reader(self._read(size))
        if r.take("i") != self.correlation:
            raise WireError("answer to another request")
        return r

    def api_versions(self):
        r = self.call(API_VERSIONS, 0, b"")
        if r.take("h"):
            raise WireError("ApiVersions failed")
        return {key: (low, high) for key, low, high in r.array(lambda r: (r.take("h"), r.take("h"), r.take("h")))}

    def metadata(self, topics=None):
        """{"brokers": {id: (host, port)}, "cluster": id, "controller": id, "topics": {name: (error, {partition: leader})},
        "isr": {name: {partition: replicas in sync}}}"""
        body = struct.pack(">i", -1) if topics is None else array([string(t) for t in topics])
        r = self.call(METADATA, 7, body + b"\0")
        r.take("i")

        def broker(r):
            row = r.take("i"), (r.string(), r.take("i"))
            r.string()
            return row

        def partition(r):
            r.take("h")
            index, leader = r.take("i"), r.take("i")
            r.take("i")
            _replicas, isr, _offline = (r.array(lambda r: r.take("i")) for _ in range(3))
            return index, leader, len(isr)

        isr = {}

        def topic(r):
            error, name = r.take("h"), r.string()
            r.take("b")
            rows = r.array(partition)
            isr[name] = {index: n for index, _, n in rows}
            return name, (error, {index: leader for index, leader, _ in rows})

        brokers = dict(r.array(broker))
        cluster, controller = r.string(), r.take("i")
        return {"brokers": brokers, "cluster": cluster, "controller": controller, "topics": dict(r.array(topic)), "isr": isr}

    def create_topic(self, name, partitions=1, replication=1, config=None):
        """Returns the error code of the topic (0, TOPIC_ALREADY_EXISTS, ...)."""
        configs = array([string(k) + string(str(v)) for k, v in (config or {}).items()])
        topic = string(name) + struct.pack(">ih", partitions, replication) + array([]) + configs
        r = self.call(CREATE_TOPICS, 4, array([topic]) + struct.pack(">ib", ADMIN_MS, 0))
        r.take("i")
        return r.array(lambda r: (r.string(), r.take("h"), r.string()))[0][1]

    def delete_topic(self, name):
        r = self.call(DELETE_TOPICS, 3, array([string(name)]) + struct.pack(">i", ADMIN_MS))
        r.take("i")
        return r.array(lambda r: (r.string(), r.take("h")))[0][1]

    def grow_topic(self, name, partitions):
        """Adds partitions until there are that many."""
        row = string(name) + struct.pack(">ii", partitions, -1)
        r = self.call(CREATE_PARTITIONS, 1, array([row]) + struct.pack(">ib", ADMIN_MS, 0))
        r.take("i")
        _, error, message = r.array(lambda r: (r.string(), r.take("h"), r.string()))[0]
        if error:
            raise WireError(f"grow {name}: error {error} {message}")

    def alter_topic(self, name, config):
        """Sets the given keys of a topic's configuration; a value of None takes a key back to its default."""
        rows = [string(k) + struct.pack(">b", CONFIG_DELETE if v is None else CONFIG_SET) +
                string(None if v is None else str(v)) for k, v in config.items()]
        self._alter(TOPIC_RESOURCE, name, rows)

    def alter_brokers(self, config):
        """The same for the default of all brokers."""
        rows = [string(k) + struct.pack(">b", CONFIG_SET) + string(str(v)) for k, v in config.items()]
        self._alter(BROKER_RESOURCE, "", rows)

    def _alter(self, kind, name, rows):
        resource = struct.pack(">b", kind) + string(name) + array(rows)
        r = self.call(ALTER_CONFIGS, 0, array([resource]) + b"\0")
        r.take("i")
        error, message = r.array(lambda r: (r.take("h"), r.string(), r.take("b"), r.string())[:2])[0]
        if error:
            raise WireError(f"alter {name}: error {error} {message}")

    def set_acls(self, topic, rules):
        """Replaces the ACLs of a topic by these (operation, permission), for everybody. None: none, so everybody may do all."""
        of = struct.pack(">b", TOPIC_RESOURCE) + string(topic) + struct.pack(">b", ACL_LITERAL)
        everybody = string("User:*") + string("*")
        r = self.call(DELETE_ACLS, 1, array([of + string(None) + string(None) + struct.pack(">bb", ACL_ANY, ACL_ANY)]))
        r.take("i")
        if r.take("i") != 1 or r.take("h"):
            raise WireError(f"ACLs of {topic} are not deleted")
        rows = [of + everybody + struct.pack(">bb", operation, permission) for operation, permission in rules]
        r = self.call(CREATE_ACLS, 1, array(rows))
        r.take("i")
        for error, message in r.array(lambda r: (r.take("h"), r.string())):
            if error:
                raise WireError(f"ACLs of {topic}: error {error} {message}")

    def reassign(self, topic, replicas):
        """Gives partitions other replicas, or the same in another order ({partition: [node, ...]}): the first is to lead."""
        rows = [struct.pack(">i", p) + compact_array([struct.pack(">i", n) for n in nodes]) + b"\0" for p, nodes in replicas.items()]
        row = compact_string(topic) + compact_array(rows) + b"\0"
        r = self.call(REASSIGN, 0, struct.pack(">i", ADMIN_MS) + compact_array([row]) + b"\0", flexible=True)
        r.take("i")
        error, message = r.take("h"), r.compact_string()
        if error:
            raise WireError(f"reassign {topic}: error {error} {message}")

    def elect_preferred(self, topic, partitions):
        """Has those partitions led by the first of their replicas. A partition where that is so already is no error."""
        row = string(topic) + array([struct.pack(">i", p) for p in partitions])
        r = self.call(ELECT_LEADERS, 1, b"\0" + array([row]) + struct.pack(">i", ADMIN_MS))
        r.take("i")
        error = r.take("h")
        if error:
            raise WireError(f"elect {topic}: error {error}")

    def offsets(self, topic, partitions, timestamp=-1):
        """{partition: offset}; -1 is the end of each partition, -2 its beginning. Waits for a leader: a broker answers before all
        of its partitions have one again."""
        found = {}

        def all_led():
            found.update(self.offsets_now(topic, partitions, timestamp))
            return not any(error in NOT_LED_YET for error, _ in found.values())

        procs.until(all_led, 30, f"each partition of {topic} has a leader")
        for index, (error, _) in found.items():
            if error:
                raise WireError(f"offsets of {topic}-{index}: error {error}")
        return {index: offset for index, (_, offset) in found.items()}

    def offsets_now(self, topic, partitions, timestamp):
        """{partition: (error, offset)}."""
        rows = array([struct.pack(">iiq", p, -1, timestamp) for p in partitions])
        r = self.call(LIST_OFFSETS, 4, struct.pack(">ib", -1, 0) + array([string(topic) + rows]))
        r.take("i")

        def partition(r):
            index, error = r.take("i"), r.take("h")
            r.take("q")
            offset = r.take("q")
            r.take("i")
            return index, (error, offset)

        return dict(r.array(lambda r: (r.string(), r.array(partition)))[0][1])

    def offset_at(self, topic, partition, timestamp, version=4):
        """(error, offset, timestamp) of the first record that is not older; -1 and -2 as for offsets()."""
        flexible = version >= 6
        text, many = (compact_string, compact_array) if flexible else (string, array)
        end = b"\0" if flexible else b""
        row = struct.pack(">i", partition) + (struct.pack(">i", -1) if version >= 4 else b"") + struct.pack(">q", timestamp) + end
        body = struct.pack(">i", -1) + (b"\0" if version >= 2 else b"") + many([text(topic) + many([row]) + end]) + end
        r = self.call(LIST_OFFSETS, version, body, flexible)
        if version >= 2:
            r.take("i")
        r.only_partition(flexible)
        error, time, offset = r.take("h"), r.take("q"), r.take("q")
        if version >= 4:
            r.take("i")
        r.ends(3 if flexible else 0)
        return error, offset, time

    def fetch(self, topic, partition, offset, version=10, max_bytes=1 << 20):
        """A Fetched: what a consumer without a session gets of a partition, at once."""
        flexible = version >= 12
        text, many = (compact_string, compact_array) if flexible else (string, array)
        end = b"\0" if flexible else b""
        row = struct.pack(">i", partition) + (struct.pack(">i", -1) if version >= 9 else b"") + struct.pack(">q", offset)
        row += (struct.pack(">i", -1) if flexible else b"") + (struct.pack(">q", -1) if version >= 5 else b"")
        row += struct.pack(">i", max_bytes) + end
        body = struct.pack(">iiiib", -1, 0, 1, max_bytes, 0) + (struct.pack(">ii", 0, -1) if version >= 7 else b"")
        body += many([text(topic) + many([row]) + end]) + (many([]) if version >= 7 else b"")
        body += (text("") if version >= 11 else b"") + end
        return _fetched(self.call(FETCH, version, body, flexible), version)

    def delete_records(self, topic, partition, before):
        row = array([struct.pack(">iq", partition, before)])
        r = self.call(DELETE_RECORDS, 1, array([string(topic) + row]) + struct.pack(">i", ADMIN_MS))
        r.take("i")
        _, _, error = r.array(lambda r: (r.string(), r.array(lambda r: (r.take("i"), r.take("q"), r.take("h")))))[0][1][0]
        if error:
            raise WireError(f"delete from {topic}-{partition}: error {error}")

    def described(self, topic, partition):
        """(error, what the broker remembers of producers on a partition: [(producer id, epoch, last sequence, its time)])."""
        row = compact_string(topic) + compact_array([struct.pack(">i", partition)]) + b"\0"
        r = self.call(DESCRIBE_PRODUCERS, 0, compact_array([row]) + b"\0", flexible=True)
        r.take("i")
        r.only_partition(flexible=True)

        def producer(r):
            state = r.take("q"), r.take("i"), r.take("i"), r.take("q")
            r.raw(4 + 8)
            r.tags()
            return state

        error, _ = r.take("h"), r.compact_string()
        rows = r.compact_array(producer)
        r.ends(3)
        return error, rows

    def producers(self, topic, partition):
        """The same where nothing is wrong: {producer id: (epoch, last sequence)}."""
        error, rows = self.described(topic, partition)
        if error:
            raise WireError(f"producers of {topic}-{partition}: error {error}")
        return {pid: (epoch, last) for pid, epoch, last, _ in rows}

    def init_producer_id(self):
        """(error, a producer id that nobody else has, with epoch 0). COORDINATOR_LOADING: a young broker has no ids yet."""
        r = self.call(INIT_PRODUCER_ID, 0, string(None) + struct.pack(">i", 60000))
        r.take("i")
        return r.take("h"), r.take("q")

    def topic_id(self, name):
        """The sixteen bytes that a topic has been given with its creation. Brokers from 2.8 on."""
        topic = bytes(16) + compact_string(name) + b"\0"
        r = self.call(METADATA, 10, compact_array([topic]) + b"\0\0\0\0", flexible=True)
        r.take("i")

        def broker(r):
            r.take("i"), r.compact_string(), r.take("i"), r.compact_string()
            r.tags()

        r.compact_array(broker)
        r.compact_string(), r.take("i")
        if r.uvarint() != 2:
            raise WireError(f"no topic {name}")
        error, _ = r.take("h"), r.compact_string()
        if error:
            raise WireError(f"topic {name}: error {error}")
        return r.raw(16)

    def produce(self, topic, partition, records, version=8, acks=-1, timeout_ms=5000):
        """Sends these bytes for one partition; `topic` is a name, from version 13 on the sixteen bytes of an id.

        An Answer; None for acks 0, which has none."""
        flexible = version >= 9
        if flexible:
            name = topic if version >= 13 else compact_string(topic)
            row = struct.pack(">i", partition) + uvarint(len(records) + 1) + records + b"\0"
            topics = compact_array([name + compact_array([row]) + b"\0"])
            body = b"\0" + struct.pack(">hi", acks, timeout_ms) + topics + b"\0"
        else:
            row = struct.pack(">ii", partition, len(records)) + records
            body = string(None) + struct.pack(">hi", acks, timeout_ms) + array([string(topic) + array([row])])
        if acks == 0:
            self.send(PRODUCE, version, body, flexible)
            return None
        return _answer(self.call(PRODUCE, version, body, flexible), version)


Answer = collections.namedtuple("Answer", "error base_offset append_time log_start culprits message leader")
""" `culprits`: the batch indexes of record_errors; `leader`: (id, epoch) of the CurrentLeader tag, or None."""


def _answer(r, version):
    """The one partition of a Produce response; the whole response is read and nothing may be left over."""
    flexible = version >= 9
    text = r.compact_string if flexible else r.string
    many = r.compact_array if flexible else r.array
    leader = []

    def tags(known=None):
        for _ in range(r.uvarint() if flexible else 0):
            tag, size = r.uvarint(), r.uvarint()
            content = r.raw(size)
            if known is not None and tag == 0:
                known.append(struct.unpack(">ii", content[:8]))

    def culprit(r):
        index, _ = r.take("i"), text()
        tags()
        return index

    def partition(r):
        r.take("i")
        error, offset, time = r.take("h"), r.take("q"), r.take("q")
        start = r.take("q") if version >= 5 else -1
        culprits, message = (many(culprit), text()) if version >= 8 else ([], None)
        tags(leader)
        return Answer(error, offset, time, start, culprits, message, leader[0] if leader else None)

    def topic(r):
        r.raw(16) if version >= 13 else text()
        rows = many(partition)
        tags()
        return rows

    rows = many(topic)
    r.take("i")
    tags()
    r.ends(0)
    return rows[0][0]


def produce_error(answer, version):
    """The error code in the answer, a correlation id before it, to a Produce request of one partition."""
    r = Reader(answer)
    r.take("i")
    if version >= 9:
        r.tags()
    return _answer(r, version).error


Fetched = collections.namedtuple("Fetched", "error high_watermark log_start data")


def _fetched(r, version):
    flexible = version >= 12
    r.take("i")
    whole = r.take("h") if version >= 7 else 0
    if version >= 7:
        r.take("i")
    r.only_partition(flexible)
    error, end, _ = r.take("h"), r.take("q"), r.take("q")
    start = r.take("q") if version >= 5 else -1
    aborted = r.uvarint() - 1 if flexible else r.take("i")
    if version >= 11:
        r.take("i")
    n = r.uvarint() - 1 if flexible else r.take("i")
    data = r.raw(max(n, 0))
    r.ends(3 if flexible else 0)
    if aborted > 0:
        raise WireError("aborted transactions that nobody asked for")
    return Fetched(whole or error, end, start, data)


BATCH_HEAD = 61
BATCH_FIELDS = ("base_offset", "length", "leader_epoch", "magic", "crc", "attributes", "last_offset_delta",
                "base_timestamp", "max_timestamp", "producer_id", "producer_epoch", "base_sequence", "count")


def _crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
        table.append(i)
    return table


_CRC = _crc_table()


def crc32c(data):
    crc = 0xffffffff
    for b in data:
        crc = crc >> 8 ^ _CRC[(crc ^ b) & 0xff]
    return crc ^ 0xffffffff


def batch(values, pid=-1, epoch=-1, sequence=-1, timestamp=0, key=None, **fields):
    """A record batch, uncompressed. `key` may be a list with one a record; `fields` override what the header would say
    (base_offset, crc, attributes, last_offset_delta, count)."""
    keys = key if isinstance(key, list) else [key] * len(values)
    rows = b""
    for i, (k, value) in enumerate(zip(keys, values)):
        body = b"\0" + zigzag(0) + zigzag(i)
        for blob in (k, value):
            body += zigzag(-1) if blob is None else zigzag(len(blob)) + blob
        body += zigzag(0)
        rows += zigzag(len(body)) + body
    n = len(values)
    tail = struct.pack(">hiqqqhii", fields.get("attributes", 0), fields.get("last_offset_delta", n - 1), timestamp, timestamp,
                       pid, epoch, sequence, fields.get("count", n)) + rows
    head = struct.pack(">ibI", -1, 2, fields.get("crc", crc32c(tail)))
    return struct.pack(">qi", fields.get("base_offset", 0), len(head) + len(tail)) + head + tail


def segment_batches(data):
    """The record batches of a log segment: a list of dicts with the header's fields and `records`, the record section."""
    out, at = [], 0
    while at + BATCH_HEAD <= len(data):
        row = dict(zip(BATCH_FIELDS, struct.unpack_from(">qiibIhiqqqhii", data, at)))
        end = at + 12 + row["length"]
        if row["length"] <= 0 or end > len(data):
            break
        row["records"] = data[at + BATCH_HEAD:end]
        out.append(row)
        at = end
    return out


def headers(data):
    """The headers in what was fetched: a list of dicts with the fields, `whole`, and `sound`: its CRC is that of its bytes (None
    when it is cut)."""
    out, at = [], 0
    while at + BATCH_HEAD <= len(data):
        row = dict(zip(BATCH_FIELDS, struct.unpack_from(">qiibIhiqqqhii", data, at)))
        end = at + 12 + row["length"]
        row["whole"] = end <= len(data)
        row["sound"] = crc32c(data[at + 21:end]) == row["crc"] if row["whole"] else None
        out.append(row)
        at = end
    return out


def murmur2(data):
    """The hash by which Java's producer places a key: partition = (murmur2(key) & 0x7fffffff) % partitions."""
    m, mask = 0x5bd1e995, 0xffffffff
    h = 0x9747b28c ^ len(data)
    tail = len(data) & ~3
    for i in range(0, tail, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if len(data) > tail:
        h = (h ^ int.from_bytes(data[tail:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of_key(key, partitions):
    return (murmur2(key) & 0x7fffffff) % partitions
