"""procs.py - processes, ports and waiting, as all of the tests' tooling does it.

Invariants
 (1) whatever is started here dies with the test run, also when that is killed with -9 (the kernel's parent-death signal);
     therefore processes are started from the main thread only: the signal follows the thread that forked.
 (2) nothing sleeps for a fixed time in the hope that something happened: until() waits for a condition, with a deadline.
"""
import ctypes
import fcntl
import functools
import itertools
import os
import random
import resource
import signal
import socket
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
# Below the range that the kernel takes for outgoing connections, and below that of the fake brokers (fakebroker.c): a port that
# was free stays free while a broker restarts.
_PORT_LOW, _PORT_HIGH, _PORT_SHARE = 12000, 20000, 1000

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


@functools.cache
def _ports():
    """This run's share of the ports, round and round, and what holds it: runs beside each other would give the same port away
    between a broker's end and its new start. The name of a socket is as far known as a port is, and ends with the process."""
    shares = list(range(_PORT_LOW, _PORT_HIGH, _PORT_SHARE))
    random.shuffle(shares)
    for low in shares:
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0spillway-tests-ports-{low}")
            break
        except OSError:
            held.close()                # if all are taken, two runs have to share one
    first = random.randrange(_PORT_SHARE)
    return itertools.cycle([low + (first + i) % _PORT_SHARE for i in range(_PORT_SHARE)]), held


def free_port():
    """A loopback port that nobody listens on now, and that was not given away for as long as there were others."""
    ports, _ = _ports()
    while True:
        port = next(ports)
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
        try:
            out, err = p.communicate(timeout=10)
        except subprocess.TimeoutExpired as e:         # what it has started lives on and keeps the pipes open
            out, err = e.stdout or b"", e.stderr or b""
        raise Timeout(f"{' '.join(map(str, argv))[:200]} did not end in {timeout * SLOWNESS:.0f} s\n"
                      + err.decode(errors="replace")[-2000:])
    return p.returncode, out, err
