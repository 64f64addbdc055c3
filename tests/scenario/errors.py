"""errors.py - what goes wrong at a user's desk: a clear message, the right exit code, nothing lost."""
import os
import re
import socket
import threading
import time

import agent as agent_module
import oracle
import procs
from procs import until
from scenario import scenario

NOBODY = 65534
USAGE, UNAVAILABLE, CANNOT_CREATE, AGAIN, PERMISSION, CONFIG = 64, 69, 73, 75, 77, 78


def config_file(t, text, name="bad.yaml"):
    path = t.path(name)
    with open(path, "w") as f:
        f.write(text)
    return path


def spillway(t, *argv, **more):
    rc, out, err = procs.run([t.shared.binary, *argv], **more)
    return rc, out.decode(errors="replace"), err.decode(errors="replace")


WRONG = """\
inputs:
  - paths: [/tmp/*.log]
    topc: web
producer:
  bootstrap.servers: 127.0.0.1:1
  liner.ms: 5
  acks: maybe
spool:
  max_size: 10 apples
"""


@scenario(core=True)
def a_wrong_configuration_is_refused_with_places_and_hints(t):
    """Every problem in one run as FILE:LINE:COLUMN: message, with the nearest name; exit 78 from `run` and from `check`."""
    path = config_file(t, WRONG)
    for command in ("check", "run"):
        rc, out, err = spillway(t, command, "-c", path)
        text = out + err
        assert rc == CONFIG, f"{command} ended with {rc}: {text}"
        places = {int(m) for m in re.findall(re.escape(path) + r":(\d+):\d+: ", text)}
        assert {3, 6, 7, 9} <= places, f"{command}: problems at lines {sorted(places)}, expected 3, 6, 7 and 9:\n{text}"
        assert '"topic"' in text and '"linger.ms"' in text, f"{command}: no hint:\n{text}"


@scenario()
def a_missing_required_key_is_named_at_its_section(t):
    """No bootstrap.servers: exit 78 and the key's name."""
    path = config_file(t, "inputs:\n  - paths: [/tmp/*.log]\n    topic: web\nproducer:\n  linger.ms: 5\n")
    rc, out, err = spillway(t, "check", "-c", path)
    assert rc == CONFIG and "bootstrap.servers" in out + err, f"{rc}: {out}{err}"
    assert re.search(re.escape(path) + r":\d+:\d+: ", out + err), out + err


@scenario()
def a_configuration_that_is_no_yaml_or_not_there_is_said(t):
    """Broken YAML: exit 78 with a place. A missing file: a message with its path."""
    path = config_file(t, "inputs: [\n  - : }\n")
    rc, out, err = spillway(t, "run", "-c", path)
    assert rc == CONFIG and re.search(re.escape(path) + r":\d+:\d+: ", out + err), f"{rc}: {out}{err}"
    gone = t.path("not-there.yaml")
    rc, out, err = spillway(t, "run", "-c", gone)
    assert rc in (66, CONFIG) and gone in out + err, f"{rc}: {out}{err}"


@scenario()
def a_good_configuration_passes_check_and_print_reads_back(t):
    """`check` ends with 0; what `check --print` prints is a configuration that passes again."""
    t.writer("app").write(1)
    a = t.agent("127.0.0.1:1", "web")
    rc, out, err = a.command("check")
    assert rc == 0, f"{rc}: {out}{err}"
    rc, out, err = a.command("check", "--print")
    assert rc == 0 and "bootstrap.servers" in out, f"{rc}: {out}{err}"
    rc, out, err = spillway(t, "check", "-c", config_file(t, out, "printed.yaml"))
    assert rc == 0, f"the printed configuration is refused: {out}{err}"


@scenario()
def wrong_usage_ends_with_64(t):
    """Unknown commands and options; `help` and `version` end with 0."""
    for argv in (["frobnicate"], ["run", "--frobnicate"], ["run"]):
        rc, out, err = spillway(t, *argv)
        assert rc == USAGE and err, f"{argv}: {rc} {out}{err}"
    for argv in (["help"], ["version"], ["--help"], ["run", "--help"]):
        rc, out, err = spillway(t, *argv)
        assert rc == 0 and out, f"{argv}: {rc} {out}{err}"


@scenario()
def a_second_agent_on_the_same_directory_is_refused(t):
    """Exit 75 and the directory's name; the first goes on."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    first = t.agent(kafka.address, topic).start()
    second = t.agent(kafka.address, topic, name="second", state_dir=first.state_dir)
    second.start(wait=False)
    assert second.wait() == AGAIN, f"ended with {second.exit_code}: {second.tail()}"
    assert first.state_dir in second.log_text(), second.tail()
    w.write(1000)
    first.until_acked(1000)
    first.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_state_directory_that_cannot_be_made_is_said(t):
    """Below a regular file: exit 73 and its path."""
    t.file("app.log", b"line\n")
    block = config_file(t, "", "a-file")
    a = t.agent("127.0.0.1:1", "web", state_dir=os.path.join(block, "state"))
    a.start(wait=False)
    assert a.wait() in (CANNOT_CREATE, PERMISSION), f"ended with {a.exit_code}: {a.tail()}"
    assert block in a.log_text(), a.tail()


@scenario(needs_root=True)
def a_state_directory_without_permission_is_said(t):
    """As another user, in a directory of root: exit 77 (or 73) and its path."""
    a = t.agent("127.0.0.1:1", "web")
    a.user = NOBODY
    a.start(wait=False)
    assert a.wait() in (CANNOT_CREATE, PERMISSION), f"ended with {a.exit_code}: {a.tail()}"
    assert a.state_dir in a.log_text(), a.tail()


@scenario(needs_root=True)
def an_unreadable_file_is_reported_and_read_once_it_can_be(t):
    """Mode 000: its state is `failed` and `reasons` names it, other files flow; after chmod it is read from its beginning."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    good, locked = t.writer("good"), t.writer("locked")
    good.write(500)
    locked.write(500)
    os.chmod(locked.path, 0)
    state = t.path("state")
    os.mkdir(state)
    os.chown(state, NOBODY, NOBODY)
    a = t.agent(kafka.address, topic, state_dir=state)
    a.user = NOBODY
    a.start()
    s = a.until(lambda s: s["records"]["acked"] == 500 and any(locked.path in r for r in s["reasons"]), 30,
                "the readable file is shipped and the other one reported")
    row = a.file(locked.path, s)
    assert row is None or row["state"] == "failed", row
    os.chmod(locked.path, 0o644)
    a.until_acked(1000)
    a.stop()
    t.expect_all(kafka, topic)


@scenario(needs_root=True)
def run_once_over_an_unreadable_file_does_not_say_all_is_well(t):
    """Mode 000: the other file is shipped, the unreadable one named, the exit code is not 0, and a later run has the rest."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    good, locked = t.writer("good"), t.writer("locked")
    good.write(300)
    locked.write(300)
    os.chmod(locked.path, 0)
    state = t.path("state")
    os.mkdir(state)
    os.chown(state, NOBODY, NOBODY)
    a = t.agent(kafka.address, topic, state_dir=state)
    a.user = NOBODY
    a.start("--once", wait=False)
    code = a.wait()
    assert locked.path in a.log_text(), f"the unreadable file is in no message: {a.tail()}"
    assert kafka.count(topic) == 300, "the readable file was not shipped"
    assert 64 <= code <= 78, f"ended with {code} although a file was not read: {a.tail()}"
    os.chmod(locked.path, 0o644)
    a.once()
    t.expect_all(kafka, topic)


class Listener:
    """A TCP server that is no Kafka: answers each connection with some bytes, or with nothing."""

    def __init__(self, answer=None):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(16)
        self.port = self.sock.getsockname()[1]
        self.answer, self.kept = answer, []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                c, _ = self.sock.accept()
                if self.answer is not None:
                    c.recv(1024)
                    c.sendall(self.answer)
                self.kept.append(c)
            except OSError:
                return

    def close(self):
        self.sock.close()
        for c in self.kept:
            c.close()


def once_without_kafka(t, port, name):
    a = t.agent(f"127.0.0.1:{port}", "web", name=name, shutdown_timeout="2s")
    begin = time.monotonic()
    a.once("--timeout", "3s", expect=AGAIN)
    took = time.monotonic() - begin
    assert took < 15 * procs.SLOWNESS, f"{name}: --timeout 3s took {took:.0f} s"
    assert f"127.0.0.1:{port}" in a.log_text(), f"{name}: the address is in no message: {a.tail()}"
    return a


@scenario(core=True)
def run_once_without_a_kafka_ends_with_75_and_keeps_the_lines(t):
    """Nobody listens, somebody listens and is silent, somebody speaks another protocol: 75, and a later run delivers all."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    t.writer("app").write(2000)
    once_without_kafka(t, procs.free_port(), "nobody")
    for name, answer in (("silent", None), ("http", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")):
        listener = Listener(answer)
        a = once_without_kafka(t, listener.port, name)
        listener.close()
    a.settings["producer"]["bootstrap.servers"] = kafka.address
    a.settings["inputs"][0]["topic"] = topic
    a.write_config()
    a.once()
    t.expect_all(kafka, topic)


@scenario()
def an_agent_without_kafka_says_why_in_its_status(t):
    """`reasons` and the broker's row name the address and the error; the agent stays alive."""
    port = procs.free_port()
    t.writer("app").write(10)
    a = t.agent(f"127.0.0.1:{port}", "web").start()
    s = a.until(lambda s: any(str(port) in r for r in s["reasons"]), 30, "a reason with the address")
    assert all(b["state"] != "up" for b in s["producer"]["brokers"]), s["producer"]["brokers"]


@scenario()
def a_missing_topic_holds_its_lane_and_no_other(t):
    """A topic that does not exist (and is not made by the broker) holds its own lines; others flow; when it comes, all arrive."""
    kafka = t.kafka()
    good = t.topic(kafka)
    missing = f"{good}-later"
    w, v = t.writer("good"), t.writer("late")
    w.write(1000)
    v.write(1000)
    inputs = [{"paths": [w.path], "topic": good}, {"paths": [v.path], "topic": missing}]
    a = t.agent(kafka.address, good, inputs=inputs).start()
    a.until(lambda s: s["records"]["acked"] == 1000 and any(missing in r for r in s["reasons"]) and
            any(lane["topic"] == missing and lane["state"] == "held" for lane in s["lanes"]), 30,
            "the good topic's lines are acked, the missing topic is named and its lane held")
    kafka.create_topic(missing)
    a.until_acked(2000)
    a.stop()
    got = oracle.consume(kafka.address, good) + oracle.consume(kafka.address, missing)
    v = oracle.judge(t.run_id, oracle.Ledger.load(t.ledger.path), oracle.triples(got))
    assert v.good, str(v)


@scenario()
def status_of_a_stopped_agent_comes_from_the_state_directory(t):
    """With no agent running `status` says stopped and has the books; with no state directory it says that."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    t.writer("app").write(100)
    a = t.agent(kafka.address, topic)
    a.once()
    s = a.json("status")
    agent_module.check_books(s)
    assert s["state"] == "stopped" and s["records"]["acked"] == 100, s
    rc, out, err = a.command("status")
    assert rc == 0 and "100" in out, f"{rc}: {out}{err}"
    other = t.agent(kafka.address, topic, name="never-ran")
    rc, out, err = other.command("status")
    assert rc != 0 and other.state_dir in out + err, f"{rc}: {out}{err}"


@scenario()
def the_control_socket_of_a_killed_agent_is_no_obstacle(t):
    """After kill -9 the socket's file is still there: `status` reads the directory, the next start takes its place."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(100)
    a = t.agent(kafka.address, topic).start()
    a.until_acked(100)
    a.kill()
    s = a.json("status")
    assert s["state"] == "stopped" and s["records"]["acked"] == 100, s
    w.write(100)
    a.start()
    until(lambda: a.status()["records"]["acked"] == 200, 30, "the new lines are acked")
    a.stop()
    t.expect_all(kafka, topic)
