#!/usr/bin/env python3
"""seed.py - writes the kept corpora under tests/fuzz/corpus/ anew, out of golden files and a few lines of text.

What a run finds interesting stays under build/fuzz/corpus; only an input that once broke something is added here, by hand.
"""
import os
import struct
import subprocess
import sys
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(os.path.dirname(HERE), "golden")
BATCH_HEAD = 61


def golden(name):
    """(name, bytes) of each line of a golden file."""
    with open(os.path.join(GOLDEN, name + ".hex")) as f:
        for line in f:
            if not line.startswith("#") and line.strip():
                key, text = line.split()
                yield key, bytes.fromhex(text)


def api():
    rows = {"versions": (0, 0), "metadata": (1, 7), "init": (2, 0), "produce": (3, 7), "describe": (6, 0), "offsets": (7, 1), "fetch": (8, 4),
            "configs": (9, 1)}
    for name, data in golden("responses"):
        kind, version = name.split(".")[0], int(name.split(".")[-1])
        row, first = rows.get(kind, (None, None))
        if row is not None and version in (first, 4, 5, 9, 12):
            yield name, bytes((row, version - first)) + data


def payloads():
    """(name, codec, record section): Kafka's own, a raw snappy block, and some of many blocks."""
    for codec, (name, data) in enumerate(golden("codecs")):
        yield f"java-{name}", codec, data[BATCH_HEAD:]
    for codec, (name, data) in enumerate(golden("batches")):
        if codec:
            yield name, codec, data[BATCH_HEAD:]
    yield "snappy-raw", 2, bytes.fromhex("0718666f6f6261720a")
    yield "snappy-two-blocks", 2, (bytes.fromhex("82534e4150505900") + struct.pack(">ii", 1, 1)
                                   + 2 * (struct.pack(">i", 9) + bytes.fromhex("0718666f6f6261720a")))
    yield "gzip-zeros", 1, _gzip(bytes(50000))


def _gzip(data):
    z = zlib.compressobj(9, zlib.DEFLATED, 31)
    return z.compress(data) + z.flush()


def decompress():
    for name, codec, data in payloads():
        yield name, bytes((codec, 20)) + data


def compress():
    for codec, name in enumerate(("none", "gzip", "snappy", "lz4", "zstd")):
        yield name, bytes((codec, 3, 200)) + b"2026-11-21T09:00:00Z web-1 GET /index.html 200 "
    yield "bytes", bytes((2, 0, 0)) + bytes(range(256))


def wire():
    yield "ints", bytes((0, 5, 0, 1, 2, 3, 4)) + bytes(range(1, 26))
    yield "strings", bytes((0, 3, 6, 7, 8)) + b"\0\3abc\0\2de\0\0\0\2xy"
    yield "flexible", bytes((1, 5, 6, 7, 8, 10, 4)) + b"\4abc\3de\3xy\1\0\2ab\xff\x7f"
    yield "varints", bytes((1, 4, 4, 4, 4, 4)) + b"\0\x7f\x80\x01" + b"\xff" * 9 + b"\1"
    yield "null", bytes((0, 2, 6, 8)) + b"\xff\xff\xff\xff\xff\xff"


CONF = """\
inputs:
  - paths: [/var/log/*.log, /srv/**/x?.log]
    exclude: ["*.gz"]
    topic: "logs-%{dir}"
    key: "%{file}"
    max_line: 64KiB
  - &a { paths: [/tmp/a], topic: t, partition: 2, read_from: end }
state_dir: /var/lib/spillway
spool: { max_size: 1GiB, min_free: 100MiB, sync: full }
threads: { compress: 2 }
log: { level: debug, format: json }
shutdown_timeout: 10s
producer:
  preset: max-throughput
  bootstrap.servers: "kafka-1:9092,[::1]:9092"
  compression.type: gzip
  compression.gzip.level: 9
  linger.ms: 5
"""

INPUTS = r"""inputs:
  - paths: ['/var/log/{a,b/**}/*.log', '{/x,/y/{z,}}/**']
    topic: 'app-%{field.app}'
    topics_allowed: ['app-*', '[a-z]?']
    ignore_older: 7d
    follow_symlinks: true
    watch: poll
    compressed: true
    encoding: UTF-16
    long_lines: truncate
    format: cri
    multiline: { start: '^\d{4}-', continue: '^\s', end: ';$', timeout: 2s, max_lines: 7, max_bytes: 1KiB }
    include_lines: ['a"b', \w+]
    exclude_lines: '^#'
    headers: { host: "%{host}", "a b": '', p: '%{path}' }
    value: json
    event_time: { pattern: '^\[([^]]+)\]', format: '%d/%b/%Y:%H:%M:%S %z' }
  - { type: stdin, topic: t, multiline: { preset: java }, event_time: { field: a.b, format: unix_ms } }
  - { type: syslog, topic: t, listen: 'udp:[::1]:514' }
  - { type: syslog, topic: t, listen: unix:/run/log, max_line: 8KiB }
  - { type: journald, topic: t, units: [nginx.service] }
producer: {bootstrap.servers: 'h:1'}
"""


def conf():
    yield "whole", CONF.encode()
    yield "inputs", INPUTS.encode()
    yield "least", b"inputs: [{paths: [/a], topic: t}]\nproducer: {bootstrap.servers: 'h:1'}\n"
    yield "alias", b"inputs:\n - {paths: &p [/a], topic: &t t, name: a}\n - {paths: *p, topic: *t, name: b}\nproducer: {bootstrap.servers: 'h:1'}\n"
    yield "env", b"inputs: [{paths: [/a], topic: '${env:NO_SUCH:-t}'}]\nproducer: {bootstrap.servers: h:1}\n"
    yield "file", b"inputs: [{paths: [/a], topic: '${file:/dev/null}${cred:x}'}]\nproducer: {bootstrap.servers: h:1}\n"
    yield "wrong", b"inptus: 3\nproducer: {linger: 5, acks: al, batch.size: 1.5}\n"
    yield "text", b"inputs:\n - paths: |-\n    /a\n   topic: >-\n    t\nproducer:\n  ? bootstrap.servers\n  : \"h\\x3a1\"\n"
    yield "include", (b"include: [conf.d/*.yaml, /etc/x.yaml]\nmetrics: {listen: '[::1]:9845'}\ninputs: [{paths: [/a], topic: t}]\n"
                      b"producer: {bootstrap.servers: h:1}\n")
    yield "document", b"%YAML 1.1\n---\n? a\n: !!str b\n...\n---\nc\n"


def unpack():
    """Needs the zstd program for the second half."""
    text = b"".join(b"line %d of a file that was compressed\n" % i for i in range(40))
    flush = zlib.compressobj(9, zlib.DEFLATED, 31)
    blocks = flush.compress(text[:500]) + flush.flush(zlib.Z_FULL_FLUSH) + flush.compress(text[500:]) + flush.flush()
    zstd = subprocess.run(["zstd", "-19", "--check", "-c"], input=text, stdout=subprocess.PIPE, check=True).stdout
    head = bytes((3, 0, 200, 101, 255))
    for name, data in (("gzip", _gzip(text)), ("gzip-blocks", blocks), ("gzip-two", _gzip(text) + _gzip(b"two\n") + bytes(9)),
                       ("gzip-cut", _gzip(text)[:-9]), ("gzip-behind", _gzip(b"a\n") + b"more"), ("zstd", zstd),
                       ("zstd-skip", b"\x50\x2a\x4d\x18\3\0\0\0abc" + zstd + zstd), ("zstd-cut", zstd[:-7])):
        yield name, head + data


def record():
    for name, codec, data in payloads():
        if codec == 0:
            yield name, data
    for name, data in golden("batches"):
        if name.endswith("none"):
            yield name, data[BATCH_HEAD:]


def syslog():
    """How long ones are treated, syslog or lines, max, where it is cut; then the stream."""
    yield "counted", bytes((0, 1, 40, 9)) + b"14 <34>1 - - - - -25 <13>Oct 11 22:14:15 h a: b<7>x\n"
    yield "lines", bytes((1, 0, 5, 3)) + b"abc\r\n\n1234567890\nx"
    yield "data", bytes((2, 1, 255, 50)) + b'<165>1 2003-10-11T22:14:15.003Z h a 1 m [a@1 x="1" y="q\\"b"][b] \xef\xbb\xbft\n'
    yield "mixed", bytes((1, 1, 20, 30)) + b"<1>a\n5 <1>cd\n2000000000 <1>never\n"


def units():
    for i, text in enumerate((b"10GiB", b"1048576", b"500ms", b"7d", b"9223372036854775807", b"batch.sise", b"1.5MiB", b"-5s", b"")):
        yield str(i), text


TRACES = {
    10: b"INFO x\njava.lang.IllegalStateException: a\n\tat b.C.d(C.java:1)\nCaused by: e.F\n\t... 1 more\nINFO y\n",
    11: b'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    x\nKeyError: 1\n\nDuring handling of the above exception, '
        b'another exception occurred:\n\nTraceback (most recent call last):\n  File "a.py", line 2\nValueError\nz\n',
    12: b"panic: a [recovered]\n\tpanic: b\n\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:5 +0x17\nexit status 2\nz\n",
    13: b"a.rb:2:in `b': c (D)\n\tfrom a.rb:4:in `<main>'\nz\n",
    14: b"Unhandled exception. A.BException: c\n ---> D.EException: f\n   at G.H()\n   --- End of inner exception stack trace ---\nz\n",
}


def assemble():
    stamp = b"2016-10-06T00:17:09.669794202Z"
    for row, text in TRACES.items():
        yield f"trace-{row}", bytes((row, 119, 7)) + text
    docker = b"".join(b'{"log":"%s","stream":"%s","time":"%s"}\n' % (log, stream, stamp) for log, stream in (
        (b"a \\u00e9", b"stdout"), (b"err\\n", b"stderr"), (b"b\\r\\n", b"stdout"), (b"\\ud83d\\ude00\\n", b"stderr")))
    cri = b"".join(stamp + row for row in (b" stdout P a\n", b" stderr F x\n", b" stdout F:t b\r\n", b" stdout F\n"))
    for row, text in ((4, docker), (8, docker), (5, cri), (9, cri), (6, docker + cri + b"plain\n"), (7, cri + docker)):
        yield f"container-{row}", bytes((row, 110, 11)) + text
    for row, name in ((15, "utf-16-le"), (16, "utf-16-be"), (17, "utf-32-le"), (18, "shift_jis"), (19, "gb18030"), (20, "iso2022_jp")):
        yield f"encoding-{row}", bytes((row, 30, 3)) + "a\r\n\u65e5\u672c\u8a9e\nabc\n".encode(name)
    for row in range(3):
        yield f"long-{row}", bytes((row, 9, 4)) + b"short\r\n" + 40 * b"x" + b"\n\nexactly10c\r\nlast"


RECIPES = (
    (0, b'plain text\t\xff\x00'),
    (0, b'{"a": [1, {"b": "\\ud83d\\ude00\\ud83d"}], "a": 1e999 }\r'),
    (1, b'{"ts":"2026-11-21T10:00:00.25+01:00","id":"u1","topic":"a/b","a":{"b":true}}'),
    (1, b'{"ts":1,"topic":"b\\u0000","id":-1.5e3,"a":{"b":"\\"\\\\"}}'),
    (2, b'1.2.3.4 - - [21/Nov/2026:10:00:00.125 +0100] "GET / HTTP/1.1" 200 b'),
    (3, b'{"ts":1700000000.123456789,"a.b":{"c":"12"}}'),
    (3, b'{"ts":"17e8","a.b":{"c":"x"}}'),
    (4, b'Sat Nov 21 10:00:00 PM UTC 2026| a'),
    (9, b'{"interceptors":[{"redact":{"pattern":"a+","with":"b"}}],"value":"json"}\0{"a":1}'),
    (9, b'{"topic":"%{field.a}","key":"%{%}{%{path}","headers":[["h","%{dir}"]],"read_timeout_ms":5}\0{"a":"x"}'),
)


def recipe():
    for i, (which, data) in enumerate(RECIPES):
        yield str(i), bytes((which,)) + data


def web():
    """Requests to the monitoring server."""
    host = b"Host: localhost:9845\r\n"
    for i, text in enumerate((b"GET /metrics HTTP/1.1\r\n" + host + b"Accept: application/openmetrics-text;q=0.5\r\n\r\n",
                              b"HEAD /%73tatus?x=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                              b"GET http://[::1]:1/ HTTP/1.1\r\nHost: [::1]:1\r\nConnection: close\r\n\r\n",
                              b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 3\r\n\r\nabc",
                              b"\r\nGET / HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n",
                              2 * (b"GET / HTTP/1.1\r\n" + host + b"\r\n"))):
        yield str(i), text


def control():
    """Questions on the control socket."""
    for kind in ("rows", "records", "findings", "rejected", "losses"):
        yield f"page-{kind}", f"page {kind} {'lines' if kind == 'records' else 'json'} 0 0".encode()
    yield "page-text", b"page rows text -1 4294967295"
    yield "purge", b"purge rows 0 9223372036854775807"
    yield "purge-rejected", b"purge rejected 0 1"
    yield "unknown", b"status jso"


def main():
    for name in ("api", "decompress", "compress", "wire", "conf", "units", "record", "syslog", "unpack", "assemble", "recipe", "web", "control"):
        folder = os.path.join(HERE, "corpus", name)
        os.makedirs(folder, exist_ok=True)
        for seed, data in globals()[name]():
            with open(os.path.join(folder, seed), "wb") as f:
                f.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
