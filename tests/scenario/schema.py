"""schema.py - `spillway schema`: an editor that follows it says what the reader of the configuration says."""
import glob
import json
import os
import re
import subprocess

import procs
from scenario import Skip, scenario

try:
    import jsonschema
    import yaml
except ImportError:             # python3-jsonschema and python3-yaml, which `make deps` installs
    jsonschema = yaml = None


def core_loader():
    """Scalars as YAML 1.2 has them, which is what editors read: `off` is a text, and so is a date."""
    class Core(yaml.SafeLoader):
        yaml_implicit_resolvers = {}
    for tag, pattern, first in (("bool", r"^(?:true|false)$", "tf"), ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
                                ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+0123456789."),
                                ("null", r"^(?:~|null|)$", ["~", "n", ""])):
        Core.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))
    return Core


def read(text):
    return yaml.load(text, Loader=core_loader())


def schema(t):
    if not jsonschema:
        raise Skip("python3-jsonschema or python3-yaml is missing")
    rc, out, err = procs.run([t.shared.binary, "schema"])
    assert rc == 0, err
    document = json.loads(out)
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def refusals(validator, text):
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in validator.iter_errors(read(text))]


def accepted_by_check(t, path):
    """Whether the reader takes the file; what the machine lacks (a user, a file with a secret) is not its business."""
    return subprocess.run([t.shared.binary, "check", "--print", "-c", path], capture_output=True).returncode != 78


def examples():
    found = glob.glob(os.path.join(procs.ROOT, "conf", "**", "*.yaml"), recursive=True)
    assert found, "no configuration is shipped"
    return sorted(found)


@scenario()
def the_schema_takes_every_configuration_that_is_shipped(t):
    """conf/spillway.yaml, and every file in conf/examples: no word from a validator that knows nothing but the schema."""
    v = schema(t)
    for path in examples():
        with open(path) as f:
            wrong = refusals(v, f.read())
        assert not wrong, f"{path}: {wrong}"


@scenario()
def the_schema_takes_what_the_reader_takes(t):
    """The configurations of the fuzzer's corpus that are good: the schema says so too."""
    v, good = schema(t), 0
    for path in sorted(glob.glob(os.path.join(procs.ROOT, "tests", "fuzz", "corpus", "conf", "*"))):
        if not accepted_by_check(t, path):
            continue
        with open(path) as f:
            text = f.read()
        try:
            read(text)
        except yaml.YAMLError:          # PyYAML knows less of flow style than libyaml
            continue
        wrong = refusals(v, text)
        assert not wrong, f"{path}: {wrong}"
        good += 1
    assert good >= 4, f"only {good} of the corpus are good"


INPUT = "inputs: [{ paths: [/tmp/x.log], topic: t }]\n"
PRODUCER = "producer: { bootstrap.servers: 'h:1' }\n"
GOOD = [
    INPUT + PRODUCER,
    INPUT + PRODUCER + "include: [/nowhere/*.yaml]\n",
    INPUT + PRODUCER + "metrics: { listen: off }\n",
    INPUT + PRODUCER + "metrics: { listen: '127.0.0.1:9845' }\n",
    INPUT + PRODUCER + "max_lanes: ${env:NO_SUCH_LANES:-7}\nspool:\n",
    INPUT + "producer: { bootstrap.servers: ['h:1', 'i:1'], linger.ms: 5s, batch.size: 1MiB, acks: -1, queue.buffering.max.ms: 3,\n"
    "  max_rate: 20MiB/s, retries: 5, partitioner.class: file,\n"
    "  interceptor.classes: [{ header: { name: dc, value: eu1 } }, { drop: { pattern: x } }] }\n",
    "inputs: [{ type: syslog, listen: 'udp:127.0.0.1:5514', topic: 5 }]\n" + PRODUCER,
    INPUT + "producer: { bootstrap.servers: 'h:1', compression.type: LZ4, security.protocol: plaintext, acks: ALL,\n"
    "  key.serializer: org.apache.kafka.common.serialization.StringSerializer }\n",
    "inputs: [{ type: stdin, topic: t, multiline: { preset: java } }]\n" + PRODUCER,
]
WRONG = {
    "unknown key": INPUT + PRODUCER + "spol: {}\n",
    "unknown key of an input": "inputs: [{ paths: [/x], topic: t, topc: u }]\n" + PRODUCER,
    "unknown key of the producer": INPUT + "producer: { bootstrap.servers: 'h:1', liner.ms: 5 }\n",
    "unknown key of a section": INPUT + PRODUCER + "log: { levl: info }\n",
    "a section that is a value": INPUT + PRODUCER + "log: info\n",
    "a value that is a section": INPUT + PRODUCER + "state_dir: { a: b }\n",
    "a list that is a section": "inputs: { paths: [/x], topic: t }\n" + PRODUCER,
    "a word that is none": INPUT + PRODUCER + "delivery: twice\n",
    "a word of the producer that is none": INPUT + "producer: { bootstrap.servers: 'h:1', acks: maybe }\n",
    "no boolean": "inputs: [{ paths: [/x], topic: t, compressed: on }]\n" + PRODUCER,
    "no boolean of the producer": INPUT + "producer: { bootstrap.servers: 'h:1', enable.idempotence: yes }\n",
    "no size": INPUT + PRODUCER + "spool: { max_size: 10GB }\n",
    "no time": INPUT + PRODUCER + "shutdown_timeout: 20\n",
    "a number out of range": INPUT + PRODUCER + "max_lanes: 0\n",
    "a number of the producer out of range": INPUT + "producer: { bootstrap.servers: 'h:1', compression.gzip.level: 10 }\n",
    "no inputs": PRODUCER,
    "an empty list of inputs": "inputs: []\n" + PRODUCER,
    "no producer": INPUT,
    "no brokers": INPUT + "producer: { linger.ms: 5 }\n",
    "no topic": "inputs: [{ paths: [/x] }]\n" + PRODUCER,
    "no paths": "inputs: [{ topic: t }]\n" + PRODUCER,
    "paths of another type": "inputs: [{ type: syslog, listen: 'udp:127.0.0.1:5514', paths: [/x], topic: t }]\n" + PRODUCER,
    "no address of syslog": "inputs: [{ type: syslog, topic: t }]\n" + PRODUCER,
    "no format of the time": "inputs: [{ paths: [/x], topic: t, event_time: { field: ts } }]\n" + PRODUCER,
    "no such interceptor": INPUT + "producer: { bootstrap.servers: 'h:1', interceptor.classes: [{ hide: { pattern: x } }] }\n",
    "half an interceptor": INPUT + "producer: { bootstrap.servers: 'h:1', interceptor.classes: [{ header: { name: x } }] }\n",
}


@scenario()
def the_schema_and_the_reader_refuse_the_same(t):
    """Unknown keys, wrong types, what is out of range or missing: neither takes it; what both should take, both take."""
    v = schema(t)
    cases = [("good", text, True) for text in GOOD] + [(words, text, False) for words, text in WRONG.items()]
    for n, (words, text, good) in enumerate(cases):
        path = t.path(f"{n}.yaml")
        with open(path, "w") as f:
            f.write(f"state_dir: {t.path('state')}\n" + text if "state_dir" not in text else text)
        wrong = refusals(v, text)
        assert accepted_by_check(t, path) == good, f"{words}: the reader thinks otherwise:\n{text}"
        assert (not wrong) == good, f"{words}: the schema thinks otherwise ({wrong}):\n{text}"


def keys_of(section):
    for name, key in section["properties"].items():
        yield name, key
        if "properties" in key:
            yield from keys_of(key)


@scenario()
def every_key_has_words_in_the_schema(t):
    """A description at each key of the agent and of the producer, in whole sentences."""
    document = schema(t).schema
    inputs = document["properties"]["inputs"]["items"]
    keys = list(keys_of(document)) + list(keys_of(inputs))
    assert len(keys) > 120, len(keys)
    for name, key in keys:
        words = key.get("description", "")
        assert len(words) > 10 and (words.endswith(".") or words.startswith("Another name of ")), f"{name}: {words!r}"


def in_bytes(value):
    """A size as a number, whatever unit it is written in; other values as texts."""
    m = re.fullmatch(r"(\d+)(KiB|MiB|GiB)", str(value))
    if m:
        return str(int(m[1]) << {"KiB": 10, "MiB": 20, "GiB": 30}[m[2]])
    return str(value).lower() if isinstance(value, bool) else str(value)


def other_defaults(properties, printed, at=""):
    """(key, default in the schema, value in force) where they differ, and how many were compared."""
    found, n = [], 0
    for name, node in properties.items():
        value = printed.get(name)
        if "properties" in node or "properties" in node.get("items", {}):
            inside = node.get("properties") or node["items"]["properties"]
            more, k = other_defaults(inside, (value[0] if isinstance(value, list) else value) or {}, f"{at}{name}.")
            found, n = found + more, n + k
        elif "default" in node and value is not None:
            n += 1
            if in_bytes(node["default"]) != in_bytes(value):
                found.append((at + name, node["default"], value))
    return found, n


@scenario()
def the_defaults_of_the_schema_are_those_in_force(t):
    """A configuration of five lines, printed with every value: each default that the schema names, those by the preset too."""
    v = schema(t)
    path = t.path("min.yaml")
    with open(path, "w") as f:
        f.write(INPUT + PRODUCER)
    rc, out, err = procs.run([t.shared.binary, "check", "--print", "-c", path])
    assert rc == 0, err
    found, n = other_defaults(v.schema["properties"], read(out.decode()))
    assert not found and n > 60, (n, found)
    found, _ = other_defaults(v.schema["properties"], read(out.decode().replace("linger.ms: 50", "linger.ms: 0")))
    assert len(found) == 1, "another default passes"
