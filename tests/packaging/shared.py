"""shared.py - what the tests of packages have in common: the packages themselves, a broker, a clean root; each made once,
when the first test asks for it."""
import glob
import os
import re
import shutil

import procs
import root
from kafka import Broker

SOURCES = ("agent", "conf", "packaging", "producer", "spool", "Makefile", "LICENSE", "README.md", "ARCHITECTURE.md", "CHANGELOG.md")
NOBODY = 65534


class Skip(Exception):
    """Cannot run here; the text says why."""


def test(needs_root=False):
    """Marks a test of a story; `tests` of the story collects them in order."""
    def register(function):
        function.needs_root = needs_root

        def checked(world):
            if needs_root and os.geteuid() != 0:
                raise Skip("not root, and sudo asks for a password")
            function(world)
        checked.__name__, checked.__doc__, checked.needs_root = function.__name__, function.__doc__, needs_root
        function.__globals__.setdefault("TESTS", []).append(checked)
        return checked
    return register


class World:
    """Thread: main only."""

    def __init__(self, work):
        self.work = work
        self.folders = {}
        self._broker = self._machine = None

    def built(self, kind, again=False):
        """The folder with the packages of a kind; `again`: built once more, elsewhere, by somebody with other habits."""
        key = kind, again
        if key not in self.folders:
            out = os.path.join(self.work, "again" if again else "first", kind)
            top, more = procs.ROOT, {}
            if again:
                top = os.path.join(self.work, "quite", "another-folder")
                more = {"env": {**os.environ, "TZ": "Pacific/Chatham", "LC_ALL": "C.UTF-8", "HOME": self.work}, "umask": 0o077}
                self._copy_to(top)
                if os.geteuid() == 0 and kind != "rpm":     # whose one folder may belong to root's builds at this time
                    more["user"] = NOBODY
                    os.makedirs(out)
                    os.chown(out, NOBODY, NOBODY)
            with open(os.path.join(procs.ROOT, "Makefile")) as f:
                version = re.search(r"^VERSION := (\S+)", f.read(), re.M)[1]
            root.command("nice", "-n", "10", os.path.join(top, "packaging", "package.sh"), kind, version, out, timeout=1800, **more)
            self.folders[key] = out
        return self.folders[key]

    @staticmethod
    def _copy_to(top):
        if os.path.exists(top):
            return
        os.makedirs(top)
        for name in SOURCES:
            source = os.path.join(procs.ROOT, name)
            (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, os.path.join(top, name))
        for folder, _, names in os.walk(top):
            for name in names:
                os.utime(os.path.join(folder, name), (10 ** 9, 10 ** 9))       # older than any release
        root.command("chmod", "-R", "a+rX", top)                # whatever the checkout's umask was

    def one(self, kind, pattern):
        """The one package of that name."""
        found = glob.glob(os.path.join(self.built(kind), pattern))
        assert len(found) == 1, f"{pattern}: {found}"
        return found[0]

    def debs(self):
        return [self.one("deb", "spillway_*.deb"), self.one("deb", "libspillway-producer0_*.deb"),
                self.one("deb", "libspillway-producer-dev_*.deb")]

    def broker(self):
        if self._broker is None:
            self._broker = Broker(os.path.join(self.work, "kafka"))
            self._broker.start()
        return self._broker

    def machine(self):
        """The one clean root of a run. Stories go on where the test before left it."""
        if self._machine is None:
            root.make_base(self.debs()[:2])      # what -dev needs is not installed
            self._machine = root.Machine(os.path.join(self.work, "root"))
        return self._machine

    def close(self):
        if self._machine is not None:
            self._machine.close()
        if self._broker is not None:
            self._broker.close()
