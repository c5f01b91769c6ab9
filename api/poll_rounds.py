"""Polls that come at the same time are answered by one thread of the process, one after the other, in rounds.

A round asks the database once for all of them. Threads of their own would ask for a few at a time, and spend
as much on waiting for each other as on the answers. Who has polled will most likely poll again: the thread
keeps the connection, and waits itself for what comes next.
"""

import fcntl
import os
import queue
import re
import selectors
import socket
import struct
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from api.plain_requests import LARGEST_HEAD
from api.poll_lane import PollLane, Seen
from shared.logs import get_logger, lines_together
from shared.timed_socket import TimedSocket

MOST_AT_ONCE = 64
LOOK_SECONDS = 0.5  # so often at what is no event: time-outs, and whether the server stops
_LOOKS_LIKE_POLL = re.compile(rb"GET /api/jobs/[0-9a-f-]{36} HTTP/1\.1\r\n")

log = get_logger(__name__)


class Server(Protocol):
    """Where connections come from and go to, called from the thread of the rounds."""

    def keeps_polls(self) -> bool:
        """Whether connections stay open after an answer."""
        ...

    def answer_elsewhere(self, conn: Any) -> None:
        """Serve a request that has come, and lies unread."""
        ...

    def take_back(self, conn: Any, may_follow: bool) -> None:
        """A connection is no longer kept here; another request may follow on it, or it is to be ended."""
        ...


class PollRounds(threading.Thread):
    """Takes connections on which a poll has come, whole and unread. Daemonic."""

    def __init__(self, lane: PollLane, server: Server, keep_seconds: float) -> None:
        """A connection on which nothing comes is kept for `keep_seconds`."""
        super().__init__(name="polls", daemon=True)
        self._lane, self._server, self._keep_seconds = lane, server, keep_seconds
        self._taken: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._kept: dict[Any, None] = {}  # in the order of their time-outs
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def __len__(self) -> int:
        """How many connections are kept."""
        return len(self._kept)

    def take(self, conn: Any) -> bool:
        """Answer the request on this connection soon; False if it is not for here. For any thread."""
        if not self._is_for_here(conn.sock):
            return False
        self._taken.put(conn)
        with suppress(BlockingIOError):  # it is full: the thread will wake up
            os.write(self._wake, b"\0")
        return True

    def run(self) -> None:
        while True:
            with _telling():
                self._wait_and_answer()

    def _wait_and_answer(self) -> None:
        conns = []
        for key, _ in self._selector.select(LOOK_SECONDS):
            if key.data is None:
                os.read(self._woken, MOST_AT_ONCE)
            elif self._has_poll(key.data):
                conns.append(key.data)
        while not self._taken.empty():
            conns.append(self._taken.get())
        for start in range(0, len(conns), MOST_AT_ONCE):
            self._round(conns[start : start + MOST_AT_ONCE])
        self._let_go()

    def _has_poll(self, conn: Any) -> bool:
        """Look at what has come on a kept connection; without a whole poll it goes back to the server."""
        try:
            conn.sock.note_head(conn.sock.recv(LARGEST_HEAD, socket.MSG_PEEK))
        except OSError:
            conn.sock.note_head(b"")
        if self._is_for_here(conn.sock):
            return True
        self._give_back(conn, may_follow=True)
        return False

    def _is_for_here(self, sock: TimedSocket) -> bool:
        if not _LOOKS_LIKE_POLL.match(sock.head):
            return False
        return self._lane.is_open() and not _has_unsent(sock)

    def _round(self, conns: Sequence[Any]) -> None:
        seen: Sequence[Seen | None] = [None] * len(conns)
        with _telling():
            seen = self._lane.look_at([conn.sock.head for conn in conns])
        with lines_together():
            for conn, poll in zip(conns, seen, strict=True):
                self._answer(conn, poll)

    def _answer(self, conn: Any, poll: Seen | None) -> None:
        answer = None
        with _telling():
            if poll is not None and self._server.keeps_polls():
                answer = self._lane.answer_to(poll)
        if answer is None:
            self._forget(conn)
            self._server.answer_elsewhere(conn)
        else:
            self._keep(conn)
            if not _exchange(conn.sock, answer):
                self._give_back(conn, may_follow=False)

    def _keep(self, conn: Any) -> None:
        if conn in self._kept:
            del self._kept[conn]
        else:
            conn.init()
            conn.sock.settimeout(0)
            self._selector.register(conn.sock, selectors.EVENT_READ, conn)
        conn.timeout = time.monotonic() + self._keep_seconds
        self._kept[conn] = None

    def _forget(self, conn: Any) -> None:
        if conn in self._kept:
            del self._kept[conn]
            self._selector.unregister(conn.sock)

    def _give_back(self, conn: Any, may_follow: bool) -> None:
        self._forget(conn)
        self._server.take_back(conn, may_follow)

    def _let_go(self) -> None:
        """Give back connections on which nothing comes any more; all, when the server stops."""
        now, is_kept = time.monotonic(), self._server.keeps_polls()
        while self._kept:
            conn = next(iter(self._kept))
            if is_kept and conn.timeout > now:
                return
            self._give_back(conn, may_follow=not is_kept)


@contextmanager
def _telling() -> Iterator[None]:
    """Whatever goes wrong: who asks finds out elsewhere, and the thread goes on."""
    try:
        yield
    except Exception:
        log.exception("polls not answered together")


def _exchange(sock: TimedSocket, answer: bytes) -> bool:
    """Take the request off the connection and send its answer. Returns whether the client is still there."""
    size = len(sock.head)
    sock.begin()
    try:
        sock.recv(size)
        sent = 0
        with suppress(BlockingIOError):
            sent = socket.socket.send(sock, answer)  # at once: nothing lies before it
        if sent < len(answer):
            sock.settimeout(None)
            sock.sendall(answer[sent:])
            sock.settimeout(0)
    except OSError:
        return False
    return True


def _has_unsent(sock: Any) -> bool:
    """Whether the client has not taken all yet: an answer might have to wait for it, and others with that."""
    try:
        unsent = fcntl.ioctl(sock, termios.TIOCOUTQ, struct.pack("i", 0))
    except OSError:  # not known of sockets on this system
        return True
    return bool(struct.unpack("i", unsent)[0])
