"""fake.py - the fake broker (tool_fake) as a process: started, told what to do, asked what it has.

It stands where a kafka.Broker stands as far as a scenario needs one: address, client(), count().
"""
import os
import subprocess

import procs
import wire


class Fake:
    """One fake cluster. start() is in the constructor; close() at the end."""

    def __init__(self, binary, profile, nodes=1, partitions=1, words=os.devnull):
        """`binary`: any program of the build whose tool_fake is meant. `words`: the file for what it says at its death."""
        self.tool = os.path.join(os.path.dirname(os.path.abspath(binary)), "tests", "lib", "tool_fake")
        self.partitions = partitions
        if not os.access(self.tool, os.X_OK):
            raise RuntimeError(f"{self.tool} is not there: `make tests` builds it")
        with open(words, "w") as err:
            self.process = procs.spawn([self.tool, profile, str(nodes), str(partitions)], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=err, text=True, bufsize=1)
        self.ports = [int(p) for p in self.process.stdout.readline().split()]
        if len(self.ports) != nodes:
            raise RuntimeError(f"{self.tool} {profile} did not start")

    @property
    def address(self):
        return f"127.0.0.1:{self.ports[0]}"

    def client(self, node=0, timeout=10):
        return wire.Client("127.0.0.1", self.ports[node], timeout)

    def tell(self, *words):
        """One command of tool_fake; the value that it answered, if any."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        answer = self.process.stdout.readline().split()
        if answer[:1] != ["ok"]:
            raise RuntimeError(f"{' '.join(map(str, words))}: {' '.join(answer) or 'the fake broker ended'}")
        return answer[1] if len(answer) > 1 else None

    def count(self, topic):
        return int(self.tell("records", topic, -1))

    def records(self, topic, directory):
        """(partition, offset, value) of all records, as oracle.judge takes them."""
        path = os.path.join(directory, "fake.dump")
        self.tell("dump", topic, self.partitions, path)
        with open(path, "rb") as f:
            for row in f:
                partition, offset, value = row.rstrip(b"\n").split(b" ", 2)
                yield int(partition), int(offset), value

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(30 * procs.SLOWNESS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
