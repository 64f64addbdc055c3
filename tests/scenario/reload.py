"""reload.py - HUP: another configuration is taken over while lines are shipped, whole or not at all."""
import glob
import os
import signal
import socket
import time

import oracle
from procs import until
from scenario import scenario

SMALL = {"batch.size": "16KiB", "linger.ms": 5}
TIGHT = {"buffer.memory": "1MiB", "batch.size": "16KiB", "max.block.ms": 300, "request.timeout.ms": 3000,
         "reconnect.backoff.max.ms": 200, "delivery.timeout.ms": 2147483647}
RELOADED = 'msg="reloaded"'
REFUSED = "the configuration was not reloaded"


def count(agent, words):
    return agent.log_text().count(words)


def hup(agent, words=RELOADED):
    """Writes the configuration, sends HUP, and waits for these words in the log."""
    before = count(agent, words)
    agent.write_config()
    agent.signal(signal.SIGHUP)
    until(lambda: count(agent, words) > before, 30, f"the log says {words!r}", alive=agent.check_alive)


def inputs_of(agent, *inputs):
    agent.settings["inputs"] = list(inputs)


def of(path, topic, **more):
    return {"paths": [path], "topic": topic, **more}


def descriptors(agent, suffix=".log"):
    """Number, inode and position of each open log."""
    out = {}
    for fd in os.listdir(f"/proc/{agent.pid}/fd"):
        try:
            link = os.readlink(f"/proc/{agent.pid}/fd/{fd}")
            if link.endswith(suffix) and link != agent.log:
                out[link] = (fd, os.stat(f"/proc/{agent.pid}/fd/{fd}").st_ino)
        except OSError:
            pass
    return out


def watches(agent):
    """Watch descriptors and inodes, as the kernel shows them."""
    rows = []
    for info in glob.glob(f"/proc/{agent.pid}/fdinfo/*"):
        try:
            with open(info) as f:
                rows += [row.split()[1:3] for row in f if row.startswith("inotify")]
        except OSError:
            pass
    return sorted(rows)


def records_of(kafka, *topics):
    """Of several topics, as if each were partitions of its own."""
    return [(100 * i + p, o, k, v) for i, topic in enumerate(topics) for p, o, k, v in oracle.consume(kafka.address, topic)]


def expect(t, kafka, *topics):
    v = t.judge(records_of(kafka, *topics))
    assert v.good, str(v)


def lines_in(kafka, topic):
    """[(file, number)] in Kafka's order."""
    return [(v.split(b" ")[1].decode(), int(v.split(b" ")[2])) for _, _, _, v in oracle.consume(kafka.address, topic)]


def expect_split(kafka, first, second, name):
    """All lines of a file in the one topic are older than all in the other."""
    a = [n for f, n in lines_in(kafka, first) if f == name]
    b = [n for f, n in lines_in(kafka, second) if f == name]
    assert a and b and max(a) < min(b), (len(a), len(b), a[-1:], b[:1])


@scenario(core=True)
def an_added_input_is_read_and_the_others_keep_their_files(t):
    """A second input comes by HUP under load: its files are read from their beginning; descriptors and watches of the first stay."""
    kafka = t.kafka()
    one, two = t.topic(kafka), t.topic(kafka)
    a, b = t.writer("a"), t.writer("b", t.path("other", "b.log"))
    b.write(2000)
    agent = t.agent(kafka.address, one, producer=SMALL).start()
    feed = t.feeder([a], lines_per_s=5000)
    agent.until(lambda s: s["records"]["acked"] > 500, 30, "lines are shipped")
    held, watched = descriptors(agent), watches(agent)
    assert len(held) == 1 and watched
    inputs_of(agent, *agent.settings["inputs"], of(t.path("other", "*.log"), two))
    hup(agent)
    assert descriptors(agent)[a.path] == held[a.path]
    assert all(w in watches(agent) for w in watched), (watched, watches(agent))
    agent.until(lambda s: agent.file(b.path, s) and agent.file(b.path, s)["safe"] == os.path.getsize(b.path), 30, "b is shipped")
    feed.stop()
    agent.until_acked(t.ledger.total())
    assert len(lines_in(kafka, two)) == 2000
    agent.stop()
    agent.once()
    expect(t, kafka, one, two)


@scenario(core=True)
def a_removed_input_is_delivered_and_goes_on_when_it_is_put_in_again(t):
    """An input goes in an outage: what was read is delivered later; put in again, by HUP or a restart, it goes on behind that."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    a, b = t.writer("a"), t.writer("b")
    both = [of(a.path, topic, name="a"), of(b.path, topic, name="b")]
    agent = t.agent(kafka.proxied, topic, inputs=both, producer=SMALL).start()
    a.write(500)
    b.write(500)
    agent.until_acked(1000)
    kafka.proxy.refuse()
    b.write(700)
    agent.until(lambda s: s["records"]["read"] == 1700, 30, "all is read")
    inputs_of(agent, both[0])
    hup(agent)
    b.write(300)
    a.write(100)
    agent.until(lambda s: s["records"]["read"] == 1800, 30, "only a is read on")
    kafka.proxy.forward()
    agent.until_acked(1800)
    until(lambda: b.path not in descriptors(agent), 30, "b is closed when it is finished")
    inputs_of(agent, *both)
    hup(agent)
    agent.until_acked(t.ledger.total())
    inputs_of(agent, both[0])
    hup(agent)
    b.write(200)
    agent.stop()
    inputs_of(agent, *both)
    agent.write_config()
    agent.start()
    agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)


@scenario(core=True)
def another_topic_takes_effect_at_one_line(t):
    """The topic of a loaded input changes by HUP: each line is in one of the two, the older ones in the first."""
    kafka = t.kafka()
    one, two = t.topic(kafka), t.topic(kafka)
    a = t.writer("a")
    agent = t.agent(kafka.address, one, producer=SMALL).start()
    feed = t.feeder([a], lines_per_s=15000, rotate_every=20000)
    agent.until(lambda s: s["records"]["acked"] > 3000, 30, "lines are shipped")
    agent.settings["inputs"][0]["topic"] = two
    hup(agent)
    until(lambda: kafka.count(two) > 3000, 30, "more lines are shipped", alive=agent.check_alive)
    feed.stop()
    agent.until_acked(t.ledger.total())
    agent.stop()
    agent.once()
    expect(t, kafka, one, two)
    expect_split(kafka, one, two, "a")


@scenario(core=True)
def what_was_read_in_an_outage_keeps_its_topic(t):
    """HUP in an outage with lines in memory and in the spool, then kill -9: the old ones go to the old topic, the new to the new."""
    kafka = t.kafka()
    one, two = t.topic(kafka), t.topic(kafka)
    a = t.writer("a")
    agent = t.agent(kafka.proxied, one, producer=TIGHT).start()
    a.write(100)
    agent.until_acked(100)
    kafka.proxy.refuse()
    a.write(20000)
    s = agent.until(lambda s: s["records"]["read"] == 20100 and s["records"]["spooled"] > 0, 60, "all is read, some of it spooled")
    agent.settings["inputs"][0]["topic"] = two
    hup(agent)
    a.write(5000)
    agent.until(lambda s: s["records"]["read"] == 25100, 60, "the new lines are read")
    agent.kill()
    kafka.proxy.forward()
    agent.start()
    agent.until(lambda s: (agent.file(a.path, s) or {}).get("safe") == os.path.getsize(a.path), 60, "all is safe")
    agent.until_acked(0)
    agent.stop()
    agent.once()
    expect(t, kafka, one, two)
    old = [n for _, n in lines_in(kafka, one)]
    assert s["records"]["spooled"] + 100 <= len(old) and old == sorted(old), (s["records"], len(old))
    expect_split(kafka, one, two, "a")


@scenario()
def inputs_in_another_order_and_under_other_names_keep_their_positions(t):
    """Two inputs match the same files: swapped, the other one has them; renamed, %{input} is the new name; nothing is read again."""
    kafka = t.kafka()
    one, two, three = t.topic(kafka), t.topic(kafka), t.topic(kafka)
    a = t.writer("a")
    x, y = of(os.path.join(t.logs, "*.log"), one, name="x"), of(os.path.join(t.logs, "a*"), two, name="y")
    agent = t.agent(kafka.address, one, inputs=[x, y], producer=SMALL).start()
    a.write(1000)
    agent.until_acked(1000)
    held = descriptors(agent)
    inputs_of(agent, y, x)
    hup(agent)
    a.write(1000)
    agent.until_acked(2000)
    inputs_of(agent, dict(x, name=three, topic="%{input}"), y)
    hup(agent)
    a.write(1000)
    agent.until_acked(3000)
    assert descriptors(agent) == held
    agent.stop()
    agent.once()
    for i, topic in enumerate((one, two, three)):
        assert lines_in(kafka, topic) == [("a", n) for n in range(1000 * i, 1000 * i + 1000)], topic


@scenario(core=True)
def a_fault_anywhere_leaves_the_old_configuration_whole(t):
    """A wrong key, an address in use, a missing certificate: each is said, none of the rest is applied, then a good one is."""
    kafka = t.kafka()
    one, two = t.topic(kafka), t.topic(kafka)
    a, b = t.writer("a"), t.writer("b", t.path("other", "b.log"))
    b.write(10)
    agent = t.agent(kafka.address, one, producer=SMALL).start()
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("127.0.0.1", 0))
    t.closing.append(taken.close)
    address = f"udp:127.0.0.1:{taken.getsockname()[1]}"
    first, added = agent.settings["inputs"][0], of(t.path("other", "*.log"), two)
    changed = dict(first, topic=two)
    producer = dict(agent.settings["producer"])
    faults = (([changed, dict(added, topik="x")], {}, "topik"),
              ([changed, added, {"type": "syslog", "listen": address, "topic": two}], {}, "cannot listen on " + address),
              ([changed, added], {"security.protocol": "SSL", "ssl.truststore.location": t.path("no.pem"),
                                  "ssl.truststore.type": "PEM"}, "no.pem"))
    for inputs, more, words in faults:
        inputs_of(agent, *inputs)
        agent.settings["producer"] = {**producer, **more}
        before = count(agent, words)
        hup(agent, REFUSED)
        assert count(agent, words) > before, agent.tail()
        assert words != "topik" or f"{agent.config}:" in agent.log_text()
        a.write(500)
        agent.until_acked(a.seq)
        assert agent.file(b.path) is None and not lines_in(kafka, two)
    agent.settings["producer"] = producer
    inputs_of(agent, changed, added)
    hup(agent)
    a.write(500)
    agent.until_acked(a.seq + 10)
    agent.stop()
    expect(t, kafka, one, two)
    assert [n for f, n in lines_in(kafka, one) if f == "a"] == list(range(1500))


@scenario()
def drop_ins_come_and_go(t):
    """A file in conf.d brings an input by HUP; one with a mistake, or that everybody may write, changes nothing; gone, its input is."""
    kafka = t.kafka()
    one, two = t.topic(kafka), t.topic(kafka)
    a, b = t.writer("a"), t.writer("b")
    os.mkdir(t.path("conf.d"), 0o755)
    agent = t.agent(kafka.address, one, include=["conf.d/*.yaml"])
    inputs_of(agent, of(a.path, one))
    agent.start()

    def drop_in(text, mode=0o644):
        with open(t.path("conf.d", "b.yaml"), "w") as f:
            f.write(text)
        os.chmod(t.path("conf.d", "b.yaml"), mode)

    good = f"inputs:\n  - paths: [{b.path}]\n    topic: {two}\n"
    b.write(100)
    for text, mode, words in ((good + "    topc: x\n", 0o644, "conf.d/b.yaml:4:5: unknown key"),
                              (good, 0o666, "conf.d/b.yaml: everybody may write this file")):
        drop_in(text, mode)
        hup(agent, REFUSED)
        assert words in agent.log_text(), agent.tail()
    drop_in(good)
    hup(agent)
    a.write(100)
    agent.until_acked(200)
    os.remove(t.path("conf.d", "b.yaml"))
    hup(agent)
    b.write(50)
    a.write(100)
    agent.until_acked(300)
    drop_in(good)
    hup(agent)
    agent.until_acked(350)
    agent.stop()
    expect(t, kafka, one, two)


@scenario()
def what_needs_a_restart_is_said_until_it_agrees_again(t):
    """The spool's size, batch.size and state_dir change with the topic: that alone is in force, log and reasons name the others."""
    kafka = t.kafka()
    one, two = t.topic(kafka), t.topic(kafka)
    a = t.writer("a")
    agent = t.agent(kafka.address, one, producer={"batch.size": "16KiB"}, spool={"max_size": "64MiB"}).start()
    good = dict(agent.settings)
    control = os.path.join(agent.state_dir, "control.sock")
    inputs_of(agent, dict(agent.settings["inputs"][0], topic=two))
    agent.settings.update(spool={"max_size": "128MiB"}, state_dir=t.path("elsewhere"), control=control,
                          threads={"compress": 3})
    agent.settings["producer"] = {**agent.settings["producer"], "batch.size": "32KiB"}
    hup(agent)
    s = agent.until(lambda s: any("needs a restart" in r for r in s["reasons"]), 20, "a reason says so")
    reason, = [r for r in s["reasons"] if "needs a restart" in r]
    for key in ("state_dir", "threads.compress", "spool.max_size", "batch.size"):
        assert key in reason and key in agent.log_text(), reason
    assert not os.path.exists(t.path("elsewhere"))
    a.write(100)
    agent.until_acked(100)
    assert len(lines_in(kafka, two)) == 100
    agent.settings = {**good, "inputs": agent.settings["inputs"]}
    hup(agent)
    agent.until(lambda s: not any("needs a restart" in r for r in s["reasons"]), 20, "no reason is left")
    agent.stop()


def send_tcp(s, run_id, first, n):
    s.sendall(b"".join(b"%s syslog %d\n" % (run_id.encode(), i) for i in range(first, first + n)))


def port_of(agent, status=None):
    for one in (status or agent.status())["inputs"]:
        for row in one["files"]:
            if row["path"].startswith("tcp:"):
                return int(row["path"].rpartition(":")[2])
    return None


@scenario(core=True)
def a_syslog_input_comes_changes_and_goes(t):
    """Added it listens; unchanged or with another topic it keeps its connection; renamed, with another max_line, its address; removed all is delivered."""
    kafka = t.kafka()
    one, two = t.topic(kafka), t.topic(kafka)
    a = t.writer("a")
    agent = t.agent(kafka.address, one, producer=SMALL).start()
    a.write(100)
    agent.until_acked(100)
    files = agent.settings["inputs"][0]
    syslog = {"type": "syslog", "name": "net", "listen": "tcp:127.0.0.1:0", "topic": two}
    inputs_of(agent, files, syslog)
    hup(agent)
    port = port_of(agent)
    conn = socket.create_connection(("127.0.0.1", port))
    t.closing.append(conn.close)
    send_tcp(conn, t.run_id, 0, 1000)
    agent.until_acked(1100)
    inputs_of(agent, syslog, files)
    hup(agent)
    send_tcp(conn, t.run_id, 1000, 1000)
    agent.until_acked(2100)
    assert port_of(agent) == port
    inputs_of(agent, dict(syslog, topic=one), files)
    conn.sendall(b"%s syslog 20" % t.run_id.encode())            # the first half of a message
    hup(agent)
    conn.sendall(b"00\n")
    send_tcp(conn, t.run_id, 2001, 999)
    agent.until_acked(3100)
    inputs_of(agent, dict(syslog, name="other", max_line=500), files)
    hup(agent)
    assert until(lambda: port_of(agent), 20, "it listens again") == port
    assert until(lambda: conn.recv(1) == b"", 20, "the old connection is closed")
    conn = socket.create_connection(("127.0.0.1", port))
    t.closing.append(conn.close)
    send_tcp(conn, t.run_id, 3000, 1000)
    agent.until(lambda s: s["records"]["read"] == 4100, 30, "all is read")
    send_tcp(conn, t.run_id, 4000, 500)
    inputs_of(agent, files)
    hup(agent)
    agent.until_acked(4600)
    until(lambda: port_of(agent) is None, 20, "it is closed")
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        raise AssertionError("it still listens")
    except ConnectionRefusedError:
        pass
    inputs_of(agent, files, syslog)
    hup(agent)
    assert port_of(agent)
    agent.stop()
    got = [v for topic in (two, one) for _, _, _, v in oracle.consume(kafka.address, topic) if b" syslog " in v]
    wanted = [*range(2000), *range(3000, 4500), *range(2000, 3000)]
    assert got == [b"%s syslog %d" % (t.run_id.encode(), i) for i in wanted], (len(got), len(set(got)))


@scenario(kills=True)
def thirty_reloads_under_load_with_kills_between_lose_and_double_nothing(t):
    """Inputs come, go, swap and change topics every fraction of a second, files rotate, and the agent is killed now and then."""
    kafka = t.kafka()
    topics = [t.topic(kafka) for _ in range(3)]
    writers = [t.writer(n) for n in ("a", "b", "c")]
    agent = t.agent(kafka.address, topics[0], inputs=[], producer={**SMALL, "linger.ms": 20})

    def shuffle(all_of_them=False):
        chosen = [of(w.path, t.rng.choice(topics), name=w.id.decode() + t.rng.choice("12"),
                     **t.rng.choice(({}, {"max_line": 300000}, {"exclude_lines": ["^never"]})))
                  for w in writers if all_of_them or t.rng.random() < 0.8] or [of(writers[0].path, topics[0], name="only")]
        for i in chosen:
            i["paths"] = [i["paths"][0], i["paths"][0] + ".*"]
        t.rng.shuffle(chosen)
        inputs_of(agent, *chosen)

    shuffle(True)
    agent.write_config()
    agent.start()
    feed = t.feeder(writers, lines_per_s=6000, rotate_every=15000)
    for i in range(30):
        shuffle()
        if i % 5 == 4:
            agent.write_config()
            agent.signal(signal.SIGHUP)
            time.sleep(t.rng.uniform(0, 0.02))          # a random moment is what is tested
            agent.kill()
            agent.start()
        else:
            hup(agent)
            time.sleep(t.rng.uniform(0, 0.3))
    feed.stop()
    shuffle(True)
    hup(agent)

    def all_safe(s):
        rows = {r["path"]: r for one in s["inputs"] for r in one["files"]}
        paths = [p for w in writers for p in (w.path, *w.rotated)]
        return all(rows.get(p, {"safe": os.path.getsize(p)})["safe"] == os.path.getsize(p) for p in paths) and \
            not s["records"]["in_memory"] and not s["records"]["spooled"]

    agent.until(all_safe, 60, "all is safe")
    agent.stop()
    agent.once()
    expect(t, kafka, *topics)
