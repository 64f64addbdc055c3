"""kill9.py - kill -9 at every named place of the code and at random moments, whatever the brokers do meanwhile.

Thirty kills and more in `make check`, a thousand in `make soak`, which repeats these with other seeds and prints the figures.
"""
import os

from killloop import Loop, points
from procs import until
from proxy import Proxy
from scenario import scenario
from underload import PARTITIONS, TOPIC, count, in_sync, lead, started, verdict

PRODUCER = {"batch.size": "64KiB", "linger.ms": 5, "buffer.memory": "1MiB", "max.block.ms": 200, "compression.type": "none",
            "send.buffer.bytes": 8192, "request.timeout.ms": 5000, "reconnect.backoff.max.ms": 200, "retry.backoff.max.ms": 200}


class Story:
    """One topic, three growing and rotating files, one agent behind the broker's proxy."""

    def __init__(self, t, kafka, partitions, **how):
        self.t, self.kafka = t, kafka
        self.topic = t.topic(kafka, partitions=partitions)
        self.agent = t.agent(kafka.proxied, self.topic, paths=[os.path.join(t.logs, "*.log*")], producer=PRODUCER,
                             shutdown_timeout="5s")
        self.loop = Loop(t, self.agent, lambda: kafka.count(self.topic), **how)
        self.feed = t.feeder([t.writer(n) for n in ("a", "b", "c")], lines_per_s=6000)

    def rotate(self):
        """Each file is rotated once, when the agent has seen the ones that are there: it cannot know the order of those that
        came and were renamed while nobody looked."""
        def seen():
            known = {f["inode"] for i in self.agent.status()["inputs"] for f in i["files"]}
            return not self.feed.turning and all(os.stat(w.path).st_ino in known for w in self.feed.writers)

        until(seen, 30, "all files are known", alive=self.agent.check_alive)
        self.feed.rotate()

    def end(self, between_partitions=False):
        self.kafka.proxy.forward()
        self.feed.stop()
        self.loop.finish()
        v = self.t.verdict(self.kafka, self.topic, between_partitions=between_partitions)
        self.loop.judge(v)
        return v


# --- every place

def strike(story, name):
    """One kill at that place, made reachable. Refused for its size is a batch only at its first attempt: after the drain.
    What is larger than the socket's buffer leaves in parts: large batches, of lines that waited."""
    meanwhile = None
    if name == "send.part":
        written = story.t.ledger.total()
        until(lambda: story.t.ledger.total() >= written + 3000, 30, "lines wait")
    elif name.startswith("spill."):
        story.kafka.proxy.refuse()
    elif name.startswith("replace."):
        def meanwhile():
            story.kafka.alter_topic(story.topic, max_message_bytes=8000)
    struck = story.loop.at_point(name, meanwhile)
    story.kafka.proxy.forward()
    if meanwhile:
        story.kafka.alter_topic(story.topic, max_message_bytes=1000000)
    return struck


@scenario(kills=True)
def kill_9_at_every_named_place_loses_doubles_and_reorders_nothing(t):
    """Each place that `spillway killpoints` lists is struck, at a random passage; the loop fails if one was never reached."""
    names = [n for n in points(t.shared.binary) if not n.startswith("place.")]     # a first start: partition.py
    story = Story(t, t.kafka(), partitions=1)
    rest = [n for n in names if not n.startswith("schema.")]
    for turn in range(t.turns):
        t.rng.shuffle(rest)
        for i, name in enumerate((*(n for n in names if n.startswith("schema.") and turn == 0), *rest)):
            strike(story, name)
            if i % 4 == 3:
                story.loop.resume(500)
                story.rotate()
                story.loop.at_moment()
    for name in names:
        if not story.loop.figures.points[name]:
            assert strike(story, name), f"{name} was never reached"
    story.end()
    story.loop.assert_dangerous()


# --- random moments

def swallowed(story):
    """Answers vanish, and the broker has lines that the agent does not know of."""
    story.kafka.proxy.swallow()
    until(lambda: story.kafka.count(story.topic) > story.agent.status()["records"]["acked"], 30, "an answer is missed")


def restarted(story, clean):
    """The broker goes, by kill -9 or in order, the agent is killed while it is away and while it comes back."""
    swallowed(story)
    if clean:
        story.kafka.stop()
    else:
        story.kafka.kill()
    story.loop.at_moment(how="broker down")
    story.kafka.launch()
    story.loop.at_moment(0.5, 2.0, how="broker starts")
    until(story.kafka.answers, 60, "the broker is back", every=0.1)
    story.kafka.proxy.forward()


def spilled(story):
    """Memory is full and batches go to the spool; then they come back, and the agent is killed at both."""
    story.kafka.proxy.refuse()
    story.agent.until(lambda s: s["spool"]["rows"] > 0, 30, "lines are spooled")
    for _ in range(2):
        story.loop.at_moment(how="spilling")
    story.kafka.proxy.forward()
    for _ in range(2):
        story.loop.at_moment(how="draining")


def nothing(_proxy):
    pass


def in_pieces(proxy):
    proxy.cut_after(100000)


def lose_three(proxy):
    proxy.lose_acks(3)


def trouble(mode, lives=1):
    """A way of the proxy, and how many lives the agent spends with it."""
    def happen(story):
        mode(story.kafka.proxy)
        for _ in range(lives):
            story.loop.at_moment(how=mode.__name__)
        story.kafka.proxy.forward()
    return happen


TROUBLES = [trouble(Proxy.swallow), trouble(Proxy.cut), trouble(Proxy.refuse, lives=2), trouble(Proxy.black_hole, lives=2),
            trouble(lose_three), trouble(Proxy.swallow, lives=2), trouble(in_pieces), trouble(nothing), spilled]
RESTARTS = [lambda s: restarted(s, clean=False), lambda s: restarted(s, clean=True)]


def happenings(story, count):
    """Random kills; each time the agent has resumed before."""
    t, loop = story.t, story.loop
    for turn in range(count):
        todo = [*TROUBLES, *RESTARTS]
        t.rng.shuffle(todo)
        for happen in todo:
            loop.resume(t.rng.randint(1, 1000))
            story.rotate()
            happen(story)


@scenario(kills=True)
def kill_9_at_random_moments_with_a_broker_in_trouble_loses_doubles_and_reorders_nothing(t):
    """The broker is up, cut off, silent, swallows its answers, is killed and restarted, while the agent is killed and lines are written."""
    story = Story(t, t.own_kafka(), partitions=3)
    happenings(story, t.turns)
    story.end()
    story.loop.assert_dangerous()
    story.loop.assert_quick()


@scenario(kills=True)
def the_same_kills_without_a_ledger_double_lines(t):
    """The control: after each kill the ledger is emptied. Lines are doubled, so the loops above would see it; none is lost."""
    story = Story(t, t.kafka(), partitions=1, without_ledger=True)
    for happen in TROUBLES[:4]:
        story.loop.resume(200)
        swallowed(story)
        story.loop.at_moment(how="answers are missed")
        story.kafka.proxy.forward()
        story.loop.resume(200)
        happen(story)
    v = story.end(between_partitions=True)
    story.loop.assert_dangerous()
    assert v.doubled > 0 and v.missing == 0 and v.unknown == 0 and v.corrupt == 0, str(v)


# --- three brokers

# What an agent of three brokers passes while leaders move; the places of one start or one file need no cluster.
CLUSTER_POINTS = ("ledger.before", "ledger.after", "send.before", "send.after", "answer.before", "answer.after", "restore.after",
                  "identity.after")


def moved(t, cluster):
    """Every partition is given to another node, at once."""
    lead(cluster, {p: t.rng.randrange(3) + 1 for p in range(PARTITIONS)})


def leader_killed(t, cluster, loop):
    """A leader is killed, then the agent, which starts while others take over and the node comes back."""
    leader = cluster.leaders(TOPIC)[t.rng.randrange(PARTITIONS)]
    cluster.node(leader).kill()
    loop.at_moment(0.0, 1.0)
    loop.at_moment(0.1, 2.0)
    cluster.node(leader).launch()
    until(cluster.node(leader).answers, 60, "the node is back", every=0.1)
    in_sync(cluster)


@scenario(kills=True)
def kill_9_over_three_brokers_whose_leaders_move_and_die_loses_doubles_and_reorders_nothing(t):
    """The agent is killed at places and moments while leaders move, and while one is killed itself; it resumes each time."""
    cluster, agent, feed = started(t)
    loop = Loop(t, agent, lambda: count(cluster))
    for _ in range(t.turns):
        for name in t.rng.sample(CLUSTER_POINTS, 3):
            moved(t, cluster)
            loop.at_moment()
            moved(t, cluster)
            loop.at_point(name)
            loop.resume(t.rng.randint(1, 2000))
        leader_killed(t, cluster, loop)
        loop.resume(2000)
    feed.stop()
    loop.finish()
    loop.judge(verdict(t, cluster))
    loop.assert_dangerous()


@scenario()
def a_place_that_is_not_there_is_refused_with_the_list_of_those_that_are(t):
    """SPILLWAY_KILL with an unknown name or without a number behind its colon: exit 64, all names; nothing is started."""
    names = points(t.shared.binary)
    agent = t.agent("127.0.0.1:1", "none")
    for wrong in ("nowhere", f"{names[0]}:0", f"{names[0]}:"):
        agent.env = {"SPILLWAY_KILL": wrong}
        rc, _, err = agent.command("run")
        assert rc == 64 and wrong in err and all(name in err for name in names), (rc, err)
    assert not os.path.exists(agent.state_dir)
