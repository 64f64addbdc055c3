"""online.py - `check --online` against brokers that do and do not let us write: what is said, and with which exit code."""
import os

import kafka as kafka_module
import procs
from procs import until
from scenario import scenario
from secure import PASSWORD, agent_of

GOOD, UNAVAILABLE, PERMISSION, CONFIG = 0, 69, 77, 78


def online(agent, expect):
    """The lines of `check --online`, after its exit code was looked at."""
    rc, out, err = procs.run([agent.binary, "check", "--online", "-c", agent.config])
    text = (out + err).decode(errors="replace")
    assert rc == expect, f"ended with {rc}, not {expect}:\n{text}"
    assert PASSWORD not in text, "a secret is shown"
    return text.splitlines()


def line_of(lines, *words):
    """The one line that has all the words."""
    found = [line for line in lines if all(w in line for w in words)]
    assert len(found) == 1, f"{len(found)} lines say {words}:\n" + "\n".join(lines)
    return found[0]


def says(lines, kind, *words):
    assert line_of(lines, *words).startswith(kind + ":"), "\n".join(lines)


def nothing_wrong(lines):
    assert not [line for line in lines if line.startswith(("warning:", "error:"))], "\n".join(lines)


def topics_of(broker):
    with broker.client() as c:
        return set(c.metadata(None)["topics"])


@scenario(core=True)
def online_a_good_cluster_is_good(t):
    """Plaintext, TLS and SASL: every step ok, exit 0, and the same with a template that takes the topic from the file."""
    broker = t.secure_kafka()
    topic = t.topic(broker, 3)
    t.file("app.log", b"line\n")
    plain = t.agent(broker.address, topic)
    lines = online(plain, GOOD)
    says(lines, "ok", f"broker {broker.address}", "connected")
    says(lines, "ok", f"topic {topic}", "3 partitions")
    nothing_wrong(lines)
    for name, mechanism in (("SSL", None), ("SASLSSL", "SCRAM-SHA-512"), ("SASL", "PLAIN")):
        lines = online(agent_of(t, broker, name, mechanism, topic), GOOD)
        if mechanism:
            line_of(lines, f"authenticated by {mechanism}")
        if "SSL" in name:
            # The test's certificates are good for twenty days.
            says(lines, "warning", broker.at(name), "TLSv1.3, certificate of broker good for ", "renew the certificate")
    os.rename(t.path("logs", "app.log"), t.path("logs", f"{topic}.log"))
    template = t.agent(broker.address, "%{file}", name="template")
    lines = online(template, UNAVAILABLE)
    says(lines, "error", f"topic {topic}.log", "UNKNOWN_TOPIC_OR_PARTITION")


@scenario(core=True)
def online_a_wrong_password_is_77_with_the_words_of_the_agent(t):
    """What `check --online` says stands word for word in status.reasons of the running agent."""
    broker = t.secure_kafka()
    topic = t.topic(broker)
    t.file("app.log", b"line\n")
    agent = agent_of(t, broker, "SASLSSL", "SCRAM-SHA-512", topic, sasl_password="wrong-Passw0rd")
    said = line_of(online(agent, PERMISSION), "SCRAM-SHA-512 authentication failed").split(None, 1)[1]
    agent.start()
    agent.until(lambda s: said in s["reasons"], 20, f"a reason is {said!r}")
    agent.stop()


@scenario()
def online_a_port_that_wants_sasl_is_said(t):
    """Such a broker lets everybody connect, and hangs up at the first question: also there the words are the agent's."""
    broker = t.secure_kafka()
    topic = t.topic(broker)
    t.file("app.log", b"line\n")
    for name, protocol in (("SASLSSL", "SSL"), ("SASL", "PLAINTEXT")):
        agent = t.agent(broker.at(name), topic, name=f"agent-{name}", producer={
            "security.protocol": protocol, "ssl.truststore.location": broker.ca.path, "ssl.truststore.type": "PEM"})
        said = line_of(online(agent, UNAVAILABLE), "error", "does this port want SASL? (security.protocol)").split(None, 1)[1]
        agent.start()
        agent.until(lambda s: said in s["reasons"], 20, f"a reason is {said!r}")
        agent.kill()


@scenario()
def online_certificates_that_are_not_believed_are_77(t):
    """One that expired, one for another host, one of another CA, a missing client certificate."""
    broker = t.secure_kafka()
    topic = t.topic(broker)
    for name, changes, words in (("EXPIRED", {}, "expired at 2020-02-01"),
                                 ("OTHERNAME", {}, "is for other.example, not for 127.0.0.1"),
                                 ("SSL", {"ssl_truststore_location": broker.other_ca.path}, "is ssl.truststore.location the CA"),
                                 ("MTLS", {"ssl_keystore_location": None}, "wants a client certificate")):
        says(online(agent_of(t, broker, name, None, topic, **changes), PERMISSION), "error", broker.at(name), words)


@scenario(core=True)
def online_a_missing_topic_is_said_and_not_made(t):
    """auto.create.topics.enable false: 69; the topic is not there afterwards. A partition that is not there: 78."""
    broker = t.kafka()
    missing = f"missing-{os.getpid()}"
    says(online(t.agent(broker.address, missing), UNAVAILABLE), "error", f"topic {missing}",
         "the topic cannot be written: UNKNOWN_TOPIC_OR_PARTITION", "auto.create.topics.enable is false")
    assert missing not in topics_of(broker), "check created the topic"
    topic = t.topic(broker, 2)
    agent = t.agent(broker.address, topic, inputs=[{"paths": [t.path("logs", "*.log")], "topic": topic, "partition": 2}], name="p")
    says(online(agent, CONFIG), "error", f"topic {topic}", "the topic has no such partition", "0 to 1")


@scenario()
def online_a_topic_that_will_be_created_is_a_warning(t):
    """auto.create.topics.enable true: exit 0, and still nothing is created."""
    broker = kafka_module.Broker(t.path("auto"), auto_create_topics_enable="true", producer_id_expiration_ms=3600000)
    t.closing.append(broker.close)
    broker.start()
    lines = online(t.agent(broker.address, "to-come"), GOOD)
    says(lines, "warning", "topic to-come", "the first line creates it")
    says(lines, "warning", "brokers forget an idle producer after 1h", "producer.id.expiration.ms is 1d")
    assert "to-come" not in topics_of(broker), "check created the topic"


@scenario(core=True)
def online_settings_of_a_topic_are_compared(t):
    """max.message.bytes, retention.ms and bytes, min.insync.replicas, a compacted topic without and with a key."""
    broker = t.kafka()
    paths = [t.path("logs", "*.log")]

    def one(expect, kind, words, key=None, **config):
        topic = t.topic(broker, **config)
        agent = t.agent(broker.address, topic, inputs=[{"paths": paths, "topic": topic, **({"key": key} if key else {})}], name=topic)
        for w in words if isinstance(words[0], tuple) else (words,):
            says(online(agent, expect), kind, f"topic {topic}", *w)

    one(GOOD, "warning", (("max.message.bytes is 100000", "max_line of input"), ("max.message.bytes is 100000", "batch.size is")),
        max_message_bytes=100000)
    one(GOOD, "warning", ("retention.ms is 1h", "vanish"), retention_ms=3600000)
    one(GOOD, "warning", ("retention.bytes keeps 1MiB", "10GiB"), retention_bytes=1 << 20)
    one(UNAVAILABLE, "error", ("min.insync.replicas is 2", "only 1 replicas"), min_insync_replicas=2)
    one(CONFIG, "error", ("INVALID_RECORD", "sets no key"), cleanup_policy="compact")
    one(GOOD, "warning", ("only the last is kept",), key="%{file}", cleanup_policy="compact")


ACL_BROKER = {"authorizer_class_name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super_users": "User:ANONYMOUS"}


def allow(broker, topic, *operations):
    """ACLs of User:alice by Kafka's own tool, over the listener of the super user."""
    args = [x for o in operations for x in ("--operation", o)]
    kafka_module.tool("org.apache.kafka.tools.AclCommand", "--bootstrap-server", broker.address, "--add", "--allow-principal", "User:alice",
                      *args, "--topic", topic)


def acl_broker(t):
    """The secure broker with an authorizer: alice may nothing that is not allowed."""
    from secure import SecureBroker
    broker = SecureBroker(t.path("acl"))
    with open(broker.config, "a") as f:
        f.writelines(f"{k.replace('_', '.', 9)}={v}\n" for k, v in ACL_BROKER.items())
    t.closing.append(broker.close)
    return broker.start()


@scenario()
def online_missing_rights_are_said(t):
    """No right at all: 77. WRITE alone: warnings that name READ and DESCRIBE_CONFIGS. All: no warning but of the cluster's settings."""
    broker = acl_broker(t)
    topic = t.topic(broker)
    agent = agent_of(t, broker, "SASL", "PLAIN", topic)
    says(online(agent, PERMISSION), "error", f"topic {topic}", "TOPIC_AUTHORIZATION_FAILED", "ACL: WRITE")
    allow(broker, topic, "Describe")
    says(until(lambda: seen(agent, PERMISSION, "its settings cannot be seen"), 20), "error", f"topic {topic}", "ACL: WRITE")
    allow(broker, topic, "Write")
    lines = until(lambda: seen(agent, GOOD, "its settings cannot be seen"), 20, "the right is there")
    says(lines, "warning", f"topic {topic}", "ACL: READ")
    says(lines, "warning", f"topic {topic}", "ACL: DESCRIBE_CONFIGS on the topic")
    says(lines, "warning", "cluster", "ACL: DESCRIBE_CONFIGS on the cluster")
    allow(broker, topic, "Read", "DescribeConfigs")
    lines = until(lambda: seen(agent, GOOD, "may be written"), 20, "all rights are there")
    says(lines, "ok", f"topic {topic}", "1 partition, may be written")


def seen(agent, code, words):
    """The lines, once that code and those words come: ACLs take a moment to arrive."""
    rc, out, err = procs.run([agent.binary, "check", "--online", "-c", agent.config])
    text = (out + err).decode(errors="replace")
    return text.splitlines() if rc == code and words in text else None


@scenario()
def online_brokers_that_are_not_there_are_69(t):
    """Nobody listens; a name that nobody knows; a listener that never answers is given up in time."""
    t.file("app.log", b"line\n")
    nobody = "127.0.0.1:1"              # another run may take a port that is free now
    says(online(t.agent(nobody, "web"), UNAVAILABLE), "error", f"broker {nobody}", "Connection refused")
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        agent = t.agent("127.0.0.1:%d" % s.getsockname()[1], "web", producer={"socket.connection.setup.timeout.ms": 500}, name="mute")
        says(online(agent, UNAVAILABLE), "error", "no answer to the first request")


def told_by_all(cluster, topic, in_sync):
    """Whether each node that runs tells of all leaders and of so many replicas in sync: any of them may be asked."""
    for node in (n for n in cluster.nodes if n.running()):
        with node.client() as c:
            m = c.metadata([topic])
        error, leaders = m["topics"][topic]
        if error or min(leaders.values()) < 0 or set(m["isr"][topic].values()) != {in_sync}:
            return False
    return True


@scenario()
def online_one_of_three_brokers_down_is_said_and_the_topics_are_looked_at(t):
    """The other two answer for the topics; exit 69 all the same."""
    c = kafka_module.Cluster(t.path("cluster"))
    t.closing.append(c.close)
    c.start()
    t.file("app.log", b"line\n")
    topic = "three"
    c.nodes[0].create_topic(topic, 3, 3)
    agent = t.agent(c.address, topic)
    until(lambda: told_by_all(c, topic, 3), 60, "all of them know the topic")
    nothing_wrong(online(agent, GOOD))
    c.nodes[2].kill()
    until(lambda: told_by_all(c, topic, 2), 60, "the others have noticed")
    lines = online(agent, UNAVAILABLE)
    says(lines, "error", f"broker {c.nodes[2].address}", "Connection refused")
    says(lines, "ok", f"topic {topic}", "3 partitions")
