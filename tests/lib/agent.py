"""agent.py - one spillway as its user sees it: a configuration file, a process, `status`, an exit code.

Everything goes through what users are promised; the only thing taken from inside is the control socket, which answers
a snapshot in a fraction of the time of the command.
"""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time

import procs

# What a sanitizer prints when it found something.
_REPORT = re.compile(r"ERROR: AddressSanitizer|runtime error:|WARNING: ThreadSanitizer|ERROR: LeakSanitizer|"
                     r"SUMMARY: UndefinedBehaviorSanitizer|Assertion|ASSERT")
_SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:verify_asan_link_order=0",   # another library may be preloaded
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": "halt_on_error=0:exitcode=99:second_deadlock_stack=1",
}


def yaml(value, indent=0):
    """A dict as block YAML, in the style of the manual."""
    pad = "  " * indent
    out = []
    for key, v in value.items():
        if isinstance(v, dict):
            out.append(f"{pad}{key}:\n{yaml(v, indent + 1)}" if v else f"{pad}{key}: {{}}\n")
        elif isinstance(v, list) and v and isinstance(v[0], dict):
            out.append(f"{pad}{key}:\n")
            for item in v:
                body = yaml(item, indent + 2)
                out.append(f"{pad}  - {body.lstrip()}")
        elif isinstance(v, list):
            out.append(f"{pad}{key}: [{', '.join(_scalar(x) for x in v)}]\n")
        else:
            out.append(f"{pad}{key}: {_scalar(v)}\n")
    return "".join(out)


def _scalar(v):
    if isinstance(v, bool):
        return "true" if v else "false"
    text = str(v)
    if isinstance(v, str) and (not text or re.search(r"[%*{}\[\],#&!|>'\"@`]|: |^[-?:\s]|\s$", text)):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


class Ended(Exception):
    """The agent ended while something was awaited of it."""


class Agent:
    def __init__(self, binary, directory, inputs, producer, name="agent", **top):
        """`directory` gets NAME.yaml, NAME.log and the state directory NAME.state (state_dir in `top` overrides it)."""
        self.binary, self.name = binary, name
        self.config = os.path.join(directory, f"{name}.yaml")
        self.log = os.path.join(directory, f"{name}.log")
        self.settings = {"state_dir": os.path.join(directory, f"{name}.state"), **top, "inputs": inputs, "producer": producer}
        self.process = None
        self.user = None                # uid to run as
        self.env = {}
        self.limits = ()
        self.usage = None               # rusage of the last process, once it ended
        self.exit_code = None
        self.write_config()

    @property
    def state_dir(self):
        return self.settings["state_dir"]

    @property
    def pid(self):
        return self.process.pid

    def write_config(self):
        with open(self.config, "w") as f:
            f.write(yaml(self.settings))

    def _environment(self):
        return {**os.environ, **_SANITIZER_ENV, **self.env}

    # --- life

    def start(self, *options, wait=True):
        """Starts `run`; waits until it answers on its control socket."""
        assert not self.running(), "already running"
        self.exit_code = None
        with open(self.log, "ab") as log:
            self.process = procs.spawn([self.binary, "run", "-c", self.config, *options], stdout=log, stderr=log,
                                       env=self._environment(), user=self.user, limits=self.limits)
        if wait:
            procs.until(lambda: self.snapshot() is not None, 30, f"{self.name} answers `status`", alive=self.check_alive)
        return self

    def check_alive(self):
        if not self.running():
            raise Ended(f"{self.name} ended with {self.exit_code}: {self.tail()}")

    def _reap(self, options):
        pid, status, usage = os.wait4(self.process.pid, options)
        if pid:
            self.exit_code = os.waitstatus_to_exitcode(status)
            self.process.returncode = self.exit_code
            self.usage = usage

    def running(self):
        if self.process is None or self.exit_code is not None:
            return False
        self._reap(os.WNOHANG)
        return self.exit_code is None

    def wait(self, timeout=60):
        """Waits for the end; returns the exit code (negative: the signal)."""
        procs.until(lambda: not self.running(), timeout, f"{self.name} ends", every=0.01)
        return self.exit_code

    def signal(self, number):
        os.kill(self.pid, number)       # Popen's own way would reap it first

    def heeds(self, number):
        """Whether it has come so far as to take this signal itself: before, the kernel ends whom it hits."""
        with open(f"/proc/{self.pid}/status") as f:
            masks = [int(row.split()[1], 16) for row in f if row.startswith(("SigBlk:", "SigCgt:"))]
        return any(m >> number - 1 & 1 for m in masks)

    def stop(self, timeout=60, expect=0):
        """TERM, and the promised exit code."""
        if self.running():
            procs.until(lambda: not self.running() or self.heeds(signal.SIGTERM), 30, f"{self.name} takes signals", every=0.002)
        if self.running():
            self.signal(signal.SIGTERM)
        code = self.wait(timeout)
        assert code == expect, f"{self.name} ended with {code}, expected {expect}: {self.tail()}"

    def kill(self):
        """kill -9."""
        if self.running():
            self.signal(signal.SIGKILL)
            self._reap(0)

    @contextlib.contextmanager
    def asleep(self):
        """SIGSTOP for as long as the block takes: all that happens in it lies between two looks of the agent."""
        self.signal(signal.SIGSTOP)
        try:
            procs.until(lambda: self._stopped(), 10, f"{self.name} is stopped", every=0.002)
            yield
        finally:
            self.signal(signal.SIGCONT)

    def _stopped(self):
        """Every thread of it is."""
        tasks = f"/proc/{self.pid}/task"
        try:
            for tid in os.listdir(tasks):
                with open(f"{tasks}/{tid}/stat") as f:
                    if f.read().rpartition(") ")[2][0] not in "Tt":
                        return False
        except OSError:                 # a thread that was ending has ended meanwhile
            return False
        return True

    def once(self, *options, timeout=120, expect=0):
        """`run --once` to its end."""
        self.start("--once", *options, wait=False)
        code = self.wait(timeout)
        assert code == expect, f"run --once ended with {code}, expected {expect}: {self.tail()}"

    def command(self, *argv, timeout=30):
        """Any other command with this configuration: (exit code, stdout, stderr) as text."""
        rc, out, err = procs.run([self.binary, *argv, "-c", self.config], timeout=timeout, env=self._environment(), user=self.user)
        return rc, out.decode(errors="replace"), err.decode(errors="replace")

    def json(self, *argv):
        rc, out, err = self.command(*argv, "--json")
        assert rc == 0, f"{' '.join(argv)} ended with {rc}: {err}"
        return json.loads(out)

    # --- looking in

    def snapshot(self):
        """One status, from the control socket; None when nobody answers."""
        path = self.settings.get("control", os.path.join(self.state_dir, "control.sock"))
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(10 * procs.SLOWNESS)
                s.connect(path)
                s.sendall(b"status json\n")
                out = bytearray()
                while True:
                    part = s.recv(65536)
                    if not part:
                        break
                    out += part
        except OSError:
            return None
        try:
            return json.loads(out)
        except ValueError:
            return None

    def status(self):
        """One status of a running agent."""
        s = procs.until(self.snapshot, 20, f"{self.name} answers `status`", alive=self.check_alive)
        check_books(s)
        return s

    def until(self, condition, timeout=60, what="", every=0.05):
        """Waits until condition(status) is true; returns that status. Every status on the way must balance."""
        last = {}

        def look():
            last["status"] = s = self.status()
            return s if condition(s) else None

        try:
            return procs.until(look, timeout, what, every=every, alive=self.check_alive)
        except procs.Timeout as e:
            raise procs.Timeout(f"{e}; last status: {brief(last.get('status'))}") from None

    def until_acked(self, records, timeout=120):
        """Until Kafka has acknowledged that many records and nothing is left behind."""
        return self.until(lambda s: s["records"]["acked"] >= records and not s["records"]["in_memory"]
                          and not s["records"]["spooled"], timeout, f"{records} records acked")

    def until_finished(self, path, timeout=30):
        """Until every byte that a file has is finished. As long as the tail thread is too busy to answer, a status has no files."""
        return self.until(lambda s: (self.file(path, s) or {"safe": -1})["safe"] == os.path.getsize(path), timeout,
                          f"every byte of {path} is finished")

    def file(self, path, status=None):
        """The row of a path in a status, or None."""
        for one in (status or self.status())["inputs"]:
            for row in one["files"]:
                if row["path"] == path:
                    return row
        return None

    def tail(self, size=1500):
        try:
            with open(self.log, "rb") as f:
                f.seek(max(0, os.path.getsize(self.log) - size))
                return f.read().decode(errors="replace")
        except OSError:
            return ""

    def log_text(self):
        with open(self.log, "rb") as f:
            return f.read().decode(errors="replace")

    def reports(self):
        """What a sanitizer or an assertion said, or None."""
        text = self.log_text() if os.path.exists(self.log) else ""
        hit = _REPORT.search(text)
        return text[hit.start():hit.start() + 3000] if hit else None

    def memory(self, field="VmRSS"):
        """Bytes, from /proc/PID/status: VmRSS now, VmHWM the most so far."""
        with open(f"/proc/{self.pid}/status") as f:
            for row in f:
                if row.startswith(field + ":"):
                    return int(row.split()[1]) * 1024
        raise KeyError(field)

    def cpu_seconds(self):
        """User and system time of the process that ended last."""
        return self.usage.ru_utime + self.usage.ru_stime


def check_books(s):
    """The promise of every status: read = acked + spooled + in_memory + rejected + dropped."""
    r = s["records"]
    there = r["acked"] + r["spooled"] + r["in_memory"] + r["rejected"] + r["dropped"]
    assert r["read"] == there, f"books do not balance: {r} (read - the rest = {r['read'] - there})"
    assert r["spooled"] == s["spool"]["records"], f"records.spooled {r['spooled']}, spool.records {s['spool']['records']}"


def brief(s):
    """The part of a status that a failure message needs."""
    if not s:
        return None
    return {"state": s["state"], "reasons": s["reasons"], "records": s["records"], "spool": s["spool"],
            "brokers": s["producer"]["brokers"], "buffer_used": s["producer"]["buffer_used"],
            "files": [{k: f[k] for k in ("path", "size", "read", "safe", "state")} for i in s["inputs"] for f in i["files"]][:12]}
