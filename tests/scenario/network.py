"""network.py - files of which no event tells: network file systems, as a preloaded library plays them, and no watches left."""
import os
import subprocess
import time

from scenario import scenario

NETFS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault", "netfs.c")


class Network:
    """A directory that looks like NFS to the agents that get `env`."""

    def __init__(self, t):
        library, self.mode = t.path("netfs.so"), t.path("netfs.mode")
        subprocess.run(["gcc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-O1", "-o", library, NETFS, "-ldl"], check=True)
        self.dir = t.path("nfs")
        os.mkdir(self.dir)
        self.env = {"LD_PRELOAD": library, "NET_DIR": self.dir, "NET_FILE": self.mode}
        self.behave("")

    def behave(self, words):
        with open(self.mode + ".new", "w") as f:
            f.write(words)
        os.rename(self.mode + ".new", self.mode)


def prepared(t):
    kafka = t.kafka()
    topic = t.topic(kafka)
    net = Network(t)
    remote = t.writer("remote", path=os.path.join(net.dir, "remote.log"))
    agent = t.agent(kafka.address, topic, paths=[os.path.join(t.logs, "*.log"), os.path.join(net.dir, "*.log")])
    agent.env = net.env
    return kafka, topic, net, remote, agent


@scenario()
def files_on_a_network_file_system_are_polled_through_rotation(t):
    """No event tells of them: what is written, renamed and made there is found within seconds, beside a local file that is watched."""
    kafka, topic, _, remote, agent = prepared(t)
    local = t.writer("local")
    agent.start()
    for _ in range(4):
        local.write(200)
        remote.write(500)
        agent.until_acked(t.ledger.total(), 30)
        remote.write(500)
        remote.rotate()
    remote.write(200)
    agent.until_acked(t.ledger.total(), 30)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_stale_size_is_not_taken_for_a_truncation(t):
    """For seconds a file looks much smaller than it was read, and then reads as empty: nothing is read twice."""
    kafka, topic, net, remote, agent = prepared(t)
    remote.write(2000)
    agent.start()
    agent.until_acked(2000)
    for words in ("small 1000", "empty", "small 0"):
        net.behave(words)
        remote.write(300)
        time.sleep(3)                   # several looks
        net.behave("")
        agent.until_acked(t.ledger.total(), 30)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_stale_handle_is_opened_again_by_its_path(t):
    """Each descriptor fails once with ESTALE, again and again: the files go on where they were."""
    kafka, topic, net, remote, agent = prepared(t)
    remote.write(2000)
    agent.start()
    agent.until_acked(2000)
    for _ in range(3):
        net.behave("stale")
        remote.write(300)
        time.sleep(2)
        net.behave("")
        agent.until_acked(t.ledger.total(), 30)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_file_that_was_truncated_on_a_network_file_system_is_read_anew(t):
    """It stays small: after a while that is believed."""
    kafka, topic, _, remote, agent = prepared(t)
    remote.write(2000)
    agent.start()
    agent.until_acked(2000)
    os.truncate(remote.path, 0)
    remote.write(100)
    agent.until_acked(2100, 60)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def without_inotify_watches_files_are_polled_and_it_is_said(t):
    """max_user_watches is used up: one warning and a reason, new files and lines are found within seconds; when there are watches
    again the reason goes."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    net = Network(t)
    net.behave("nowatch")
    w = t.writer("app")
    agent = t.agent(kafka.address, topic)
    agent.env = net.env
    agent.start()
    for _ in range(3):
        w.write(300)
        w.rotate()
        agent.until_acked(t.ledger.total(), 30)
    agent.until(lambda s: any("inotify" in r for r in s["reasons"]), 20, "it is a reason")
    net.behave("")
    agent.until(lambda s: not any("inotify" in r for r in s["reasons"]), 20, "it is none any more")
    w.write(300)
    agent.until_acked(t.ledger.total(), 30)
    agent.stop()
    assert agent.log_text().count("inotify limit reached") == 1, agent.log_text()
    t.expect_all(kafka, topic)


@scenario()
def a_network_file_system_that_hangs_holds_up_no_local_file(t):
    """The server answers nothing any more: local lines arrive, rotations are followed, `status` answers and says so; when the server is
    back its files go on where they were. Then it hangs again, and the agent ends all the same."""
    kafka, topic, net, remote, agent = prepared(t)
    local = t.writer("local")
    local.write(200)
    remote.write(500)
    agent.start()
    agent.until_acked(700)
    net.behave("hang")
    time.sleep(3)                       # longer than between two questions
    remote.write(500)
    for _ in range(3):
        local.write(300)
        local.rotate()
    agent.until_acked(1600, 20)
    agent.until(lambda s: any("does not answer" in r for r in s["reasons"]), 20, "it is a reason")
    net.behave("")
    agent.until_acked(2100, 30)
    agent.until(lambda s: not any("does not answer" in r for r in s["reasons"]), 20, "it is none any more")
    net.behave("hang")
    time.sleep(3)
    agent.stop(30)
    t.expect_all(kafka, topic)
