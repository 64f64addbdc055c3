"""secure.py - a Broker (kafka.py) with a listener for each way to be trusted and believed.

PLAINTEXT is for the tests' own tooling. Each other listener advertises itself, so that a client stays with it:

    SSL MTLS		TLS; MTLS wants a client certificate
    SASL SASLSSL	SASL_PLAINTEXT and SASL_SSL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER
    REAUTH		SASL_SSL whose sessions end after two seconds
    EXPIRED OTHERNAME	TLS with a certificate that expired, or that is for another host
"""
import os

import procs
from kafka import Broker
from pki import Authority, Issuer

USER, PASSWORD = "alice", "Secr3t-of-alice"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
LISTENERS = {"SSL": "SSL", "MTLS": "SSL", "SASL": "SASL_PLAINTEXT", "SASLSSL": "SASL_SSL", "REAUTH": "SASL_SSL", "EXPIRED": "SSL",
             "OTHERNAME": "SSL"}
REAUTH_MS = 2000

_MODULE = "org.apache.kafka.common.security."
_JAAS = {
    "PLAIN": f'{_MODULE}plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
    "SCRAM-SHA-256": f"{_MODULE}scram.ScramLoginModule required;",
    "SCRAM-SHA-512": f"{_MODULE}scram.ScramLoginModule required;",
    "OAUTHBEARER": f"{_MODULE}oauthbearer.OAuthBearerLoginModule required;",
}


class SecureBroker(Broker):
    def __init__(self, directory):
        pki = os.path.join(directory, "pki")
        os.makedirs(directory, exist_ok=True)
        self.ca, self.other_ca = Authority(pki), Authority(pki + "-other", "another CA")
        self.issuer = Issuer(pki)
        self.server = self.ca.leaf("broker")
        self.client_pem = self.ca.leaf("client", san=None)
        self.stores = {"EXPIRED": self.ca.leaf("expired", expired=True), "OTHERNAME": self.ca.leaf("other", "DNS:other.example")}
        super().__init__(directory)
        self.format_options = [f"--add-scram=SCRAM-SHA-{n}=[name={USER},password={PASSWORD},iterations=4096]" for n in (256, 512)]
        self.jvm = [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{self.issuer.jwks}",
                    f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.files={self.issuer.jwks}"]

    def _tls(self, name):
        store = self.stores.get(name, self.server)
        yield f"ssl.keystore.type=PEM\nssl.keystore.location={store}\nssl.truststore.type=PEM\nssl.truststore.location={self.ca.path}"
        yield "ssl.client.auth=" + ("required" if name == "MTLS" else "none")

    def _sasl(self, name):
        yield "sasl.enabled.mechanisms=" + ",".join(MECHANISMS)
        for mechanism, jaas in _JAAS.items():
            yield f"{mechanism.lower()}.sasl.jaas.config={jaas}"
        handler = _MODULE + "oauthbearer.OAuthBearerValidatorCallbackHandler"
        yield f"oauthbearer.sasl.server.callback.handler.class={handler}"
        yield f"oauthbearer.sasl.oauthbearer.jwks.endpoint.url=file://{self.issuer.jwks}"
        yield "oauthbearer.sasl.oauthbearer.expected.audience=kafka"
        if name == "REAUTH":
            for mechanism in MECHANISMS:
                yield f"{mechanism.lower()}.connections.max.reauth.ms={REAUTH_MS}"

    def _configure(self):
        super()._configure()
        self.ports = {name: procs.free_port() for name in LISTENERS}
        each = [f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()]
        with open(self.config, "a") as f:
            f.write(f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller},{','.join(each)}\n"
                    f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port},{','.join(each)}\n"
                    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
                    f"{','.join(f'{n}:{p}' for n, p in LISTENERS.items())}\n")
            for name, protocol in LISTENERS.items():
                lines = [*(self._tls(name) if "SSL" in protocol else ()), *(self._sasl(name) if "SASL" in protocol else ())]
                for line in "\n".join(lines).splitlines():
                    f.write(f"listener.name.{name.lower()}.{line}\n")

    def at(self, name):
        """The address of a listener."""
        return f"127.0.0.1:{self.ports[name]}"

    def client_conf(self, name, mechanism=None, token_file=None):
        """The producer section of a good client."""
        conf = {"bootstrap.servers": self.at(name), "security.protocol": LISTENERS[name]}
        if "SSL" in LISTENERS[name]:
            conf["ssl.truststore.location"] = self.ca.path
        if name == "MTLS":
            conf["ssl.keystore.location"] = self.client_pem
        if "SASL" in LISTENERS[name]:
            conf["sasl.mechanism"] = mechanism
            if mechanism == "OAUTHBEARER":
                conf["sasl.oauthbearer.token.file"] = token_file
            else:
                conf.update({"sasl.username": USER, "sasl.password": PASSWORD})
        return conf


def token_file(t, kafka):
    path = t.path("token")
    with open(path, "w") as f:
        f.write(kafka.issuer.token(lives=3600) + "\n")
    return path


def agent_of(t, kafka, name, mechanism=None, topic=None, **changes):
    """An agent that a listener takes, but for the changes: keys with _ for the dot, None takes one out."""
    conf = kafka.client_conf(name, mechanism, token_file(t, kafka) if mechanism == "OAUTHBEARER" else None)
    conf.update({k.replace("_", "."): v for k, v in changes.items()})
    conf = {k: v for k, v in conf.items() if v is not None}
    return t.agent(conf.pop("bootstrap.servers"), topic, producer=conf, name=f"agent-{name}-{mechanism}")
