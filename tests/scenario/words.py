"""manual pages, help, completions, examples and the operator's guide: each says what the program does, no more and no less."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request

import procs
import transcript
import words
from kafka import Broker, tool
from scenario import Skip, scenario


def same(what, one, other):
    assert one == other, f"{what}: only the first has {sorted(one - other)}, only the second {sorted(other - one)}"


def needs(*programs):
    for p in programs:
        if procs.run(["sh", "-c", f"command -v {p}"])[0]:
            raise Skip(f"{p} is not installed")


# --- manual pages

@scenario()
def manual_pages_are_clean(t):
    """mandoc has nothing against any of them."""
    needs("mandoc")
    found = words.lint(words.MAN)
    assert not found, "\n".join(found)
    shutil.copytree(words.MAN, t.path("man"))
    with open(t.path("man", "spillway.1"), "w") as f:
        f.write(words.read("packaging", "man", "spillway.1").replace(".Sh NAME", ".Sh NAMES"))
    assert words.lint(t.path("man")), "a wrong page passes"


@scenario()
def each_option_is_in_help_and_manual(t):
    """spillway.1 has the options that `spillway help COMMAND` lists, under the same command, and no others."""
    in_help = words.all_help_options(t.shared.binary)
    in_man = words.man_options(words.read("packaging", "man", "spillway.1"))
    for_all = in_man.pop("")
    same("commands of help and spillway.1", set(in_help), set(in_man))
    for command, options in in_help.items():
        same(f"options of {command} in help and spillway.1", options, in_man[command] | (for_all & options))


@scenario()
def each_function_of_the_library_is_in_its_manual(t):
    """libspillway-producer.3 has the functions that producer.h declares, and no others; its example is a program."""
    page = words.read("packaging", "man", "libspillway-producer.3")
    same("functions of producer.h and the manual", words.header_functions(words.read("producer", "producer.h")),
         words.man_functions(page))
    example = page[page.index(".Bd -literal") + len(".Bd -literal\n"):page.index(".Ed")].replace("\\en", "\\n")
    os.makedirs(t.path("include", "spillway"))
    os.symlink(os.path.join(procs.ROOT, "producer", "producer.h"), t.path("include", "spillway", "producer.h"))
    with open(t.path("example.c"), "w") as f:
        f.write(example)
    words.output(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I", t.path("include"), "-c", "-o", t.path("example.o"),
                  t.path("example.c")])


@scenario()
def the_key_table_of_the_manual_is_that_of_the_code(t):
    """spillway.yaml.5 has the keys, defaults and words of `spillway schema`."""
    rc, out, err = procs.run([sys.executable, os.path.join(words.MAN, "keys.py"), "--spillway", t.shared.binary])
    assert rc == 0, (out + err).decode()
    page = words.read("packaging", "man", "spillway.yaml.5")
    with open(t.path("old.5"), "w") as f:
        f.write(page.replace("shutdown_timeout", "shutdown_time"))
    rc, _, _ = procs.run([sys.executable, os.path.join(words.MAN, "keys.py"), "--spillway", t.shared.binary, "--page", t.path("old.5")])
    assert rc == 1, "another table passes"


# --- completions

@scenario()
def bash_completes_commands_options_and_values(t):
    """Every command, every option of help, codecs, presets, levels, files."""
    same("commands of help and bash", set(words.commands(t.shared.binary)),
         words.bash_completes("spillway", "") - {"--help", "--version"})
    for command, options in words.all_help_options(t.shared.binary).items():
        same(f"options of {command} in help and bash", options, words.bash_completes("spillway", command, "-"))
    assert words.bash_completes("spillway", "sp") == {"spool"}
    assert words.bash_completes("spillway", "send", "-z", "") == {"none", "gzip", "snappy", "lz4", "zstd"}
    assert words.bash_completes("spillway", "bench", "--preset", "max-t") == {"max-throughput"}
    assert words.bash_completes("spillway", "run", "--log-level", "") == {"error", "warn", "info", "debug"}
    assert words.bash_completes("spillway", "spool", "") == {"ls", "export", "verify", "purge"}
    assert words.bash_completes("spillway", "positions", "set", "/x", "") == {"end", "0"}
    path = t.file("some.yaml", b"")
    assert words.bash_completes("spillway", "check", "-c", path[:-2]) == {path}
    assert words.bash_completes("spillway", "-t", "-c", path[:-2]) == {path}


@scenario()
def fish_completes_commands_options_and_values(t):
    """The same, by fish itself."""
    needs("fish")
    home = t.path("home")
    os.makedirs(home)
    same("commands of help and fish", set(words.commands(t.shared.binary)), words.fish_completes("spillway ", home))
    for command, options in words.all_help_options(t.shared.binary).items():
        same(f"options of {command} in help and fish", options, words.fish_completes(f"spillway {command} -", home))
    assert words.fish_completes("spillway send -z ", home) == {"none", "gzip", "snappy", "lz4", "zstd"}
    assert words.fish_completes("spillway spool ", home) == {"ls", "export", "verify", "purge"}
    assert words.fish_completes("spillway run --log-level ", home) == {"error", "warn", "info", "debug"}
    path = t.file("some.yaml", b"")
    assert path in words.fish_completes(f"spillway check -c {path[:-2]}", home)


@scenario()
def zsh_completes_commands_options_and_values(t):
    """The same: what zsh is told of each command, and a zsh on a terminal."""
    needs("zsh")
    same("commands of help and zsh", set(words.commands(t.shared.binary)), {s.split(":")[0] for s in words.zsh_specs(None)})
    for command, options in words.all_help_options(t.shared.binary).items():
        same(f"options of {command} in help and zsh", options, words.zsh_options(command))
    assert words.zsh_types("spillway bench --num", "-records"), "a terminal shows no --num-records"
    assert words.zsh_types("spillway send -z zs", "td"), "a terminal shows no zstd"


# --- examples

def scratch(t, text):
    """A configuration whose paths lie below the test's directory, and nothing on this machine matters to it."""
    for path in ("/var/log", "/etc/spillway"):
        text = text.replace(path, t.path("root") + path)
    return f"state_dir: {t.path('root')}/state\n{text}"


def check(t, text, *options):
    """(exit code, everything that was said) of `spillway check`."""
    os.makedirs(t.path("root", "etc", "spillway"), exist_ok=True)
    for name, data in (("config.yaml", scratch(t, text)), ("root/etc/spillway/kafka-password", "secret\n")):
        with open(t.path(name), "w") as f:
            f.write(data)
    with open(t.path("root", "etc", "spillway", "ca.pem"), "wb") as f:
        f.write(certificate(t))
    p = subprocess.run([t.shared.binary, "check", "-c", t.path("config.yaml"), *options], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True,
                       env={**os.environ, "NODE_NAME": "node-1", "CREDENTIALS_DIRECTORY": t.path("root", "etc", "spillway")})
    return p.returncode, p.stdout


def certificate(t, made={}):
    if t.name not in made:
        words.output(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                      "-subj", "/CN=ca", "-keyout", t.path("ca.key"), "-out", t.path("ca.pem")])
        with open(t.path("ca.pem"), "rb") as f:
            made[t.name] = f.read()
    return made[t.name]


def example(name):
    return words.read("conf", "examples", f"{name}.yaml")


def sample(t, text, log, data):
    """The records that a configuration makes of these lines."""
    path = t.path("root", *log.split("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(data)
    rc, out = check(t, text, "--sample", path, "--json")
    assert rc == 0, out
    rows = [json.loads(line) for line in out.splitlines()]
    return [r for r in rows if "value" in r]


@scenario()
def every_example_configuration_is_good(t):
    """`check` takes each file of conf/examples; one that is damaged it does not take."""
    names = sorted(n for n in os.listdir(words.EXAMPLES) if n.endswith(".yaml"))
    assert len(names) >= 9, names
    for name in names:
        rc, out = check(t, words.read("conf", "examples", name))
        assert rc == 0, f"{name}: {rc}\n{out}"
        rc, out = check(t, words.read("conf", "examples", name).replace("bootstrap.servers", "bootstrap.server"))
        assert rc == 78 and "did you mean" in out, f"{name}: a wrong key passes: {out}"
    assert {f"preset-{p}.yaml" for p in ("balanced", "max-throughput", "min-latency", "max-reliability")} <= set(names)


@scenario()
def the_kubernetes_example_joins_parts_and_names_the_stream(t):
    """A line in two parts is one record, with node, stream and time as headers and the container's file as key."""
    records = sample(t, example("kubernetes-node"), "var/log/containers/shop-1_web_nginx-0a1b.log",
                     "2026-11-21T10:00:00.1Z stdout P GET /\n2026-11-21T10:00:00.2Z stdout F  200\n"
                     "2026-11-21T10:00:01.2Z stderr F upstream gone\n")
    assert [r["value"] for r in records] == ["GET / 200", "upstream gone"], records
    assert {r["key"] for r in records} == {"shop-1_web_nginx-0a1b.log"}
    assert [{h["name"]: h["value"] for h in r["headers"]} for r in records] == [
        {"node": "node-1", "stream": "stdout", "time": "2026-11-21T10:00:00.100000000Z"},
        {"node": "node-1", "stream": "stderr", "time": "2026-11-21T10:00:01.200000000Z"}]


TRACE = ("java.lang.IllegalStateException: no stock\n\tat shop.Stock.take(Stock.java:12)\n"
         "Caused by: java.io.IOException: gone\n\t... 2 more")


@scenario()
def the_java_example_keeps_traces_whole(t):
    """With the preset a trace is one record behind its logger's line; with a start pattern both are one."""
    lines = f"2026-11-21 10:00:00 ERROR order 7 failed\n{TRACE}\n2026-11-21 10:00:01 INFO order 8\n"
    records = sample(t, example("java-multiline"), "var/log/app/app.log", lines)
    assert [r["value"] for r in records] == ["2026-11-21 10:00:00 ERROR order 7 failed", TRACE, "2026-11-21 10:00:01 INFO order 8"]
    records = sample(t, example("java-multiline"), "var/log/app/orders.log", lines)
    assert [r["value"] for r in records] == [f"2026-11-21 10:00:00 ERROR order 7 failed\n{TRACE}", "2026-11-21 10:00:01 INFO order 8"]


@scenario()
def the_nginx_example_takes_key_and_time_from_the_line(t):
    """Key and event_time are those of the JSON; a line that is no JSON arrives without them."""
    line = '{"time":"2026-11-21T10:00:00+00:00","host":"shop.example","status":200,"uri":"/"}'
    records = sample(t, example("nginx-json"), "var/log/nginx/access.json", f"{line}\nnot json\n")
    assert [(r["topic"], r["key"], r["value"]) for r in records] == [
        ("nginx-access", "shop.example", line), ("nginx-access", None, "not json")], records
    assert [r["headers"] for r in records] == [[{"name": "event_time", "value": "2026-11-21T10:00:00.000000000Z"}], []]


# --- the guide

@scenario()
def every_configuration_of_the_documents_is_good(t):
    """What guide and README show as spillway's configuration is one."""
    for path in (("packaging", "guide.md"), ("README.md",)):
        blocks = words.fenced(words.read(*path), "yaml spillway")
        assert blocks, f"{path[-1]} shows no configuration"
        for text in blocks:
            rc, out = check(t, text)
            assert rc == 0, f"{path[-1]}: {rc}\n{out}\n{text}"


@scenario()
def what_the_guide_quotes_is_what_the_program_says(t):
    """Each message in the guide's tables of what may be broken stands in the code, word by word."""
    text = words.read("packaging", "guide.md")
    rows = re.findall(r"^\| (`.*?) \|", text[text.index("## When something is broken"):text.index("### Once more")], re.M)
    quoted = [q for row in rows for q in re.findall(r"`([^`]+)`", row)]
    assert len(quoted) > 30, quoted
    code = words.literals("agent", "spool", "producer")
    missing = [q for q in quoted if q not in code]
    assert not missing, f"nobody says: {missing}"


@scenario()
def what_the_documents_point_to_is_installed(t):
    """Each path below share/spillway and share/doc/spillway that a document, manual page, unit or configuration names is there."""
    procs.install(f"DESTDIR={t.path('root')}", "PREFIX=/usr")
    named = set()
    for pattern in ("README.md", "conf/**/*.yaml", "packaging/*.md", "packaging/*.yaml", "packaging/man/*.[0-9]", "packaging/systemd/**/*"):
        for path in glob.glob(pattern, root_dir=procs.ROOT, recursive=True):
            if os.path.isfile(os.path.join(procs.ROOT, path)):
                named.update(re.findall(r"\bshare/(?:doc/)?spillway/[\w./-]*\w", words.read(path)))
    assert len(named) >= 5, named
    missing = sorted(n for n in named if not os.path.exists(t.path("root", "usr", *n.split("/"))))
    assert not missing, f"not installed: {missing}"
    with open(t.path("root", "usr", "share", "spillway", "spillway.schema.json")) as f:
        assert json.load(f)["title"] == "spillway.yaml"


@scenario()
def the_metrics_that_the_documents_name_are_in_a_real_scrape(t):
    """Guide, README and manual pages: each whole name of a metric is one that a running agent has."""
    kafka = t.kafka()
    port = procs.free_port()
    t.writer("app").write(10)
    agent = t.agent(kafka.address, t.topic(kafka), metrics={"listen": f"127.0.0.1:{port}"}).start()
    agent.until_acked(10)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20 * procs.SLOWNESS) as r:
        has = set(re.findall(r"^# TYPE (\w+) ", r.read().decode(), re.M))
    agent.stop()
    text = "".join(words.read(*path) for path in (("packaging", "guide.md"), ("README.md",), ("packaging", "man", "spillway.8"),
                                                  ("packaging", "man", "spillway.1"), ("packaging", "README.md")))
    named = set(re.findall(r"\b((?:spillway|kafka_producer)_\w*[a-z])\b(?!\*)", text))
    same("metrics of the documents that are there, and all that they name", named & has, named)
    assert len(named) > 5, named


@scenario()
def the_rights_that_the_guide_gives_suffice(t):
    """kafka-acls as the guide has it: with WRITE lines are shipped and nothing can be read; READ is what it says."""
    kafka = Broker(t.path("kafka"), allow_everyone_if_no_acl_found="true",
                   authorizer_class_name="org.apache.kafka.metadata.authorizer.StandardAuthorizer")
    t.closing.append(kafka.close)
    kafka.start()
    topic = t.topic(kafka)
    given = words.fenced(words.read("packaging", "guide.md"), "sh acl")
    lines = {op: line for block in given for line in block.splitlines() for op in ("Write", "IdempotentWrite", "Read", "DescribeConfigs")
             if f"--operation {op} " in line}
    assert len(lines) == 4, given

    def give(op):
        argv = lines[op].replace("BROKER", kafka.address).replace("TOPIC", topic).replace("User:spillway", "User:ANONYMOUS").split()
        assert argv.pop(0) == "kafka-acls.sh"
        tool("org.apache.kafka.tools.AclCommand", *argv)

    give("Write")
    t.writer("app").write(500)
    agent = t.agent(kafka.address, topic)
    agent.once()
    assert procs.run(["kcat", "-C", "-b", kafka.address, "-t", topic, "-o", "beginning", "-e", "-q"])[0] != 0, "it can be read"
    give("Read")
    give("DescribeConfigs")
    t.writer("more").write(500)
    agent.once()
    t.expect_all(kafka, topic)
    rc, out, err = agent.command("check", "--online")
    assert rc == 0, (rc, out, err)
    give("IdempotentWrite")             # the last one: from here on the cluster's other rights are gone


@scenario()
def positions_of_another_shipper_are_taken_over_without_loss_or_doubling(t):
    """The guide's way: learn the files with read_from: end, set each back to where the other one was, start."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    ws = [t.writer("access"), t.writer("error")]
    delivered = {}
    for w in ws:                        # the other shipper
        w.write(2000)
        delivered[w.path] = os.path.getsize(w.path)
        words.output([t.shared.binary, "send", "-b", kafka.address, "-t", topic, w.path])
        w.write(500)                    # it is gone by now
    agent = t.agent(kafka.address, topic, inputs=[{"paths": [os.path.join(t.logs, "*.log")], "topic": topic, "read_from": "end"}])
    agent.once()
    for w in ws:
        w.write(300)
        rc, out, err = agent.command("positions", "set", w.path, str(delivered[w.path]))
        assert rc == 0 and "read again" in out, (rc, out, err)
    agent.start()
    for w in ws:
        w.write(200)
    agent.until_acked(2000)
    assert agent.status()["records"]["read"] == 2000
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def the_transcripts_of_the_readme_are_what_the_commands_say(t):
    """check, status, send and bench, told anew with a real Kafka, have the shape that the README shows."""
    told = transcript.story(t)
    readme = words.read("README.md")
    found = transcript.differences(readme, told)
    assert not found, f"{found}run tests/lib/transcript.py --write"
    assert transcript.differences(readme.replace("acked", "sent"), told), "other words pass"


@scenario()
def every_test_that_the_readme_names_exists(t):
    """The tables of promises name tests, and each of them is one; the guide's too."""
    known = set()
    for path in glob.glob("tests/**/*.*", root_dir=procs.ROOT, recursive=True):
        if path.endswith((".py", ".c")):
            known.update(re.findall(r"^(?:def|static void) (\w+)\(", words.read(path), re.M))
    text = "".join(words.read(*path) for path in (("README.md",), ("tests", "promises.md"), ("packaging", "guide.md")))
    named = {n for n in re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", text) if not n.startswith(("spillway_", "kafka_"))}
    assert len(named) > 50, named
    assert named <= known, f"no such tests: {sorted(named - known)}"
