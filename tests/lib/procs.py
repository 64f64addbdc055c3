"""procs.py - processes, ports and waiting, as all of the tests' tooling does it.

Invariants
 (1) whatever is started here dies with the test run, also when that is killed with -9 (the kernel's parent-death signal);
     therefore processes are started from the main thread only: the signal follows the thread that forked.
 (2) nothing sleeps for a fixed time in the hope that something happened: until() waits for a condition, with a deadline.
"""
import ctypes
import fcntl
import os
import random
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
# Below the range that the kernel takes for outgoing connections: a port that was free stays free while a broker restarts.
_ports = random.Random(os.getpid() * 7919 + time.time_ns())
_PORT_LOW, _PORT_HIGH = 12000, 32000
_given = -1             # the file whose locks say which ports a run has

SLOWNESS = 1.0          # deadlines are multiplied by it; run.py raises it for sanitizer builds


class Timeout(Exception):
    """A condition did not come true in time."""


def set_slowness(factor):
    global SLOWNESS
    SLOWNESS = factor


def until(condition, timeout=30, what="", every=0.05, alive=None):
    """Polls until condition() is true and returns its value. `alive` may raise to end the wait early."""
    deadline = time.monotonic() + timeout * SLOWNESS
    while True:
        value = condition()
        if value:
            return value
        if alive:
            alive()
        if time.monotonic() > deadline:
            raise Timeout(f"waited {timeout * SLOWNESS:.0f} s in vain: {what or condition.__name__}")
        time.sleep(every)


def _ours(port):
    """Whether no other run was given that port. What was given to one stays its own while nobody listens there: a broker that is
    down, a proxy that refuses. Byte N of a file is locked for port N; the kernel unlocks what a dead process had."""
    global _given
    if _given < 0:
        _given = os.open(os.path.join(tempfile.gettempdir(), f"spillway-ports-{os.getuid()}"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(_given, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def free_port():
    """A loopback port that nobody listens on now, and that no other run has."""
    while True:
        port = _ports.randrange(_PORT_LOW, _PORT_HIGH)
        if not _ours(port):
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def spawn(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=None, limits=(), **more):
    """Popen with the parent-death signal; `user` is a uid to run as, `limits` are (resource, value) pairs."""
    assert threading.current_thread() is threading.main_thread(), "start processes from the main thread"

    def in_child():
        for what, value in limits:
            resource.setrlimit(what, (value, value))
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)         # last: a change of user clears it

    return subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=stderr, preexec_fn=in_child, **more)


def install(*variables):
    """`make install` of the release build, with PREFIX=... and such. One at a time: it builds the library, which scenarios that
    run beside each other would do into one another's files."""
    with open(os.path.join(ROOT, "Makefile")) as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        command = ["make", "-s", "-C", ROOT, "B=release", "install", *variables]
        rc, out, err = run(command, timeout=300)
    assert rc == 0, f"{' '.join(command)} ended with {rc}: {(err + out).decode(errors='replace')[-2000:]}"


def run(argv, timeout=60, **more):
    """Runs a command to its end: (exit code, stdout, stderr), both bytes."""
    p = spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    try:
        out, err = p.communicate(timeout=timeout * SLOWNESS)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        raise Timeout(f"{' '.join(map(str, argv))[:200]} did not end in {timeout * SLOWNESS:.0f} s\n"
                      + err.decode(errors="replace")[-2000:])
    return p.returncode, out, err
