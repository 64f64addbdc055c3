"""cases.py - the list of ways that a log file can behave, tests/cases.txt, as its readers want it.

A line that begins with `## ` is a heading; any other that is not indented is a case; the indented ones below it name the
scenarios that show it. Lines that begin with `#` and something else are comment.
"""
import re


class Case:
    def __init__(self, line, words):
        self.line, self.words = line, words
        self.scenarios = []             # (line, name)


def headings(text):
    """[(heading, [Case])] in the order of the list."""
    out, case = [("", [])], None
    for n, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            out.append((line[3:], []))
            case = None
        elif line.startswith("\t") and case:
            case.scenarios += [(n, name) for name in re.findall(r"\w+", line)]
        elif line.strip() and not line.startswith("#"):
            case = Case(n, line.strip())
            out[-1][1].append(case)
    return [(heading, cases) for heading, cases in out if cases]
