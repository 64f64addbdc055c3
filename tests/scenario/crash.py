"""crash.py - what was in flight when the agent was killed, and its files are no longer what they were."""
import os
import subprocess

import procs
from scenario import scenario

FAULT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault", "walfault.c")


def killed_with_two_in_flight(t, **settings):
    """One batch of a.log and one of b.log are recorded and sent, no answer comes, the agent dies. linger.ms is what makes it one
    batch each: without, it is sent while its lines are still being read."""
    kafka = t.kafka()
    topic = t.topic(kafka)
    a, b = t.writer("a"), t.writer("b")
    agent = t.agent(kafka.proxied, topic, producer={"linger.ms": 200}, **settings).start()
    a.write(100)
    b.write(100)
    agent.until_acked(200)
    kafka.proxy.black_hole()
    a.write(50)
    agent.until(lambda s: s["producer"]["in_flight_batches"] == 1 and s["records"]["in_memory"] == 50, 20, "the first batch is in flight")
    b.write(50)
    agent.until(lambda s: s["producer"]["in_flight_batches"] == 2 and s["records"]["in_memory"] == 100, 20, "the second batch is in flight")
    agent.kill()
    kafka.proxy.cut()
    return kafka, topic, a, b, agent


@scenario()
def lines_behind_a_batch_that_nobody_holds_any_more_go_on(t):
    """The first batch's file was deleted while the agent was dead: it is counted as dropped, what stands behind it arrives once."""
    kafka, topic, a, b, agent = killed_with_two_in_flight(t)
    os.unlink(a.path)
    kafka.proxy.forward()
    agent.settings["producer"].update({"request.timeout.ms": 500, "evidence.settle.ms": 500})
    agent.write_config()
    agent.start()
    b.write(30)
    s = agent.until(lambda s: s["records"]["acked"] >= 280, 40, "the lines of b are acked")
    assert s["records"]["dropped"] == 50 and s["losses"]["records"] == 50, s["records"]
    agent.stop()
    v = t.verdict(kafka, topic)
    assert v.doubled == 0 and v.reordered == 0 and v.missing == 50, str(v)


@scenario()
def an_input_taken_out_of_the_configuration_keeps_its_lines_in_flight(t):
    """Killed with lines in flight, started without their input: they are sent from their files all the same, once."""
    kafka, topic, a, b, agent = killed_with_two_in_flight(t)
    kafka.proxy.forward()
    inputs = agent.settings["inputs"]
    agent.settings["inputs"] = [{"paths": [os.path.join(t.logs, "none*.log")], "topic": topic}]
    agent.write_config()
    agent.start()
    agent.until_acked(300)
    agent.stop()
    agent.settings["inputs"] = inputs
    agent.write_config()
    a.write(10)
    agent.start()
    agent.until_acked(310)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_directory_that_comes_later_loses_nothing_that_was_in_flight(t):
    """Killed with lines in flight, started before their directory is mounted: they wait for it."""
    kafka, topic, a, b, agent = killed_with_two_in_flight(t)
    kafka.proxy.forward()
    os.rename(t.logs, t.logs + ".away")
    agent.start()
    agent.until(lambda s: s["records"]["in_memory"] == 100 and any(x["state"] == "up" for x in s["producer"]["brokers"]), 20,
                "the lines wait though a broker is there")
    os.rename(t.logs + ".away", t.logs)
    agent.until_acked(300)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_stop_keeps_lines_of_an_earlier_life_whose_file_was_deleted_in_this_one(t):
    """Killed with lines in flight, started in an outage, the file deleted, TERM: the lines are in the spool."""
    kafka, topic, a, b, agent = killed_with_two_in_flight(t, shutdown_timeout="1s")
    kafka.proxy.refuse()
    agent.start()
    agent.until(lambda s: any(f["path"] == a.path for i in s["inputs"] for f in i["files"]), 20, "the file is found")
    os.unlink(a.path)
    agent.until(lambda s: any(f["state"] == "deleted" for i in s["inputs"] for f in i["files"]), 20, "the deletion is seen")
    agent.stop()
    kafka.proxy.forward()
    agent.start()
    agent.until_acked(300)
    agent.stop()
    t.expect_all(kafka, topic)


@scenario()
def a_commit_that_fails_between_a_files_row_and_its_spilled_lines_doubles_nothing(t):
    """Two writes of the WAL fail as on a full disk, just when a new file is met in an outage; then kill -9."""
    library = t.path("walfault.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-O1", "-o", library, FAULT, "-ldl"], check=True)
    kafka = t.kafka()
    topic = t.topic(kafka)
    w = t.writer("app")
    agent = t.agent(kafka.proxied, topic, producer={"buffer.memory": "1MiB", "max.block.ms": 200}, shutdown_timeout="3s")
    fault = t.path("fault")

    def set_fault(digit):
        with open(fault, "w") as f:
            f.write(digit)

    set_fault("0")
    agent.env = {"LD_PRELOAD": library, "FAULT_FILE": fault}
    agent.start()
    w.write(1000)
    agent.until_acked(1000)
    kafka.proxy.refuse()
    w.write(20000)
    agent.until(lambda s: s["spool"]["records"] + s["records"]["acked"] > 19000, 30, "most lines are in the spool")
    n = t.writer("new", path=t.path("new.tmp"))
    n.write(20000)
    n.close()
    set_fault("2")
    os.rename(t.path("new.tmp"), os.path.join(t.logs, "new.log"))
    procs.until(lambda: open(fault).read() == "0", 30, "the faults have happened")
    agent.until(lambda s: s["spool"]["records"] + s["records"]["acked"] > 38000, 30, "most new lines are in the spool")
    agent.kill()
    kafka.proxy.forward()
    agent.start()
    agent.until_acked(41000)
    agent.stop()
    t.expect_all(kafka, topic)
