"""walk.py - random operations on log files, agent and brokers, held against a model of what is promised.

Each step is drawn from the seed and its number alone, so a seed gives the same walk again; a step that the interface promises
nothing about at that moment becomes an append. What those are, by interface.md:
 - a file is deleted while the agent has it open; what it had not finished of it when it was killed is forgiven (model.py);
 - a file is truncated when all of it was seen finished, whether the agent runs or not;
 - a file that the agent has not recorded yet is rotated only while the agent runs and watches; the agent is killed only when
   no rotated file is in that state: nobody could tell later in which order those files came, or find them.
Every status that is looked at balances. At each tide all troubles end, everything has to arrive, and the model judges.

A look (status) is what the model learns from: files that are listed are recorded, for status waits for the state thread.
"""
import bisect
import collections
import itertools
import os
import random
import shutil
import signal
import time

import killloop
import procs
from model import LONG, Model

# (kind, weight). `start` and `heal` come up more often while there is something to start or to heal.
STEPS = (("append", 560), ("begin", 60), ("burst", 5), ("late", 25), ("rotate", 45), ("rotate_twice", 6), ("unfinished", 2),
         ("truncate", 15), ("rewrite", 10), ("copytruncate", 20), ("replace", 6), ("link", 6), ("delete_rotated", 30), ("delete", 6), ("new_log", 3), ("end_log", 2),
         ("kill", 12), ("kill_at_point", 10), ("stop", 5), ("reload", 3), ("cause", 25), ("heal", 14), ("start", 8),
         ("look", 30), ("rest", 150))
LOGS = 8                # at most, at a time
ROTATED = 5             # that a log keeps
LATE_S = 20             # an application keeps the descriptor of a renamed file so long, at most
WORDS_KEPT = 60


class Log:
    """One path that an application writes to, and the files that it was before: newest first."""

    def __init__(self, name, topic, content):
        self.name, self.topic, self.active = name, topic, content
        self.rotated = []
        self.number = 0                 # of the last rotation


class Walk:
    def __init__(self, t, agent, trouble, topics, inside=True, shifting=False, tide=1000, relief=0.02, flood=False, without_ledger=False,
                 abandon=True):
        self.t, self.agent, self.trouble, self.topics = t, agent, trouble, topics
        self.inside, self.shifting = inside, shifting   # rotated names match the globs; are shifted
        self.tide_every, self.flooding, self.without_ledger = tide, flood, without_ledger
        # Kills may fall on deleted files that are not finished. Off: a batch that also has lines of other files goes as a whole.
        self.abandon = abandon
        self.relief = relief            # how likely a trouble ends with a step
        self.model = Model(t.run_id)
        self.logs, self.made = [], 0
        self.at, self.rng = 0, t.rng
        self.settled = self.armed = self.troubled = False
        self.done, self.last = collections.Counter(), collections.deque(maxlen=WORDS_KEPT)
        self.kills = self.starts = self.unresolved = self.unknown = 0
        self.states = collections.Counter()
        self.points = killloop.points(agent.binary)
        self.diary = open(t.path("steps"), "w", buffering=1)
        self.kinds = [k for k, _ in STEPS]
        self.weights = list(itertools.accumulate(w for _, w in STEPS))
        t.closing.append(self.close)

    def close(self):
        for c in self.model.contents.values():
            c.close()
        self.diary.close()

    # --- the walk

    def go(self, steps):
        for name in ("a", "b", "c"):
            self.open_log(name)
        self.start()
        try:
            for self.at in range(1, steps + 1):
                self.step()
                if self.flooding and self.at % self.tide_every == self.tide_every // 2:
                    self.flood()
                if self.at % self.tide_every == 0:
                    self.tide()
            self.tide()
            self.agent.stop()
            return self.judge()
        except Exception as e:
            raise AssertionError(f"{e}\nseed {self.t.seed}, step {self.at}; the last steps (all: steps):\n  "
                                 + "\n  ".join(list(self.last)[-25:])) from e

    def step(self):
        self.rng = random.Random(f"{self.t.seed}/{self.at}")
        kind = self.kinds[bisect.bisect(self.weights, self.rng.randrange(self.weights[-1]))]
        if self.rng.random() < 0.04 and not self.alive():
            kind = "start"
        elif self.rng.random() < self.relief and self.troubled:
            kind = "heal"
        log = self.rng.choice(self.logs)
        words = getattr(self, kind)(log)
        if words is None:
            words, kind = self.append(log), "append"
        self.done[kind] += 1
        line = f"{self.at} {kind}: {words}"
        self.last.append(line)
        self.diary.write(f"{time.monotonic():.3f} {line}\n")

    def alive(self):
        """Whether the agent runs; an armed one may have met its place, any other has to."""
        if self.agent.running():
            return True
        if self.armed:
            assert self.agent.exit_code == -9, f"the agent ended with {self.agent.exit_code}: {self.agent.tail()}"
            self.died()
        assert not self.starts or self.agent.exit_code in (-9, 0), f"the agent ended with {self.agent.exit_code}: {self.agent.tail()}"
        return False

    # --- files

    def open_log(self, name):
        path = os.path.join(self.t.logs, f"{name}.log")
        log = Log(name, self.topics[self.made % len(self.topics)], None)
        self.made += 1
        self.logs.append(log)
        log.active = self.fresh(log, path, None)

    def fresh(self, log, path, after):
        c = self.model.content(log.name, log.topic, path, after)
        c.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        c.inode = os.fstat(c.fd).st_ino
        return c

    def append(self, log, lines=None):
        lines = lines or self.rng.choice((1, 1, 1, 2, 3, 5, 8, 20))
        self.model.append(log.active, lines, self.rng)
        return f"{log.active.id.decode()} {lines} lines to {log.active.size}"

    def burst(self, log):
        return self.append(log, self.rng.randint(500, 3000))

    def begin(self, log):
        self.model.begin(log.active, self.rng, whole=self.rng.random() < 0.2)
        return f"{log.active.id.decode()} to {log.active.size}"

    def late(self, log):
        """The application has not noticed the rename."""
        c = log.rotated[0] if log.rotated else None
        if not c or c.fd < 0 or time.monotonic() - c.rotated_at > LATE_S or not c.seen or c.cut:
            return None
        self.model.append(c, self.rng.randint(1, 5), self.rng)
        return f"{c.id.decode()} to {c.size}"

    def may_rotate(self, log):
        return log.active.seen or (self.settled and not self.armed)

    def rotate(self, log, end=True):
        if not self.may_rotate(log) or not self.alive() and not log.active.seen:
            return None
        if end:
            self.model.end(log.active, self.rng)
        old, path = log.active, log.active.path
        to = self.shift(log) if self.shifting else f"{path}.{log.number + 1}"
        log.number += 1
        os.rename(path, to)
        old.path, old.held, old.rotated_at = to, min(old.held, len(old.crcs)), time.monotonic()
        for c in log.rotated:
            c.close()
        log.rotated.insert(0, old)
        log.active = self.fresh(log, path, old)
        self.model.append(log.active, self.rng.choice((0, 1, 3)), self.rng)
        return f"{old.id.decode()} of {old.size} is {os.path.basename(to)}, then {log.active.id.decode()}"

    def shift(self, log):
        """As logrotate does: .2 becomes .3, then .1 becomes .2, then there is room for the newest."""
        for n, c in reversed(list(enumerate(log.rotated, 1))):
            to = f"{log.active.path}.{n + 1}"
            os.rename(c.path, to)
            c.path = to
        return f"{log.active.path}.1"

    def rotate_twice(self, log):
        first = self.rotate(log)
        return first and f"{first}; {self.rotate(log) or 'once'}"

    def unfinished(self, log):
        """Rotated away with a last line that never gets its LF. A file that still matches may grow, so that waits there."""
        if self.inside or not self.may_rotate(log) or not self.alive():
            return None
        self.model.begin(log.active, self.rng, whole=True)
        self.model.leave(log.active)
        return self.rotate(log, end=False)

    def truncate(self, log, lines=None):
        c = log.active
        if not c.finished:
            self.look()
        if not c.finished or not c.size:
            return None
        n = self.model.content(log.name, log.topic, c.path, c)
        n.fd, n.inode, n.open, n.before = c.fd, c.inode, c.open, c.size         # not seen: its row is the old one's
        c.fd, c.held = -1, len(c.crcs)
        os.ftruncate(n.fd, 0)
        log.active = n
        self.model.append(n, self.rng.choice((0, 0, 1, 5, 50)) if lines is None else lines, self.rng)
        return f"{c.id.decode()} of {c.size}, then {n.id.decode()} of {n.size}"

    def rewrite(self, log):
        """At once as long again, and longer."""
        return self.truncate(log, len(log.active.crcs) + self.rng.randint(0, 20))

    def copytruncate(self, log):
        """All of it goes on in the copy, finished or not; the names of rotated files are shifted first, or not."""
        if not self.inside or not self.may_rotate(log) or (not self.alive() and not log.active.seen):
            return None
        if not log.active.safe:
            self.look()
        if not log.active.safe:             # else nothing would tell the copy's row from what it becomes
            return None
        self.model.end(log.active, self.rng)
        c, path = log.active, log.active.path
        to = self.shift(log) if self.shifting else f"{path}.{log.number + 1}"
        log.number += 1
        n = self.model.content(log.name, log.topic, path, c)
        n.fd, n.inode, n.original = c.fd, c.inode, c       # its row is the old one's until the copy has that
        shutil.copyfile(path, to)
        os.ftruncate(n.fd, 0)
        c.fd, c.path, c.inode, c.held = -1, to, os.stat(to).st_ino, min(c.held, len(c.crcs))
        c.seen, c.open, c.least, c.original = False, False, c.safe, None
        log.rotated.insert(0, c)
        log.active = n
        self.model.append(n, self.rng.choice((0, 1, 3)), self.rng)
        return f"{c.id.decode()} of {c.size} is {os.path.basename(to)}, then {n.id.decode()}"

    def replace(self, log):
        """Another file is renamed over the log."""
        c = log.active
        if not self.may_delete(c):
            return None
        self.model.end(c, self.rng)
        n = self.fresh(log, os.path.join(os.path.dirname(c.path), f".{log.name}.new"), None)
        self.model.append(n, self.rng.choice((1, 5, 50)), self.rng)
        os.rename(n.path, c.path)
        n.path = c.path
        c.deleted = True
        c.close()
        log.active = n
        return f"{c.id.decode()} of {c.size}, finished to {c.safe}; then {n.id.decode()}"

    def link(self, log):
        """A hard link that is matched too, for a moment."""
        name = f"{log.active.path}.link"
        os.link(log.active.path, name)
        self.model.append(log.active, 1, self.rng)
        time.sleep(self.rng.random() * 0.02)
        os.unlink(name)
        return log.active.id.decode()

    # --- deletions

    def may_delete(self, c):
        """An empty file leaves nothing by which another one that gets its inode could be told from it."""
        if not c.size:
            return False
        if c.finished and c.seen and (self.alive() or not c.left):
            return True
        return self.settled and not self.armed and c.open and self.alive()

    def unlink(self, c):
        os.unlink(c.path)
        c.deleted = True
        c.close()
        if not self.alive():
            c.inode = 0                 # nobody has it open: the next file may get it

    def delete_rotated(self, log):
        if len(log.rotated) <= self.rng.randint(0, ROTATED) or not self.may_delete(log.rotated[-1]):
            return None
        c = log.rotated.pop()
        self.unlink(c)
        return f"{c.id.decode()} {os.path.basename(c.path)} of {c.size}, finished to {c.safe}"

    def delete(self, log):
        """The log itself, and made again."""
        c = log.active
        if not self.may_delete(c):
            return None
        self.model.end(c, self.rng)
        self.unlink(c)
        log.active = self.fresh(log, c.path, None)
        return f"{c.id.decode()} of {c.size}, finished to {c.safe}; then {log.active.id.decode()}"

    def new_log(self, _log):
        if len(self.logs) >= LOGS:
            return None
        self.open_log(f"n{self.made}")
        return self.logs[-1].name

    def end_log(self, log):
        """An application goes for good, with all its files."""
        if len(self.logs) <= 3 or not all(self.may_delete(c) for c in (log.active, *log.rotated)):
            return None
        self.model.end(log.active, self.rng)
        for c in (log.active, *log.rotated):
            self.unlink(c)
        self.logs.remove(log)
        return log.name

    # --- the agent's lives

    def start(self, _log=None, point=None):
        if self.alive():
            return None
        self.settled, self.armed = False, bool(point)
        self.agent.env = {"SPILLWAY_KILL": point} if point else {}
        self.agent.start(wait=False)
        self.starts += 1
        return point or "runs"

    def may_die(self):
        """Whether all rotated files are recorded and all deleted ones finished; looks, and ends troubles, until it is so."""
        def unknown():
            return any(not c.seen for log in self.logs for c in log.rotated)

        def vanishing():
            return not self.abandon and any(c.deleted and c.inode and not c.finished for c in self.model.contents.values())

        if not self.alive() or self.armed:
            return self.armed           # such a life may end any time, so nothing is in that state
        if vanishing() and self.troubled:
            self.heal()
        if unknown() or vanishing():
            procs.until(lambda: self.look() and not unknown() and not vanishing(), 30, "rotated files are known, deleted ones finished",
                        alive=self.agent.check_alive)
        return True

    def corpse(self):
        """What a kill fell on: batches whose end was not recorded, lines that only the brokers knew of."""
        corpse = killloop.Corpse(self.agent.state_dir, self.t.path("corpse"))
        self.kills += 1
        self.unresolved += corpse.ledger > 0
        if not self.troubled:
            self.unknown += sum(self.trouble.count(t) for t in self.topics) > corpse.acked

    def died(self, forgiving=True):
        if self.agent.exit_code == -9:
            self.corpse()
            if self.without_ledger:
                killloop.forget_ledger(self.agent.state_dir)
        self.settled = self.armed = False
        for c in self.model.contents.values():
            c.open = False
            if c.deleted and forgiving and not c.finished:
                self.model.forgive(c)
            if c.deleted:
                c.inode = 0             # somebody else may get it

    def kill(self, _log):
        if not self.alive() or not self.may_die():
            return None
        time.sleep(self.rng.random() * self.rng.choice((0, 0.02, 0.3)))
        self.agent.kill()
        self.died()
        if self.rng.random() < 0.5:
            self.start()
        return "kill -9"

    def kill_at_point(self, log):
        """The next life ends at a named place, some time."""
        if not self.alive() or self.armed or not self.may_die():
            return None
        self.agent.kill()
        self.died()
        name = self.rng.choice(self.points)
        return self.start(log, f"{name}:{self.rng.randint(1, 30)}")

    def stop(self, _log):
        """In order. What a full spool did not take of deleted files ends with any stop."""
        if not self.alive() or self.armed or not self.may_die():
            return None
        s = self.agent.status()
        full = s["spool"]["bytes"] > 0.5 * s["spool"]["max_size"]
        self.agent.stop(60)
        self.died(forgiving=full)
        if self.rng.random() < 0.5:
            self.start()
        return "TERM" + (", its spool filling" if full else "")

    def reload(self, _log):
        """HUP; every other time with a configuration that is refused."""
        if not self.alive() or not self.settled:        # nobody can take a signal before it has begun
            return None
        bad = self.rng.random() < 0.5
        if bad:
            with open(self.agent.config, "w") as f:
                f.write("inputs: [nonsense\n")
        self.agent.signal(signal.SIGHUP)
        if bad:
            time.sleep(0.02)
            self.agent.write_config()
        return "refused" if bad else "HUP"

    # --- brokers, time

    def cause(self, _log):
        self.troubled = True
        return self.trouble.cause(self.rng)

    def heal(self, _log=None):
        if not self.troubled:
            return None
        self.troubled = False
        self.trouble.heal()
        return "all"

    def rest(self, _log):
        time.sleep(self.rng.random() * 0.04)
        return ""

    # --- looking

    def look(self, _log=None):
        if not self.alive():
            return None
        s = self.agent.snapshot()
        if not s:
            return "no answer"
        return self.learn(s)

    def learn(self, s):
        from agent import check_books
        check_books(s)
        rows = {f["inode"]: f for i in s["inputs"] for f in i["files"]}
        for c in self.living():
            row = rows.get(c.inode)
            c.open = row is not None
            if row is None or row["safe"] < c.least or (c.original and not c.original.seen):
                continue
            if row["safe"] != c.before and row["safe"] <= c.size:
                c.seen, c.safe, c.before = True, max(c.safe, row["safe"]), -1
        self.settled = all(log.active.open for log in self.logs)
        self.states[s["state"]] += 1
        r = s["records"]
        assert not s["uncertain"]["records"], f"uncertain: {s['uncertain']}"
        assert r["dropped"] == s["losses"]["records"] and r["dropped"] <= self.model.forgivable() and not r["rejected"], \
            f"dropped {r['dropped']}, losses {s['losses']}, forgivable {self.model.forgivable()}"
        assert r["read"] <= self.model.written(), f"read {r['read']} of {self.model.written()}"
        return f"{s['state']} {r}"

    def living(self):
        """What a status may speak of. A deleted file whose inode has another file is closed: that row is the other's."""
        there = [c for log in self.logs for c in (log.active, *log.rotated)]
        inodes = {c.inode for c in there}
        yield from there
        for c in self.model.contents.values():
            if c.deleted and c.inode and c.inode not in inodes:
                yield c

    # --- tides

    def flood(self):
        """No broker, and lines until memory and spool are full; or the share of both that a held topic may take."""
        if self.alive() and self.armed:
            self.agent.kill()
            self.died()
        self.start()
        self.trouble.stop()
        self.troubled = True

        def blocked():
            for log in self.logs:
                self.append(log, 100)
            s = self.agent.snapshot()
            return s and self.learn(s) and (s["state"] == "blocked" or any("is used up" in r for r in s["reasons"]))

        procs.until(blocked, 30, "the spool is full", every=0.02, alive=self.agent.check_alive)
        self.diary.write(f"{time.monotonic():.3f} {self.at} flood\n")

    def tide(self):
        """No trouble, an agent that lives: everything arrives."""
        if self.alive() and self.armed:
            self.agent.kill()
            self.died()
        self.heal()
        self.trouble.heal()
        self.start()
        last = {}

        def arrived():
            s = last["s"] = self.agent.snapshot()
            return s and self.learn(s) and self.nothing_left(s)

        try:
            procs.until(arrived, 60, "everything arrives", every=0.05, alive=self.agent.check_alive)
        except procs.Timeout as e:
            from agent import brief
            raise procs.Timeout(f"{e}; written {self.model.written()}, forgivable {self.model.forgivable()}, "
                                f"there {[self.trouble.count(t) for t in self.topics]}; behind "
                                f"{self.behind(last['s'])}; {brief(last['s'])}; {self.judge(False)}") from None
        v = self.judge()
        r = last["s"]["records"]
        assert r["read"] == r["acked"] + r["dropped"] and r["acked"] <= v.records <= r["acked"] + r["dropped"], (r, str(v))
        self.last.append(f"{self.at} tide: {v}, {r}")
        self.diary.write(f"{time.monotonic():.3f} {self.last[-1]}\n")
        for c in self.model.contents.values():
            if c.deleted and c.safe < c.size:
                c.safe = c.size         # it arrived, or was forgiven
        return v

    def nothing_left(self, s):
        r = s["records"]
        if r["in_memory"] or r["spooled"]:
            return False
        return not self.behind(s) and sum(self.trouble.count(t) for t in self.topics) >= self.model.written() - self.model.forgivable()

    def behind(self, s):
        """Files of which more is left than a line that was begun."""
        begun = {c.inode: c.size - (c.ends[-1] if c.ends else 0) for c in self.living()}
        return [f for i in s["inputs"] for f in i["files"] if f["lag_bytes"] > begun.get(f["inode"], 0)]

    def judge(self, strict=True):
        """All topics together."""
        verdicts = [self.model.judge(topic, self.trouble.records(topic)) for topic in self.topics]
        v = verdicts[0]
        for other in verdicts[1:]:
            for name, value in vars(other).items():
                setattr(v, name, getattr(v, name) + value)
        assert not strict or v.good, str(v)
        return v

    def figures(self, v):
        kinds = ", ".join(f"{k} {n}" for k, n in self.done.most_common())
        states = ", ".join(f"{k} {n}" for k, n in self.states.most_common())
        return (f"seed {self.t.seed}: {sum(self.done.values())} steps ({kinds}); starts {self.starts}, kills {self.kills}, of which on "
                f"unresolved batches {self.unresolved}, on lines that only the brokers knew of {self.unknown}; seen {states}; {v}")

    def assert_dangerous(self):
        """A walk that met none of this has proven nothing."""
        assert self.unresolved and self.unknown and self.done["truncate"] and self.done["delete"], \
            f"not dangerous: {self.figures('')}"
