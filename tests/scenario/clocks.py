"""clocks.py - the wall clock jumps while files are read, rotated and sent."""
import os

from scenario import Skip, scenario

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


@scenario()
def a_clock_that_jumps_loses_and_doubles_nothing(t):
    """Hours and years forward and back under traffic, rotation, an outage and a kill, with ignore_older: every line once."""
    if not os.path.exists(FAKETIME) or t.sanitized:
        raise Skip("needs libfaketime, and a build that it can be loaded before")
    kafka = t.kafka()
    topic = t.topic(kafka, message_timestamp_after_max_ms=(1 << 63) - 1)      # else it refuses what comes from the future
    clock = t.path("clock")

    def jump(offset):
        with open(clock + ".new", "w") as f:
            f.write(offset + "\n")
        os.rename(clock + ".new", clock)

    jump("+0")
    w = t.writer("app")
    inputs = [{"paths": [w.path + "*"], "topic": topic, "ignore_older": "1d"}]
    agent = t.agent(kafka.proxied, topic, inputs=inputs, producer={"max.block.ms": 200})
    agent.env = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1",
                 "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
    agent.start()
    for turn, offset in enumerate(("+1h", "-1h", "+12y", "-1y", "-20d", "+0")):
        jump(offset)
        w.write(300)
        if turn % 2:
            w.rotate()
        if turn == 2:
            kafka.proxy.refuse()
        elif turn == 3:
            agent.kill()
            agent.start()
            kafka.proxy.forward()
        w.write(300)
        if turn not in (2,):
            agent.until_acked(t.ledger.total())
    t.expect_shipped(kafka, agent, topic)
