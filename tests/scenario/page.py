"""page.py - the page at / of the agent's own server, in a real browser, while things go wrong."""
import os
import re
import shutil
import urllib.request

import browser
import procs
from scenario import Skip, scenario

PICTURE = "packaging/monitoring/page.png"       # shown in the README; KEEP_PICTURE=1 in the environment makes it anew
KEEP = bool(os.environ.get("KEEP_PICTURE"))
EVIL = "evil<img src=x onerror=document.title='pwned'>\x1b[31m.log"


class Outage:
    """Three inputs: one whose topic is missing, one that is busy, one that rests; then Kafka is stopped, and the spool fills."""

    def __init__(self, t):
        if not browser.find():
            raise Skip("no chromium here")
        self.t, self.kafka = t, t.own_kafka()
        self.good = "shop-orders" if KEEP else t.topic(self.kafka)
        self.bad = "audit-trail" if KEEP else f"{self.good}-missing"
        if KEEP:
            self.kafka.create_topic(self.good, 1)
        self.port = procs.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.agent = t.agent(self.kafka.address, None, inputs=[
            {"name": "shop", "paths": [t.path("logs", "shop-*.log")], "topic": self.good},
            {"name": "audit", "paths": [t.path("logs", "audit.log")], "topic": self.bad},
            {"name": "nginx", "paths": [t.path("logs", "nginx", "*.log")], "topic": self.good}],
            producer={"buffer.memory": "4MiB", "max.block.ms": 500, "compression.type": "none", "request.timeout.ms": 5000},
            spool={"max_size": "256MiB"}, metrics={"listen": f"127.0.0.1:{self.port}"})
        os.makedirs(t.path("logs", "nginx"), exist_ok=True)
        self.writers = [t.writer(f"shop-{i}", path=t.path("logs", f"shop-{i}.log")) for i in range(3)]
        self.audit = t.writer("audit", path=t.path("logs", "audit.log"))
        t.file(os.path.join("nginx", "access.log" if KEEP else EVIL), b"one line\n")

    def begin(self):
        self.audit.write(2000)
        self.writers[0].write(2000)
        self.agent.start()
        self.agent.until(lambda s: any(l["topic"] == self.bad and l["state"] == "held" for l in s["lanes"]), 60, "the lane is held")
        self.feeder = self.t.feeder(self.writers, lines_per_s=6000)
        self.agent.until(lambda s: s["records"]["acked"] > 30000, 60, "some lines were acknowledged")
        if KEEP:
            self.agent.until(lambda s: s["uptime_s"] > 45, 60, "there is something to see")
        self.kafka.stop()
        if KEEP:
            self.agent.until(lambda s: s["uptime_s"] > 100, 90, "the outage has lasted")
        return self.agent.until(lambda s: s["spool"]["rows"] > 20 and s["spool"]["full_in_s"], 60,
                                "rows are in the spool, and it is known how long it lasts")

    def end(self):
        """Whatever became of the brokers: nothing is judged here, so the feeder just ends."""
        self.feeder.stop()


def answer(url):
    with urllib.request.urlopen(url, timeout=10) as r:
        return r.read(), r.headers


@scenario()
def a_browser_shows_an_outage(t):
    """In a real browser, Kafka stopped: the held lane's reason, how full the spool is and how long it lasts, the lag of files;
    a file's name that would be a script is text, and nothing breaks the page's own strict policy."""
    o = Outage(t)
    o.begin()
    policy = answer(o.url + "/")[1]["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy, policy
    page = browser.show(o.url + "/", t.path("browser"))
    picture = t.path("page.png")
    browser.show(o.url + "/", t.path("browser2"), picture, height=1460)
    o.end()
    assert not page.console, page.console
    assert page.text("state") == "spilling", page.text("state")
    assert re.search(rf"held {o.bad} the topic cannot be written: \S+ – [\d,]+ [\d,]+", page.text("lanes")), page.text("lanes")
    assert o.bad in page.text("reasons"), page.text("reasons")
    assert re.match(r"(under )?\d+ %$", page.text("spool-share")), page.text("spool-share")
    assert re.match(r"lasts [\d.]+ (s|min|h \d+ min) at this rate$", page.text("spool-time")), page.text("spool-time")
    assert "256.0 MiB" in page.text("spool-size"), page.text("spool-size")
    assert re.search(r"\d(\.\d)? [KM]iB [\d.]+ (s|min) \S*/logs/shop-\d\.log", page.text("inputs")), page.text("inputs")
    assert KEEP or "onerror=document.title='pwned'>" in page.text("inputs"), page.text("inputs")
    assert "<title>spilling" in page.dom, "the title is not the state"
    assert re.search(r'<polyline class="read" points="[\d., ]{40,}"', page.dom), "the graph has no line of what was read"
    assert "down" in page.text("brokers"), page.text("brokers")
    assert os.path.getsize(picture) > 10000
    if KEEP:
        shutil.copyfile(picture, PICTURE)


@scenario()
def a_page_says_that_the_agent_does_not_answer_any_more(t):
    """The agent ends while its page is open: the page says so, and since when."""
    if not browser.find():
        raise Skip("no chromium here")
    port = procs.free_port()
    agent = t.agent(f"127.0.0.1:{procs.free_port()}", "nowhere", metrics={"listen": f"127.0.0.1:{port}"}).start()
    page, _ = answer(f"http://127.0.0.1:{port}/")
    status, _ = answer(f"http://127.0.0.1:{port}/status?history")
    assert len(status) < 20000, len(status)
    agent.stop()
    # The page as the browser still has it, with nobody behind it.
    t.file("page.html", page)
    shown = browser.show("file://" + t.path("logs", "page.html"), t.path("browser"))
    assert "does not answer" in shown.text("lost"), shown.text("lost")
    assert shown.text("state") == "no answer", shown.text("state")
