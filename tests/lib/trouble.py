"""trouble.py - what goes wrong with the brokers of a random walk, and how it is made good again.

Two kinds with one face: cause(rng) does one thing at random and says what; heal() undoes all; records(topic) is what lies there.
"""
import oracle
from procs import until

# Batches and answers that a fake broker spoils, with the range of their value: fakebroker.h. Codes: not leader, timed out,
# unknown, too few in sync, denied, leader unknown.
FAULTS = (("close-before", None), ("close-after", None), ("swallow", None), ("error", (6, 7, 3, 19, 29, 5)), ("error-after", (7, 20)),
          ("delay", (20, 100, 300)), ("throttle", (20, 100)), ("truncated", (3, 20)), ("cut-answer", (2, 10, 30)),
          ("cut-request", (3, 60, 5000)), ("half-close", None))
DENIED, UNKNOWN, LEADERLESS = 29, 3, 5


class FakeTrouble:
    """Of the fake broker; `held` are the topics that may be refused altogether."""

    def __init__(self, fake, directory, topics, held):
        self.fake, self.dir, self.topics, self.held = fake, directory, topics, held
        self.nodes = len(fake.ports)
        for topic in topics:
            fake.tell("set", topic, "min.insync.replicas", min(2, self.nodes))
        self.heal()

    def cause(self, rng):
        kinds = [self._fault] * 6 + [self._down] * 3 + [self._mute, self._restart, self._restart, self._lead]
        if self.held:
            kinds += [self._hold] * 4
        return rng.choice(kinds)(rng)

    def _tell(self, *words):
        self.fake.tell(*words)
        return " ".join(map(str, words))

    def _fault(self, rng):
        kind, values = rng.choice(FAULTS)
        return self._tell("fault", rng.choice((-1, 0)), kind, rng.choice(values) if values else 0, rng.randint(1, 4))

    def _down(self, rng):
        return ", ".join([self._tell("down", n) for n in range(self.nodes) if n == 0 or rng.random() < 0.7])

    def stop(self):
        """Nobody answers until heal()."""
        for n in range(self.nodes):
            self.fake.tell("down", n)

    def _mute(self, rng):
        return self._tell("mute", rng.randrange(self.nodes), 1)

    def _restart(self, rng):
        """Down and up again, with less memory of producers."""
        for n in range(self.nodes):
            self.fake.tell("down", n)
        words = self._tell("reload", rng.randint(1, 5))
        for n in range(self.nodes):
            self.fake.tell("up", n)
        return words

    def _lead(self, rng):
        return self._tell("lead", rng.randrange(self.fake.partitions), rng.randrange(self.nodes))

    def _hold(self, rng):
        roll = rng.random()
        if roll < 0.2:
            return self._tell("lead", rng.randrange(self.fake.partitions), -1)
        if roll < 0.4 and self.nodes > 1:
            return self._tell("isr", *rng.choice(((1, 1), (self.nodes, 1))))
        return self._tell("topic-error", rng.choice(self.held), rng.choice((UNKNOWN, DENIED, LEADERLESS)))

    def heal(self):
        self.fake.tell("heal")
        for n in range(self.nodes):
            self.fake.tell("up", n)
            self.fake.tell("mute", n, 0)
        for p in range(self.fake.partitions):
            self.fake.tell("lead", p, p % self.nodes)
        self.fake.tell("isr", self.nodes, self.nodes)
        for topic in self.held:
            self.fake.tell("topic-error", topic, 0)

    def count(self, topic):
        return self.fake.count(topic)

    def records(self, topic):
        return self.fake.records(topic, self.dir)


class KafkaTrouble:
    """Of a real broker behind its proxy. It is restarted only a few times: that takes seconds."""

    def __init__(self, kafka, restarts):
        self.kafka, self.restarts = kafka, restarts
        self.heal()

    def cause(self, rng):
        proxy = self.kafka.proxy
        roll = rng.random()
        if roll < 0.15 and self.restarts:
            self.restarts -= 1
            return self._restart(clean=rng.random() < 0.5)
        todo, words = rng.choice(((proxy.cut, ()), (proxy.refuse, ()), (proxy.black_hole, ()), (proxy.swallow, ()),
                                  (proxy.lose_acks, (rng.randint(1, 4),)), (proxy.cut_after, (rng.randint(10, 300000),)),
                                  (proxy.delay, (0.05,)), (proxy.hold_acks, ())))
        todo(*words)
        return f"{todo.__name__}{words}"

    def _restart(self, clean):
        self.kafka.stop() if clean else self.kafka.kill()
        self.kafka.launch()
        return "stop and start" if clean else "kill -9 of the broker, and start"

    def heal(self):
        self.kafka.proxy.forward()

    def count(self, topic):
        until(self.kafka.answers, 60, "the broker answers")
        return self.kafka.count(topic)

    def records(self, topic):
        return oracle.triples(oracle.consume(self.kafka.address, topic))
