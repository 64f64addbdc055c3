"""idempotence.py - one script of raw Produce requests, played to a real Kafka and to the fake broker, answers compared.

The whole of exactly-once rests on what a broker answers to a batch that it may have seen before. Unit tests believe the
fake broker; here it is seen that the fake answers as Kafka does, step by step, so that they may.
"""
import os
import time

import evidence
import wire
from fake import Fake
from kafka import Broker, Cluster
from procs import until
from scenario import scenario

DAY = 24 * 3600 * 1000
MESSAGE_TOO_LARGE = 10


def now_ms():
    return int(time.time() * 1000)


def values(n, text="value"):
    return [b"%s %d" % (text.encode(), i) for i in range(n)]


# --- the two kinds of broker, with the same handles

class Real:
    def __init__(self, broker):
        self.broker = broker

    def connect(self, _name):
        return self.broker.client()

    def make_topic(self, name, config):
        self.broker.create_topic(name, **config)
        until(lambda: self.can_be_asked(name), 20, f"{name} is led")

    def can_be_asked(self, name):
        try:
            self.broker.ends(name)
            return True
        except (wire.WireError, OSError):
            return False

    def set(self, name, key, value):
        self.broker.alter_topic(name, **{key: value})

    def count(self, name):
        return self.broker.count(name)

    def restart(self):
        self.broker.stop()
        self.broker.start()

    def delete_records(self, name, before):
        with self.connect(name) as c:
            c.delete_records(name, 0, before)

    def recreate(self, name, config):
        with self.connect(name) as c:
            c.delete_topic(name)
            until(lambda: name not in c.metadata()["topics"], 20, f"{name} is gone")
        self.make_topic(name, config)

    def expire(self, name, pid):
        with self.connect(name) as c:
            c.alter_brokers({"producer.id.expiration.ms": 3000})
            until(lambda: pid not in c.producers(name, 0), 30, "the producer is forgotten")
            c.alter_brokers({"producer.id.expiration.ms": DAY})


class Pretended:
    # What a topic of the fake calls by a number.
    NUMBERS = {"compact": 1, "LogAppendTime": 1}

    def __init__(self, fake):
        self.fake = fake
        fake.tell("expiry", DAY, 500)

    def leader(self, name):
        with self.fake.client() as c:
            return c.metadata([name])["topics"][name][1][0]

    def connect(self, name):
        return self.fake.client(self.leader(name))

    def connect_other(self, name):
        return self.fake.client((self.leader(name) + 1) % 3)

    def make_topic(self, name, config):
        self.connect(name).close()
        for key, value in config.items():
            self.set(name, key, value)

    def set(self, name, key, value):
        self.fake.tell("set", name, key.replace("_", "."), self.NUMBERS.get(value, value))

    def count(self, name):
        return self.fake.count(name)

    def restart(self):
        self.fake.tell("reload", 1)

    def delete_records(self, name, before):
        self.fake.tell("delete-records", name, 0, before)

    def recreate(self, name, _config):
        self.fake.tell("recreate", name)

    def expire(self, name, pid):
        self.fake.tell("expiry", 3000, 500)
        with self.connect(name) as c:
            until(lambda: pid not in c.producers(name, 0), 30, "the producer is forgotten")
        self.fake.tell("expiry", DAY, 500)


class RealCluster:
    """Three nodes. The leader of partition 0 is asked; a replica that goes is one that does not lead."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.gone = None

    def leader(self, name):
        return self.cluster.leaders(name)[0]

    def connect(self, name):
        return self.cluster.node(self.leader(name)).client()

    def connect_other(self, name):
        return self.cluster.node(self.leader(name) % 3 + 1).client()

    def make_topic(self, name, config):
        self.cluster.alive().create_topic(name, replication=3, **config)
        self.all_in_sync(name)

    def all_in_sync(self, name):
        until(lambda: self.cluster.in_sync(name) == 3, 60, "all replicas are in sync", every=0.1)

    def count(self, name):
        with self.connect(name) as c:
            return sum(c.offsets(name, [0]).values())

    def move_leader(self, name):
        old = self.leader(name)
        self.cluster.node(old).kill()
        until(lambda: self.leader(name) not in (old, -1), 60, "another node leads", every=0.1)
        self.cluster.node(old).launch()
        self.all_in_sync(name)

    def lose_replica(self, name):
        self.gone = self.cluster.node(self.leader(name) % 3 + 1)
        self.gone.kill()
        until(lambda: self.cluster.in_sync(name) == 2, 60, "a replica is out of sync", every=0.1)

    def regain_replica(self, name):
        self.gone.launch()
        self.all_in_sync(name)


class PretendedCluster(Pretended):
    def lose_replica(self, _name):
        self.fake.tell("isr", 2, 2)

    def regain_replica(self, _name):
        self.fake.tell("isr", 3, 3)

    def move_leader(self, _name):
        self.fake.tell("lead", 0, 1)


class Script:
    """One experiment against one broker: a topic and a producer id of its own, and the list of what was answered."""

    def __init__(self, broker, name, config):
        self.broker, self.name, self.config = broker, name, config
        broker.make_topic(name, config)
        self.client = broker.connect(name)
        self.pid = until(self.new_producer_id, 20, "there are producer ids")
        self.timestamp = now_ms()
        self.answers = []

    def close(self):
        self.client.close()

    def new_producer_id(self):
        error, pid = self.client.init_producer_id()
        assert error in (0, wire.COORDINATOR_LOADING), f"InitProducerId: error {error}"
        return None if error else pid + 1                       # true even for the first of all, which is 0

    def send(self, sequence, n, *, epoch=0, pid=None, version=8, acks=-1, text="value", topic=None, **batch):
        """Sends a batch; its answer is noted as it can be compared: times only as given, not given, or the batch's own."""
        batch.setdefault("timestamp", self.timestamp)
        data = wire.batch(values(n, text), self.pid if pid is None else pid, epoch, sequence, **batch)
        self.send_bytes(data, version, acks, topic, batch["timestamp"])

    def send_bytes(self, data, version=8, acks=-1, topic=None, timestamp=None):
        a = self.client.produce(topic or self.name, 0, data, version, acks)
        if a is None:
            self.note("no answer")
            return
        time_word = {-1: "none", timestamp: "the batch's"}.get(a.append_time, "the broker's")
        self.note(f"error {a.error} offset {a.base_offset} time {time_word} log start {a.log_start} culprits {a.culprits}")

    def note(self, text):
        self.answers.append(text)

    def note_count(self):
        self.note(f"{self.broker.count(self.name)} records")

    def reconnect(self):
        self.client.close()
        self.client = self.broker.connect(self.name)

    def restart(self):
        self.client.close()
        self.broker.restart()
        until(lambda: getattr(self.broker, "can_be_asked", bool)(self.name), 20, "the broker leads again")
        self.client = self.broker.connect(self.name)

    def five(self):
        for i in range(5):
            self.send(10 * i, 10)


# --- the experiments; their numbers are those of the list that they come from

def e1_five_batches_again_with_other_content_are_five_duplicates(s):
    s.five()
    for i in range(5):
        s.send(10 * i, 10, text="other")
    s.note_count()


def e2_the_sixth_last_batch_is_out_of_order(s):
    for i in range(6):
        s.send(10 * i, 10)
    s.send(0, 10)
    s.send(10, 10)
    s.send(60, 10)
    s.note_count()


def e3_after_a_restart_only_the_last_batch_is_remembered(s):
    s.five()
    s.restart()
    for i in range(5):
        s.send(10 * i, 10)
    s.send(50, 10)
    s.note_count()


def e5_a_new_leader_remembers_five(s):
    s.five()
    s.client.close()
    s.broker.move_leader(s.name)
    s.client = s.broker.connect(s.name)
    for i in range(5):
        s.send(10 * i, 10)
    s.send(50, 10)


def e6_an_unknown_producer_may_begin_anywhere(s):
    s.send(7, 3)
    s.send(7, 3)
    s.send(0, 3)
    s.send(10, 1)


def e7_what_overtakes_a_refused_first_batch_shuts_it_out(s):
    s.broker.lose_replica(s.name)
    s.send(0, 10)
    s.send(0, 10, acks=1, pid=s.pid + 500000)
    s.broker.regain_replica(s.name)
    s.send(10, 10)
    s.send(0, 10)
    s.note_count()


def e8_an_expired_producer_is_appended_twice(s):
    s.send(0, 10)
    s.send(0, 10)
    s.broker.expire(s.name, s.pid)
    s.timestamp = now_ms()
    s.send(0, 10)
    s.note_count()


def e9_old_timestamps_let_a_producer_be_forgotten(s):
    s.send(0, 10, timestamp=now_ms() - 2 * DAY)
    until(lambda: s.pid not in s.client.producers(s.name, 0), 20, "the producer is forgotten")
    s.send(0, 10, timestamp=now_ms() - 2 * DAY)
    s.note_count()


def e10_the_same_range_in_other_pieces_is_out_of_order(s):
    s.send(0, 10)
    s.send(0, 4)
    s.send(4, 6)
    s.send(0, 20)
    s.send(30, 10)
    s.note_count()


def e11_a_limit_that_was_lowered_refuses_what_is_in_the_log(s):
    s.send(0, 100)
    s.broker.set(s.name, "max_message_bytes", 500)
    # The log takes it up a moment later. A broken batch is refused for its size before it is for its CRC.
    broken = wire.batch(values(100), crc=1)
    until(lambda: s.client.produce(s.name, 0, broken).error == MESSAGE_TOO_LARGE, 20, "the limit holds")
    s.send(0, 100)
    s.send(100, 1)
    s.note_count()


def e12_a_higher_epoch_fences_the_lower(s):
    s.send(0, 10)
    s.send(5, 10, epoch=1)
    s.send(0, 10, epoch=1)
    s.send(10, 10)
    s.send(0, 10)
    s.send(10, 10, epoch=1)


def e13_sequences_wrap(s):
    s.send(2147483640, 20)
    s.send(2147483640, 20)
    s.send(12, 5)
    s.send(2147483640, 20)


def e14_a_recreated_topic_takes_by_name_what_it_refuses_by_id(s):
    versions = s.client.api_versions()[wire.PRODUCE]
    old = s.client.topic_id(s.name)
    s.send(0, 10, version=10)
    if versions[1] >= 13:
        s.send(0, 10, version=13, topic=old)
    s.broker.recreate(s.name, s.config)
    s.reconnect()
    new = s.client.topic_id(s.name)
    s.note(f"another id: {old != new}")
    if versions[1] >= 13:
        s.send(0, 10, version=13, topic=old)
    s.send(10, 10, version=min(versions[1], 12))
    if versions[1] >= 13:
        s.send(20, 10, version=13, topic=new)
    s.note_count()


def e15_of_two_writers_with_one_identity_the_second_is_not_written(s):
    s.send(0, 10)
    s.reconnect()
    s.send(0, 10, text="somebody else")
    s.note_count()


def what_is_wrong_with_a_batch_is_told_before_it_is_a_duplicate(s):
    s.send(0, 10)
    good = dict(sequence=0, n=10)
    s.send(**good, crc=1)
    s.send(**good, base_offset=5)
    s.send(**good, timestamp=now_ms() + 2 * DAY)
    s.send(**good, attributes=8)
    s.send(**good, attributes=0x20)
    s.send(**good, last_offset_delta=8)
    s.send(**good, count=9)
    s.send(-5, 10)
    one = wire.batch(values(1), s.pid, 0, 10, s.timestamp)
    s.send_bytes(one + one)
    s.send_bytes(b"")
    s.send(10, 10, acks=5)
    s.send(0, 10, topic=s.name + "-absent")
    s.note_count()


def a_compacted_topic_names_records_without_a_key(s):
    s.send(0, 4, key=[b"k", None, b"k", None])
    s.send(0, 4, key=b"k")
    s.send(4, 4, key=[b"k", b"k", b"k", None], timestamp=now_ms() + 2 * DAY)
    s.note_count()


def a_topic_with_append_time_tells_it(s):
    s.send(0, 4, timestamp=1000)
    s.send(0, 4, timestamp=1000)
    s.send(4, 4, timestamp=now_ms() + 2 * DAY)
    s.send(8, 4, attributes=8)


def acks_decide_who_waits(s):
    s.send(0, 4, acks=1)
    s.send(0, 4, acks=0)
    s.send(4, 4, acks=0)
    s.send(8, 4)
    s.send(50, 4, acks=0)
    try:
        s.send(12, 4)
        s.note("still connected")
    except (wire.WireError, OSError):
        s.note("hung up")
    s.note_count()


def batches_without_identity_are_all_appended(s):
    for _ in range(2):
        s.send(-1, 3, pid=-1, epoch=-1)
    s.note_count()


def every_version_answers_alike(s):
    low, high = s.client.api_versions()[wire.PRODUCE]
    for i, version in enumerate(range(max(low, 3), min(high, 12) + 1)):
        s.send(3 * i, 3, version=version)
        s.send(3 * i, 3, version=version)
        s.send(3 * i + 50, 3, version=version)


def the_offered_versions_are_those_of_the_release(s):
    versions = s.client.api_versions()
    s.note({api: versions.get(api) for api in (wire.PRODUCE, wire.FETCH, wire.LIST_OFFSETS, wire.METADATA, wire.API_VERSIONS,
                                               wire.INIT_PRODUCER_ID, wire.DESCRIBE_PRODUCERS)})
    s.client.send(wire.API_VERSIONS, 99, b"", flexible=True)
    r = s.client.receive()
    s.note(f"a version that nobody knows: error {r.take('h')} {r.array(lambda r: (r.take('h'), r.take('h'), r.take('h')))}")
    for api, version in ((99, 0), (wire.PRODUCE, 2), (wire.METADATA, 30)):
        s.reconnect()
        try:
            s.client.call(api, version, b"")
            s.note(f"{api} {version} answered")
        except (wire.WireError, OSError):
            s.note(f"{api} {version} hung up")


def who_does_not_lead_says_who_does(s):
    leader = s.broker.leader(s.name)
    s.client.close()
    s.client = s.broker.connect_other(s.name)
    for version in (8, 9, 10, 12):
        a = s.client.produce(s.name, 0, wire.batch(values(3), s.pid, 0, 0, s.timestamp), version)
        s.note(f"error {a.error} offset {a.base_offset} told {a.leader is not None and a.leader[0] == leader}")


ALL_IN_SYNC = {"min_insync_replicas": 3}
CONFIGS = {e7_what_overtakes_a_refused_first_batch_shuts_it_out: ALL_IN_SYNC,
           a_compacted_topic_names_records_without_a_key: {"cleanup_policy": "compact"},
           a_topic_with_append_time_tells_it: {"message_timestamp_type": "LogAppendTime"}, **evidence.CONFIGS}
EXPERIMENTS = [f for name, f in list(globals().items()) if name.startswith(("e1", "e2", "e3", "e6", "e8", "e9"))] + [
    what_is_wrong_with_a_batch_is_told_before_it_is_a_duplicate, a_compacted_topic_names_records_without_a_key,
    a_topic_with_append_time_tells_it, acks_decide_who_waits, batches_without_identity_are_all_appended,
    every_version_answers_alike, the_offered_versions_are_those_of_the_release, *evidence.EXPERIMENTS]
# Leader epochs are compared too: first those that leave the leaders alone.
WITH_REPLICAS = [*evidence.WITH_REPLICAS, who_does_not_lead_says_who_does, e5_a_new_leader_remembers_five,
                 e7_what_overtakes_a_refused_first_batch_shuts_it_out]


def play(broker, experiment):
    s = Script(broker, experiment.__name__.replace("_", "-"), CONFIGS.get(experiment, {}))
    try:
        experiment(s)
    finally:
        s.close()
    return s.answers


def compare(t, experiments, one, other):
    """Plays each to both; fails with every step that was answered differently."""
    one.tools = other.tools = os.path.join(os.path.dirname(os.path.abspath(t.shared.binary)), "tests", "lib")
    differences = []
    for experiment in experiments:
        want, got = play(one, experiment), play(other, experiment)
        if want != got:
            steps = [f"        step {i}: Kafka {a!r}\n{'':16}fake  {b!r}" for i, (a, b) in enumerate(zip(want, got)) if a != b]
            steps += [f"        Kafka {len(want)} steps, fake {len(got)}"] if len(want) != len(got) else []
            differences.append("\n".join([f"    {experiment.__name__}", *steps]))
    assert not differences, "the fake broker is not as Kafka:\n" + "\n".join(differences)


# Leaders stay where they are also when the machine is too busy for a heartbeat: their epochs are compared.
UNDISTURBED = {"broker_session_timeout_ms": 6000, "auto_leader_rebalance_enable": "false"}


def compare_with(t, version):
    real = Broker(t.path("kafka"), version=version, producer_id_expiration_check_interval_ms=500, **UNDISTURBED)
    t.closing.append(real.close)
    fake = Fake(t.shared.binary, version)
    t.closing.append(fake.close)
    compare(t, EXPERIMENTS, Real(real.start()), Pretended(fake))


@scenario()
def the_fake_broker_answers_as_kafka_4_1_does(t):
    """Duplicates, gaps, epochs, restarts, expiry, recreated topics, refused batches: each answer equal, step by step."""
    compare_with(t, "4.1")


@scenario()
def the_fake_broker_answers_as_kafka_3_9_does(t):
    """The same script with the older release and its profile."""
    compare_with(t, "3.9")


@scenario()
def the_fake_broker_answers_as_three_nodes_do(t):
    """What a new leader remembers of its predecessor's producers, and what a replica too few does to a first batch."""
    cluster = Cluster(t.path("cluster"), **UNDISTURBED)
    t.closing.append(cluster.close)
    fake = Fake(t.shared.binary, "4.1", nodes=3)
    t.closing.append(fake.close)
    compare(t, WITH_REPLICAS, RealCluster(cluster.start()), PretendedCluster(fake))
