"""wrong.py - wrong configurations, and what people are told: the place, the reason, what to write instead; exit 78."""
import os
import subprocess

import oracle
import procs
from scenario import scenario

CONFIG = 78

INPUT = "inputs:\n  - paths: [/tmp/x.log]\n    topic: t\n"                     # lines 1 to 3
PRODUCER = "producer:\n  bootstrap.servers: 127.0.0.1:1\n"                     # 4 and 5, or 1 and 2
BASE = INPUT + PRODUCER                                                         # what follows begins in line 6
SECURE = BASE + "  security.protocol: SASL_SSL\n  sasl.mechanism: SCRAM-SHA-512\n"


def with_input(*lines):
    """The lines are keys of the input, from line 4 on, column 5."""
    return INPUT + "".join(f"    {x}\n" for x in lines) + PRODUCER


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{n}: &{n} [{', '.join([f'*{p}'] * 9)}]\n" for p, n in zip("abcdefg", "bcdefgh"))

# What is wrong -> the configuration (text or bytes), and for each problem its place and words that its line must hold.
WRONG = {
    "an unknown key": (BASE + "spol: {}\n", [("6:1", 'unknown key "spol"', 'did you mean "spool"?')]),
    "an unknown key of an input": (with_input("topc: u"),
                                   [("4:5", 'unknown key "topc" in inputs[0]', 'did you mean "topic"?')]),
    "an unknown key of a section": (BASE + "spool:\n  maxsize: 1GiB\n", [("7:3", 'in spool', 'did you mean "max_size"?')]),
    "an unknown key of a section of an input": (with_input("multiline: { strat: x, start: y }"),
                                                [("4:18", "in multiline", 'did you mean "start"?')]),
    "an unknown key of the producer": (BASE + "  liner.ms: 5\n", [("6:3", "liner.ms", 'did you mean "linger.ms"?')]),
    "a repeated key": (BASE + "max_lanes: 1\nmax_lanes: 2\n", [("7:1", '"max_lanes" is repeated', "first in line 6")]),
    "a section where a value belongs": (BASE + "state_dir: { a: b }\n", [("6:12", '"state_dir" must be a single value')]),
    "a value where a section belongs": (BASE + "log: debug\n", [("6:6", '"log" must be a section of keys')]),
    "inputs that are no list": ("inputs:\n  paths: [/tmp/x]\n  topic: t\n" + PRODUCER,
                                [("2:3", '"inputs" must be a list', 'begins with "- "')]),
    "a bad size": (BASE + "spool: { max_size: 10GB }\n", [("6:20", '"max_size" must be a size', 'did you mean "10GiB"?')]),
    "a bad size of the producer": (BASE + "  batch.size: big\n", [("6:3", "batch.size", "64KiB")]),
    "a bad time": (BASE + "shutdown_timeout: 20\n", [("6:19", '"shutdown_timeout" must be a time such as 20s')]),
    "a bad time of the producer": (BASE + "  linger.ms: soon\n", [("6:3", "linger.ms", "500ms")]),
    "a number out of range": (BASE + "max_lanes: 0\n", [("6:12", '"max_lanes" must be between 1 and 100000, not 0')]),
    "a number of the producer out of range": (BASE + "  compression.gzip.level: 10\n",
                                              [("6:3", "compression.gzip.level", "to 9")]),
    "a boolean `on`": (with_input("compressed: on"), [("4:17", '"compressed" must be true or false, not "on"')]),
    "a boolean `yes`": (with_input("follow_symlinks: yes"), [("4:22", 'must be true or false, not "yes"')]),
    "a boolean of the producer": (BASE + "  enable.idempotence: yes\n", [("6:3", "neither true nor false")]),
    "a word that is none": (BASE + "delivery: exactly_onec\n", [("6:11", 'did you mean "exactly_once"?')]),
    "a word of the producer that is none": (BASE + "  acks: al\n", [("6:3", "acks", 'did you mean "all"?')]),
    "a preset that is none": (BASE + "  preset: balance\n", [("6:3", "preset", 'did you mean "balanced"?')]),
    "tabs": ("inputs:\n\t- paths: [/tmp/x]\n", [("2:1", "indent with spaces, not tabs")]),
    "an unclosed quote": (BASE + "state_dir: \"/tmp\n", [("7:1", "not YAML", "quoted scalar")]),
    "a star without quotes": (with_input("exclude: *.gz"), [("4:15", "a value that begins with * or & needs quotes")]),
    "nothing at all": ("", [("1:1", 'missing key "inputs"'), ("1:1", 'missing key "producer"')]),
    "no topic": ("inputs:\n  - paths: [/tmp/x]\n" + PRODUCER, [("2:5", 'missing key "topic" in inputs[0]')]),
    "no brokers": (INPUT + "producer:\n  linger.ms: 5\n", [("4:1", 'missing key "bootstrap.servers" in producer')]),
    "a variable that is not set": (BASE + "state_dir: ${env:NO_SUCH_VARIABLE}\n",
                                   [("6:12", 'environment variable "NO_SUCH_VARIABLE" is not set')]),
    "an interpolation that is none": (BASE + "state_dir: ${HOME}/x\n", [("6:12", 'did you mean "${env:HOME}"?')]),
    "a secret whose file is missing": (SECURE + "  sasl.username: u\n  sasl.password: ${file:/nowhere/password}\n",
                                       [("9:18", 'cannot read "/nowhere/password": No such file')]),
    "a credential that nobody gave": (SECURE + "  sasl.username: u\n  sasl.password: ${cred:password}\n",
                                      [("9:18", 'no credential "password"', "LoadCredential=")]),
    "idempotence without all acks": (BASE + "  enable.idempotence: true\n  acks: 1\n",
                                     [("6:3", "enable.idempotence: true needs acks: all, not 1")]),
    "idempotence with many in flight": (BASE + "  enable.idempotence: true\n  max.in.flight.requests.per.connection: 6\n",
                                        [("7:3", "max.in.flight.requests.per.connection", "5")]),
    "exactly once without idempotence": (BASE + "  acks: 0\n", [("1:1", "delivery: exactly_once", "at_least_once")]),
    "a memory that no batch fits": (BASE + "  buffer.memory: 1MiB\n  batch.size: 2MiB\n",
                                    [("7:3", "batch.size", "buffer.memory")]),
    "a line that no memory holds": (with_input("max_line: 10MiB"), [("2:5", "max_line", "max.request.size", "buffer.memory")]),
    "a bad pattern": (with_input("include_lines: ['(a']"), [("4:21", '"(a"', "parenthesis")]),
    "a glob that is not closed": (with_input("exclude: ['{a,b']"), [("4:15", '"{a,b"')]),
    "a directory as a glob": ("inputs:\n  - paths: [/var/log/]\n    topic: t\n" + PRODUCER,
                              [("2:13", "is a directory", "/var/log/*")]),
    "a template that is none": (INPUT.replace("topic: t", "topic: \"%{fiel}\"") + PRODUCER,
                                [("3:12", "%{fiel}", 'did you mean "%{file}"?')]),
    "a topic that Kafka forbids": (INPUT.replace("topic: t", "topic: a b") + PRODUCER, [("3:12", "topic")]),
    "a topic that lines would name": (INPUT.replace("topic: t", "topic: \"%{field.app}\"") + PRODUCER,
                                      [("3:12", '"topics_allowed"')]),
    "Kerberos": (BASE + "  security.protocol: SASL_SSL\n  sasl.mechanism: GSSAPI\n",
                 [("7:3", "Kerberos is not supported", "SCRAM-SHA-512")]),
    "a Java keystore": (BASE + "  security.protocol: SSL\n  ssl.truststore.type: JKS\n  ssl.truststore.location: /x.jks\n",
                        [("7:3", "JKS", "keytool")]),
    "SASL without a mechanism": (BASE + "  security.protocol: SASL_SSL\n",
                                 [("4:1", "sasl.mechanism is required", "SCRAM-SHA-512")]),
    "a password without a user": (SECURE + "  sasl.password: x\n", [("4:1", "sasl.username")]),
    "transactions": (BASE + "  transactional.id: x\n", [("6:3", "transactions are not supported")]),
    "a port without an address": (BASE + "metrics: { listen: 9845 }\n", [("6:20", "has no address", '"127.0.0.1:9845"')]),
    "a colon without an address": (BASE + "metrics: { listen: ':9845' }\n", [("6:20", "has no address", '"127.0.0.1:9845"')]),
    "an address without a port": (BASE + "metrics: { listen: 127.0.0.1 }\n", [("6:20", "has no port", '"127.0.0.1:9845"')]),
    "an address without brackets": (BASE + "metrics: { listen: '::1:9845' }\n", [("6:20", "brackets", '"[::1]:9845"')]),
    "a name as an address": (BASE + "metrics: { listen: 'localhost:9845' }\n",
                             [("6:20", "not an address in numbers", "127.0.0.1")]),
    "a socket without a directory": (BASE + "metrics: { listen: 'unix:metrics.sock' }\n", [("6:20", 'begins with "/"')]),
    "syslog without a protocol": ("inputs:\n  - type: syslog\n    listen: 0.0.0.0:514\n    topic: t\n" + PRODUCER,
                                  [("3:13", "udp:ADDRESS:PORT")]),
    "two inputs of one name": (INPUT + "  - paths: [/tmp/x.log]\n    topic: u\n" + PRODUCER,
                               [("4:5", 'the input in line 2 has the name "/tmp/x.log" too')]),
    "keys of another type of input": (with_input("type: stdin"), [("2:5", '"paths" is of inputs of type file')]),
    "an included file that is missing": (BASE + "include: [more.yaml]\n",
                                         [("6:11", "there is no", "/more.yaml", "may match nothing")]),
    "a bomb of anchors": (BOMB, [(None, "too many values (an alias counts as a copy)")]),
    "a depth that nobody needs": (BASE + "log: " + "[" * 100 + "]" * 100 + "\n", [(None, "nested too deeply")]),
    "an alias in itself": (BASE + "log: &a [*a]\n", [("6:10", "an alias inside its own anchor")]),
    "two documents": (BASE + "---\n" + BASE, [("6:1", "a second document")]),
    "a tag": (BASE + "state_dir: !!str /tmp\n", [("6:12", "tag", "leave it out")]),
    "bytes that are no UTF-8": (BASE.encode() + b"state_dir: /tmp/\xff\xfe\n", [("6:17", "UTF-8")]),
    "a broken interceptor": (BASE + "  interceptor.classes: [{ redact: { pattern: x } }]\n",
                             [("6:3", "interceptor.classes[0].redact.with", "missing")]),
    "a regular expression of an interceptor": (BASE + "  interceptor.classes: [{ drop: { pattern: '[' } }]\n",
                                               [("6:3", "interceptor.classes[0].drop.pattern")]),
    "a thread too many": (BASE + "threads: { tail: 4 }\n", [("6:18", "not supported yet")]),
}


def told(t, command, path):
    p = subprocess.run([t.shared.binary, command, "-c", path], capture_output=True, timeout=60,
                       env={k: v for k, v in os.environ.items() if k not in ("CREDENTIALS_DIRECTORY", "NO_SUCH_VARIABLE")})
    return p.returncode, (p.stdout + p.stderr).decode(errors="replace")


def complaints(path, rc, text, expected):
    """What is wrong with what was said, one text each."""
    lines = text.splitlines()
    if rc != CONFIG:
        yield f"ended with {rc}"
    if len(lines) != len(expected):
        yield f"{len(lines)} problems instead of {len(expected)}"
    for place, *words in expected:
        begin = f"{path}:{place}: " if place else f"{path}:"
        if not any(x.startswith(begin) and all(w in x for w in words) for x in lines):
            yield f"no line begins with {place or 'a place'} and holds {words}"


@scenario(core=True)
def each_of_many_wrong_configurations_is_told_with_its_place_and_a_hint(t):
    """From `check` and from `run` alike: FILE:LINE:COLUMN, what is wrong, what would be right; exit 78."""
    bad = []
    assert len(WRONG) >= 60
    for n, (name, (text, expected)) in enumerate(WRONG.items()):
        path = t.path(f"{n}.yaml")
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        for command in ("check", "run"):
            rc, said = told(t, command, path)
            bad += [f"{name}, {command}: {c}:\n{said}" for c in complaints(path, rc, said, expected)]
    assert not bad, "\n".join(bad)


@scenario()
def all_that_is_wrong_is_told_in_one_run_in_the_order_of_files_and_lines(t):
    """A configuration and two drop-ins, each with several mistakes, one of them a key that both set."""
    os.mkdir(t.path("conf.d"))
    files = {"main.yaml": BASE + "include: conf.d/*.yaml\nmax_lanes: 0\nlog: { levl: info }\n",
             "conf.d/a.yaml": "max_lanes: 5\ninputs:\n  - paths: [/tmp/y.log]\n    topc: u\nproducer:\n  liner.ms: 5\n",
             "conf.d/b.yaml": "inputs: [\n", "conf.d/c.yaml": "include: [d.yaml]\n", "conf.d/d.yaml~": "rubbish: [\n"}
    for name, text in files.items():
        with open(t.path(name), "w") as f:
            f.write(text)
    want = ["main.yaml:7:12", "main.yaml:8:8", "conf.d/a.yaml:1:1", "conf.d/a.yaml:3:5", "conf.d/a.yaml:4:5", "conf.d/a.yaml:6:3",
            "conf.d/b.yaml:2:1", "conf.d/c.yaml:1:1"]
    for command in ("check", "run"):
        rc, said = told(t, command, t.path("main.yaml"))
        got = [line[len(t.dir) + 1:].split(": ")[0] for line in said.splitlines()]
        assert (rc, got) == (CONFIG, want), f"{command} ended with {rc}:\n{said}"
        assert f"is set in {t.path('main.yaml')}:7:1 too" in said, said


@scenario()
def what_is_no_readable_file_is_told_as_that(t):
    """A directory, a file that is not there, and a drop-in whose right nobody should have: words, and an exit code of its own."""
    rc, said = told(t, "check", t.dir)
    assert rc == CONFIG and said.startswith(f"{t.dir}: cannot read the configuration: Is a directory"), said
    rc, said = told(t, "run", t.path("nowhere.yaml"))
    assert rc == CONFIG and "cannot read the configuration: No such file" in said, said
    with open(t.path("more.yaml"), "w") as f:
        f.write("max_lanes: 5\n")
    os.chmod(t.path("more.yaml"), 0o666)
    with open(t.path("main.yaml"), "w") as f:
        f.write(BASE + "include: [more.yaml]\n")
    for command in ("check", "run"):
        rc, said = told(t, command, t.path("main.yaml"))
        assert rc == CONFIG and said == f"{t.path('more.yaml')}: everybody may write this file, so it is not read; " \
            "take the right away: chmod o-w\n", said


@scenario()
def drop_ins_are_part_of_the_configuration(t):
    """An input and a producer's key from conf.d: `check --print` shows them merged, and both files are shipped."""
    kafka = t.kafka()
    topic, other = t.topic(kafka), t.topic(kafka)
    t.file("a.log", b"one\n")
    t.file("b.txt", b"two\n")
    agent = t.agent(kafka.address, topic, include=["conf.d/*.yaml"])
    os.mkdir(t.path("conf.d"))
    with open(t.path("conf.d", "b.yaml"), "w") as f:
        f.write(f"inputs:\n  - paths: [{t.logs}/*.txt]\n    topic: {other}\nproducer:\n  linger.ms: 3\n")
    rc, out, err = procs.run([t.shared.binary, "check", "--print", "-c", agent.config])
    assert rc == 0 and b"linger.ms: 3" in out and b".txt" in out and b"include:" not in out, out + err
    agent.start("--once", wait=False)
    assert agent.wait() == 0, agent.tail()
    assert oracle.values(oracle.consume(kafka.address, topic)) == [b"one"]
    assert oracle.values(oracle.consume(kafka.address, other)) == [b"two"]
