"""look.py - what people see of a running agent: `status` on a terminal and in a pipe, `--watch` through a restart, lag in seconds."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import procs
from scenario import scenario


class Terminal:
    """A command on a pseudo-terminal of this size."""

    def __init__(self, argv, width=80, height=24, env=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.process = procs.spawn(argv, stdin=slave, stdout=slave, stderr=slave,
                                   env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **(env or {})})
        os.close(slave)
        self.text = ""

    def read(self, timeout=0.1):
        """Takes what came; False at the end."""
        if not select.select([self.master], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:                         # the other end is closed
            return False
        self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)

    def until(self, pattern, timeout=30, after=0):
        """Waits until this was printed behind position `after`."""
        deadline = time.monotonic() + timeout * procs.SLOWNESS
        while not re.search(pattern, self.text[after:], re.S):
            assert time.monotonic() < deadline and self.read(), f"no {pattern!r} in {self.text[after:]!r}"
        return self

    def end(self):
        """Everything until its end; its exit code."""
        while self.read(30):
            pass
        os.close(self.master)
        return self.process.wait(30)


def plain(text):
    return re.sub(r"\033\[[?0-9;]*[A-Za-z]", "", text)


def away(t, **more):
    """An agent whose broker is nowhere, with one file of a name that would play with terminals."""
    name = "a\033[31m\r\u202egol.log"
    t.file(name, b"one\ntwo\n")
    return t.agent("127.0.0.1:1", "nowhere", **more)        # a port that no other run picks for a broker


@scenario(core=True)
def status_on_a_terminal_has_colors_and_its_width_and_names_cannot_play_with_it(t):
    """Colors on a terminal only, none with NO_COLOR; no line is wider than the terminal; control bytes of names are shown."""
    agent = away(t).start()
    agent.until(lambda s: s["records"]["in_memory"] == 2 and any("cannot connect" in r for r in s["reasons"]), 30,
                "the lines are read, and nobody takes them")
    argv = [agent.binary, "status", "-c", agent.config]
    colored, bare = Terminal(argv, width=72), Terminal(argv, width=72, env={"NO_COLOR": "1"})
    dumb = Terminal(argv, env={"TERM": "dumb"})
    for terminal in (colored, bare, dumb):
        assert terminal.end() == 0, terminal.text
    assert "\033[1m" in colored.text and "\033[31m\r" not in colored.text, colored.text
    assert set(re.findall(r"\033.", colored.text)) == {"\033["}, colored.text
    assert "\033" not in bare.text + dumb.text, (bare.text, dumb.text)
    assert max(map(len, plain(colored.text).splitlines())) <= 72, colored.text
    rc, piped, _ = agent.command("status")
    assert rc == 0 and "\033" not in piped and "\u202e" not in piped, piped
    assert "a\\x1b[31m\\x0d\\xe2\\x80\\xaegol.log" in piped, piped
    for word in ("shipping", "read 2 = acked 0", "cannot connect", "brokers", "lanes", "input"):
        assert word in piped, piped


@scenario(core=True)
def a_watched_status_outlives_a_restart_of_the_agent(t):
    """--watch draws again and again over what is there, says so while no agent answers, and goes on with the next one;
    Ctrl-C ends it with 0 and gives the cursor back."""
    agent = away(t).start()
    first = agent.pid
    seen = Terminal([agent.binary, "status", "--watch", "-c", agent.config], width=100, height=12)
    seen.until(rf"pid {first}\b.*pid {first}\b")
    assert "\033[?25l" in seen.text and "more lines" in seen.text, seen.text
    assert seen.text.count("\033[2J") == 1, "it was erased as a whole more than once: that flickers"
    agent.stop()
    at = len(seen.text)
    seen.until("no agent answers", after=at)
    agent.start()
    seen.until(rf"pid {agent.pid}\b", after=at)
    seen.process.send_signal(signal.SIGINT)
    assert seen.end() == 0, seen.text
    assert seen.text.rstrip().endswith("\033[?25h"), seen.text[-100:]


@scenario()
def a_watched_status_goes_on_while_its_terminal_is_resized(t):
    """However often: the next picture is a second away, of the new width, and never wraps."""
    agent = away(t).start()
    seen = Terminal([agent.binary, "status", "--watch", "-c", agent.config], width=100, height=12)
    seen.until(rf"pid {agent.pid}\b")
    assert "\033[?7l" in seen.text, seen.text
    for i in range(120):
        fcntl.ioctl(seen.master, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 90 - i % 70, 0, 0))
        seen.process.send_signal(signal.SIGWINCH)
        seen.read(0.02)
    at = len(seen.text)
    seen.until("spillway.*spillway.*spillway", after=at)
    seen.process.send_signal(signal.SIGTERM)
    assert seen.end() == 0 and "\033[?7h" in seen.text, seen.text


@scenario()
def a_watched_status_in_a_pipe_appends(t):
    """In a pipe one picture follows the other, without escape sequences; --json gives one object a line; TERM ends both with 0."""
    agent = away(t).start()
    for options, pattern in (([], rb"spillway .*spillway [^\x1b]*pid"), (["--json"], rb'^{"version".*}\n{"version".*}\n')):
        p = procs.spawn([agent.binary, "status", "--watch", *options, "-c", agent.config], stdout=subprocess.PIPE)
        out = b""
        while not re.search(pattern, out, re.S):
            data = os.read(p.stdout.fileno(), 65536)
            assert data, out
            out += data
        assert b"\033" not in out, out
        p.terminate()
        assert p.wait(30) == 0
        p.stdout.close()


@scenario(core=True)
def lag_in_seconds_grows_while_lines_are_held_and_ends_with_them(t):
    """Lines that nobody takes: lag_s grows with the time; they are acknowledged: it is 0. Lines that were there before the agent
    are as old as their file."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(100)
    os.utime(w.path, (time.time() - 5000, time.time() - 5000))
    kafka.proxy.refuse()
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "8MiB"}).start()

    def lag(s):
        return s["inputs"][0]["files"][0]["lag_s"] if s["inputs"][0]["files"] else None
    first = agent.until(lambda s: lag(s), 30, "the file is behind")
    assert 4999 < lag(first) < 5120, lag(first)
    agent.until(lambda s: lag(s) >= lag(first) + 2, 60, "it grows")
    kafka.proxy.forward()
    s = agent.until_acked(t.ledger.total())
    s = agent.until(lambda s: lag(s) == 0, 30, "nothing is behind")
    rows = agent.json("positions", "ls")
    assert rows[0]["lag_bytes"] == 0 and rows[0]["lag_s"] == 0, rows

    def told(s):
        w.write(1)                              # in each sample there are some
        return s["rates"] and s["rates"]["read"] > 0
    agent.until(told, 30, "what is read now has its rate")
    agent.stop()
