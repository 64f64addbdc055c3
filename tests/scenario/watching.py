"""watching.py - /metrics, /healthz, /readyz, /status and the page: what they say in good and bad times, and who may not disturb.

Also what is made of them: the dashboard and the alert rules, with Prometheus' own tools.
"""
import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import tempfile
import time

import procs
from exposition import Scrape
from scenario import Skip, scenario
from secure import PASSWORD

NOBODY = 65534
UNAVAILABLE = 69
MONITORING = os.path.join(procs.ROOT, "packaging", "monitoring")
OPEN = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
SMALL = {"buffer.memory": "1MiB", "max.block.ms": 100, "compression.type": "none", "batch.size": "16KiB"}
# Names that Kafka's Java client has, and that promtool would have chosen otherwise. Nothing of our own may stand here.
KAFKA_NAMES = {"kafka_producer_bufferpool_wait_time_ns_total", "kafka_producer_flush_time_ns_total",
               "kafka_producer_metadata_wait_time_ns_total", "kafka_producer_connection_count"}


def get(port, path, method="GET", **headers):
    """(status, headers, body)."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20 * procs.SLOWNESS)
    with contextlib.closing(c):
        c.request(method, path, headers=headers)
        r = c.getresponse()
        return r.status, r.headers, r.read()


def ready(port):
    status, _, body = get(port, "/readyz")
    said = json.loads(body)
    assert said["ready"] == (status == 200) == (not said["reasons"]), (status, said)
    return said


def not_ready(port):
    """What is said then; None while it is ready."""
    said = ready(port)
    return None if said["ready"] else said


def promtool(*argv, stdin=b""):
    if not shutil.which("promtool"):
        raise Skip("promtool is not installed (package prometheus)")
    with tempfile.TemporaryFile() as f:
        f.write(stdin)
        f.seek(0)
        rc, out, err = procs.run(["promtool", *argv], stdin=f)
    return rc, (out + err).decode()


def scrape(port):
    """Both formats, read strictly and by promtool; returns the first."""
    status, headers, body = get(port, "/metrics")
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", headers
    _, complaints = promtool("check", "metrics", stdin=body)
    found = {line.split()[0] for line in complaints.splitlines()}
    assert found <= KAFKA_NAMES, complaints
    _, headers, other = get(port, "/metrics", Accept=OPEN)
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0"), headers
    plain, opened = Scrape(body), Scrape(other, True)
    assert {n for n, _ in plain.rows} == {n for n, _ in opened.rows}
    return plain


def whole_scrape(port):
    """One in which the state thread has had its say: while the disk is busy what it alone knows may be missing."""
    return procs.until(lambda: (lambda m: m if "spillway_losses_total" in m.names() else None)(scrape(port)), 30, "losses are counted",
                       every=0.6)


def watched(t, address, topic, **top):
    port = procs.free_port()
    return t.agent(address, topic, metrics={"listen": f"127.0.0.1:{port}"}, **top), port


@scenario(core=True)
def endpoints_tell_shipping_from_an_outage_and_from_a_full_spool(t):
    """Ready while lines can be kept, in an outage too; not ready, with the reason, when the spool is full; metrics agree with `status`."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent, port = watched(t, kafka.proxied, topic, producer=SMALL, spool={"max_size": "2MiB", "min_free": 0})
    agent.start()
    w.write(2000)
    agent.until_acked(2000)
    assert get(port, "/healthz")[::2] == (200, b"ok\n")
    assert ready(port)["state"] == "shipping"
    time.sleep(0.6)                     # an answer is that old at most
    m = scrape(port)
    assert m.get("spillway_records_total", state="acked") == m.get("spillway_records_total", state="read") == 2000
    assert m.get("spillway_file_lag_bytes", path=w.path) == 0 and m.get("spillway_brokers_up") == 1
    assert m.get("spillway_state", state="shipping") == 1 and m.get("spillway_fsync_seconds_count") > 0
    assert abs(m.get("process_start_time_seconds") - time.time()) < 300

    kafka.proxy.refuse()
    w.write(5000)
    agent.until(lambda s: s["records"]["spooled"] > 0, 60, "something is spooled")
    assert ready(port)["ready"]
    procs.until(lambda: scrape(port).get("spillway_spool_records") > 0, 20, "the metrics say so", every=0.5)
    w.write(60000)
    agent.until(lambda s: s["state"] == "blocked", 120, "the spool is full")
    said = procs.until(lambda: not_ready(port), 20, "it is not ready")
    assert "full" in said["reasons"][0], said
    m = procs.until(lambda: (lambda m: m if m.get("spillway_state", state="blocked") else None)(scrape(port)), 20, "metrics say blocked",
                    every=0.5)
    assert m.get("spillway_lag_bytes") > 0 and get(port, "/healthz")[0] == 200
    assert json.loads(get(port, "/status")[2])["state"] == "blocked"

    kafka.proxy.forward()
    agent.until_acked(t.ledger.total())
    procs.until(lambda: ready(port)["ready"], 20, "it is ready again")
    rc, out, _ = agent.command("status", "--metrics")
    assert rc == 0 and Scrape(out.encode()).names() == scrape(port).names(), "`status --metrics` is what /metrics says"
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def who_is_not_authenticated_is_not_ready(t):
    """A wrong password: 503 with the broker's words, and the password in no answer."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    t.writer("app").write(100)
    conf = {k: v for k, v in kafka.client_conf("SASLSSL", "SCRAM-SHA-512", None).items() if v is not None}
    conf["sasl.password"] = "wrong-Passw0rd"
    agent, port = watched(t, conf.pop("bootstrap.servers"), topic, producer=conf)
    agent.start()
    said = procs.until(lambda: not_ready(port), 60, "it is not ready")
    assert "authentication failed" in said["reasons"][0], said
    procs.until(lambda: scrape(port).get("spillway_brokers_refused") > 0, 20, "the metrics say so", every=0.5)
    for path in ("/readyz", "/status", "/metrics", "/healthz", "/"):
        body = get(port, path)[2]
        assert b"wrong-Passw0rd" not in body and PASSWORD.encode() not in body, path
    agent.stop()


@scenario()
def each_thread_that_hangs_is_named_and_what_can_be_said_is_still_said(t):
    """The tail, sender or state thread stands still: /healthz turns to 503 with its name, /metrics, /status and the control socket answer."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agents = []
    for thread, place in (("tail", "read.after"), ("sender", "send.before"), ("state", "ledger.before")):
        path = t.file(f"{thread}.log", b"")
        port = procs.free_port()
        agent = t.agent(kafka.address, topic, paths=[path], name=thread, metrics={"listen": f"127.0.0.1:{port}"})
        agent.env["SPILLWAY_HANG"] = place
        agent.start()
        with open(path, "ab") as f:
            f.write(b"a line\n")
        agents.append((thread, agent, port))
    for thread, agent, port in agents:
        procs.until(lambda p=port: get(p, "/healthz")[0] == 503, 90, f"the {thread} thread is missed", every=0.5)
        assert get(port, "/healthz")[2].startswith(f"hung: {thread}: no progress for ".encode()), get(port, "/healthz")
        m = scrape(port)
        assert m.get("spillway_healthy") == 0 and ("spillway_lag_bytes" in m.names()) == (thread != "tail")
        assert ("spillway_brokers_up" in m.names()) == (thread != "sender")
        reasons = json.loads(get(port, "/status")[2])["reasons"]
        assert any(f"the {thread} thread does not answer" in r or "disk of the state directory" in r for r in reasons), reasons
        assert get(port, "/readyz")[0] == (200 if thread == "state" else 503), get(port, "/readyz")
        assert agent.json("status")["reasons"] == reasons
        agent.kill()


@scenario()
def a_held_topic_leaves_the_others_ready_and_counters_go_on_through_reloads(t):
    """One topic is missing: still ready, for other lines go on. HUP adds and removes inputs and renames: no counter goes back, and
    metrics, /status and the page's history are of the new configuration."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    held, good, more = (t.file(name, b"one\ntwo\n") for name in ("held.log", "good.log", "more.log"))
    row = {"name": "held", "paths": [held], "topic": f"{topic}-missing"}, {"name": "good", "paths": [good], "topic": topic}
    agent, port = watched(t, kafka.address, None, inputs=list(row))
    agent.start()
    agent.until(lambda s: s["records"]["acked"] == 2 and any(lane["state"] == "held" for lane in s["lanes"]), 60, "one is held, one is not")
    assert ready(port)["ready"] and get(port, "/readyz")[0] == 200
    procs.until(lambda: scrape(port).get("spillway_lanes_held") == 1, 20, "the metrics say so", every=0.5)
    before, acked = scrape(port), 2
    for inputs in ([*row, {"name": "more", "paths": [more], "topic": topic}], [row[0]], [{**row[1], "name": "renamed"}, row[0]]):
        done = agent.log_text().count('msg="reloaded"')
        agent.settings["inputs"] = inputs
        agent.write_config()
        agent.signal(signal.SIGHUP)
        procs.until(lambda n=done: agent.log_text().count('msg="reloaded"') > n, 30, "it has reloaded", alive=agent.check_alive)
        acked += 2 * (len(inputs) == 3)
        agent.until(lambda s, n=acked: s["records"]["acked"] == n, 60, "the others go on")
        time.sleep(0.6)                 # an answer is that old at most
        after = scrape(port)
        for key, v in before.rows.items():
            if key[0].endswith(("_total", "_count", "_bucket", "_sum")) and key in after.rows:
                assert after.rows[key] >= v, (key, v, after.rows[key])
        before = after
        for path in ("/status", "/status?history"):
            said = json.loads(get(port, path)[2])
            assert [one["name"] for one in said["inputs"]] == [one["name"] for one in inputs], said["inputs"]
        shown = {dict(labels)["input"] for name, labels in after.rows if name == "spillway_file_lag_bytes"}
        assert {one["name"] for one in inputs} <= shown, shown
        assert ready(port)["ready"]
    agent.kill()


@scenario()
def a_disk_that_takes_seconds_to_sync_holds_up_no_scrape(t):
    """Each fsync takes four seconds: /metrics, /readyz, /status and /healthz answer all the same, and say it."""
    if not shutil.which("strace"):
        raise Skip("strace is not there")
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent, port = watched(t, kafka.address, topic)
    agent.once()                        # the state directory is made while the disk is quick
    plain, wrapper = os.path.abspath(agent.binary), t.path("slow-disk")
    with open(wrapper, "w", encoding="ascii") as f:
        f.write("#!/bin/sh\nexec strace -D -f -qq -e trace=fdatasync,fsync -e signal=none "
                f"-e inject=fdatasync,fsync:delay_enter=4000000 -o {t.path('trace')} {plain} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    agent.binary = wrapper
    agent.start(wait=False)
    procs.until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 60, "it listens", alive=agent.check_alive)
    said, until = set(), time.monotonic() + 20
    while time.monotonic() < until:
        w.write(50)
        assert get(port, "/healthz")[0] == get(port, "/readyz")[0] == 200
        m = Scrape(get(port, "/metrics")[2])      # what the state thread alone knows may be missing for now
        assert "spillway_records_total" in m.names()
        said |= set(json.loads(get(port, "/status")[2])["reasons"])
    assert any("disk of the state directory is slow" in one for one in said), said
    procs.until(lambda: Scrape(get(port, "/metrics")[2]).get("spillway_fsync_seconds_sum") > 4, 60, "the metrics show how slow it is")
    agent.kill()
    agent.binary = plain
    agent.start()
    t.expect_shipped(kafka, agent, topic)


def say(port, data, timeout=15):
    """What comes back until the other end hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout * procs.SLOWNESS) as s:
        out = b""
        with contextlib.suppress(ConnectionError):
            s.sendall(data)
        with contextlib.suppress(ConnectionError):
            while True:
                part = s.recv(65536)
                if not part:
                    break
                out += part
        return out


@scenario(core=True)
def hostile_clients_disturb_nobody(t):
    """Slow ones, a hundred at once, huge heads, garbage, POST, foreign names: refused or cut off, while every line arrives once."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent, port = watched(t, kafka.address, topic)
    agent.start()
    t.feeder([w], lines_per_s=3000, total=15000)
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for s in slow:
        s.sendall(b"GET /metrics HT")
    crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    assert get(port, "/healthz")[0] == 200, "who asks properly is answered in the crowd"
    for request, status in ((b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20000, b"431"),
                            (b"GET /" + b"x" * 20000, b"414"), (bytes(range(256)), b"400"),
                            (b"POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde", b"405"),
                            (b"GET /status HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"403"),
                            (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"404"),
                            (b"GET /%2e%2e/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"404")):
        out = say(port, request)
        assert out.startswith(b"HTTP/1.1 " + status), (request[:40], out[:80])
        assert b"root:" not in out and b"Server:" not in out
    for s in slow:                      # nobody waits for them longer than promised
        s.settimeout(20 * procs.SLOWNESS)
        assert s.recv(13) == b"HTTP/1.1 408 "
        s.close()
    for s in crowd:
        s.close()
    agent.until_acked(15000)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(needs_root=True)
def a_unix_socket_refuses_other_users(t):
    """metrics.listen: unix:/path answers its own user and root; another user who can reach the file is hung up on, here and at the control socket."""
    path, ask = t.path("http.sock"), b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    agent = t.agent("127.0.0.1:1", "web", metrics={"listen": f"unix:{path}"})
    agent.start()
    control = os.path.join(agent.state_dir, "control.sock")
    assert os.stat(path).st_mode & 0o777 == 0o660
    for p in (path, control):           # as if somebody had opened what modes guard
        os.chmod(p, 0o666)
    for d in (t.dir, agent.state_dir, os.path.dirname(t.dir)):
        os.chmod(d, 0o755)
    client = ("import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ntry:\n"
              "    s.sendall(sys.argv[2].encode())\n    sys.stdout.buffer.write(s.recv(100))\nexcept OSError:\n    pass\n")
    for p, question, answer in ((path, ask.decode(), b"HTTP/1.1 200"), (control, "positions json\n", b"[")):
        argv = ["python3", "-c", client, p, question]
        assert procs.run(argv)[1].startswith(answer), "root is answered"
        rc, out, err = procs.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv])
        if b"PermissionError" in err:
            raise Skip(f"another user cannot reach {p}")
        assert rc == 0 and out == b"", (rc, out, err)
    agent.stop()
    assert not os.path.exists(path)


@scenario()
def a_port_that_is_taken_is_said_at_the_start(t):
    """Exit 69, with the address and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        agent = t.agent("127.0.0.1:1", "web", metrics={"listen": address})
        agent.start(wait=False)
        assert agent.wait() == UNAVAILABLE, f"{agent.exit_code}: {agent.tail()}"
    assert address in agent.log_text() and "another process listens" in agent.log_text(), agent.tail()


@scenario()
def metrics_of_thousands_of_files_stay_small(t):
    """Of 3,000 files the 1,000 that lag most have rows of their own, the rest is one row, and the sums are right."""
    files, size = 3000, 11
    for i in range(files):
        t.file(f"{i:04}.log", b"0123456789\n" * (2 if i == 1234 else 1))
    agent, port = watched(t, "127.0.0.1:1", "web")
    agent.start()
    agent.until(lambda s: s["records"]["read"] == files + 1, 60, "all are read")
    time.sleep(0.6)
    m = scrape(port)
    rows = {dict(pairs)["path"]: v for (n, pairs), v in m.rows.items() if n == "spillway_file_lag_bytes"}
    assert len(rows) == 1001 and rows["(others)"] == (files - 1000) * size and sum(rows.values()) == (files + 1) * size
    assert rows[os.path.join(t.logs, "1234.log")] == 2 * size
    assert m.get("spillway_lag_bytes") == (files + 1) * size and m.get("spillway_files", state="active") == files
    assert len(get(port, "/metrics")[2]) < 400_000
    agent.stop()


@scenario()
def losses_are_counted_by_their_reason(t):
    """What `losses` lists stands in the metrics under its reason, entry for entry; what is not lost yet stands there as zero."""
    agent, port = watched(t, "127.0.0.1:1", "web", inputs=[{"paths": [os.path.join(t.logs, "*.log")], "topic": "web", "max_line": 100,
                                                             "long_lines": "truncate"}])
    agent.start()
    m = whole_scrape(port)
    assert m.get("spillway_losses_total", reason="long_line") == m.get("spillway_losses_total", reason="gone") == 0
    for i in range(3):
        t.file(f"{i}.log", b"x" * 150 + b"\n" + b"short\n")
    agent.until(lambda s: s["losses"]["events"] == 3 and s["records"]["read"] == 6, 30, "three lines are cut")
    procs.until(lambda: scrape(port).get("spillway_losses_total") == 3, 20, "the metrics say so", every=0.5)
    m = scrape(port)
    assert m.get("spillway_losses_total", reason="long_line") == 3 == len(agent.json("losses"))
    assert {dict(p)["reason"] for n, p in m.rows if n == "spillway_losses_total"} >= {row["reason"] for row in agent.json("losses")}
    agent.stop()


@scenario()
def the_page_has_a_policy_under_which_only_its_own_scripts_run(t):
    """/ is one file; its Content-Security-Policy names the hashes of what stands in it, and nothing else."""
    agent, port = watched(t, "127.0.0.1:1", "web")
    agent.start()
    status, headers, body = get(port, "/")
    policy = headers["Content-Security-Policy"]
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    with open(os.path.join(procs.ROOT, "agent", "web", "index.html"), "rb") as f:
        assert f.read() == body
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy, policy
    for name, directive in (("script", "script-src"), ("style", "style-src")):
        wanted = {f"'sha256-{base64.b64encode(hashlib.sha256(x).digest()).decode()}'"
                  for x in re.findall(rb"<%b[^>]*>(.*?)</%b>" % (name.encode(), name.encode()), body, re.S)}
        assert set(re.search(directive + r"([^;]*)", policy).group(1).split()) == wanted, policy
    assert get(port, "/", "HEAD")[2] == b""
    agent.stop()


def expressions(panels):
    for p in panels:
        yield from (target["expr"] for target in p.get("targets", ()))
        yield from expressions(p.get("panels", ()))


@scenario()
def dashboard_and_alerts_ask_for_metrics_that_there_are(t):
    """Each expression is parsed by Prometheus, and each name in it stands in a real scrape; each alert fires and is silent when it should."""
    topic = "web"
    t.writer("app").write(10)
    agent, port = watched(t, "127.0.0.1:1", topic)
    agent.start()
    agent.until(lambda s: s["records"]["read"] == 10, 30, "the lines are read")
    # A lane that is held has a row only then.
    names = whole_scrape(port).names() | {"spillway_lane_held", "up"}
    agent.stop()
    with open(os.path.join(MONITORING, "grafana-dashboard.json")) as f:
        exprs = list(expressions(json.load(f)["panels"]))
    with open(os.path.join(MONITORING, "alerts.yaml")) as f:
        alerts = f.read()
    plain = [e.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$job", ".*") for e in exprs]
    rules = t.path("dashboard.yaml")
    with open(rules, "w") as f:
        json.dump({"groups": [{"name": "g", "rules": [{"record": f"panel:{i}", "expr": e} for i, e in enumerate(plain)]}]}, f)
    assert len(plain) > 25
    for argv in (["check", "rules", rules], ["check", "rules", os.path.join(MONITORING, "alerts.yaml")],
                 ["test", "rules", os.path.join(MONITORING, "alerts_test.yaml")]):
        rc, out = promtool(*argv)
        assert rc == 0, out
    asked = set(re.findall(r"\b(?:spillway|kafka_producer|process)_\w+", "\n".join(plain) + alerts))
    assert len(asked) > 25 and asked <= names, f"nobody gives these: {sorted(asked - names)}"
    tested = set(re.findall(r"alertname(?:: |=\")(\w+)", open(os.path.join(MONITORING, "alerts_test.yaml")).read()))
    assert tested == set(re.findall(r"alert: (\w+)", alerts)), "an alert without a test"
