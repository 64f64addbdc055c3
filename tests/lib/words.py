"""words.py - what spillway says of itself, in a form that can be compared: help texts, manual pages, completions, documents.

Nothing here starts a broker or an agent. Each reader returns plain sets and lists and fails when it finds nothing: a document
that cannot be read any more must not look like one without mistakes.
"""
import glob
import os
import re
import subprocess

import procs

MAN = os.path.join(procs.ROOT, "packaging", "man")
COMPLETIONS = os.path.join(procs.ROOT, "packaging", "completions")
EXAMPLES = os.path.join(procs.ROOT, "conf", "examples")
PAGES = ("spillway.1", "spillway.8", "spillway.yaml.5", "libspillway-producer.3")

HELP = {"-h", "--help"}         # every command takes it


def read(*parts):
    with open(os.path.join(procs.ROOT, *parts)) as f:
        return f.read()


def output(argv, timeout=60, **more):
    """Standard output of a program that has to end well."""
    rc, out, err = procs.run(argv, timeout=timeout, **more)
    assert rc == 0, f"{argv[0]} ended with {rc}: {err.decode(errors='replace')}{out.decode(errors='replace')}"
    return out.decode()


# --- the help texts

def commands(binary):
    """The names that `spillway help` lists."""
    found = re.findall(r"^  spillway (\w+)", output([binary, "help"]), re.M)
    assert found, "`spillway help` lists nothing"
    return found


def help_options(binary, command):
    """The options in `spillway help COMMAND`, as {"-c", "--config", ...}; each has to be described."""
    found = set()
    for line in output([binary, "help", command]).splitlines():
        m = re.match(r"  (-\w)?(?:, |    )?(--[\w-]+)?(?: [A-Z=]+| json)? *(.*)$", line)
        if m and (m[1] or m[2]):
            assert m[3], f"help {command}: {m[1] or m[2]} is not described"
            found.update(o for o in m.groups()[:2] if o)
    assert HELP <= found, f"help {command} was not understood: {found}"
    return found


def all_help_options(binary):
    return {c: help_options(binary, c) for c in commands(binary)}


def literals(*folders):
    """All string literals of these folders' code, those that stand side by side joined."""
    text = []
    for folder in folders:
        for path in glob.glob(f"{folder}/**/*.c", root_dir=procs.ROOT, recursive=True):
            text.append(re.sub(r'"\s*"', "", read(path)))
    return "\n".join(text)


# --- manual pages

def man_options(page):
    """{command: options} of spillway.1: the .It lines with flags under each .Ss; "" for those of all commands."""
    found, at = {}, None
    for line in page.splitlines():
        if line.startswith(".Sh "):
            at = "" if line == ".Sh COMMANDS" else None
        elif line.startswith(".Ss ") and at is not None:
            at = line[4:]
        elif line.startswith(".It Fl") and at is not None:
            found.setdefault(at, set()).update("-" + f for f in re.findall(r"Fl (-?[\w-]+)", line))
        if at is not None:
            found.setdefault(at, set())
    assert found, "spillway.1 has no options"
    return found


def man_functions(page):
    """The functions in the synopsis of a page."""
    synopsis = page[page.index(".Sh SYNOPSIS"):page.index(".Sh DESCRIPTION")]
    return set(re.findall(r"^\.F[no] (\w+)", synopsis, re.M))


def header_functions(header):
    """The functions that a header declares."""
    text = re.sub(r"/\*.*?\*/", " ", header, flags=re.S).replace('extern "C" {', "")
    text = re.sub(r"\{[^{}]*\}", ";", re.sub(r"\{[^{}]*\}", ";", text))         # structs, and one level inside of them
    text = re.sub(r"typedef[^;]*;", ";", text)
    return set(re.findall(r"\b(producer_\w+)\(", text))


def lint(folder):
    """What `mandoc -Tlint` has against the pages of a folder. It looks for the pages that they refer to there, and then among
    those of the system, which may not be there or not in its list."""
    p = subprocess.run(["mandoc", "-Tlint", *PAGES], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    others = ("outdated mandoc.db", "not found: Xr pkg-config 1", "not found: Xr logrotate 8")
    return [line for line in p.stdout.splitlines() if not any(o in line for o in others)]


# --- completions

def bash_completes(*words):
    """What bash offers for the last of these words."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _spillway && [[ ${#COMPREPLY[@]} -eq 0 ]] || '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    return set(output(["bash", "--norc", "-c", script, "-", os.path.join(COMPLETIONS, "spillway.bash"), *words]).split())


def fish_completes(line, home):
    """What fish offers at the end of this line."""
    script = f"source {os.path.join(COMPLETIONS, 'spillway.fish')}; complete -C'{line}'"
    out = output(["fish", "--no-config", "-c", script], env={**os.environ, "HOME": home, "XDG_CONFIG_HOME": home})
    return {row.split("\t")[0] for row in out.splitlines()}


_ZSH_SPECS = r"""
_arguments() { print -rl -- "$@" }
_describe() { local name=$2; print -rl -- "${(@P)name}" }
words=(spillway "$2" ''); CURRENT=$3
(( CURRENT == 2 )) && words=(spillway '')
source "$1"
"""


def zsh_specs(command):
    """The specs that zsh's _arguments gets for a command; for None: the commands that _describe gets."""
    out = output(["zsh", "-f", "-c", _ZSH_SPECS, "-", os.path.join(COMPLETIONS, "_spillway"), command or "", "3" if command else "2"])
    return out.splitlines()


def zsh_options(command):
    """The options among them."""
    found = (re.match(r"(?:\*|\([^)]*\))?(-[\w-]+)\[", spec) for spec in zsh_specs(command))
    return {m[1] for m in found if m}


_ZSH_TERMINAL = r"""
zmodload zsh/zpty
zpty t zsh -f -i
zpty -w t "PROMPT=; stty -echo; fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; print re''ady"
zpty -r t out '*ready*' || exit 1
zpty -w -n t "$2"$'\t'
zpty -r t out "*$3*" || exit 2
zpty -d t
"""


def zsh_types(typed, shown):
    """Whether a zsh on a terminal, given these keys and a tab, shows what is still missing; it waits for that."""
    return procs.run(["zsh", "-f", "-c", _ZSH_TERMINAL, "-", COMPLETIONS, typed, shown], timeout=20)[0] == 0


# --- documents

def fenced(text, info):
    """The blocks of a Markdown text between ```INFO and ```."""
    return re.findall(rf"^```{re.escape(info)}\n(.*?)^```$", text, re.M | re.S)
