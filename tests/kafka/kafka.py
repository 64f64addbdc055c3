#!/usr/bin/env python3
"""kafka.py - a real Apache Kafka for the tests: fetched once, started on free loopback ports, ended by its own pid.

	kafka.py fetch			download the pinned jars (pom.xml, pom-3.9.xml) into build/kafka*/lib, once
	kafka.py run [DIR [VERSION]]	start a broker for trying things by hand; ^C ends it

A Broker is one KRaft node, broker and controller at once, with two listeners for clients: PLAINTEXT advertises itself,
PROXIED advertises the port of a Proxy that sits in front of it. A client that bootstraps at the proxy is told the
proxy's address in the metadata, so all its traffic goes through and can be cut, held or lost.
"""
import base64
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import procs                                                            # noqa: E402
import wire                                                             # noqa: E402
from proxy import Proxy                                                 # noqa: E402

# Release -> its jars and the file that pins them.
NEWEST = "4.1"
LIBS = {v: os.path.join(procs.ROOT, "build", name, "lib") for v, name in ((NEWEST, "kafka"), ("3.9", "kafka-3.9"))}
POMS = {v: os.path.join(HERE, name) for v, name in ((NEWEST, "pom.xml"), ("3.9", "pom-3.9.xml"))}
JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{hidden},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxy}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={dir}/data
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.hours=-1
log.cleaner.enable=false
controlled.shutdown.enable=false
broker.heartbeat.interval.ms=300
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1500
"""
# A node that the controller does not hear of for so long leads nothing any more. So the first session is long: on a busy machine a
# broker that nobody disturbs may well be silent for seconds. A node that comes back has to wait until its session before is over.
SESSION_MS, SESSION_AGAIN_MS = 18000, 3000


def fetch(version=NEWEST):
    """Downloads the jars of a release unless a complete copy for this pom is there. Returns the class path."""
    lib, pom = LIBS[version], POMS[version]
    with open(pom, "rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)           # several runners start at once
        want = hashlib.sha256(f.read()).hexdigest()
        stamp = os.path.join(lib, ".complete")
        if not os.path.exists(stamp) or open(stamp).read() != want:
            shutil.rmtree(lib, ignore_errors=True)
            os.makedirs(lib)
            subprocess.run(["mvn", "-q", "-B", "-Dstyle.color=never", "-f", pom, "dependency:copy-dependencies",
                            "-DincludeScope=runtime", f"-DoutputDirectory={lib}"], check=True, stdin=subprocess.DEVNULL)
            with open(stamp, "w") as out:
                out.write(want)
    return os.path.join(lib, "*")


def java(main, *args, heap="256m", version=NEWEST, jvm=()):
    return ["java", f"-Xmx{heap}", *JVM, *jvm, "-cp", os.path.join(LIBS[version], "*"), main, *map(str, args)]


def tool(main, *args, timeout=180, version=NEWEST):
    """Runs one of Kafka's own tools to its end; returns its standard output. Fails with the tool's words."""
    rc, out, err = procs.run(java(main, *args, version=version), timeout=timeout)
    if rc:
        raise RuntimeError(f"{main} ended with {rc}: {(err + out).decode(errors='replace')[-2000:]}")
    return out


def new_cluster_id():
    """Sixteen random bytes as Kafka writes them; the first is small, so that no tool takes the text for an option."""
    return base64.urlsafe_b64encode(b"k" + os.urandom(15)).decode().rstrip("=")


class Broker:
    """One node. start(), then any of the rest; stop() at the end. `dir` holds its data, configuration and log."""

    session_ms = SESSION_MS                     # the first one

    def __init__(self, directory, cluster=None, version=NEWEST, **properties):
        self.dir = directory
        self.version = version
        self.cluster = cluster                  # its id; None: one of its own
        self.properties = properties
        self.process = None
        self.format_options, self.jvm = [], []  # more words for StorageTool and for the JVM
        self.proxy = Proxy()
        self._configure()

    # --- life

    def _configure(self):
        self.port, self.hidden, self.controller = (procs.free_port() for _ in range(3))
        os.makedirs(os.path.join(self.dir, "data"), exist_ok=True)
        self.config = os.path.join(self.dir, "server.properties")
        with open(self.config, "w") as f:
            f.write(PROPERTIES.format(port=self.port, hidden=self.hidden, controller=self.controller,
                                      proxy=self.proxy.port, dir=self.dir))
            for name, value in self.properties.items():
                f.write(f"{name.replace('_', '.')}={value}\n")     # the last of two values counts
        self.proxy.target = self.hidden

    @property
    def address(self):
        """For clients that talk to the broker directly."""
        return f"127.0.0.1:{self.port}"

    @property
    def proxied(self):
        """For clients that are to be disturbed."""
        return f"127.0.0.1:{self.proxy.port}"

    def start(self):
        """Starts the node and waits until it answers. Ports may have been taken meanwhile: tried again with others."""
        for attempt in range(3):
            self.launch()
            try:
                procs.until(self.answers, 180, "Kafka answers", alive=self._check_alive)
                return self
            except RuntimeError:
                if attempt == 2:
                    raise
                self._configure()

    def launch(self):
        """Starts the process, without waiting for it."""
        fetch(self.version)
        session = SESSION_AGAIN_MS
        if not os.path.exists(os.path.join(self.dir, "data", "meta.properties")):
            session = self.session_ms
            self.cluster = self.cluster or new_cluster_id()
            tool("kafka.tools.StorageTool", "format", "-t", self.cluster, "-c", self.config, *self.format_options,
                 version=self.version)
        with open(os.path.join(self.dir, "broker.log"), "ab") as log:
            # What the JVM unpacks stays behind when it is killed.
            self.process = procs.spawn(java("kafka.Kafka", self.config, "--override", f"broker.session.timeout.ms={session}", heap="400m",
                                            version=self.version, jvm=[f"-Djava.io.tmpdir={self.dir}", *self.jvm]), stdout=log, stderr=log)

    def _check_alive(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.dir, "broker.log"), "rb") as f:
                raise RuntimeError("Kafka ended: " + f.read()[-2000:].decode(errors="replace"))

    def known(self):
        """The brokers that this one tells clients about; none as long as it does not answer."""
        try:
            with self.client(timeout=2) as c:
                return c.metadata([])["brokers"]
        except (OSError, wire.WireError):
            return {}

    def answers(self):
        return bool(self.known())

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9, as a power-less machine would see it."""
        if self.running():
            self.process.kill()
            self.process.wait()

    def stop(self, timeout=60):
        """The orderly end."""
        if self.running():
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(timeout * procs.SLOWNESS)
            except subprocess.TimeoutExpired:
                self.kill()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        """Ends everything for good; the directory stays."""
        self.kill()
        self.proxy.close()

    # --- administration

    def client(self, timeout=30):
        return wire.Client("127.0.0.1", self.port, timeout)

    def create_topic(self, name, partitions=1, replication=1, **config):
        """Creates a topic and waits until each partition has its leader."""
        config = {k.replace("_", "."): v for k, v in config.items()}

        def created():
            try:
                with self.client() as c:
                    return c.create_topic(name, partitions, replication, config) in (0, wire.TOPIC_ALREADY_EXISTS)
            except (OSError, wire.WireError):
                return False

        def led():
            with self.client() as c:
                error, leaders = c.metadata([name])["topics"].get(name, (3, {}))
            return error == 0 and len(leaders) == partitions and min(leaders.values()) >= 0

        procs.until(created, 30, f"topic {name} is created", every=0.1)
        procs.until(led, 30, f"topic {name} has leaders", every=0.02)

    def grow_topic(self, name, partitions):
        """Adds partitions and waits until each has its leader."""
        def led():
            with self.client() as c:
                leaders = c.metadata([name])["topics"][name][1]
            return len(leaders) == partitions and min(leaders.values()) >= 0

        with self.client() as c:
            c.grow_topic(name, partitions)
        procs.until(led, 30, f"topic {name} has {partitions} leaders", every=0.02)

    def alter_topic(self, name, **config):
        with self.client() as c:
            c.alter_topic(name, {k.replace("_", "."): v for k, v in config.items()})

    def partitions(self, topic):
        with self.client() as c:
            return sorted(c.metadata([topic])["topics"][topic][1])

    def ends(self, topic):
        """{partition: end offset}."""
        partitions = self.partitions(topic)
        with self.client() as c:
            return c.offsets(topic, partitions)

    def count(self, topic):
        """How many records a topic holds (nothing here deletes or compacts)."""
        return sum(self.ends(topic).values())

    def segments(self, topic, partition=0):
        """The paths of a partition's log segments, in offset order."""
        folder = os.path.join(self.dir, "data", f"{topic}-{partition}")
        return [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if n.endswith(".log")]

    def batches(self, topic, partition=0):
        """The record batches of a partition as they lie in its segments (see wire.segment_batches)."""
        out = []
        for path in self.segments(topic, partition):
            with open(path, "rb") as f:
                out += wire.segment_batches(f.read())
        return out

    def dump(self, topic, partition=0):
        """What DumpLogSegments --deep-iteration says of a partition, as text."""
        return tool("kafka.tools.DumpLogSegments", "--deep-iteration", "--files",
                    ",".join(self.segments(topic, partition))).decode(errors="replace")


class Cluster:
    """Three nodes, each topic on all of them, two of three must have a record. For what happens when a leader goes."""

    def __init__(self, directory, **properties):
        self.nodes = []
        cluster = new_cluster_id()
        for i in (1, 2, 3):
            self.nodes.append(Broker(os.path.join(directory, str(i)), cluster, node_id=i, min_insync_replicas=2,
                                     offsets_topic_replication_factor=3, unclean_leader_election_enable="false", **properties))
        for b in self.nodes:
            b.session_ms = SESSION_AGAIN_MS     # the others take over what a lost one has led
        voters = ",".join(f"{i + 1}@127.0.0.1:{b.controller}" for i, b in enumerate(self.nodes))
        for b in self.nodes:
            with open(b.config, "a") as f:
                f.write(f"controller.quorum.voters={voters}\n")

    def start(self):
        for b in self.nodes:
            b.launch()
        procs.until(lambda: all(len(b.known()) == 3 for b in self.nodes), 180, "all three nodes know each other", every=0.2)
        return self

    @property
    def address(self):
        return ",".join(b.address for b in self.nodes)

    def alive(self):
        """A node that runs and answers: one that was just started does not yet."""
        return procs.until(lambda: next((b for b in self.nodes if b.running() and b.answers()), None), 60, "a node answers")

    def leaders(self, topic):
        """{partition: node}, as a running node sees it; -1: none."""
        with self.alive().client() as c:
            return c.metadata([topic])["topics"][topic][1]

    def node(self, node_id):
        return self.nodes[node_id - 1]

    def in_sync(self, topic):
        """How many replicas the worst partition of a topic has in sync. 0: the node that was asked has just come and knows none."""
        with self.alive().client() as c:
            return min(c.metadata([topic])["isr"].get(topic, {}).values(), default=0)

    def close(self):
        for b in self.nodes:
            b.close()


def main(argv):
    if argv[1:2] == ["fetch"]:
        for version in POMS:
            fetch(version)
        return 0
    if argv[1:2] == ["run"]:
        directory = argv[2] if len(argv) > 2 else tempfile.mkdtemp(prefix="spillway-kafka.")
        broker = Broker(directory, version=argv[3] if len(argv) > 3 else NEWEST).start()
        print(f"broker {broker.address}, through a proxy {broker.proxied}, files in {directory}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass
        broker.stop()
        return 0
    print(__doc__, file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv))
