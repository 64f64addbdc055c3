#!/usr/bin/env python3
"""lint.py - the house's rules, as far as a machine can see them.

    lint.py [--root DIR] [--objects DIR] [--results FILE] [--only RULE]

Each rule is a function of the tree that returns its violations as "file:line: what". --objects is where the compiled
objects are, for the rule about symbols. Prints the violations, then the longest functions and files (which fail nothing).
Exit status 1 when a rule is broken. tests/lib/test_lint.py plants a violation of each rule and sees it found.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import time

import cases

PRODUCT = ("agent", "producer", "spool", "conf")

# Folder -> what it may include of ours. The longest folder that fits a file counts.
LAYERS = {
    "agent/base": ("agent/base/",),
    "producer": ("producer/", "agent/base/"),
    "spool": ("spool/", "agent/base/"),
    "conf": ("conf/", "agent/base/"),
    "agent/record": ("agent/record/", "agent/base/", "producer/", "conf/"),
    "agent/tail": ("agent/tail/", "agent/record/", "agent/base/", "producer/", "spool/", "conf/"),
    "agent/intake": ("agent/intake/", "agent/tail/", "agent/record/", "agent/base/", "producer/", "spool/", "conf/"),
    "agent/web": ("agent/web/", "agent/base/", "agent/state/", "agent/tail/", "agent/pipeline.h", "agent/status.h",
                  "agent/listener.h", "agent/metrics_text.h", "producer/", "spool/", "conf/"),
    "agent": ("agent/", "producer/", "spool/", "conf/"),
}

# Header of a library -> the only files that may include it.
OWNERS = [
    (r"sqlite3\.h", r"spool/"),
    (r"yaml\.h", r"conf/"),
    (r"(lz4|lz4hc|lz4frame|zstd|zstd_errors|zlib|snappy-c)\.h", r"producer/codec|agent/tail/unpack"),
    (r"xxhash\.h", r"agent/"),
    (r"sys/inotify\.h", r"agent/"),
    (r"(sys/socket|netinet/.*|arpa/.*|netdb)\.h", r"producer/(conn|sender|names)|conf/listen\.c$|agent/"),
    (r"sys/epoll\.h", r"producer/(conn|sender|names)|agent/"),
    (r"agent/base/log\.h", r"agent/"),
]

# Bytes in, bytes out: these know nothing of what stands above them.
PURE = re.compile(r"producer/(codec|wire|api|record|frame|murmur2|batch|partition)")
ABOVE_PURE = re.compile(r'"producer/(conn|sender|names|producer_int)')

BANNED = {
    "strcpy": "no bound", "strcat": "no bound", "sprintf": "no bound", "vsprintf": "no bound", "gets": "no bound",
    "strncpy": "may leave no NUL", "strtok": "hidden state", "gmtime": "shared buffer", "localtime": "shared buffer",
    "ctime": "shared buffer", "asctime": "shared buffer", "rand": "poor and shared", "system": "a shell",
    "popen": "a shell", "alloca": "unbounded stack", "atoi": "no errors", "atol": "no errors",
}
BANNED_IN_PRODUCT = {
    "sleep": "wait for a condition", "usleep": "wait for a condition", "nanosleep": "wait for a condition",
    "malloc": "mem_alloc", "calloc": "mem_calloc", "realloc": "mem_realloc", "free": "mem_free",
    "strdup": "mem_strdup", "strndup": "mem_strndup", "asprintf": "mem_printf", "vasprintf": "mem_printf",
}
BANNED_IN_LIBRARIES = {"exit": "libraries return errors", "_exit": "libraries return errors"}

COLUMNS_MAX = 132       # about 110 is what we aim at
MACHINE_PATHS = re.compile(r"(?<![\w.])(/wor[k]/|/tmp/kpo[m])")
TEXT = (".c", ".h", ".def", ".py", ".sh", ".md", ".yaml", ".yml", ".xml", ".service", ".txt", "")


class Tree:
    """The files under a root, read once."""

    def __init__(self, root, objects=None):
        self.root, self.objects = root, objects
        self.text = {}
        for folder, folders, files in os.walk(root):
            folders[:] = [d for d in folders if d not in (".git", "build", "__pycache__")]
            for name in (f for f in files if f != ".git"):      # a file in a worktree
                path = os.path.relpath(os.path.join(folder, name), root)
                if os.path.splitext(name)[1] in TEXT:
                    with open(os.path.join(root, path), errors="replace") as f:
                        self.text[path] = f.read()

    def files(self, *suffixes, product=False):
        """Sorted (path, text)."""
        return [(p, t) for p, t in sorted(self.text.items())
                if p.endswith(suffixes) and (not product or p.split("/")[0] in PRODUCT)]

    def includes(self):
        """(path, line number, "<x.h>" or '"x.h"') of all C files of the product."""
        for path, text in self.files(".c", ".h", product=True):
            for n, line in enumerate(text.splitlines(), 1):
                m = re.match(r'\s*#\s*include\s+([<"][^>"]+[>"])', line)
                if m:
                    yield path, n, m.group(1)


def code_only(text):
    """Comments and literals become blanks; lines and columns stay."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


# --- The rules ---

def rule_layers(tree):
    """base includes nothing of ours; producer, spool and conf never each other nor agent; only agent includes all."""
    for path, n, inc in tree.includes():
        if inc[0] != '"':
            continue
        folder = max((f for f in LAYERS if path.startswith(f + "/")), key=len)
        if not inc[1:].startswith(LAYERS[folder]):
            yield f"{path}:{n}: {folder}/ may not include {inc}"
        if PURE.match(path) and ABOVE_PURE.match(inc):
            yield f"{path}:{n}: a codec may not include {inc}"


def rule_owners(tree):
    """A library is known to one folder only."""
    for path, n, inc in tree.includes():
        for header, owner in OWNERS:
            if re.fullmatch(header, inc[1:-1]) and not re.match(owner, path):
                yield f"{path}:{n}: {inc} belongs to {owner}"


def rule_face(tree):
    """producer/producer.h can be taken away: it includes the C library only."""
    for path, n, inc in tree.includes():
        if path == "producer/producer.h" and inc not in ("<stdbool.h>", "<stddef.h>", "<stdint.h>"):
            yield f"{path}:{n}: {inc} is not of the C library"


def rule_headers(tree):
    """Each header compiles alone."""
    def alone(path):
        p = subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE=", "-I.", "-Wall", "-fsyntax-only", "-x", "c", "-include",
                            path, "/dev/null"], cwd=tree.root, capture_output=True, text=True)
        errors = [line for line in p.stderr.splitlines() if "error:" in line]
        return None if p.returncode == 0 else f"{path}:1: does not compile alone: {errors[0] if errors else p.stderr}"

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(alone, [p for p, _ in tree.files(".h", product=True)]))


def rule_banned(tree):
    """No function that cannot be used safely."""
    for path, text in tree.files(".c", ".h"):
        banned = dict(BANNED)
        if path.split("/")[0] in PRODUCT and path != "agent/base/mem.c":
            banned.update(BANNED_IN_PRODUCT)
        if path.split("/")[0] in ("producer", "spool", "conf"):
            banned.update(BANNED_IN_LIBRARIES)
        call = re.compile(r"(?<![\w.>])(" + "|".join(banned) + r")\s*\(")
        for n, line in enumerate(code_only(text).splitlines(), 1):
            for m in call.finditer(line):
                yield f"{path}:{n}: {m.group(1)}(): {banned[m.group(1)]}"


def rule_symbols(tree):
    """What is not in a header is static."""
    if not tree.objects:
        return
    words = set()
    for _, text in tree.files(".h", product=True):
        words.update(re.findall(r"\w+", text))
    for path, _ in tree.files(".c", product=True):
        if "/examples/" in path:        # programs of their own, built against what is installed
            continue
        obj = os.path.join(tree.objects, path[:-2] + ".o")
        p = subprocess.run(["nm", "-g", "--defined-only", obj], capture_output=True, text=True)
        if p.returncode != 0:
            yield f"{path}:1: cannot read its symbols: {p.stderr.strip()}"
        for line in p.stdout.splitlines():
            name = line.split()[-1]
            if name not in words and name != "main" and not name.startswith("_"):
                yield f"{path}:1: {name} is neither static nor in a header"


def rule_shape(tree):
    """Tabs, columns, a top comment, no leftovers."""
    for path, text in tree.files(".c", ".h"):
        name = os.path.basename(path)
        if not text.startswith(f"/* {name} - "):
            yield f"{path}:1: does not start with \"/* {name} - what it is for\""
        if not text.endswith("\n") or text.endswith("\n\n"):
            yield f"{path}:1: does not end in exactly one newline"
        for n, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip():
                yield f"{path}:{n}: blanks at the end"
            if line.startswith("        "):
                yield f"{path}:{n}: indented by blanks"
            if len(line.expandtabs(8)) > COLUMNS_MAX:
                yield f"{path}:{n}: longer than {COLUMNS_MAX} columns"


def rule_leftovers(tree):
    """Nothing unfinished, nothing that only one machine has."""
    for path, text in sorted(tree.text.items()):
        for n, line in enumerate(text.splitlines(), 1):
            if MACHINE_PATHS.search(line):
                yield f"{path}:{n}: a path of one machine"
            if path.endswith((".c", ".h")) and re.search(r"\b(TODO|FIXME|XXX)\b", line):
                yield f"{path}:{n}: unfinished"


def rule_readmes(tree):
    """Each folder of the product says what it is."""
    for folder in (*PRODUCT, *(f for f in LAYERS if f.startswith("agent/")), "agent/state", "agent/cmd"):
        if any(p.startswith(folder + "/") for p in tree.text) and f"{folder}/README.md" not in tree.text:
            yield f"{folder}/README.md:1: missing"


def rule_cppcheck(tree):
    """cppcheck, where it is installed: errors and warnings, not style."""
    if not shutil.which("cppcheck"):
        return
    folders = [f for f in PRODUCT if os.path.isdir(os.path.join(tree.root, f))]
    p = subprocess.run(["cppcheck", "--quiet", f"-j{os.cpu_count()}", "--enable=warning", "--inline-suppr", "-I.", "--std=c11",
                        "-D__x86_64__", "--template={file}:{line}: {id}: {message}", "--suppress=missingIncludeSystem",
                        "--error-exitcode=1", *folders], cwd=tree.root, capture_output=True, text=True)
    if p.returncode != 0:
        yield from (line for line in p.stderr.splitlines() if re.match(r"\S+:\d+: ", line))


def rule_scenarios(tree):
    """The list of scenarios is what the scenarios say; a README that names a test that is not there promises too much."""
    run = os.path.join(tree.root, "tests", "scenario", "run.py")
    listed = ""
    if os.path.exists(run):
        listed = subprocess.run([sys.executable, run, "--list"], capture_output=True, text=True).stdout
    if listed and listed != tree.text.get("tests/scenario/README.md"):
        yield "tests/scenario/README.md:1: not what `run.py --list` prints"
    known = listed + "".join(t for p, t in tree.text.items() if p.startswith("tests/unit/"))
    for n, line in enumerate(tree.text.get("README.md", "").splitlines(), 1):
        for name in re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", line):
            if name not in known and name.replace("_", " ") not in known:
                yield f"README.md:{n}: there is no test {name}"


def rule_cases(tree):
    """Each way of a log file that tests/cases.txt lists has a scenario, once, and each one that it names is there."""
    known = set(re.findall(r"^@scenario\(.*\)\ndef (\w+)\(", "".join(t for p, t in tree.text.items() if p.startswith("tests/scenario/")),
                           re.M))
    seen = set()
    for _, listed in cases.headings(tree.text.get("tests/cases.txt", "")):
        for case in listed:
            if not case.scenarios:
                yield f"tests/cases.txt:{case.line}: no scenario shows: {case.words}"
            if case.words in seen:
                yield f"tests/cases.txt:{case.line}: listed twice: {case.words}"
            seen.add(case.words)
            for n, name in case.scenarios:
                if name not in known:
                    yield f"tests/cases.txt:{n}: there is no scenario {name}"


RULES = {f.__name__[len("rule_"):]: f for f in (
    rule_layers, rule_owners, rule_face, rule_headers, rule_banned, rule_symbols, rule_shape, rule_leftovers, rule_readmes,
    rule_scenarios, rule_cases, rule_cppcheck)}


# --- For information ---

def functions(text):
    """(name, lines) of each function, by the house's layout: braces of functions stand in the first column."""
    start = name = None
    for n, line in enumerate(text.splitlines(), 1):
        m = re.match(r"[A-Za-z_].*?(\w+)\(", re.sub(r"__attribute__\(\(.*?\)\)+ ", "", line))
        if m:
            candidate, candidate_line = m.group(1), n
        if line == "{" and start is None:
            start, name = candidate_line, candidate
        elif line == "}" and start is not None:
            yield name, n - start + 1
            start = None


def print_longest(tree):
    rows = []
    for path, text in tree.files(".c", product=True):
        rows += [(lines, f"{path}: {name}") for name, lines in functions(text)]
    for title, longest in (("functions", rows),
                           ("files", [(len(t.splitlines()), p) for p, t in tree.files(".c", ".h", product=True)])):
        print(f"longest {title}:")
        for lines, what in sorted(longest, reverse=True)[:10]:
            print(f"  {lines:4}  {what}")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser(description="Checks the house's rules.")
    p.add_argument("--root", default=os.path.dirname(os.path.dirname(here)))
    p.add_argument("--objects")
    p.add_argument("--results", help="a file that gets one line a rule: pass|fail, name, seconds (tabs between)")
    p.add_argument("--only", choices=sorted(RULES), help="just this rule")
    args = p.parse_args()
    tree = Tree(args.root, args.objects and os.path.abspath(args.objects))
    results, broken = [], 0
    for name, rule in RULES.items():
        if args.only in (None, name):
            start = time.monotonic()
            found = list(rule(tree))
            results.append(f"{'fail' if found else 'pass'}\t{name}\t{time.monotonic() - start:.2f}\n")
            broken += bool(found)
            for line in found:
                print(f"{line} [{name}]")
    if args.results:
        with open(args.results, "w") as f:
            f.writelines(results)
    if not args.only:
        print_longest(tree)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
