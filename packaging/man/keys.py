#!/usr/bin/env python3
"""keys.py - the key tables of spillway.yaml(5), written out of `spillway schema`.

	keys.py [--spillway PROGRAM] [--page FILE]		compares; exit status 1 and a diff when the page has other words
	keys.py --write						writes them into the page

Everything between the two marks in the page comes from here; the words come from the tables in the code that read the keys.
"""
import argparse
import difflib
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BEGIN, END = ".\\\" BEGIN KEYS\n", ".\\\" END KEYS\n"
WIDTH = 79
ALIAS = re.compile(r"Another name of ([\w.]+)")
TITLES = {"": "Top of the file", "inputs": "inputs: a list, each with", "multiline": "inputs: multiline",
          "event_time": "inputs: event_time"}


def escaped(text):
    return text.replace("\\", "\\e")


def text_lines(text):
    """Words as mdoc text: a sentence begins a line, no line is long or begins with what roff takes for a request."""
    out = []
    for sentence in re.split(r"(?<=[.:;]) (?=[A-Z{]|\w+:)", text.replace("`", "")):
        line = ""
        for word in escaped(sentence).split():
            if line and len(line) + 1 + len(word) > WIDTH:
                out.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        out.append(line)
    return [("\\&" if line[0] in ".'" else "") + line for line in out]


def kinds(node):
    """The alternatives of a value, without interpolation, which all have."""
    found = node.get("anyOf", [node])
    return [k for k in found if not k.get("$ref", "").endswith("/interpolated")]


def is_a(node, name):
    return any(k.get("$ref", "").endswith(f"/{name}") for k in kinds(node))


def choices(node):
    """The words to choose from; a number or truth value that stands there as a text too is one choice."""
    found = []
    for kind in kinds(node):
        for value in kind.get("enum", []):
            word = str(value).lower() if isinstance(value, bool) else str(value)
            if word not in found:
                found.append(word)
    return found


def bounds(node):
    for kind in kinds(node):
        if kind.get("type") == "integer" and 0 < kind.get("maximum", 0) < 2 ** 31 - 1 and not is_a(node, "size"):
            return kind.get("minimum", 0), kind["maximum"]
    return None


def size(value):
    for unit, n in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value and value % n == 0:
            return f"{value // n}{unit}"
    return str(value)


def default(node):
    value = node.get("default")
    if value in (None, ""):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and is_a(node, "size"):
        return size(value)
    return str(value)


def item(name, node):
    """One key."""
    value = default(node)
    yield f".It Ic {name}" + (f" Pq {escaped(value)}" if value else "")
    yield from text_lines(node["description"])
    words, of = choices(node), bounds(node)
    if words and set(words) != {"true", "false"} and not all(w in node["description"] for w in words):
        yield from text_lines(f"{'One of' if len(words) > 1 else 'Or'} {', '.join(words)}.")
    if of and of[0] != of[1]:
        yield f"From {of[0]} to {of[1]}."
    if node.get("examples"):
        yield "For example"
        yield f".Cm {escaped(str(node['examples'][0]))} ."
    if node.get("writeOnly"):
        yield "A secret."


def table(title, nodes):
    """The keys of a section; sections inside of it come behind it, as tables of their own."""
    inside, aliases = [], []
    yield f".Ss {title}"
    yield ".Bl -tag -width Ds"
    for name, node in nodes.items():
        other = ALIAS.match(node["description"])
        if other:
            aliases.append((name, other[1]))
            continue
        yield from item(name, node)
        below = node.get("properties") or node.get("items", {}).get("properties")
        if below:
            inside.append((name, below))
    yield ".El"
    if aliases:
        yield ".Pp"
        yield "Names of librdkafka for the same things are taken too:"
        yield ".Bl -tag -width Ds -compact"
        for name, of in aliases:
            yield f".It Ic {name}"
            yield f".Ic {of}"
        yield ".El"
    for name, below in inside:
        yield from table(TITLES.get(name, name), below)


def tables(program):
    schema = json.loads(subprocess.run([program, "schema"], check=True, stdout=subprocess.PIPE).stdout)
    return "".join(f"{line}\n" for line in table(TITLES[""], schema["properties"]))


def main(argv):
    p = argparse.ArgumentParser(description="Compares, or writes, the key tables of spillway.yaml(5).")
    p.add_argument("--spillway", default=os.path.join(HERE, "..", "..", "build", "release", "spillway"))
    p.add_argument("--page", default=os.path.join(HERE, "spillway.yaml.5"))
    p.add_argument("--write", action="store_true")
    options = p.parse_args(argv)
    with open(options.page) as f:
        old = f.read()
    head, rest = old.split(BEGIN)
    new = f"{head}{BEGIN}{tables(options.spillway)}{END}{rest.split(END)[1]}"
    if options.write:
        with open(options.page, "w") as f:
            f.write(new)
        return 0
    diff = "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), "the page", "the code"))
    if diff:
        sys.stdout.write(f"{diff}run packaging/man/keys.py --write\n")
    return 1 if diff else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
