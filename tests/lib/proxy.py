"""proxy.py - a TCP proxy in front of a broker that misbehaves on demand.

It knows just enough of Kafka's framing to tell one request from another: answers come back in the order of the requests,
so a queue of api keys a connection says what each answer is. Modes may be changed at any time, from any thread.

	forward()		everything passes (the start); what was held goes on
	cut()			all connections are reset, new ones pass
	refuse()		all connections are reset, new ones are refused, as if nothing listened
	black_hole()		connections stay and are accepted, no byte passes
	delay(seconds)		each piece waits that long, in each direction
	rate(bytes_per_s)	towards the broker, all connections together; None: no limit
	hold_acks()		answers to Produce stay in the proxy; let_acks(n) lets n of them through
	lose_acks(n)		the next n answers to Produce vanish, each with its connection: the broker has the data, the client
				does not know it
	swallow()		answers to Produce vanish and the connection stays, silent
	cut_after(n)		all connections are reset when n more bytes went towards the broker
	note_codes()		from now on the error codes of answers to Produce that pass stand in `codes`, in their order

Threads: one accepts, two a connection copy. Lock: `change` guards every field of Proxy that a mode sets.
"""
import collections
import os
import socket
import struct
import threading
import time

import procs
import wire

PRODUCE = wire.PRODUCE
PIECE = 65536
NOWHERE = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


class _Link:
    """One client connection and its connection to the broker."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.apis = collections.deque()         # (api, version) of requests that were not answered yet
        self.mute = False                       # an answer was swallowed: nothing that follows may pass
        self.threads = 2

    def start(self):
        for work in (self._requests, self._responses):
            threading.Thread(target=self._guard, args=(work,), daemon=True).start()

    def _guard(self, work):
        try:
            work()
        except OSError:
            pass
        finally:
            self.reset()
            with self.proxy.change:
                self.threads -= 1
                if not self.threads:
                    self.client.close()
                    self.server.close()

    def reset(self):
        """Closes both ends at once; what was in flight is lost. The descriptors lead nowhere until both threads
        have ended: one that is just about to read would read from the connection that got the number next."""
        with self.proxy.change:
            for s in (self.client, self.server):
                try:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                if s.fileno() >= 0:
                    os.dup2(NOWHERE, s.fileno(), inheritable=False)
        self.proxy.forget(self)

    def _requests(self):
        need = bytearray()                      # of the frame at hand: its first eight bytes, then nothing
        left = 0                                # bytes of that frame still to come
        while True:
            data = self.client.recv(PIECE)
            if not data:
                return
            at = 0
            while at < len(data):
                if left:
                    step = min(left, len(data) - at)
                    left -= step
                    at += step
                    continue
                need.append(data[at])
                at += 1
                if len(need) == 8:
                    size, api, version = struct.unpack(">ihh", need)
                    self.apis.append((api, version))
                    left = size - 4
                    need.clear()
            if not self.proxy.pass_request(self, len(data)):
                return
            self.server.sendall(data)

    def _responses(self):
        while True:
            head = self._exactly(4)
            frame = head + self._exactly(struct.unpack(">i", head)[0])
            api, version = self.apis.popleft() if self.apis else (None, None)
            verdict = self.proxy.pass_response(self, api)
            if verdict == "reset":
                return
            if verdict == "swallow":
                self.mute = True
            if not self.mute:
                if api == PRODUCE and self.proxy.codes is not None:
                    self.proxy.codes.append(wire.produce_error(frame[4:], version))
                self.client.sendall(frame)

    def _exactly(self, n):
        out = bytearray()
        while len(out) < n:
            part = self.server.recv(min(PIECE, n - len(out)))
            if not part:
                raise OSError("closed")
            out += part
        return bytes(out)


class Proxy:
    def __init__(self, target=None):
        self.target = target                    # the broker's port
        self.change = threading.Condition()
        self.links = set()
        self.closed = False
        self.listener = None
        self.held = None                        # keeps the port from others while nobody listens
        self.port = 0
        self.codes = None
        self._reset_modes()
        self._listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _reset_modes(self):
        self.refusing = self.holed = self.swallowing = False
        self.pause = 0.0
        self.budget = None                      # bytes that may still pass before everything is cut
        self.bytes_per_s, self.next_send = None, 0.0
        self.acks_held, self.acks_let, self.acks_to_lose = False, 0, 0
        self.acks_lost = self.acks_seen = 0     # counted, for tests

    def _bound(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", self.port))
        return s

    def _listen(self):
        if not self.port:
            self.port = procs.free_port()
        s = self.held or self._bound()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)         # connections of before may still be there
        s.listen(64)
        self.listener, self.held = s, None

    # --- modes

    def forward(self):
        with self.change:
            muted = [link for link in self.links if link.mute]
            was_refusing = self.refusing
            self._reset_modes()
            if was_refusing:
                self._listen()
            self.change.notify_all()
        for link in muted:                      # what they lost cannot be made good
            link.reset()

    def cut(self):
        with self.change:
            links = list(self.links)
        for link in links:
            link.reset()

    def refuse(self):
        with self.change:
            self.refusing = True
            if self.listener:
                # shutdown wakes the accept; only a closed listener refuses
                try:
                    self.listener.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                self.held = self._bound()
                self.held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
                self.listener.close()
                self.listener = None
            self.change.notify_all()
        self.cut()

    def _set(self, **fields):
        with self.change:
            for name, value in fields.items():
                setattr(self, name, value)
            self.change.notify_all()

    def black_hole(self):
        self._set(holed=True)

    def delay(self, seconds):
        self._set(pause=seconds)

    def rate(self, bytes_per_s):
        self._set(bytes_per_s=bytes_per_s, next_send=0.0)

    def hold_acks(self):
        self._set(acks_held=True, acks_let=0)

    def let_acks(self, n):
        with self.change:
            self.acks_let += n
            self.change.notify_all()

    def lose_acks(self, n):
        self._set(acks_to_lose=n)

    def swallow(self):
        self._set(swallowing=True)

    def cut_after(self, n):
        self._set(budget=n)

    def note_codes(self):
        self.codes = []

    def close(self):
        with self.change:
            self.closed = True
        self.refuse()
        with self.change:
            if self.held:
                self.held.close()
                self.held = None

    # --- for the links

    def forget(self, link):
        with self.change:
            self.links.discard(link)
            self.change.notify_all()

    def _wait_while(self, link, held):
        """Waits (with the lock) while held() and the link lives. Returns whether it lives."""
        while held() and link in self.links and not self.closed:
            self.change.wait()
        return link in self.links and not self.closed

    def pass_request(self, link, size):
        with self.change:
            if not self._wait_while(link, lambda: self.holed):
                return False
            spent = False
            if self.budget is not None:
                self.budget -= size
                spent = self.budget < 0
                if spent:
                    self.budget = None
            wait = self.pause
            if self.bytes_per_s:
                now = time.monotonic()
                wait += max(0.0, self.next_send - now)
                self.next_send = max(now, self.next_send) + size / self.bytes_per_s
        if spent:
            self.cut()
            return False
        if wait:
            time.sleep(wait)
        return True

    def pass_response(self, link, api):
        """"pass", "swallow" or "reset"."""
        with self.change:
            if api == PRODUCE:
                self.acks_seen += 1
                if self.acks_to_lose:
                    self.acks_to_lose -= 1
                    self.acks_lost += 1
                    return "reset"
                if self.swallowing:
                    self.acks_lost += 1
                    return "swallow"
                self._wait_while(link, lambda: self.acks_held and not self.acks_let)
                if self.acks_held and self.acks_let:
                    self.acks_let -= 1
            self._wait_while(link, lambda: self.holed)
            wait = self.pause
        if wait:
            time.sleep(wait)
        return "pass"

    # --- the accepting thread

    def _accept(self):
        while not self.closed:
            with self.change:
                while self.listener is None and not self.closed:
                    self.change.wait()
                listener = self.listener
            if self.closed:
                return
            try:
                client, _ = listener.accept()
            except OSError:
                continue
            # In a black hole the connection is made, and kept silent by pass_request.
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                server.settimeout(None)
            except OSError:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
                continue
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.change:
                if self.refusing or self.closed:
                    client.close()
                    server.close()
                    continue
                link = _Link(self, client, server)
                self.links.add(link)
            link.start()
