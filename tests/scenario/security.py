"""security.py - TLS and SASL against the broker's own implementations: what works, what people are told, what never leaks."""
import os
import signal

import oracle
import procs
from exposition import Scrape
from scenario import scenario
from secure import MECHANISMS, PASSWORD, agent_of
from tokens import Endpoint


def no_secrets(t, agent, *secrets):
    """Neither in the log, nor in a status, nor in what check prints."""
    _, out, err = procs.run([agent.binary, "check", "-c", agent.config, "--print"])
    texts = {"log": agent.log_text(), "check": (out + err).decode(errors="replace")}
    if agent.running():
        texts["status"] = repr(agent.status())
    for where, text in texts.items():
        for secret in secrets:
            assert secret not in text, f"a secret stands in the {where}"


def ships(t, kafka, name, mechanism=None):
    """One agent with a topic and a file of its own ships all lines over a listener."""
    topic = t.topic(kafka)
    agent = agent_of(t, kafka, name, mechanism, topic)
    agent.start()
    agent.until_acked(t.ledger.total())
    no_secrets(t, agent, PASSWORD)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def tls_ships_every_line(t):
    """SSL, and SSL with a client certificate: every line arrives."""
    t.writer("app").write(3000)
    for name in ("SSL", "MTLS"):
        ships(t, t.secure_kafka(), name)


@scenario(core=True)
def every_mechanism_ships_every_line(t):
    """SASL_PLAINTEXT and SASL_SSL, each with PLAIN, both SCRAMs and OAUTHBEARER: every line arrives."""
    t.writer("app").write(1000)
    for name in ("SASL", "SASLSSL"):
        for mechanism in MECHANISMS:
            ships(t, t.secure_kafka(), name, mechanism)


def fails_then_ships(t, agent, kafka, topic, words, **repair):
    """The words stand in status.reasons while all lines wait; after the repair and HUP they arrive once."""
    w = t.writer("app")
    w.write(500)
    agent.start()
    s = agent.until(lambda s: any(words in r for r in s["reasons"]), 20, f"a reason says {words!r}")
    assert s["records"]["acked"] == 0, s["records"]
    procs.until(lambda: words in agent.log_text(), 20, "the log says it too")
    no_secrets(t, agent, PASSWORD, "wrong-Passw0rd")
    for key, value in repair.items():
        agent.settings["producer"][key.replace("_", ".")] = value
    agent.write_config()
    agent.signal(signal.SIGHUP)
    agent.until_acked(t.ledger.total(), 30)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario(core=True)
def a_wrong_password_is_said_and_a_new_one_taken(t):
    """Authentication fails with the broker's words; the right password and HUP deliver every line once."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    agent = agent_of(t, kafka, "SASLSSL", "SCRAM-SHA-512", topic, sasl_password="wrong-Passw0rd")
    fails_then_ships(t, agent, kafka, topic, "SCRAM-SHA-512 authentication failed", sasl_password=PASSWORD)


@scenario()
def a_wrong_plain_password_is_said(t):
    """The same with PLAIN."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    agent = agent_of(t, kafka, "SASL", "PLAIN", topic, sasl_password="wrong-Passw0rd")
    fails_then_ships(t, agent, kafka, topic, "Invalid username or password", sasl_password=PASSWORD)


@scenario()
def a_wrong_ca_is_said(t):
    """The words name ssl.truststore.location; the right CA and HUP deliver every line once."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    agent = agent_of(t, kafka, "SSL", None, topic, ssl_truststore_location=kafka.other_ca.path)
    fails_then_ships(t, agent, kafka, topic, "is ssl.truststore.location the CA of this broker?", ssl_truststore_location=kafka.ca.path)


@scenario()
def an_expired_certificate_is_said(t):
    """The words name the day; another broker and HUP deliver every line once."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    agent = agent_of(t, kafka, "EXPIRED", None, topic)
    fails_then_ships(t, agent, kafka, topic, "expired at 2020-02-01", bootstrap_servers=kafka.at("SSL"))


@scenario()
def a_wrong_host_name_is_said(t):
    """The words name both names; another broker and HUP deliver every line once."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    agent = agent_of(t, kafka, "OTHERNAME", None, topic)
    fails_then_ships(t, agent, kafka, topic, "is for other.example, not for 127.0.0.1", bootstrap_servers=kafka.at("SSL"))


@scenario()
def a_plaintext_port_is_said(t):
    """TLS spoken to a plaintext listener."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    agent = agent_of(t, kafka, "SSL", None, topic, bootstrap_servers=kafka.address)
    fails_then_ships(t, agent, kafka, topic, "is this a plaintext port?", bootstrap_servers=kafka.at("SSL"))


@scenario()
def a_tls_port_is_said(t):
    """Plaintext spoken to a TLS listener."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    agent = agent_of(t, kafka, "SSL", None, topic, security_protocol="PLAINTEXT")
    fails_then_ships(t, agent, kafka, topic, "TLS", security_protocol="SSL")


@scenario()
def a_missing_client_certificate_is_said(t):
    """A listener that wants a client certificate."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    agent = agent_of(t, kafka, "MTLS", None, topic, ssl_keystore_location=None)
    fails_then_ships(t, agent, kafka, topic, "wants a client certificate", ssl_keystore_location=kafka.client_pem)


@scenario()
def a_replaced_certificate_is_taken_up_without_a_signal(t):
    """A broken truststore says so and goes on with the old one; one with the right CA is used by the next connection."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    trust = t.path("trust.pem")
    with open(trust, "w") as f:
        f.write(open(kafka.other_ca.path).read())
    w = t.writer("app")
    w.write(500)
    agent = agent_of(t, kafka, "SSL", None, topic, ssl_truststore_location=trust)
    agent.start()
    agent.until(lambda s: any("certificate verify failed" in r for r in s["reasons"]), 20, "it is refused")
    with open(trust + ".new", "w") as f:
        f.write(open(kafka.ca.path).read())
    os.rename(trust + ".new", trust)
    agent.until_acked(t.ledger.total(), 30)
    agent.stop()
    t.expect_all(kafka, topic)


def reauthentications(agent):
    """How many went well, on connections that stayed."""
    rc, out, err = agent.command("status", "--metrics")
    assert rc == 0, err
    m = Scrape(out.encode())
    assert m.get("kafka_producer_failed_reauthentication_total") == 0, agent.tail()
    return m.get("kafka_producer_successful_reauthentication_total")


@scenario(core=True)
def sessions_that_end_lose_and_double_nothing(t):
    """Sessions of two seconds under load, with SCRAM and with OAUTHBEARER: authenticated anew on the same connections."""
    kafka = t.secure_kafka()
    for mechanism in ("SCRAM-SHA-256", "OAUTHBEARER"):
        topic = t.topic(kafka)
        w = t.writer(f"app-{mechanism}")
        agent = agent_of(t, kafka, "REAUTH", mechanism, topic)
        agent.settings["inputs"][0]["paths"] = [w.path]
        agent.write_config()
        w.write(100)
        before = t.ledger.total() - 100
        agent.start()
        feed = t.feeder([w], lines_per_s=10000)
        # It is due a tenth of a second before the broker would close the connection: who is held up so long loses it, and counts
        # from anew on the next one.
        procs.until(lambda: reauthentications(agent) >= 4, 60, "four sessions were followed by another", every=0.2,
                    alive=agent.check_alive)
        feed.stop()
        agent.until_acked(t.ledger.total() - before)
        agent.stop()
        v = oracle.judge(t.run_id, {w.id: w.seq}, oracle.triples(oracle.consume(kafka.address, topic)))
        assert v.good, str(v)


@scenario()
def tokens_of_an_endpoint_are_fetched_and_renewed(t):
    """OAUTHBEARER with client credentials at an https endpoint: a wrong secret is said; tokens of six seconds are renewed under load."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    endpoint = Endpoint(kafka.issuer, kafka.ca.leaf("tokens"), "an agent", "s3cret:&")
    t.closing.append(endpoint.close)
    w = t.writer("app")
    w.write(100)
    conf = {k: v for k, v in kafka.client_conf("SASLSSL", "OAUTHBEARER").items() if v is not None}
    conf.update({"sasl.oauthbearer.token.endpoint.url": endpoint.url, "sasl.oauthbearer.client.id": "an agent",
                 "sasl.oauthbearer.client.secret": "wr0ng-s3cret", "sasl.oauthbearer.scope": "produce"})
    agent = t.agent(conf.pop("bootstrap.servers"), topic, producer=conf).start()
    agent.until(lambda s: any("invalid_client" in r and "token endpoint 127.0.0.1:" in r for r in s["reasons"]), 20, "the endpoint's words")
    assert endpoint.refused and not endpoint.given
    no_secrets(t, agent, "wr0ng-s3cret", "s3cret:&")
    agent.settings["producer"]["sasl.oauthbearer.client.secret"] = "s3cret:&"
    agent.write_config()
    agent.signal(signal.SIGHUP)
    agent.until_acked(100, 40)
    feed = t.feeder([w], lines_per_s=5000)
    procs.until(lambda: endpoint.given >= 3, 40, "tokens are renewed", every=0.2)
    feed.stop()
    agent.until_acked(t.ledger.total())
    no_secrets(t, agent, "s3cret:&")
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_bad_configuration_at_hup_changes_nothing(t):
    """Problems are logged with their place, the old configuration ships on; what needs a restart is said once it is good."""
    kafka = t.secure_kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    w.write(100)
    agent = agent_of(t, kafka, "SASLSSL", "PLAIN", topic)
    agent.start()
    agent.until_acked(100)
    good = dict(agent.settings["producer"])
    agent.settings["producer"]["ssl.truststore.locatoin"] = "x"
    agent.write_config()
    agent.signal(signal.SIGHUP)
    procs.until(lambda: "was not reloaded" in agent.log_text(), 10, "the reload was refused")
    assert "ssl.truststore.location" in agent.log_text(), agent.tail()
    w.write(100)
    agent.until_acked(200)
    agent.settings["producer"] = {**good, "linger.ms": 7}
    agent.write_config()
    agent.signal(signal.SIGHUP)
    procs.until(lambda: "need a restart" in agent.log_text(), 10, "what needs a restart is said")
    assert "linger.ms" in agent.log_text()
    agent.stop()
    t.expect_all(kafka, topic)
