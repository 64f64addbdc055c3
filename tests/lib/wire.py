"""wire.py - as much of Kafka's protocol as the tests need, over one socket a client.

Why: Kafka's own tools cost a JVM start (two seconds) for each topic that a test creates. What is here asks a broker
directly; what a consumer sees is still read by real consumers (kcat, ConsoleConsumer).
Only versions without tagged fields are used, except DescribeProducers, which has no other.
"""
import socket
import struct

PRODUCE, LIST_OFFSETS, METADATA, API_VERSIONS = 0, 2, 3, 18
CREATE_TOPICS, DELETE_TOPICS, ALTER_CONFIGS, DESCRIBE_PRODUCERS = 19, 20, 44, 61
TOPIC_ALREADY_EXISTS = 36
TOPIC_RESOURCE, CONFIG_SET, CONFIG_DELETE = 2, 0, 1


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


class Client:
    """One connection. Use as a context manager, or close()."""

    def __init__(self, host, port, timeout=10):
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

    def call(self, api, version, body, flexible=False):
        self.correlation += 1
        head = struct.pack(">hhi", api, version, self.correlation) + string("tests") + (b"\0" if flexible else b"")
        self.sock.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        size, = struct.unpack(">i", self._read(4))
        r = Reader(self._read(size))
        if r.take("i") != self.correlation:
            raise WireError("answer to another request")
        if flexible:
            r.tags()
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
        r = self.call(CREATE_TOPICS, 4, array([topic]) + struct.pack(">ib", 10000, 0))
        r.take("i")
        return r.array(lambda r: (r.string(), r.take("h"), r.string()))[0][1]

    def delete_topic(self, name):
        r = self.call(DELETE_TOPICS, 3, array([string(name)]) + struct.pack(">i", 10000))
        r.take("i")
        return r.array(lambda r: (r.string(), r.take("h")))[0][1]

    def alter_topic(self, name, config):
        """Sets the given keys of a topic's configuration; a value of None takes a key back to its default."""
        rows = [string(k) + struct.pack(">b", CONFIG_DELETE if v is None else CONFIG_SET) +
                string(None if v is None else str(v)) for k, v in config.items()]
        resource = struct.pack(">b", TOPIC_RESOURCE) + string(name) + array(rows)
        r = self.call(ALTER_CONFIGS, 0, array([resource]) + b"\0")
        r.take("i")
        error, message = r.array(lambda r: (r.take("h"), r.string(), r.take("b"), r.string())[:2])[0]
        if error:
            raise WireError(f"alter {name}: error {error} {message}")

    def offsets(self, topic, partitions, timestamp=-1):
        """{partition: offset}; -1 is the end of each partition, -2 its beginning."""
        rows = array([struct.pack(">iiq", p, -1, timestamp) for p in partitions])
        r = self.call(LIST_OFFSETS, 4, struct.pack(">ib", -1, 0) + array([string(topic) + rows]))
        r.take("i")

        def partition(r):
            index, error = r.take("i"), r.take("h")
            r.take("q")
            offset = r.take("q")
            r.take("i")
            if error:
                raise WireError(f"offsets of {topic}-{index}: error {error}")
            return index, offset

        return dict(r.array(lambda r: (r.string(), r.array(partition)))[0][1])

    def producers(self, topic, partition):
        """What the broker remembers of producers on a partition: {producer id: (epoch, last sequence)}."""
        name = topic.encode()
        body = (uvarint(2) + uvarint(len(name) + 1) + name + uvarint(2) + struct.pack(">i", partition) + b"\0" + b"\0")
        r = self.call(DESCRIBE_PRODUCERS, 0, body, flexible=True)
        r.take("i")

        def producer(r):
            pid, epoch, last = r.take("q"), r.take("i"), r.take("i")
            r.raw(8 + 4 + 8)
            r.tags()
            return pid, (epoch, last)

        def one(r):
            r.take("i")
            error, _ = r.take("h"), r.compact_string()
            rows = r.compact_array(producer)
            r.tags()
            if error:
                raise WireError(f"producers of {topic}-{partition}: error {error}")
            return dict(rows)

        return r.compact_array(lambda r: (r.compact_string(), r.compact_array(one)))[0][1][0]


BATCH_HEAD = 61
BATCH_FIELDS = ("base_offset", "length", "leader_epoch", "magic", "crc", "attributes", "last_offset_delta",
                "base_timestamp", "max_timestamp", "producer_id", "producer_epoch", "base_sequence", "count")


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
