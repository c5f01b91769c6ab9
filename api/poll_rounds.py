"""Polls that come at the same time are answered by one thread of the process, one after the other, in rounds.

A round asks the database once for all of them. Threads of their own would ask for a few at a time, and spend
as much on waiting for each other as on the answers.
"""

import fcntl
import queue
import re
import socket
import struct
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from api.poll_lane import PollLane, Seen
from shared.logs import get_logger
from shared.timed_socket import TimedSocket

MOST_AT_ONCE = 64
GIVEN_BACK_AT_ONCE = 8
_LOOKS_LIKE_POLL = re.compile(rb"GET /api/jobs/[0-9a-f-]{36} HTTP/1\.1\r\n")

log = get_logger(__name__)


class PollRounds(threading.Thread):
    """Takes connections on which a poll has come, whole and unread. Daemonic."""

    def __init__(
        self,
        lane: PollLane,
        finish: Callable[[Sequence[tuple[Any, bool]]], None],
        pass_on: Callable[[Any], None],
        may_stay: Callable[[], bool],
    ) -> None:
        """`finish` gets some answered connections at a time, and of each whether another request may follow;
        `pass_on` serves a connection elsewhere; `may_stay` tells whether connections are kept open."""
        super().__init__(name="polls", daemon=True)
        self._lane, self._finish, self._pass_on, self._may_stay = lane, finish, pass_on, may_stay
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def take(self, conn: Any) -> bool:
        """Answer the request on this connection soon; False if it is not for here."""
        if not _LOOKS_LIKE_POLL.match(conn.sock.head):
            return False
        if not self._lane.is_open() or _has_unsent(conn.sock):
            return False
        self._waiting.put(conn)
        return True

    def run(self) -> None:
        while True:
            conns = [self._waiting.get()]
            while len(conns) < MOST_AT_ONCE and not self._waiting.empty():
                conns.append(self._waiting.get())
            self._round(conns)

    def _round(self, conns: Sequence[Any]) -> None:
        seen: Sequence[Seen | None] = [None] * len(conns)
        with _telling():
            seen = self._lane.look_at([conn.sock.head for conn in conns])
        answered = []
        for conn, poll in zip(conns, seen, strict=True):
            answer = None
            with _telling():
                answer = self._lane.answer_to(poll) if poll is not None and self._may_stay() else None
            if answer is None:
                self._pass_on(conn)
                continue
            conn.init()
            answered.append((conn, _exchange(conn.sock, answer)))
            if len(answered) == GIVEN_BACK_AT_ONCE:  # while others are answered these ask anew
                self._finish(answered)
                answered = []
        if answered:
            self._finish(answered)


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
