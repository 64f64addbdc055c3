#!/usr/bin/env python3
"""run.py - builds the packages, looks at them, and installs them in a clean Debian root.

	run.py [--filter TEXT] [--results FILE] [--list] [--keep]

The tests of a story are run in the order of its file: they share what they build and the root that they install into. What
needs root runs as root, by sudo where that asks for no password; where neither is possible that is said and counted.
"""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("lib", "kafka", "packaging"):
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), folder))

import kafka                                                            # noqa: E402
import procs                                                            # noqa: E402
import recipes                                                          # noqa: E402
import built                                                            # noqa: E402
import clean_root                                                       # noqa: E402
import shared                                                           # noqa: E402

STORIES = (recipes, built, clean_root)


def wanted(text):
    return [f for story in STORIES for f in story.TESTS if text in f.__name__]


def as_root():
    """This program again, as root, if that is possible without a question."""
    if os.geteuid() == 0 or subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode:
        return
    kafka.fetch()           # nothing that others need shall belong to root
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    os.execvp("sudo", ["sudo", "-n", "-E", "env", f"PATH={path}", sys.executable, "-B", *sys.argv])


def run_one(function, world, results):
    start = time.monotonic()
    try:
        function(world)
        verdict, words = "pass", ""
    except shared.Skip as e:
        verdict, words = "skip", str(e)
    except Exception:                   # whatever a test raises is its failure
        verdict, words = "fail", traceback.format_exc()
    seconds = time.monotonic() - start
    mark = {"pass": "ok", "skip": "skip", "fail": "not ok"}[verdict]
    print(f"{mark} {function.__name__}  {seconds:.1f} s" + (f": {words}" if verdict == "skip" else ""), flush=True)
    if verdict == "fail":
        print("    " + words.strip().replace("\n", "\n    "), flush=True)
    results.append((verdict, function.__name__, seconds))


def write(path, results):
    """A file that is there may be another user's, who asked for it: where files in /tmp are protected, root must not create it."""
    with open(os.open(path, os.O_WRONLY | os.O_TRUNC | (0 if os.path.exists(path) else os.O_CREAT), 0o644), "w") as f:
        f.writelines(f"{v}\t{n}\t{s:.2f}\n" for v, n, s in results)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--filter", default="")
    p.add_argument("--results", help="write verdict, name and seconds of each test into this file")
    p.add_argument("--list", action="store_true")
    p.add_argument("--keep", action="store_true", help="keep the work folder")
    args = p.parse_args()
    tests = wanted(args.filter)
    if args.list:
        for f in tests:
            print(f"- `{f.__name__}`: {' '.join(f.__doc__.split())}")
        return 0
    if not tests:
        print(f"no test is called like {args.filter!r}", file=sys.stderr)
        return 1
    if any(f.needs_root for f in tests):
        as_root()
    os.umask(0o022)         # folders that other users have to enter
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # with what stands below in `finally`
    work = tempfile.mkdtemp(prefix="packaging.")
    os.chmod(work, 0o755)
    world, results = shared.World(work), []
    try:
        for f in tests:
            run_one(f, world, results)
    finally:
        world.close()
        if not args.keep:
            subprocess.run(["rm", "-rf", "--one-file-system", work], check=False)
    if args.results:
        write(args.results, results)
    return 1 if any(v == "fail" for v, _, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main())
