"""service.py - a service under systemd: what its manager is told and when, what starves the watchdog and what does not, which
system calls are made, and what the unit is worth."""
import glob
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

import procs
from manager import Manager
from scenario import Skip, scenario

UNIT = os.path.join(procs.ROOT, "packaging", "systemd", "spillway.service")
DROP_INS = os.path.join(procs.ROOT, "packaging", "systemd", "drop-ins")
EXPOSURE = 12           # tenths
# What a drop-in opens costs so much, each with its reasons in the file.
EXPOSURE_WITH = {"tmp-logs.conf": 13, "read-all-logs.conf": 15, "ip-allow.conf": 10,
                 "syslog-514.conf": 15}
NOWHERE = "127.0.0.1:1"


@scenario(core=True)
def the_manager_is_told_ready_reloading_and_stopping_in_order(t):
    """READY without a broker and once files are watched, RELOADING with its time and READY again, also when the new configuration
    is wrong and the old one stays, STOPPING at the end."""
    w = t.writer("app")
    w.write(3)
    agent = t.agent(NOWHERE, "nowhere", producer={"max.block.ms": 100})
    manager = Manager(t, agent)
    agent.start()
    at = manager.until_said("READY=1")
    assert manager.listen()[0].startswith("STATUS="), manager.listen()
    assert agent.status()["records"]["read"] == 3, "not all files were looked at when it was ready"
    agent.signal(signal.SIGHUP)
    at = manager.until_said("RELOADING=1\nMONOTONIC_USEC=", at)
    at = manager.until_said("READY=1", at)
    with open(agent.config, "a", encoding="ascii") as f:
        f.write("no_such_key: 1\n")
    agent.signal(signal.SIGHUP)
    at = manager.until_said("RELOADING=1", at)
    at = manager.until_said("READY=1", at)
    assert "the old one stays" in agent.log_text()
    assert any(one.startswith("STATUS=the last reload was refused") for one in manager.listen()), manager.listen()
    assert any("the old one stays" in r and "no_such_key" in r for r in agent.status()["reasons"])
    w.write(2)
    agent.until(lambda s: s["records"]["read"] == 5, 30, "the old configuration is still in force")
    agent.signal(signal.SIGTERM)
    manager.until_said("STOPPING=1\nEXTEND_TIMEOUT_USEC=", at)
    assert agent.wait() == 0
    assert manager.count("READY=1") == 3, manager.listen()


@scenario()
def in_an_outage_the_manager_shows_why_and_how_full_the_spool_is(t):
    """STATUS= says spilling, the broker with its error, and a part of the spool; after the outage it says shipping."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    kafka.proxy.refuse()
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "2MiB", "max.block.ms": 100, "compression.type": "none"},
                    spool={"max_size": "100MiB", "min_free": 0})
    manager = Manager(t, agent)
    agent.start()
    w.write(60000)
    manager.until(lambda said: any(re.match(r"STATUS=spilling: broker .*; 1 file, .* behind; spool \d+ %", one) for one in said),
                  "the status says why")
    kafka.proxy.forward()
    at = len(manager.listen())
    manager.until_said("STATUS=shipping, 1 file, 0 bytes behind", at)
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_thread_that_hangs_starves_the_watchdog_and_what_follows_loses_nothing(t):
    """The watchdog is fed until the tail thread hangs, then never again; status and log say who hangs since when, the log once.
    After systemd's SIGABRT a new start ships every line once."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.address, topic)
    manager = Manager(t, agent, watchdog_s=2)
    agent.env["SPILLWAY_HANG"] = "read.after:1"
    agent.start()
    manager.until(lambda said: said.count("WATCHDOG=1") >= 3, "the watchdog is fed")
    w.write(10)
    at = manager.until_said("STATUS=hangs: tail: no progress for ")
    manager.until(lambda said: len([1 for one in said[at:] if one.startswith("STATUS=hangs: tail")]) >= 3, "it goes on hanging")
    assert manager.count("WATCHDOG=1", at) == 0, manager.listen()
    assert agent.log_text().count("a thread hangs") == 1, agent.log_text()
    agent.signal(signal.SIGABRT)
    assert agent.wait() == -signal.SIGABRT
    assert not glob.glob(t.path("core*"))
    del agent.env["SPILLWAY_HANG"]
    agent.start()
    w.write(10)
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_disk_that_takes_seconds_to_sync_is_named_and_starves_nobody(t):
    """Each fsync takes four times as long as a thread may be silent: the watchdog is fed all the time, status and log name the
    thread and the call."""
    if not shutil.which("strace"):
        raise Skip("strace is not there")
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "2MiB", "max.block.ms": 100, "compression.type": "none"})
    agent.once()                # the state directory is made while the disk is quick
    plain, wrapper = os.path.abspath(agent.binary), t.path("slow-disk")
    with open(wrapper, "w", encoding="ascii") as f:
        f.write("#!/bin/sh\nexec strace -D -f -qq -e trace=fdatasync,fsync -e signal=none "
                f"-e inject=fdatasync,fsync:delay_enter=4000000 -o {t.path('trace')} {plain} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    kafka.proxy.refuse()
    w = t.writer("app")
    manager = Manager(t, agent, watchdog_s=2)
    agent.binary = wrapper
    agent.start(wait=False)
    at = manager.until_said("READY=1", timeout=120)
    w.write(60000)
    at = manager.until_said("STATUS=held up: state: fsync for ", at, timeout=120)
    manager.until(lambda said: said[at:].count("WATCHDOG=1") >= 5, "the watchdog is fed all the time")
    assert "a thread is held up by what it waits for" in agent.log_text()
    assert "STATUS=hangs" not in "".join(manager.listen()), manager.listen()
    agent.kill()
    agent.binary = plain
    kafka.proxy.forward()
    agent.start()
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_stop_that_delivers_asks_for_time_again_and_again(t):
    """A broker that answers nothing holds the stop up until shutdown_timeout: STOPPING with EXTEND_TIMEOUT_USEC comes every two
    seconds until then, and not after the end."""
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, shutdown_timeout="7s")
    manager = Manager(t, agent)
    agent.start()
    w.write(10)
    agent.until_acked(10)
    kafka.proxy.hold_acks()
    w.write(10)
    agent.until(lambda s: s["producer"]["in_flight_batches"] > 0, 30, "a batch is on its way")
    at = len(manager.listen())
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    asked = [one for one in manager.listen()[at:] if one.startswith("STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000")]
    assert len(asked) >= 3, manager.listen()[at:]
    kafka.proxy.forward()
    agent.start()
    t.expect_shipped(kafka, agent, topic)


# --- the unit ---

def installed(t, drop_in=None):
    """The unit as `make install` leaves it, this binary in it, with a drop-in beside it."""
    directory = t.path("units")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(os.path.join(directory, "spillway.service.d"))
    with open(UNIT, encoding="utf-8") as f:
        text = f.read()
    text = text.replace("@BINDIR@/spillway", os.path.abspath(t.shared.binary)).replace("@SYSCONFDIR@", "/etc")
    path = os.path.join(directory, "spillway.service")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    if drop_in:
        shutil.copy(os.path.join(DROP_INS, drop_in), os.path.join(directory, "spillway.service.d"))
    return path


def analyze(*arguments):
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not there")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)


@scenario()
def the_unit_and_each_drop_in_verify_and_keep_to_their_exposure(t):
    """systemd-analyze finds no fault in the unit, alone and with each example drop-in; its exposure is at most 1.2, with a drop-in
    what that drop-in costs."""
    for drop_in in (None, *sorted(os.listdir(DROP_INS))):
        path = installed(t, drop_in)
        done = analyze("verify", "--man=no", path)
        assert done.returncode == 0 and not done.stderr.strip(), f"{drop_in}: {done.stderr}"
        most = EXPOSURE_WITH.get(drop_in, EXPOSURE)
        done = analyze("security", "--offline=true", f"--threshold={most}", path)
        assert done.returncode == 0, f"{drop_in}: {done.stdout[-300:]}{done.stderr}"


@scenario()
def a_reload_checks_first_but_not_for_credentials_that_it_is_not_shown(t):
    """The unit's ExecReload= fails for a wrong configuration and not for a good one; one that names a credential which systemd shows
    to the agent alone is left to the agent."""
    path = installed(t)
    with open(path, encoding="utf-8") as f:
        text = f.read().replace("\\\n", " ")
    command = re.search(r"^ExecReload=/bin/sh -c '(.*)'$", text, re.M)[1].replace("$$", "$").replace("/etc/spillway", t.path("etc"))
    agent = t.agent(NOWHERE, "nowhere")
    os.makedirs(t.path("etc"))

    def reload(more="", **env):
        shutil.copy(agent.config, t.path("etc/spillway.yaml"))
        with open(t.path("etc/spillway.yaml"), "a", encoding="ascii") as f:
            f.write(more)
        env = {**{k: v for k, v in os.environ.items() if k != "CREDENTIALS_DIRECTORY"}, **env}
        return subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=False, timeout=60)

    secret = "hostname: ${cred:name}\n"
    for done, good in ((reload(), True), (reload("no_such_key: 1\n"), False), (reload(secret), True),
                       (reload(secret, CREDENTIALS_DIRECTORY=t.path("none")), True),
                       (reload(secret, CREDENTIALS_DIRECTORY=t.path("etc")), False)):
        assert (done.returncode == 0) == good, f"{done.args} {done.returncode} {done.stdout}{done.stderr}"


def expanded(text):
    """The system calls that a unit's SystemCallFilter= lines leave."""
    def calls(group):
        done = analyze("syscall-filter", group)
        assert done.returncode == 0, done.stderr
        out = set()
        for line in done.stdout.splitlines()[1:]:
            word = line.strip()
            if word and not word.startswith("#"):
                out |= calls(word) if word.startswith("@") else {word}
        return out

    allowed = calls("@default")
    for line in re.findall(r"^SystemCallFilter=(.*)$", text, re.M):
        named = set().union(*(calls(w) if w.startswith("@") else {w} for w in line.lstrip("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


@scenario()
def only_system_calls_that_the_unit_allows_are_made(t):
    """Shipping, spilling, draining, a reload and a stop, with a journal for libsystemd to open: every call is in the unit's filter,
    no memory is both written and executed, and no socket is of another family than the unit's."""
    if not shutil.which("strace"):
        raise Skip("strace is not there")
    if t.sanitized:
        raise Skip("sanitizers make calls of their own")
    with open(UNIT, encoding="utf-8") as f:
        text = f.read()
    allowed = expanded(text)
    assert "openat2" in allowed and "mount" not in allowed and "setuid" not in allowed
    families = re.search(r"^RestrictAddressFamilies=(.*)$", text, re.M)[1].split()
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "2MiB", "max.block.ms": 100}, shutdown_timeout="3s")
    plain, wrapper = os.path.abspath(agent.binary), t.path("traced")
    with open(wrapper, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\nexec strace -D -f -qq -s 0 -e signal=none -o {t.path('trace')} {plain} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    manager = Manager(t, agent, watchdog_s=2)
    agent.binary = wrapper
    agent.start()
    w.write(1000)
    agent.until_acked(1000)
    kafka.proxy.refuse()
    w.write(60000)
    agent.until(lambda s: s["records"]["spooled"] > 1000, 120, "lines are in the spool")
    agent.signal(signal.SIGHUP)
    manager.until(lambda said: said.count("READY=1") == 2, "it has reloaded")
    kafka.proxy.forward()
    agent.until_acked(61000, 200)
    agent.stop()
    made, bad = set(), []
    with open(t.path("trace"), encoding="latin-1") as f:
        for line in f:
            m = re.match(r"\d+ +(?:<\.\.\. )?(\w+)", line)
            if not m or line.split(None, 1)[1].startswith(("+++", "---")):
                continue
            made.add(m[1])
            if m[1] in ("mmap", "mprotect") and "PROT_EXEC" in line and ("PROT_WRITE" in line or m[1] == "mprotect"):
                bad.append(line)
            family = re.search(r"\bsocket\((AF_\w+)", line)
            if family and family[1] not in families and "AF_NETLINK" not in line:
                bad.append(line)
    made.discard("execve")              # by strace's own child, before the filter would be there
    if os.geteuid() == 0:
        made.discard("fchown")          # SQLite gives what root makes to the owner of the directory; nobody else does
    assert len(made) > 30, made
    assert not made - allowed, f"calls that the unit forbids: {sorted(made - allowed)}"
    assert not bad, bad[:5]
    agent.binary = plain
    t.expect_all(kafka, topic)


@scenario()
def all_of_it_works_with_the_calls_that_the_unit_allows(t):
    """Under a real filter of the unit's system calls and address families (others: EPERM), without memory that is written and
    executed: ships, spills, drains, looks names up, reloads and stops; every line once."""
    if t.sanitized:
        raise Skip("sanitizers make calls of their own")
    with open(UNIT, encoding="utf-8") as f:
        allowed = expanded(f.read())
    names, wrapper = t.path("allowed"), t.path("confined")
    with open(names, "w", encoding="ascii") as f:
        f.write("\n".join(sorted(allowed | ({"fchown"} if os.geteuid() == 0 else set()))))
    kafka = t.own_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied.replace("127.0.0.1", "localhost"), topic, producer={"buffer.memory": "2MiB", "max.block.ms": 100})
    with open(wrapper, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\nexec {sys.executable} {os.path.join(procs.ROOT, 'tests', 'lib', 'confine.py')} {names} "
                f"{os.path.abspath(agent.binary)} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    agent.binary = wrapper
    agent.start()
    with open(f"/proc/{agent.pid}/status", encoding="ascii") as f:
        assert re.search(r"^Seccomp:\s+2$", f.read(), re.M), "it runs without a filter"
    w.write(1000)
    agent.until_acked(1000)
    kafka.proxy.refuse()
    w.write(60000)
    agent.until(lambda s: s["records"]["spooled"] > 1000, 120, "lines are in the spool")
    agent.signal(signal.SIGHUP)
    procs.until(lambda: "reloaded" in agent.log_text(), 30, "it has reloaded")
    kafka.proxy.forward()
    t.expect_shipped(kafka, agent, topic)


@scenario()
def a_process_that_is_killed_leaves_no_core_with_its_secrets(t):
    """With cores allowed to everybody and a password in memory, SIGABRT leaves none; a program that does not care would have."""
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as f:
        if f.read().startswith(("|", "/")):
            raise Skip("cores do not go into the working directory here")
    place = t.path("cores")
    os.makedirs(place)
    limits = ((resource.RLIMIT_CORE, resource.RLIM_INFINITY),)

    def dumps(argv, started):
        p = procs.spawn(argv, cwd=place, limits=limits)
        started(p)
        os.kill(p.pid, signal.SIGABRT)
        _, status = os.waitpid(p.pid, 0)
        p.returncode = -signal.SIGABRT
        assert os.WIFSIGNALED(status), status
        return os.WCOREDUMP(status) or bool(os.listdir(place))

    if not dumps(["sleep", "1000"], lambda p: procs.until(lambda: b"sleep" in open(f"/proc/{p.pid}/cmdline", "rb").read())):
        raise Skip("no process of this machine leaves a core")
    shutil.rmtree(place)
    os.makedirs(place)
    agent = t.agent(NOWHERE, "nowhere", producer={"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-256",
                                                  "sasl.username": "u", "sasl.password": "a-password-that-nobody-sees"})
    assert not dumps([agent.binary, "run", "-c", agent.config],
                     lambda p: procs.until(lambda: agent.snapshot() is not None, 30, "the agent answers"))
