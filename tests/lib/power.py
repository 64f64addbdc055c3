"""power.py - a power loss under an agent: what was never synced is gone, and the machine boots again."""
import os
import shutil
import sqlite3
import subprocess
import sys

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault", "powercut.c")
FILES = ("spool.db", "spool.db-wal")


def watch(t, agent):
    """From its next start on, what the agent's state database has on the disk is kept beside it (tests/fault/powercut.c)."""
    library = t.path("powercut.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    agent.env = {"LD_PRELOAD": library}


def acked(agent, scratch):
    """How many records a power loss now would leave acknowledged; -1: cannot be told at this moment."""
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    try:
        for name in FILES:
            shutil.copy(os.path.join(agent.state_dir, name + ".durable"), os.path.join(scratch, name))
        db = sqlite3.connect(os.path.join(scratch, FILES[0]))
        try:
            return db.execute("SELECT acked FROM totals").fetchone()[0]
        finally:
            db.close()
    except (OSError, sqlite3.Error):
        return -1


def cut(agent):
    """kill -9, and the state database becomes what its last syncs made sure of."""
    agent.kill()
    paths = [os.path.join(agent.state_dir, name) for name in FILES]
    for path in paths:
        if os.path.exists(path + ".durable"):
            shutil.copy(path + ".durable", path)
        elif os.path.exists(path):
            os.unlink(path)
    # In a process that ends without closing: a last close would fold the WAL in, and that is for the agent to do.
    subprocess.run([sys.executable, "-c", "import os, sys; sys.path.insert(0, sys.argv[1]); import power\n"
                    "db = power.boot(sys.argv[2]); os._exit(0)", os.path.dirname(os.path.abspath(__file__)), agent.state_dir], check=True)
    for path in paths:
        if os.path.exists(path):
            shutil.copy(path, path + ".durable")


def boot(state_dir):
    """What a reboot changes: the boot id and every device number. Returns the connection, still open."""
    db = sqlite3.connect(os.path.join(state_dir, "spool.db"))
    with db:
        db.execute("UPDATE home SET boot = '11111111-2222-3333-4444-555555555555'")
        db.execute("UPDATE files SET dev = dev + 7")
    return db


def boot_again(agent):
    """The same after an orderly stop: spool.db alone holds everything, before and after."""
    boot(agent.state_dir).close()
