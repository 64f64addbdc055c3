"""texts.py - encodings that logs come in, and what is taken out of lines for the record around them."""
import json
import os

import oracle
import procs
from scenario import scenario

TEXTS = {"utf-16be": "Grüße, здравствуйте, 日本 🦆", "iso-8859-1": "Grüße, señor", "windows-1252": "“Preis”: 5 €",
         "koi8-r": "ошибка сети", "shift_jis": "エラー 表示 ソ能", "euc-jp": "接続エラー", "big5": "錯誤 功蓋許", "gb18030": "错误 🦆"}


@scenario()
def logs_of_eight_encodings_come_out_as_utf_8(t):
    """Written in pieces of 7 bytes, the agent killed in the middle; in some a backslash is the second byte of a character."""
    kafka = t.kafka()
    topics = {name: t.topic(kafka) for name in TEXTS}
    inputs = [{"paths": [os.path.join(t.logs, f"{name}.log")], "topic": topics[name], "encoding": name} for name in TEXTS]
    agent = t.agent(kafka.address, None, inputs=inputs).start()
    want = {name: [f"{i} {text}" for i in range(300)] for name, text in TEXTS.items()}
    for half in range(2):
        for name, lines in want.items():
            data = "".join(x + "\r\n" for x in lines[half * 150:half * 150 + 150]).encode(name)
            with open(os.path.join(t.logs, f"{name}.log"), "ab", buffering=0) as f:
                for i in range(0, len(data), 7):
                    f.write(data[i:i + 7])
        if not half:
            agent.kill()
            agent.start()
    agent.until_acked(300 * len(TEXTS))
    agent.stop()
    for name, lines in want.items():
        got = oracle.values(oracle.consume(kafka.address, topics[name]))
        assert got == [x.encode() for x in lines], f"{name}: {got[:2]}"


@scenario()
def bytes_that_are_no_text_of_their_encoding_stop_nothing(t):
    """Invalid UTF-8, NULs and a mark at the beginning as they are in a utf-8 log, replaced in one that is converted."""
    kafka = t.kafka()
    plain, converted = t.topic(kafka), t.topic(kafka)
    lines = [b"\xef\xbb\xbfmarked", b"\xff\xfe\x80 bad", b"a\0b", b"", b"good"]
    t.file("plain.log", b"\n".join(lines) + b"\n")
    t.file("converted.log", b"good\n\x81\x20 bad\n\x83\nbetter\n")
    inputs = [{"paths": [os.path.join(t.logs, "plain.log")], "topic": plain},
              {"paths": [os.path.join(t.logs, "converted.log")], "topic": converted, "encoding": "shift_jis"}]
    agent = t.agent(kafka.address, None, inputs=inputs).start()
    agent.until_acked(9)
    agent.stop()
    assert oracle.values(oracle.consume(kafka.address, plain)) == lines
    got = [x.decode() for x in oracle.values(oracle.consume(kafka.address, converted))]
    assert got[0] == "good" and got[3] == "better" and "\ufffd" in got[1] and got[1].endswith("bad") and "\ufffd" in got[2], got


@scenario()
def headers_are_taken_out_of_json_lines(t):
    """Nested fields, numbers, escapes and what is missing become headers; a line that is no JSON goes on without its fields."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    rows = [({"user": {"name": "ann"}, "status": 200}, "user=ann,status=200,"),
            ({"user": {"name": "Jos\u00e9 \"x\""}, "status": -1.5}, "user=Jos\u00e9 \"x\",status=-1.5,"),
            ({"status": 404}, "status=404,"), ("no json", "")]
    texts = [x if isinstance(x, str) else json.dumps(x) for x, _ in rows]
    t.file("app.log", "".join(x + "\n" for x in texts).encode())
    t.agent(kafka.address, topic, inputs=[{"paths": [os.path.join(t.logs, "*.log")], "topic": topic, "headers": {
        "user": "%{field.user.name}", "status": "%{field.status}", "file": "%{file}"}}]).once()
    rc, out, err = procs.run(["kcat", "-C", "-q", "-e", "-b", kafka.address, "-t", topic, "-o", "beginning", "-f", "%h|%s\n"])
    assert rc == 0, err
    assert out.decode().splitlines() == [f"{headers}file=app.log|{x}" for x, (_, headers) in zip(texts, rows)], out


@scenario()
def a_pattern_that_explodes_holds_nothing_up(t):
    """Exclusion and grouping by patterns that take exponential time on some lines: these go on, and so do other files."""
    kafka = t.kafka()
    topic, other = t.topic(kafka), t.topic(kafka)
    evil = b"a" * 5000 + b"!"
    t.file("evil.log", (b"first\n" + evil + b"\n") * 20)
    w = t.writer("good")
    w.write(300)
    agent = t.agent(kafka.address, topic, inputs=[
        {"paths": [os.path.join(t.logs, "evil.log")], "topic": other, "exclude_lines": ["^(a+)+$"],
         "multiline": {"start": "^(f|(a+)+!?)", "timeout": "500ms"}},
        {"paths": [w.path], "topic": topic}]).start()
    agent.until(lambda s: (agent.file(w.path, s) or {"safe": 0})["safe"] == os.path.getsize(w.path), 30, "other files flow")
    agent.until_acked(340)
    agent.stop()
    t.expect_all(kafka, topic)
    assert oracle.values(oracle.consume(kafka.address, other)) == [b"first", evil] * 20


@scenario()
def the_time_of_a_line_and_the_json_around_it_are_as_configured(t):
    """event_time by a pattern and out of JSON, as a header and in the object; a line without one has none."""
    kafka = t.kafka()
    topic, other = t.topic(kafka), t.topic(kafka)
    path = t.file("access.log", b"[10/Oct/2000:13:55:36 -0700] GET /\nno time \xff\n")
    t.file("app.json", b'{"ts":"2026-01-02T03:04:05.5Z","n":1}\n{"n":2}\n')
    t.agent(kafka.address, topic, inputs=[
        {"paths": [path], "topic": topic, "value": "json",
         "event_time": {"pattern": r"^\[([^]]+)\]", "format": "%d/%b/%Y:%H:%M:%S %z"}},
        {"paths": [os.path.join(t.logs, "app.json")], "topic": other, "event_time": {"field": "ts", "format": "rfc3339"}}]).once()
    first, second = [json.loads(x) for x in oracle.values(oracle.consume(kafka.address, topic))]
    assert first["message"].endswith("GET /") and first["time"] == "2000-10-10T20:55:36.000000000Z" and first["path"] == path, first
    assert second["message"] == "no time \ufffd" and "time" not in second and second["offset"] == 35, second
    rc, out, err = procs.run(["kcat", "-C", "-q", "-e", "-b", kafka.address, "-t", other, "-o", "beginning", "-f", "%h|%s\n"])
    assert rc == 0, err
    assert out.decode().splitlines() == ['event_time=2026-01-02T03:04:05.500000000Z|{"ts":"2026-01-02T03:04:05.5Z","n":1}',
                                         '|{"n":2}'], out
