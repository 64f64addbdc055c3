#!/usr/bin/env python3
"""run.py - runs the fuzz targets, two of them at a time: the kept corpus first, then some seconds of new inputs each.

	run.py [--seconds N] [--filter TEXT] [--results FILE] [--seed N]

Binaries come from `make B=fuzz fuzzers`. An input that breaks a target is kept as build/fuzz/found/NAME-...; what new inputs
reach is kept in build/fuzz/corpus/NAME, so a longer run goes on where the last one stopped. Exit status 1 when any failed.
"""
import argparse
import concurrent.futures
import glob
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "fuzz")
REPLAY_TIMEOUT = 600
INPUT_TIMEOUT = 60      # of the wall: a machine that stands still for a while is not an input that hangs
RSS_MB = 1024
MALLOC_MB = 256         # a single request above it is a length out of the input that was believed
ENV = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}


def steady():
    """Newer kernels spread addresses wider than the address sanitizer of clang 14 can take: one start in four would crash. What takes
    the spread away, where that is permitted."""
    try:
        return ["setarch", "-R"] if subprocess.run(["setarch", "-R", "true"], capture_output=True).returncode == 0 else []
    except OSError:
        return []


def names():
    return [os.path.basename(p)[len("fuzz_"):-2] for p in sorted(glob.glob(os.path.join(HERE, "fuzz_*.c")))]


def call(argv, timeout):
    try:
        p = subprocess.run(argv, cwd=ROOT, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors="replace", timeout=timeout)
        return p.returncode, p.stdout
    except subprocess.TimeoutExpired:
        return -1, "timed out"
    except OSError as e:
        return -1, str(e)


def fuzz(name, seconds, seed):
    """Returns (passed, seconds, last words)."""
    start = time.monotonic()
    program = [*steady(), os.path.join(BUILD, "tests", "fuzz", "fuzz_" + name)]
    kept, grown = os.path.join(HERE, "corpus", name), os.path.join(BUILD, "corpus", name)
    found = os.path.join(BUILD, "found")
    os.makedirs(grown, exist_ok=True)
    os.makedirs(found, exist_ok=True)
    options = [f"-artifact_prefix={found}/{name}-", f"-rss_limit_mb={RSS_MB}", f"-malloc_limit_mb={MALLOC_MB}", f"-timeout={INPUT_TIMEOUT}"]
    seeds = sorted(glob.glob(os.path.join(kept, "*")))
    if not seeds:
        return False, 0, f"tests/fuzz/corpus/{name} is empty"
    rc, out = call([*program, *options, *seeds], REPLAY_TIMEOUT)
    if rc == 0 and seconds:
        rc, out = call([*program, *options, f"-seed={seed}", f"-max_total_time={seconds}", "-print_final_stats=1", grown, kept],
                       seconds + REPLAY_TIMEOUT)
    return rc == 0, time.monotonic() - start, out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=int, default=30)
    p.add_argument("--filter", default="")
    p.add_argument("--results")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    chosen = [n for n in names() if args.filter in n]
    rows = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(n, pool.submit(fuzz, n, args.seconds, args.seed)) for n in chosen]
        for name, job in jobs:
            passed, took, out = job.result()
            runs = next((row.split()[-1] for row in out.splitlines() if "number_of_executed_units" in row), "?")
            print(f"{'ok' if passed else 'not ok'} {name} {took:.1f}s" + (f", {runs} inputs" if passed else ""), flush=True)
            if not passed:
                print("\n".join("    " + row for row in out.splitlines()[-50:]), flush=True)
            rows.append((name, passed, took))
    if args.results:
        with open(args.results, "w") as f:
            f.writelines(f"{'pass' if passed else 'fail'}\t{name}\t{took:.2f}\n" for name, passed, took in rows)
    return 0 if rows and all(passed for _, passed, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
