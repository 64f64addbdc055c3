"""killloop.py - an agent killed with -9 again and again while lines are written, and what its corpse says.

A Loop is one agent with its writers. A kill falls at a random moment or at a named place of the code (`spillway killpoints`,
SPILLWAY_KILL). After each the dead state directory is looked at, in a copy: how many batches of the ledger are unresolved,
and whether the brokers have lines whose acknowledgement the agent had not recorded: exactly those double without a ledger.
Nothing here disturbs the broker; who uses a Loop does.

A loop proves something only if it was dangerous: assert_dangerous().
"""
import collections
import os
import shutil
import sqlite3
import statistics
import time

import procs
import wire

# Passed once in a life, or seldom: only the first passage can be waited for.
_ONCE = ("schema.", "restore.", "identity.", "checkpoint.", "replace.")
_SELDOM = ("file.", "spill.", "send.part")


class Figures:
    """What one loop, or many of them, have seen."""

    def __init__(self):
        self.points = collections.Counter()
        self.kills = self.moments = self.missed = self.unresolved = self.unknown = 0
        self.records = self.missing = self.doubled = self.reordered = self.uncertain = 0
        self.resumes = []               # seconds from a start to the first acknowledgement

    def add(self, other):
        for name, value in vars(other).items():
            if name == "points":
                self.points.update(value)
            else:
                setattr(self, name, getattr(self, name) + value)

    def resume(self):
        """(median, most) in seconds."""
        return (statistics.median(self.resumes), max(self.resumes)) if self.resumes else (0.0, 0.0)

    def __str__(self):
        rows = [f"kills {self.kills}: {self.moments} at random moments, {sum(self.points.values())} at named places"
                + (f", {self.missed} places not reached in time" if self.missed else ""),
                f"on unresolved batches {self.unresolved}, on lines that the brokers had and the agent did not know of {self.unknown}",
                f"records {self.records}: missing {self.missing}, doubled {self.doubled}, reordered {self.reordered}, "
                f"uncertain {self.uncertain}"]
        if self.resumes:
            rows.append(f"first acknowledgement after a start: median {self.resume()[0]:.2f} s, at most {self.resume()[1]:.2f} s "
                        f"({len(self.resumes)} starts)")
        if self.points:
            rows.append(", ".join(f"{name} {n}" for name, n in sorted(self.points.items())))
        return "\n".join(rows)


def points(binary):
    """The places that this binary has, in its order."""
    rc, out, err = procs.run([binary, "killpoints"])
    assert rc == 0, err
    return out.decode().split()


class Corpse:
    """The state directory of an agent that was killed, read in a copy: looking changes nothing."""

    def __init__(self, state_dir, scratch):
        self.ledger = self.acked = self.dropped = 0
        shutil.rmtree(scratch, ignore_errors=True)
        os.makedirs(scratch)
        for name in ("spool.db", "spool.db-wal"):
            if os.path.exists(os.path.join(state_dir, name)):
                shutil.copy(os.path.join(state_dir, name), scratch)
        db = sqlite3.connect(os.path.join(scratch, "spool.db"))
        try:
            if db.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('ledger', 'totals')").fetchone()[0] == 2:
                self.ledger, = db.execute("SELECT count(*) FROM ledger WHERE id > 0").fetchone()
                self.acked, self.dropped = db.execute("SELECT acked, dropped FROM totals").fetchone()
        finally:
            db.close()
            shutil.rmtree(scratch)


def forget_ledger(state_dir):
    """What would be left if there were no ledger: positions, rows and totals, and nothing in flight."""
    db = sqlite3.connect(os.path.join(state_dir, "spool.db"))
    with db:
        db.execute("UPDATE ledger SET id = 0, row_id = 0")
    db.close()


class Loop:
    """One agent and its kills. `count` answers how many records the brokers have; it may fail while they are down."""

    def __init__(self, t, agent, count, without_ledger=False):
        self.t, self.agent, self.count = t, agent, count
        self.without_ledger = without_ledger
        self.figures = Figures()
        self.acked = 0                  # what the last corpse had recorded
        self.diary = open(t.path("kills"), "w", buffering=1)

    # --- kills

    def at_moment(self, low=0.0, high=0.5, how=""):
        """Starts the agent if it does not run, and kills it at a random moment."""
        if not self.agent.running():
            self.agent.start(wait=False)
        time.sleep(self.t.rng.uniform(low, high))
        assert self.agent.running(), f"the agent ended by itself with {self.agent.exit_code}: {self.agent.tail()}"
        self.agent.kill()
        self.figures.moments += 1
        self._look(f"at a moment, {how}" if how else "at a moment")

    def at_point(self, name, meanwhile=None, timeout=20):
        """Starts the agent with a place armed, does `meanwhile` once it acknowledges new lines, and waits until the place is
        struck. Returns whether it was."""
        assert not self.agent.running()
        nth = 1 if name.startswith(_ONCE) else self.t.rng.randint(1, 3 if name.startswith(_SELDOM) else 30)
        self.agent.env = {"SPILLWAY_KILL": f"{name}:{nth}"}
        self.agent.start(wait=False)
        self.agent.env = {}
        if meanwhile:
            self._until_acked(1)
            meanwhile()
        deadline = time.monotonic() + timeout * procs.SLOWNESS
        while self.agent.running() and time.monotonic() < deadline:
            time.sleep(0.005)
        struck = not self.agent.running()
        assert not struck or self.agent.exit_code == -9, f"{name}: ended with {self.agent.exit_code}: {self.agent.tail()}"
        self.agent.kill()
        self.figures.points[name] += struck
        self.figures.missed += not struck
        self._look(f"at {name}:{nth}" if struck else f"not at {name}:{nth}")
        return struck

    def _look(self, how):
        corpse = Corpse(self.agent.state_dir, self.t.path("corpse"))
        self.figures.kills += 1
        self.figures.unresolved += corpse.ledger > 0
        self.acked = corpse.acked
        try:
            self.figures.unknown += self.count() > corpse.acked
        except (OSError, wire.WireError):
            pass                        # they are down: nobody can tell
        self.diary.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {how}: written {self.t.ledger.total()}, acknowledged {corpse.acked}, "
                         f"unresolved {corpse.ledger}\n")
        if self.without_ledger:
            forget_ledger(self.agent.state_dir)

    # --- lives

    def resume(self, lines=1):
        """Starts the agent; waits until so many more lines than at its last death are acknowledged, and takes the time."""
        begin = time.monotonic()
        self.agent.start(wait=False)
        self._until_acked(lines)
        self.figures.resumes.append(time.monotonic() - begin)
        return self.agent.status()

    def _until_acked(self, lines):
        def acked():
            s = self.agent.snapshot()
            return s and s["records"]["acked"] >= self.acked + lines

        procs.until(acked, 60, "lines are acknowledged after a restart", every=0.01, alive=self.agent.check_alive)

    def _drain(self, total, step=20000):
        """However many lines there are: as long as more and more of them are acknowledged."""
        acked = 0
        while acked < total:
            next_stop = min(acked + step, total)
            s = self.agent.until(lambda s, n=next_stop: s["records"]["acked"] >= n, 90, f"{next_stop} of {total} lines are acknowledged")
            acked = s["records"]["acked"]

    def finish(self):
        """The last life, undisturbed and with nothing written any more: everything arrives, the books are in order."""
        self.agent.kill()
        self.agent.start()
        total = self.t.ledger.total()
        self._drain(total)
        s = self.agent.until_acked(total, 90)
        self.figures.uncertain += s["uncertain"]["records"]
        if not self.without_ledger:
            r = s["records"]
            assert r["acked"] == r["read"] == total and not r["dropped"] and not r["rejected"], r
            assert not s["losses"]["records"] and not s["uncertain"]["records"], (s["losses"], s["uncertain"])
        self.agent.stop()

    def judge(self, verdict):
        f = self.figures
        f.records += verdict.records
        f.missing += verdict.missing
        f.doubled += verdict.doubled
        f.reordered += verdict.reordered
        if not self.without_ledger:
            self.t.shared.kills.add(f)
        assert self.without_ledger or verdict.good, f"{verdict}\n{f}"

    def assert_dangerous(self):
        """No kill on what only the ledger knows: then nothing was proven."""
        f = self.figures
        assert f.unresolved, f"no kill fell on an unresolved batch\n{f}"
        assert f.unknown, f"no kill fell between the brokers' having lines and the agent's knowing it\n{f}"

    def assert_quick(self, seconds=2.0):
        """A start after a kill takes up its batches at once: half of them within that time."""
        median, most = self.figures.resume()
        assert median < seconds * procs.SLOWNESS, f"the median of the first acknowledgements is {median:.2f} s, the last {most:.2f} s"
