#!/usr/bin/env python3
"""run.py - runs the scenarios: spillway as a black box against a real Apache Kafka.

	run.py [--spillway PATH] [--filter NAME] [--core] [--share FILE] [--results FILE] [--seed N] [--scale F]
	run.py --kills N | --steps N
	run.py --list > README.md

Each story is a file next to this one, each scenario a function in it. One broker is started for the whole run; a second
one, for the scenarios that stop or kill it, when the first of those comes. Prints `ok NAME SECONDS` or `not ok NAME
SECONDS` and the reason; the directory of a failed scenario is kept under build/scenario/NAME. Exit code 1 if one failed.

A scenario that fails is run once more, and `again NAME` says why: it waited in vain, or something came in another order than it
thinks, and on a machine that others use too that may be the machine. Lines lost, doubled or reordered, books that do not balance, a
crash and a sanitizer's report have failed at once, and a soak takes everything as it comes.
"""
import argparse
import fcntl
import fnmatch
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "lib"), os.path.join(os.path.dirname(HERE), "kafka")]

import cases                                                            # noqa: E402
import procs                                                            # noqa: E402
import scenario                                                         # noqa: E402
import wire                                                             # noqa: E402

KEPT = os.path.join(procs.ROOT, "build", "scenario")
LONGEST = 300           # seconds that one scenario may take in the worst case
SOAK_TURNS = 4          # a loop of kills is so much longer in the soak
SLOW_BUILDS = {"asan": 3.0, "tsan": 6.0, "cov": 2.0}
FINAL = re.compile(r"\b(missing|doubled|reordered|unknown|corrupt|uncertain) [1-9]|books do not balance")    # no second run
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS)


def arguments(argv):
    p = argparse.ArgumentParser(description="Runs the scenarios against a real Kafka.")
    p.add_argument("--spillway", default=os.path.join(procs.ROOT, "build", "release", "spillway"), help="the binary to test")
    p.add_argument("--filter", default="", help="a part of names, or a pattern with *")
    p.add_argument("--core", action="store_true", help="only the scenarios that are also run under sanitizers")
    p.add_argument("--share", metavar="FILE", help="only scenarios that no other run with this file (empty at first) has taken")
    p.add_argument("--results", help="a file that gets one line a scenario: pass|again|fail|skip, name, seconds (tabs between)")
    p.add_argument("--kills", type=int, default=0, metavar="N",
                   help="only the loops of kill -9, with other seeds again and again until N kills fell; ends at the first failure")
    p.add_argument("--steps", type=int, default=0, metavar="N", help="the same with the random walks, until N steps were made")
    p.add_argument("--seed", type=int, default=1, help="what all random moments follow from")
    p.add_argument("--scale", type=float, default=1.0, help="multiplies the volume of the large runs")
    p.add_argument("--list", action="store_true", help="print what there is, as this folder's README.md")
    return p.parse_args(argv)


def print_list(rows):
    print("# Scenarios\n\nWritten by `run.py --list`: what spillway does as seen from outside, against a real Apache Kafka.\n"
          "`core` ones also run under the sanitizers. How to run one: ../README.md.")
    story = None
    for row in rows:
        if row["story"] != story:
            story = row["story"]
            with open(os.path.join(HERE, story)) as f:
                head = f.read().split('"""')[1].split("\n\n")[0]
            print(f"\n## {story}\n{' '.join(head.split()).split(' - ', 1)[-1]}\n")
        mark = " (core)" if row["core"] else ""
        print(f"- **{row['name'].replace('_', ' ')}**{mark}: {scenario.first_sentence(row['run'])}")
    print_cases()


def print_cases():
    """The other side of the list: each way that a log file can behave, and what shows it."""
    print("\n# The ways that a log file can behave\n\nThe list is `../cases.txt`; `make lint` fails for a case that no scenario shows.")
    with open(os.path.join(os.path.dirname(HERE), "cases.txt")) as f:
        listed = cases.headings(f.read())
    for heading, of_it in listed:
        print(f"\n## {heading}\n")
        for case in of_it:
            print(f"- {case.words}: " + ", ".join(f"*{name.replace('_', ' ')}*" for _, name in case.scenarios))


def chosen(rows, options):
    pattern = options.filter.replace(" ", "_")
    if pattern and not any(c in pattern for c in "*?["):
        pattern = f"*{pattern}*"
    return [r for r in rows if (not pattern or fnmatch.fnmatchcase(r["name"], pattern)) and (r["core"] or not options.core)
            and (r["kills"] or not options.kills) and (r["walk"] or not options.steps)]


def shared(rows, path):
    """Of the same rows each run takes the next one when it has time for it."""
    with open(path, "r+") as f:
        while True:
            fcntl.flock(f, fcntl.LOCK_EX)
            f.seek(0)
            at = int(f.read() or 0)
            f.seek(0)
            f.write(str(at + 1))
            f.flush()
            fcntl.flock(f, fcntl.LOCK_UN)
            if at >= len(rows):
                return
            yield rows[at]


def too_long(_signal, _frame):
    raise procs.Timeout(f"the scenario took longer than {LONGEST * procs.SLOWNESS:.0f} s")


def interrupted(number, _frame):
    raise SystemExit(128 + number)


def keep(run, name, directory):
    """Moves what a failed scenario left to build/scenario, with the brokers' last words."""
    target = os.path.join(KEPT, name)
    scenario.remove(target)
    os.makedirs(KEPT, exist_ok=True)
    shutil.move(directory, target)
    for which, broker in run.brokers.items():
        with open(os.path.join(broker.dir, "broker.log"), "rb") as f:
            f.seek(max(0, os.fstat(f.fileno()).st_size - 100000))
            with open(os.path.join(target, f"broker-{which}.log"), "wb") as out:
                out.write(f.read())
    return target


def one(run, row, seed):
    """Runs one scenario: ("pass" | "fail" | "unsure" | "skip", words). unsure: it failed, and a second run may tell more."""
    if row["needs_root"] and os.geteuid() != 0:
        return "skip", "needs root"
    directory = os.path.join(run.work, f"{len(os.listdir(run.work)):03d}")
    os.makedirs(directory)
    test = scenario.Test(run, row["name"], directory, seed)
    result, words = "pass", ""
    signal.alarm(int(LONGEST * procs.SLOWNESS * run.turns))
    try:
        row["run"](test)
    except scenario.Skip as e:
        result, words = "skip", str(e)
    except Exception as e:
        at = [f for f in traceback.extract_tb(e.__traceback__) if f.filename.startswith(HERE)]
        where = f" ({os.path.basename(at[-1].filename)}:{at[-1].lineno}: {at[-1].line})" if at else ""
        words = f"{str(e) or type(e).__name__}{where}"
        if not isinstance(e, (AssertionError, procs.Timeout)):
            words += "\n" + traceback.format_exc()
        late = isinstance(e, (procs.Timeout, wire.WireError))
        result = "unsure" if late or not FINAL.search(words) else "fail"
    finally:
        signal.alarm(0)
        reports = test.close()
    reports += [f"{a.name} crashed: it ended with {a.exit_code}" for a in test.agents if -(a.exit_code or 0) in CRASHES]
    if reports:
        result, words = "fail", "\n".join([words, *reports]).strip()
    if result in ("fail", "unsure"):
        words += f"\nkept: {os.path.relpath(keep(run, row['name'], directory), procs.ROOT)}"
    else:
        scenario.remove(directory)
    return result, words


def rounds(run, rows, options):
    """(row, seed) of all that is to run: each once, or loops of kills until there were enough."""
    seed = options.seed
    while True:
        for row in shared(rows, options.share) if options.share else rows:
            yield row, seed
        if run.kills.kills >= options.kills and run.steps >= options.steps:
            return
        print(f"so far, with seeds up to {seed}: {run.kills if options.kills else f'{run.steps} steps'}", flush=True)
        seed += 1


def main(argv):
    options = arguments(argv)
    rows = scenario.loaded(HERE)
    if options.list:
        print_list(rows)
        return 0
    rows = chosen(rows, options)
    if not rows:
        print(f"no scenario is called like {options.filter!r}", file=sys.stderr)
        return 64
    if not os.access(options.spillway, os.X_OK):
        print(f"{options.spillway}: no such program; build it first", file=sys.stderr)
        return 69
    build = os.path.basename(os.path.dirname(os.path.abspath(options.spillway)))
    procs.set_slowness(SLOW_BUILDS.get(build, 1.0))
    signal.signal(signal.SIGALRM, too_long)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)

    work = tempfile.mkdtemp(prefix="spillway-scenario.")
    os.chmod(work, 0o755)               # some scenarios run the agent as another user
    run = scenario.Run(os.path.abspath(options.spillway), work, options.scale, sanitized=build in ("asan", "tsan"),
                       turns=SOAK_TURNS if options.kills else 1)
    results = open(options.results, "w") if options.results else None
    count = {"pass": 0, "fail": 0, "skip": 0, "again": 0}
    begin = time.monotonic()
    soak = options.kills or options.steps
    try:
        for row, seed in rounds(run, rows, options):
            at = time.monotonic()
            result, words = one(run, row, seed)
            if result == "unsure" and not soak:
                print(f"again {row['name']}: {words}", flush=True)
                result, words = one(run, row, seed)
                result = "again" if result == "pass" else result
            if result == "unsure":
                result = "fail"
            seconds = time.monotonic() - at
            count[result] += 1
            print(f"{'not ok' if result == 'fail' else 'ok'} {row['name']} {seconds:.1f}s"
                  + (f" # skip: {words}" if result == "skip" else "") + (f" # seed {seed}" if soak else ""), flush=True)
            if result == "fail":
                print("    " + words.replace("\n", "\n    "), flush=True)
            if results:
                results.write(f"{result}\t{row['name']}\t{seconds:.2f}\n")
                results.flush()
            if result == "fail" and soak:
                break
    finally:
        run.close()
        scenario.remove(work)
    if run.kills.kills:
        print(run.kills)
    for figures in run.walks:
        print(figures)
    print(f"{count['pass'] + count['again']} passed ({count['again']} of them the second time), {count['fail']} failed, "
          f"{count['skip']} skipped in {time.monotonic() - begin:.0f} s (seed {options.seed})", flush=True)
    return 1 if count["fail"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
