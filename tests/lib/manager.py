"""manager.py - a service manager as a service sees it: a notify socket, and a watchdog that only counts."""
import os
import select
import socket
import time

import procs


class Manager:
    """$NOTIFY_SOCKET of one agent. `heard` are all datagrams so far, in order, as (time, text)."""

    def __init__(self, t, agent, watchdog_s=None):
        self.path = t.path("notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.heard = []
        self.agent = agent
        agent.env["NOTIFY_SOCKET"] = self.path
        if watchdog_s:
            agent.env["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
        t.closing.append(self.socket.close)

    def listen(self, seconds=0.0):
        """Takes what has come, or comes in so long."""
        end = time.monotonic() + seconds
        while select.select([self.socket], [], [], max(0.0, end - time.monotonic()))[0]:
            self.heard.append((time.monotonic(), self.socket.recv(65536).decode()))
        return [text for _, text in self.heard]

    def until(self, condition, what, timeout=60, alive=True):
        """Until condition(all texts) is true; returns its value."""
        return procs.until(lambda: condition(self.listen()), timeout, what, alive=self.agent.check_alive if alive else None)

    def until_said(self, beginning, after=0, timeout=60):
        """The place behind the first datagram from `after` on that begins so."""
        def place(texts):
            return next((i + 1 for i in range(after, len(texts)) if texts[i].startswith(beginning)), 0)
        return self.until(place, f"the manager is told {beginning}", timeout)

    def count(self, text, after=0):
        return self.listen()[after:].count(text)
