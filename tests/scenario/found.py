"""found.py - which files are logs: alternatives, exclusions, inputs that overlap, names and permissions of every kind."""
import json
import os
import subprocess

import oracle
from scenario import Skip, scenario

NOBODY = 65534


def glob(t, *parts):
    return os.path.join(t.logs, *parts)


@scenario()
def a_braced_glob_takes_its_alternatives_and_nothing_else(t):
    """Alternatives in names and directories, one within the other; files that come later too."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.address, topic, paths=[glob(t, "{web,db-{1,2}}.log"), glob(t, "{a,b/c}", "x.{log,txt}")])
    for name in ("web.log", "db-1.log", "a/x.txt"):
        t.writer(name.replace("/", "-"), path=glob(t, name)).write(100)
    for name in ("db.log", "db-3.log", "web-1.log", "{web,db}.log", "b/x.log", "c/x.log", "a/x.tmp"):
        t.file(name, b"must not be read\n")
    agent.start()
    agent.until_acked(300)
    for name in ("db-2.log", "b/c/x.log", "a/x.log"):
        t.writer(name.replace("/", "-"), path=glob(t, name)).write(100)
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_file_renamed_into_and_out_of_an_exclusion_is_read_once(t):
    """An excluded file gives nothing until it has another name; a followed one that gets an excluded name is finished."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    hidden, w = t.writer("hidden", path=glob(t, "x-hidden.log")), t.writer("app")
    hidden.write(300)
    w.write(300)
    agent = t.agent(kafka.address, topic, inputs=[{"paths": [glob(t, "*.log")], "topic": topic, "exclude": ["*x*.log"]}]).start()
    agent.until_acked(300)
    with agent.asleep():
        w.write(300)
        w.rotate(glob(t, "x-app.log"))
        w.write(300)
    s = agent.until_acked(900)
    assert s["records"]["read"] == 900 and not agent.file(hidden.path, s), s["inputs"]
    os.rename(hidden.path, glob(t, "seen.log"))
    agent.until_acked(1200)
    os.rename(glob(t, "seen.log"), hidden.path)
    hidden.write(100)                   # it was followed before it got this name
    agent.until_acked(1300)
    os.rename(glob(t, "x-app.log"), glob(t, "old.log"))
    t.writer("late").write(100)
    agent.until_acked(1400)
    t.expect_shipped(kafka, agent, topic)


@scenario()
def files_of_two_inputs_belong_to_the_first_with_one_warning(t):
    """Three files that both inputs match, now and later: their lines go to the first one's topic, once; others of the
    second's flow."""
    kafka = t.kafka()
    topic, other = t.topic(kafka), t.topic(kafka)
    only = t.file("only.txt", b"for the second\n")
    writers = [t.writer(f"app{i}") for i in range(3)]
    inputs = [{"name": "one", "paths": [glob(t, "*.log")], "topic": topic},
              {"name": "two", "paths": [glob(t, "app*"), only], "topic": other}]
    for w in writers[:2]:
        w.write(200)
    agent = t.agent(kafka.address, topic, inputs=inputs).start()
    agent.until_acked(401)
    writers[2].write(200)
    for w in writers[:2]:
        w.write(100)
    agent.until_acked(801)
    assert sum("app0.log (inputs one and two)" in r for r in agent.status()["reasons"]) == 1, agent.status()["reasons"]
    agent.stop()
    agent.once()
    t.expect_all(kafka, topic)
    assert oracle.values(oracle.consume(kafka.address, other)) == [b"for the second"]
    assert agent.log_text().count("two inputs match") == 2, "one warning in each of two runs"


@scenario()
def read_from_end_is_for_the_first_start_alone(t):
    """Files that come later, while the agent runs or is stopped, are read from their beginning."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    t.file("old.log", b"there before\n" * 100)
    agent = t.agent(kafka.address, topic, inputs=[{"paths": [glob(t, "*.log")], "topic": topic, "read_from": "end"}]).start()
    agent.until(lambda s: agent.file(glob(t, "old.log"), s), 20, "the old file is known")
    for i in range(3):
        t.writer(f"running{i}").write(100)
    agent.until_acked(300)
    agent.stop()
    t.writer("stopped").write(100)
    agent.start()
    t.expect_shipped(kafka, agent, topic)


@scenario(core=True)
def names_of_every_kind_are_read_and_told(t):
    """The longest name, a path of 4,000 bytes, blanks, quotes, line ends, patterns, other scripts, bytes that are no UTF-8: read
    once over a kill and a rename, and `status` is JSON."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    deep = t.logs
    while len(deep) < 3700:
        deep = os.path.join(deep, "d" * 200)
    deep = os.path.join(deep, "x" * (4000 - len(deep) - 5))
    names = [b"n" * 251, "журнал 日志 🦆".encode(), b" two  blanks ", b"tab\tand\nline end",
             b"'quotes\" and \\", b"[a]*{b,c}?", b"-rf",
             b"\xff\xfe no UTF-8 \x80", b"\x01\x1b[31m", b"%{path} $HOME ${env:HOME}", b"$(reboot)"]
    writers = []
    for i, name in enumerate(names):
        path = os.fsencode(t.logs) + b"/" + name + b".log"
        writers.append(t.writer(f"n{i}", path=os.fsdecode(path)))
    writers.append(t.writer("deep", path=deep + ".log"))
    agent = t.agent(kafka.address, topic, paths=[glob(t, "**", "*.log")]).start()
    for w in writers:
        w.write(50)
    agent.until_acked(t.ledger.total())
    agent.kill()
    for w in writers:
        w.write(50)
    agent.start()
    s = agent.until_acked(t.ledger.total())
    assert len(s["inputs"][0]["files"]) == len(writers), len(s["inputs"][0]["files"])
    os.rename(writers[0].path, glob(t, "short.log"))
    writers[0].write(50)
    agent.until_acked(t.ledger.total())
    argv = [agent.binary, "positions", "ls", "--json", "-c", agent.config]
    json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert "\x1b" not in agent.log_text(), "a name reached the log as it is"
    t.expect_shipped(kafka, agent, topic)


@scenario(needs_root=True)
def files_and_directories_nobody_may_read_are_read_from_their_beginning_later(t):
    """Made empty without rights, written, then given away; a directory that opens later. One warning each, the others flow."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    good = t.writer("good")
    given, opened = t.writer("given"), t.writer("opened", path=glob(t, "closed", "opened.log"))
    os.chmod(given.path, 0)
    os.chmod(os.path.dirname(opened.path), 0o700)
    state = t.path("state")
    os.mkdir(state)
    os.chown(state, NOBODY, NOBODY)
    agent = t.agent(kafka.address, topic, paths=[glob(t, "**", "*.log")], state_dir=state)
    agent.user = NOBODY
    agent.start()
    for w in (good, given, opened):
        w.write(300)
    agent.until(lambda s: s["records"]["acked"] == 300 and any(given.path in r for r in s["reasons"]), 30, "one flows, one is said")
    os.chown(given.path, NOBODY, NOBODY)
    os.chmod(given.path, 0o400)
    agent.until_acked(600)
    os.chmod(os.path.dirname(opened.path), 0o755)
    agent.until_acked(900)
    warned = [x for x in agent.log_text().splitlines() if "level=warn" in x]
    assert sum(given.path in x for x in warned) == 1 and sum("/closed" in x for x in warned) <= 1, warned
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_log_that_becomes_a_directory_and_a_log_again_is_followed(t):
    """Deleted, a directory of the same name with a log in it, removed, a log again."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("first", path=glob(t, "app.log"))
    agent = t.agent(kafka.address, topic, paths=[glob(t, "*.log"), glob(t, "*", "*.log")]).start()
    for turn in range(2):
        w.write(300)
        agent.until_acked(t.ledger.total())
        os.unlink(w.path)
        inner = t.writer(f"inner{turn}", path=glob(t, "app.log", "inner.log"))
        inner.write(300)
        agent.until_acked(t.ledger.total())
        os.unlink(inner.path)
        os.rmdir(glob(t, "app.log"))
        w = t.writer(f"again{turn}", path=glob(t, "app.log"))
    w.write(300)
    t.expect_shipped(kafka, agent, topic)


@scenario()
def hard_links_that_are_renamed_and_removed_leave_one_file(t):
    """Two names in the globs and one outside: the first is removed, the second renamed; lines come all the
    while."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    os.link(w.path, glob(t, "hard.log"))
    os.link(w.path, glob(t, "hard.out"))
    agent = t.agent(kafka.address, topic).start()

    def grows():
        w.write(300)
        agent.until_acked(t.ledger.total())

    grows()
    os.unlink(w.path)
    os.close(w.fd)                      # by the name that is gone it would write without an event
    w.fd = os.open(glob(t, "hard.log"), os.O_WRONLY | os.O_APPEND)
    grows()
    os.rename(glob(t, "hard.log"), glob(t, "renamed.log"))
    grows()
    os.link(glob(t, "hard.out"), w.path)
    os.unlink(glob(t, "renamed.log"))
    grows()
    agent.stop()
    agent.start()
    grows()
    os.unlink(w.path)
    grows()
    t.expect_shipped(kafka, agent, topic)


@scenario()
def files_that_begin_alike_are_files_of_their_own(t):
    """Five logs with the same header of 3,000 bytes, longer than what files are recognised by; two of them change
    their names."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    header = b"".join(b"# header line %04d %s\n" % (i, b"=" * 40) for i in range(50))
    paths = [t.file(f"{i}.log", header) for i in range(5)]
    agent = t.agent(kafka.address, topic).start()
    want = header.splitlines() * 5
    for turn in range(4):
        for i, path in enumerate(paths):
            t.file(os.path.basename(path), b"%d of %d\n" % (turn, i), mode="ab")
            want.append(b"%d of %d" % (turn, i))
        agent.until_acked(len(want))
        if turn == 1:
            agent.stop()
            os.rename(paths[0], paths[0] + ".tmp")
            os.rename(paths[1], paths[0])
            os.rename(paths[0] + ".tmp", paths[1])
            agent.start()
    agent.stop()
    agent.once()
    assert sorted(oracle.values(oracle.consume(kafka.address, topic))) == sorted(want)


@scenario()
def half_a_line_alone_waits_however_long(t):
    """A file that holds only the beginning of a line: no record over two restarts, then one."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    path = t.file("app.log", b"half ")
    agent = t.agent(kafka.address, topic)
    for part in (b"a line ", b"comes ", b"whole\n"):
        agent.start()
        s = agent.until(lambda s: (agent.file(path, s) or {"size": 0})["size"] == os.path.getsize(path), 20, "it was looked at")
        assert s["records"]["read"] == 0, s["records"]
        t.file("app.log", part, mode="ab")
        if part.endswith(b"\n"):
            agent.until_acked(1)
        agent.stop()
    assert oracle.values(oracle.consume(kafka.address, topic)) == [b"half a line comes whole"]


@scenario(needs_root=True)
def a_file_system_mounted_later_and_twice_is_read_once(t):
    """A tmpfs comes over a directory that is watched; a bind mount shows it under a second name that is matched too."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    before = t.writer("before", path=t.path("mnt", "before.log"))
    before.write(200)
    os.mkdir(t.path("bind"))
    agent = t.agent(kafka.address, topic, paths=[t.path("mnt", "*.log"), t.path("bind", "*.log")]).start()
    agent.until_acked(200)
    before.write(200)
    mounted = t.tmpfs("mnt", "8m")
    if subprocess.run(["mount", "--bind", mounted, t.path("bind")], check=False).returncode:
        raise Skip("cannot make a bind mount")
    t.mounts.append(t.path("bind"))
    on = t.writer("mounted", path=os.path.join(mounted, "app.log"))
    on.write(200)
    agent.until_acked(600)
    on.write(200)
    on.rotate()
    on.write(200)
    before.write(100)                   # beneath the mount, by the descriptor
    t.expect_shipped(kafka, agent, topic)


@scenario()
def an_input_that_finds_nothing_says_so_until_it_does(t):
    """No file, only links, a directory that vanishes: each is a reason of `status`, said at most once; when logs
    come the reasons go."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    os.makedirs(glob(t, "links"))
    os.symlink(t.file("elsewhere", b"not ours\n"), glob(t, "links", "a.log"))
    gone = t.writer("gone", path=glob(t, "gone", "app.log"))
    gone.write(100)
    inputs = [{"name": name, "paths": [glob(t, name, "*.log")], "topic": topic} for name in ("none", "links", "gone")]
    agent = t.agent(kafka.address, topic, inputs=inputs).start()
    agent.until_acked(100)
    os.unlink(gone.path)
    os.rmdir(glob(t, "gone"))
    for name, words in (("none", "no such directory"), ("links", "only links"), ("gone", "no such directory")):
        agent.until(lambda s: any(name in r and words in r for r in s["reasons"]), 30, f"{name} is a reason")
    for name in ("none", "links", "gone"):
        t.writer(f"late-{name}", path=glob(t, name, "late.log")).write(100)
    agent.until_acked(400)
    agent.until(lambda s: not s["reasons"], 30, "no reason is left")
    warned = [x for x in agent.log_text().splitlines() if "level=warn" in x and "/logs" in x]
    assert len(warned) <= 3, warned
    t.expect_shipped(kafka, agent, topic)
