"""secrets.py - passwords, keys and tokens: however they are given, and whatever goes wrong, they stand in no output."""
import base64
import os
import socket
import subprocess
import urllib.parse

import procs
from scenario import scenario
from secure import PASSWORD, USER
from tokens import Endpoint

SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"
OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"


def forms(secret):
    """The secret as it is, in hex, for a URL, and in base64 wherever it begins in what was encoded."""
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    yield urllib.parse.quote_plus(secret).encode()
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw)
        yield text[(0, 2, 3)[before]:len(text) - 4]


def absent(secrets, where, data):
    for secret in secrets:
        for form in forms(secret):
            assert form not in data, f"the secret {secret!r} stands in {where}, as {form!r}"


def asked(agent, request):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10 * procs.SLOWNESS)
        s.connect(os.path.join(agent.state_dir, "control.sock"))
        s.sendall(request)
        out = bytearray()
        while part := s.recv(65536):
            out += part
        return bytes(out)


def pages(agent):
    """What HTTP answers: (path, bytes)."""
    at = agent.settings["metrics"]["listen"].partition(":")[2]
    for path in ("/", "/metrics", "/status", "/healthz", "/readyz", "/rubbish"):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10 * procs.SLOWNESS)
            s.connect(at)
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            out = bytearray()
            while part := s.recv(65536):
                out += part
        assert out.startswith(b"HTTP/1.1 "), out[:100]
        yield path, bytes(out)


COMMANDS = [("check",), ("check", "--print"), ("status",), ("status", "--json"), ("status", "--metrics"), ("positions", "ls"),
            ("positions", "ls", "--json"), ("spool", "ls"), ("spool", "ls", "--json"), ("spool", "export"), ("spool", "verify"),
            ("losses",), ("losses", "--json")]


def nowhere(agent, *secrets):
    """Not in what any command prints, in the log, in an answer of the control socket, in any file of the state directory, and not
    in the arguments of the process."""
    for argv in COMMANDS:
        _, out, err = agent.command(*argv)
        absent(secrets, " ".join(argv), (out + err).encode())
    if agent.running():
        for request in (b"status json\n", b"metrics\n", b"positions json\n", b"rubbish\n"):
            absent(secrets, f"the answer to {request}", asked(agent, request))
        with open(f"/proc/{agent.pid}/cmdline", "rb") as f:
            absent(secrets, "the command line", f.read())
        for page, data in pages(agent):
            absent(secrets, page, data)
    for folder, _, files in os.walk(agent.state_dir):
        for name in files:
            if not os.path.isfile(os.path.join(folder, name)):          # the socket
                continue
            with open(os.path.join(folder, name), "rb") as f:
                absent(secrets, name, f.read())
    with open(agent.log, "rb") as f:
        log = f.read()
    assert b"level=" in log, "nothing was logged"
    absent(secrets, "the log", log)


def written(t, name, text):
    path = t.path(name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o600)
    return path


def ways(t, secret):
    """A password by each way that it can be given: (name, keys, environment)."""
    yield "plain", {"sasl.password": secret}, {}
    yield "env", {"sasl.password": "${env:SHIP_PASSWORD}"}, {"SHIP_PASSWORD": secret}
    yield "file", {"sasl.password": f"${{file:{written(t, f'password-{secret}'.split('-')[0], secret)}}}"}, {}
    written(t, "cred", secret + "\n")
    yield "cred", {"sasl.password": "${cred:cred}"}, {"CREDENTIALS_DIRECTORY": t.dir}
    yield "jaas", {"sasl.username": None, "sasl.password": None,
                   "sasl.jaas.config": f'{SCRAM} username="{USER}" password="{secret}";'}, {}


def agent_with(t, kafka, name, topic, listener, mechanism, keys, env):
    conf = kafka.client_conf(listener, mechanism)
    conf.update(keys)
    conf = {k: v for k, v in conf.items() if v is not None}
    a = t.agent(conf.pop("bootstrap.servers"), topic, producer=conf, name=name, log={"level": "debug"},
                metrics={"listen": f"unix:{t.path(name + '.http')}"})
    a.env = env
    return a


@scenario()
def a_refused_password_stands_nowhere(t):
    """From the YAML, the environment, a file, a credential and a JAAS line: authentication fails, and no output has it."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    t.writer("app").write(100)
    for n, (name, keys, env) in enumerate(ways(t, "Wr0ng-but-Secret")):
        for mechanism in ("PLAIN", "SCRAM-SHA-512") if name == "plain" else ("SCRAM-SHA-256",):
            a = agent_with(t, kafka, f"{name}{n}-{mechanism}", topic, "SASLSSL", mechanism, keys, env)
            a.start()
            a.until(lambda s: any("uthentication" in r for r in s["reasons"]), 30, f"{name}: the failure is a reason")
            nowhere(a, "Wr0ng-but-Secret")
            a.kill()                    # what it leaves behind is looked at too
            nowhere(a, "Wr0ng-but-Secret")


@scenario()
def a_password_that_is_right_stands_nowhere(t):
    """The same five ways, while lines are shipped and after the end."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    t.writer("app").write(100)
    for name, keys, env in ways(t, PASSWORD):
        a = agent_with(t, kafka, name, topic, "SASLSSL", "SCRAM-SHA-256", keys, env)
        a.start()
        a.until_acked(100)
        nowhere(a, PASSWORD)
        a.stop()
        nowhere(a, PASSWORD)


@scenario()
def the_password_of_a_key_stands_nowhere(t):
    """An encrypted client key: with its password it ships, with another one it says so without the password."""
    kafka = t.secure_kafka()
    topic, secret = t.topic(kafka), "K3y-Passw0rd"
    encrypted = t.path("key.pem")
    subprocess.run(["openssl", "pkcs8", "-topk8", "-v2", "aes256", "-in", kafka.client_pem, "-out", encrypted, "-passout",
                    f"pass:{secret}"], check=True, capture_output=True)
    t.writer("app").write(100)
    keys = {"ssl.keystore.location": None, "ssl.key.location": encrypted, "ssl.certificate.location": kafka.client_pem,
            "ssl.key.password": secret}
    a = agent_with(t, kafka, "key", topic, "MTLS", None, keys, {})
    a.start()
    a.until_acked(100)
    nowhere(a, secret)
    a.stop()
    a.settings["producer"]["ssl.key.password"] = "An0ther-Passw0rd"
    a.write_config()
    t.writer("more").write(5)
    rc, out, err = a.command("run", "--once", "--timeout", "3s")
    assert rc != 0 and "key" in out + err, f"ended with {rc}: {out + err}"
    absent([secret, "An0ther-Passw0rd"], "run", (out + err).encode())
    nowhere(a, secret, "An0ther-Passw0rd")


@scenario()
def the_secret_of_a_token_endpoint_and_its_tokens_stand_nowhere(t):
    """By keys and in a JAAS line: refused by the endpoint, then given a token, which stands nowhere either."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    tokens, real = [], kafka.issuer.token
    endpoint = Endpoint(kafka.issuer, kafka.ca.leaf("tokens"), "an agent", "Cl1ent-Secret")
    t.closing.append(endpoint.close)
    t.writer("app").write(100)
    url = {"sasl.oauthbearer.token.endpoint.url": endpoint.url}
    for name, keys in (("keys", {"sasl.oauthbearer.client.id": "an agent", "sasl.oauthbearer.client.secret": "@"}),
                       ("jaas", {"sasl.jaas.config": f'{OAUTH} clientId="an agent" clientSecret="@" scope="produce";'})):
        scope = {"sasl.oauthbearer.scope": "produce"} if name == "keys" else {}
        for secret, good in (("Wr0ng-Secret", False), ("Cl1ent-Secret", True)):
            told = {k: v.replace("@", secret) for k, v in keys.items()}
            a = agent_with(t, kafka, f"{name}-{good}", topic, "SASLSSL", "OAUTHBEARER",
                           {**told, **url, **scope, "sasl.oauthbearer.token.file": None}, {})
            kafka.issuer.token = lambda **how: (tokens.append(real(**how)), tokens[-1])[1]
            try:
                a.start()
                if good:
                    a.until_acked(100)
                else:
                    a.until(lambda s: any("invalid_client" in r for r in s["reasons"]), 30, "the endpoint's refusal is a reason")
            finally:
                kafka.issuer.token = real
            nowhere(a, secret, *tokens)
            a.stop()
            nowhere(a, secret, *tokens)
    assert tokens


INPUT = "inputs: [{ paths: [/tmp/x.log], topic: t }]\n"
SECRET = "Hush-hush-S3cret"
# "@" stands for the secret in the YAML, "$" for one from a file. Each of these is wrong.
WRONG = [
    INPUT + "producer: { bootstrap.servers: 'h:1', sasl.passwrd: @ }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', sasl.password: [@] }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', sasl.password: { a: @ } }\n",
    INPUT + "producer:\n  bootstrap.servers: h:1\n  sasl.password: @\n  sasl.password: @\n",
    INPUT + "producer:\n  bootstrap.servers: h:1\n  sasl.password: \"@\n",
    INPUT + "producer:\n  bootstrap.servers: h:1\n  sasl.password: @: x\n",
    INPUT + "producer:\n  bootstrap.servers: h:1\n  sasl.password: '@'x\n",
    INPUT + "producer:\n  bootstrap.servers: h:1\n\tsasl.password: @\n",
    INPUT + "producer:\n  bootstrap.servers: h:1\n  security.protocol: SASL_SSL\n  sasl.mechanism: PLAIN\n  sasl.password: @\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.jaas.config: '@' }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', security.protocol: SASL_SSL, sasl.mechanism: PLAIN,\n"
    "  sasl.jaas.config: 'x.PlainLoginModule required username=a password=@' }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', security.protocol: SASL_SSL, sasl.mechanism: PLAIN,\n"
    "  sasl.jaas.config: 'org.apache.kafka.common.security.plain.PlainLoginModule required username=\"a\" password=\"@\" @;' }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', security.protocol: SSL, ssl.keystore.key: '@' }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', security.protocol: SSL, ssl.keystore.password: '@' }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', acks: '$' }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', linger.ms: '$' }\n",
    INPUT + "producer: { bootstrap.servers: '$' }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', preset: '$' }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', partitioner.class: '$' }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', max_rate: '$' }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', interceptor.classes: [{ redact: { pattern: '[$', with: x } }] }\n",
    INPUT + "producer: { bootstrap.servers: 'h:1', ssl.cipher.suites: ['$', { a: b }] }\n",
]
WRONG += [f"{line}\nproducer: {{ bootstrap.servers: 'h:1' }}\n" for line in (
    "inputs: [{ paths: ['{$'], topic: t }]", "inputs: [{ paths: [/x], topic: '$ $' }]", "inputs: [{ paths: [/x], topic: '%{$}' }]",
    "inputs: [{ paths: [/x], topic: t, include_lines: ['($'] }]", "inputs: [{ paths: [/x], topic: t, encoding: '$' }]",
    "inputs: [{ paths: [/x], topic: t, max_line: '$' }]", "inputs: [{ paths: [/x], topic: t, compressed: '$' }]",
    "inputs: [{ paths: [/x], topic: t, key: '%{$' }]", "inputs: [{ paths: [/x], topic: t, headers: { a: '%{$' } }]",
    "inputs: [{ type: syslog, listen: '$', topic: t }]", "inputs: [{ type: '$', paths: [/x], topic: t }]",
    "inputs: [{ paths: [/x], topic: t, name: '$' }, { paths: [/x], topic: t, name: '$' }]",
    INPUT + "metrics: { listen: '$' }", INPUT + "include: ['$']", INPUT + "log: { level: '$' }", INPUT + "max_lanes: '$'",
    INPUT + "spool: { max_size: '$' }", INPUT + "shutdown_timeout: '$'", INPUT + "state_dir: '/" + "x" * 200 + "$'",
    INPUT + "delivery: '$'")]


@scenario()
def no_words_about_a_wrong_configuration_show_a_secret(t):
    """Wrong keys, broken quotes, values that are refused: neither `check` nor `run` shows what was meant to stay hidden."""
    path = written(t, "secret", SECRET)
    leaks = []
    for n, text in enumerate(WRONG):
        config = written(t, f"{n}.yaml", text.replace("@", SECRET).replace("$", f"${{file:{path}}}"))
        for command in ("check", "run"):
            rc, out, err = procs.run([t.shared.binary, command, "-c", config])
            if rc != 78 or any(form in out + err for form in forms(SECRET)):
                leaks.append(f"{command} of\n{text}ends with {rc} and says\n{(out + err).decode(errors='replace')}")
    assert not leaks, "\n".join(leaks)
