#!/usr/bin/env python3
"""check.py - what `make check` does: builds, runs every kind of test, and counts.

Each cmocka test, each lint rule, each build and each scenario is one test with a name:

    build:release  build:clang  build:asan  build:tsan        gcc -Werror, clang -Werror, the sanitizers
    unit:test_buf.the_ceiling_holds...                        asan:... and tsan:... the same under a sanitizer
    lint:layers  lint:planted-layers                          a rule, and that the rule sees a planted violation; lint:wrong_lines...
                                                              that this program forgives only what it may
    fuzz:NAME                                                 a fuzz target: its kept inputs, then 5 s of new ones
    packages:NAME                                             deb, rpm, tarball, image: built, linted, installed, upgraded
    scenario:NAME  asan-scenario:NAME  tsan-scenario:NAME     against a real Kafka; under sanitizers the core ones

Prints failures as they come, then the ten slowest; the last line is "N passed, N failed". Exit status 1 when any failed.
A unit test or scenario that fails is run once more, unless it crashed, a sanitizer reported, or lines were wrong: its condition may
have met a machine that was busy elsewhere. What passed the second time is listed. That may happen to a few of thousands; when it
happens to more than SECOND_TIME_MOST the tree is at fault, and all of them have failed.
With --filter TEXT only tests whose name contains TEXT run, and only what they need is built. TEXT may be a whole name as
printed ("asan:test_buf.the_ceiling_holds_and_the_error_sticks").
"""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNIT_TIMEOUT = 360
LINT_SCRIPTS = ("tests/lib/lint.py", "tests/lib/test_lint.py", "tests/lib/test_check.py")
SCENARIO_RUNNER = "tests/scenario/run.py"
FUZZ_RUNNER = "tests/fuzz/run.py"
PACKAGES_RUNNER = "tests/packaging/run.py"
FUZZ_SECONDS = "5"
SECOND_TIME_MOST = 5
FINAL = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|failed with exception")    # no second run
SANITIZERS = ("asan", "tsan")
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1",
}


class Filter:
    """What --filter asks for: "text", or "kind:text" where the kind is known."""

    KINDS = ("unit", "lint", "fuzz", "packages", "scenario", *SANITIZERS, *(f"{s}-scenario" for s in SANITIZERS))

    def __init__(self, text):
        kind, colon, rest = text.partition(":")
        self.kind, self.text = (kind, rest) if colon and kind in self.KINDS else (None, text)

    def wants(self, kind):
        return self.kind in (None, kind)

    def __bool__(self):
        return bool(self.kind or self.text)
    def unit_pattern(self, module):
        """What cmocka shall match: everything when the module's own name fits."""
        if self.text in module:
            return ""
        if self.text.startswith(module + "."):
            return self.text[len(module) + 1:]
        return f"*{self.text}*"


class Results:
    """The one list of (name, passed, seconds), and the names of those that passed the second time."""

    def __init__(self):
        self.rows, self.again = [], []

    def add(self, name, passed, seconds, output="", again=False):
        self.rows.append((name, passed, seconds))
        if again:
            self.again.append(name)
        if not passed:
            print(f"not ok {name}")
            for line in output.strip().splitlines()[-60:]:
                print(f"    {line}")
            sys.stdout.flush()

    def finish(self):
        failed = [name for name, passed, _ in self.rows if not passed]
        if self.again:
            print("\npassed the second time:", *self.again, sep="\n  ")
        if len(self.again) > SECOND_TIME_MOST:
            failed += self.again
        print("\nten slowest:")
        for name, _, seconds in sorted(self.rows, key=lambda r: -r[2])[:10]:
            print(f"  {seconds:7.2f} s  {name}")
        if failed:
            print("\nfailed:")
            for name in failed:
                print(f"  {name}")
        print()
        print(f"{len(self.rows) - len(failed)} passed, {len(failed)} failed", flush=True)
        return 1 if failed else 0


def run(command, **kw):
    """Returns (exit status, output, seconds). Never raises: a test that cannot be started has failed."""
    start = time.monotonic()
    try:
        p = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, errors="replace", **kw)
        return p.returncode, p.stdout, time.monotonic() - start
    except subprocess.TimeoutExpired as e:
        out = e.stdout.decode(errors="replace") if isinstance(e.stdout, bytes) else e.stdout or ""
        return -1, out + "\ntimed out", time.monotonic() - start
    except OSError as e:
        return -1, str(e), time.monotonic() - start


def say(text):
    print(f"--- {text}", flush=True)


# --- Builds ---

def make(args, results, name, *targets):
    rc, out, seconds = run([*args.make.split(), "-s", f"-j{args.jobs}", f"B={name}", "WERROR=1", *targets])
    results.add(f"build:{name}", rc == 0, seconds, out)
    return rc == 0


class BuildsAhead:
    """The instrumented builds, one after the other at the lowest priority, while scenarios mostly wait: they would take minutes of
    their own afterwards. What fails here fails again, with its words, when its turn comes."""

    process = None

    def start(self, args):
        builds = [f"{args.make} -s B={name} WERROR=1 {what}" for name, what in
                  (*((s, "all tests") for s in SANITIZERS), ("fuzz", "fuzzers"))]
        self.process = subprocess.Popen(["nice", "-n", "19", "sh", "-c", "; ".join(builds)], cwd=ROOT, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self):
        if self.process:
            self.process.wait()


# --- Unit tests ---

def unit_command(kind, binary):
    """Newer kernels spread addresses wider than gcc 12's TSan can take; without that spread it runs everywhere."""
    if kind == "tsan" and run(["setarch", "-R", "true"])[0] == 0:
        return ["setarch", "-R", binary]
    return [binary]


def run_unit(kind, binary, pattern):
    """One cmocka binary. Returns rows of (name, passed, seconds, output, again)."""
    rows, rc, out, seconds = run_cmocka(kind, binary, pattern)
    name = f"{kind}:{os.path.basename(binary)}"
    if rows is None:
        return [(name, False, seconds, out + f"\nended with status {rc} before its report", False)]
    if rc != 0 and all(passed for _, passed, _, _ in rows):
        rows.append((name, False, seconds, f"all tests passed, but it ended with status {rc}"))
    return [(n, True, s, "", False) if p else run_again(kind, binary, n, s, f"{text}\n{out}") for n, p, s, text in rows]


def run_again(kind, binary, name, seconds, words):
    """A test that failed. Returns its row."""
    if not FINAL.search(words) and name.count("."):
        rows, rc, _, _ = run_cmocka(kind, binary, name.split(".", 1)[1])
        if rc == 0 and [n for n, _, _, _ in rows or ()] == [name]:
            print(f"again {name}\n    " + "\n    ".join(words.strip().splitlines()[-60:]), flush=True)
            return name, True, seconds, "", True
    return name, False, seconds, words, False


def run_cmocka(kind, binary, pattern):
    """Returns (rows of (name, passed, seconds, failure), or None without a report; exit status; output; seconds)."""
    env = {**os.environ, **SANITIZER_ENV, "CMOCKA_MESSAGE_OUTPUT": "XML"}
    with tempfile.TemporaryDirectory() as d:
        env["CMOCKA_XML_FILE"] = report = os.path.join(d, "report.xml")
        rc, out, seconds = run([*unit_command(kind, binary), pattern], env=env, timeout=UNIT_TIMEOUT)
        return read_report(kind, os.path.basename(binary), report), rc, out, seconds


def read_report(kind, module, path):
    try:
        tree = xml.etree.ElementTree.parse(path)
    except (OSError, xml.etree.ElementTree.ParseError):
        return None
    rows = []
    for case in tree.iter("testcase"):
        problem = case.find("failure")
        if problem is None:
            problem = case.find("error")
        text = "" if problem is None else problem.text or problem.get("message") or "failed"
        rows.append((f"{kind}:{module}.{case.get('name')}", problem is None, float(case.get("time", 0)), text))
    return rows


def unit_binaries(build):
    """By the sources, not by what lies in the build folder: that may be older."""
    found = []
    for source in sorted(glob.glob("tests/*/test_*.c", root_dir=ROOT)):
        found.append(os.path.join("build", build, source[:-2]))
    return found


def run_units(args, results, kind, build):
    """Returns how many tests ran."""
    ran = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        jobs = [pool.submit(run_unit, kind, b, args.filter.unit_pattern(os.path.basename(b)))
                for b in unit_binaries(build)]
        for job in jobs:
            for row in job.result():
                results.add(*row)
                ran += 1
    return ran


# --- Scripts that print "ok NAME SECONDS" or write a results file ---

def run_lint(args, results, script):
    with tempfile.NamedTemporaryFile("r") as f:
        rc, out, seconds = run([sys.executable, script, "--objects", "build/release", "--results", f.name])
        rows = read_results(f.name)
    add_rows(args, results, "lint", rows, rc, out, seconds)


def read_results(path):
    """Rows of (name, passed, seconds, again) from lines of pass|again|fail|skip TAB name TAB seconds. What was skipped counts
    neither way."""
    rows = []
    with open(path) as f:
        for line in f:
            verdict, name, seconds = line.rstrip("\n").split("\t")[:3]
            if verdict != "skip":
                rows.append((name, verdict != "fail", float(seconds), verdict == "again"))
    return rows


def add_rows(args, results, kind, rows, rc, out, seconds):
    for name, passed, took, again in rows:
        if args.filter.text in name:
            results.add(f"{kind}:{name}", passed, took, out, again)
    if rc != 0 and all(passed for _, passed, _, _ in rows):
        results.add(f"{kind}:(runner)", False, seconds, out + f"\nended with status {rc}")


def fuzz_targets(args):
    found = [os.path.basename(p)[len("fuzz_"):-2] for p in glob.glob("tests/fuzz/fuzz_*.c", root_dir=ROOT)]
    return [name for name in found if args.filter.text in name]


def run_fuzz(args, results):
    """Built only when a target is wanted: the instrumented program is a build of its own."""
    if not args.filter.wants("fuzz") or not fuzz_targets(args):
        return
    say("build:fuzz")
    if not make(args, results, "fuzz", "fuzzers"):
        return
    say("fuzz targets")
    with tempfile.NamedTemporaryFile("r") as f:
        rc, out, seconds = run([sys.executable, FUZZ_RUNNER, "--seconds", FUZZ_SECONDS, "--filter", args.filter.text, "--results", f.name])
        rows = read_results(f.name)
    add_rows(args, results, "fuzz", rows, rc, out, seconds)


def run_scenarios(args, results, kind, build, *extra):
    """By two runners with brokers of their own, for scenarios mostly wait: each takes the next when it is done with one. Their
    lines go straight to the terminal: it takes minutes. Returns whether any ran."""
    runners = 1 if args.filter else min(2, args.jobs)
    with concurrent.futures.ThreadPoolExecutor(runners) as pool, tempfile.NamedTemporaryFile() as share:
        jobs = [pool.submit(run_share, args, results, kind, build, share.name, *extra) for _ in range(runners)]
        return any([job.result() for job in jobs])


def run_share(args, results, kind, build, share, *extra):
    start = time.monotonic()
    with tempfile.NamedTemporaryFile("r") as f:
        command = [sys.executable, SCENARIO_RUNNER, "--spillway", f"build/{build}/spillway", "--results", f.name,
                   "--share", share, *extra]
        if args.filter.text:
            command += ["--filter", args.filter.text]
        p = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE if args.filter else None)
        rows = read_results(f.name)
    if args.filter and not rows:        # nothing of that name: the runner's complaint is none of ours
        return False
    sys.stderr.buffer.write(p.stderr or b"")
    add_rows(args, results, kind, rows, p.returncode, "see above", time.monotonic() - start)
    return True


class Packages:
    """Built and installed at a low priority while scenarios mostly wait. What it says comes when they are through."""

    process = None

    def start(self, args):
        if not args.filter.wants("packages"):
            return
        self.rows = tempfile.NamedTemporaryFile("r")
        self.said = tempfile.TemporaryFile("w+")
        self.begin = time.monotonic()
        self.process = subprocess.Popen(["nice", "-n", "5", sys.executable, PACKAGES_RUNNER, "--results", self.rows.name,
                                         "--filter", args.filter.text], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self.said, stderr=self.said)

    def wait(self, args, results):
        """Adds its rows; with a filter that none of its tests meets, nothing."""
        if not self.process:
            return
        rc = self.process.wait()
        rows = read_results(self.rows.name)
        self.said.seek(0)
        said = self.said.read()
        for line in said.splitlines():
            if line.startswith("skip "):
                print(f"packages: {line}")
        if rows or not args.filter:
            add_rows(args, results, "packages", rows, rc, said, time.monotonic() - self.begin)


# --- All of it ---

def check_plain(args, results, ahead):
    """Release builds. Returns which kinds of test had any that the filter lets through."""
    found = set()
    if args.filter.kind not in (None, "unit", "scenario"):
        found.update(("unit", "scenario"))      # asked for by name under a sanitizer: the plain ones do not run
    if args.filter.wants("unit"):
        say("unit tests")
        if run_units(args, results, "unit", "release"):
            found.add("unit")
    if args.filter.wants("lint"):
        say("lint")
        for script in LINT_SCRIPTS:
            run_lint(args, results, script)
    if args.filter.wants("scenario"):
        say("scenarios")
        if not args.filter:
            ahead.start(args)
        if run_scenarios(args, results, "scenario", "release"):
            found.add("scenario")
    return found


def check_sanitized(args, results, found):
    for s in SANITIZERS:
        units = "unit" in found and args.filter.wants(s)
        scenarios = "scenario" in found and args.filter.wants(f"{s}-scenario")
        if not units and not scenarios:
            continue
        say(f"build:{s}")
        if not make(args, results, s, "all", "tests"):
            continue
        if units:
            say(f"unit tests under {s}")
            run_units(args, results, s, s)
        if scenarios:
            say(f"core scenarios under {s}")
            run_scenarios(args, results, f"{s}-scenario", s, "--core")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--make", default="make")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--filter", type=Filter, default=Filter(""))
    args = p.parse_args()
    results = Results()

    say("build:release")
    if not make(args, results, "release", "all", "lib", "tests"):
        return results.finish()
    if not args.filter:
        say("build:clang")
        make(args, results, "clang", "all", "tests")
    ahead, packages = BuildsAhead(), Packages()
    packages.start(args)
    found = check_plain(args, results, ahead)
    ahead.wait()
    packages.wait(args, results)
    run_fuzz(args, results)
    check_sanitized(args, results, found)
    if all(name.startswith("build:") for name, _, _ in results.rows):
        results.add(f"(no test is called like {args.filter.text!r})", False, 0)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
