#!/usr/bin/env python3
"""test_lint.py - a rule that never fires proves nothing: each one must see a violation planted for it.

Takes --results like lint.py. Method: a small tree that keeps all rules, then one file changed or added at a time; exactly
the rule that the change is meant for must find something.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import lint                                                             # noqa: E402

CLEAN = {
    "agent/README.md": "# agent\n",
    "agent/base/README.md": "# base\n",
    "agent/base/shelf.h": "/* shelf.h - a shelf. */\nint shelf_size(void);\n",
    "agent/base/shelf.c": '/* shelf.c - a shelf. */\n#include "agent/base/shelf.h"\n\nint shelf_size(void)\n{\n\treturn 1;\n}\n',
    "agent/main.c": '/* main.c - all of it. */\n#include "producer/wire.h"\n\nint main(void)\n{\n\treturn wire_size();\n}\n',
    "producer/README.md": "# producer\n",
    "producer/producer.h": "/* producer.h - the face. */\n#include <stdint.h>\nint32_t producer_size(void);\n",
    "producer/wire.h": "/* wire.h - bytes. */\nint wire_size(void);\n",
    "producer/wire.c": '/* wire.c - bytes. */\n#include "producer/wire.h"\n\n#include "agent/base/shelf.h"\n\n'
                       "/* sprintf() in a comment is fine */\nint wire_size(void)\n{\n\treturn shelf_size();\n}\n",
    "tests/scenario/story.py": '"""story.py - a story."""\n\n\n@scenario()\ndef a_scenario(t):\n    """It happens."""\n',
    "tests/cases.txt": "# the list\n\n## Found\n\na file\n\ta_scenario\n",
}
WIRE = CLEAN["producer/wire.c"]

# (rule, what is planted, path, text)
PLANTED = [
    ("layers", "base-includes-agent", "agent/base/shelf.c", CLEAN["agent/base/shelf.c"].replace(
        "shelf.h\"\n", "shelf.h\"\n#include \"producer/wire.h\"\n", 1)),
    ("layers", "sibling", "spool/row.h", '/* row.h - a row. */\n#include "producer/wire.h"\n'),
    ("layers", "codec-includes-connection", "producer/wire.c", WIRE.replace("agent/base/shelf.h", "producer/conn.h")),
    ("owners", "sqlite-in-agent", "agent/state.h", "/* state.h - state. */\n#include <sqlite3.h>\n"),
    ("owners", "socket-in-codec", "producer/wire.c", WIRE.replace('"agent/base/shelf.h"', "<sys/socket.h>")),
    ("owners", "log-in-library", "producer/wire.c", WIRE.replace("agent/base/shelf.h", "agent/base/log.h")),
    ("face", "not-the-c-library", "producer/producer.h", "/* producer.h - the face. */\n#include <pthread.h>\n"),
    ("headers", "not-alone", "producer/wire.h", "/* wire.h - bytes. */\nint wire_size(size_t n);\n"),
    ("banned", "sprintf", "producer/wire.c", WIRE.replace("return shelf_size()", "return sprintf(0, 0)")),
    ("banned", "sleep-in-product", "agent/main.c", CLEAN["agent/main.c"].replace("wire_size()", "(int)sleep(1)")),
    ("banned", "exit-in-library", "producer/wire.c", WIRE.replace("return shelf_size()", "exit(1)")),
    ("symbols", "stray", "producer/wire.c", WIRE + "\nint stray_number;\n"),
    ("shape", "no-top-comment", "producer/wire.c", WIRE.split("\n", 1)[1]),
    ("shape", "trailing-blank", "producer/wire.c", WIRE.replace("{\n", "{ \n")),
    ("shape", "blanks-for-tabs", "producer/wire.c", WIRE.replace("\treturn", "        return")),
    ("shape", "too-long", "producer/wire.c", WIRE + "/* " + "x" * 140 + " */\n"),
    ("leftovers", "unfinished", "producer/wire.c", WIRE + "/* TO" + "DO: more */\n"),
    ("leftovers", "machine-path", "agent/README.md", "# agent\nsee /wor" + "k/main\n"),
    ("readmes", "missing", "conf/conf.h", "/* conf.h - configuration. */\n"),
    ("cases", "case-without-scenario", "tests/cases.txt", "## Found\n\na file that nobody looks at\n"),
    ("cases", "scenario-that-is-not-there", "tests/cases.txt", "## Found\n\na file\n\tno_such_scenario_here\n"),
    ("cases", "case-listed-twice", "tests/cases.txt", "## Found\n\na file\n\ta_scenario\na file\n\ta_scenario\n"),
    ("scenarios", "test-that-is-not-there", "README.md", "# spillway\nproven by `a_test_that_is_not_there`\n"),
    ("cppcheck", "null-dereference", "producer/wire.c", WIRE.replace("return shelf_size()", "int *p = 0; return *p")),
]

# Rules that a planted text must break too, by its nature.
ALSO = {"sibling": {"readmes"}}


def write(root, path, text):
    os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
    with open(os.path.join(root, path), "w") as f:
        f.write(text)


def compile_into(root):
    """Objects for the rule about symbols. What does not compile is left out: other rules are meant then."""
    for path in [p for p in CLEAN if p.endswith(".c")]:
        obj = os.path.join(root, "build", path[:-2] + ".o")
        os.makedirs(os.path.dirname(obj), exist_ok=True)
        subprocess.run(["gcc", "-w", "-I.", "-c", "-o", obj, path], cwd=root, capture_output=True)


def broken_rules(changes, only):
    """The rules that find something in the clean tree with these changes; all of them, or those in `only`."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**CLEAN, **changes}.items():
            write(root, path, text)
        compile_into(root)
        tree = lint.Tree(root, os.path.join(root, "build"))
        return {name for name, rule in lint.RULES.items() if name in only and list(rule(tree))}


# A planted file that cannot be compiled in the small tree breaks these as well; they are not what is asked.
COMPILING = {"headers", "symbols", "cppcheck"}


def tests():
    """(name, problem or None)."""
    found = broken_rules({}, set(lint.RULES))
    yield "planted-nothing", f"a clean tree breaks {found}" if found else None
    for rule, what, path, text in PLANTED:
        only = set(lint.RULES) - COMPILING | {rule}
        found = broken_rules({path: text}, only)
        want = {rule} | ALSO.get(what, set())
        yield f"planted-{rule}-{what}", None if found == want else f"broke {found or 'nothing'} instead of {want}"


def report(description, rows):
    """The main program of such a script: says and writes down each row of (name, problem or None). Returns the exit status."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--objects", help="ignored; there so that it is called as lint.py is")
    p.add_argument("--results", default=os.devnull)
    args = p.parse_args()
    failed = 0
    with open(args.results, "w") as results:
        start = time.monotonic()
        for name, problem in rows:
            now = time.monotonic()
            print(f"{'not ok' if problem else 'ok'} {name} {now - start:.2f}s{': ' + problem if problem else ''}", flush=True)
            results.write(f"{'fail' if problem else 'pass'}\t{name}\t{now - start:.2f}\n")
            failed += bool(problem)
            start = now
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(report("Plants violations and sees that lint finds them.", tests()))
