"""Polls that come at the same time are answered by one thread of the process, one after the other, in rounds.

A round asks the database once for all of them. Threads of their own would ask for a few at a time, and spend
as much on waiting for each other as on the answers.
"""

import fcntl
import queue
import re
import struct
import termios
import threading
from collections.abc import Callable, Sequence
from typing import Any

from api.poll_lane import PollLane
from shared.logs import get_logger

MOST_AT_ONCE = 64
GIVEN_BACK_AT_ONCE = 8
_LOOKS_LIKE_POLL = re.compile(rb"GET /api/jobs/[0-9a-f-]{36} HTTP/1\.1\r\n")

log = get_logger(__name__)


class PollRounds(threading.Thread):
    """Takes connections on which a poll has come, whole and unread. Daemonic."""

    def __init__(
        self,
        lane: PollLane,
        answer: Callable[[Any], Any],
        finish: Callable[[Sequence[tuple[Any, Any]]], None],
        pass_on: Callable[[Any], None],
    ) -> None:
        """`answer` serves the request on a connection and says whether another may follow; `finish` gets
        that of some at a time; `pass_on` serves a connection elsewhere."""
        super().__init__(name="polls", daemon=True)
        self._lane, self._answer, self._finish, self._pass_on = lane, answer, finish, pass_on
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
        try:
            are_ours = self._lane.foresee([conn.sock.head for conn in conns])
        except Exception:  # whatever it is: who asks finds out elsewhere, and the thread goes on
            log.exception("polls not answered together")
            are_ours = [False] * len(conns)
        answered = []
        for conn, is_ours in zip(conns, are_ours, strict=True):
            if is_ours:
                answered.append((conn, self._answer(conn)))
            else:
                self._pass_on(conn)
            if len(answered) == GIVEN_BACK_AT_ONCE:  # while others are answered these ask anew
                self._finish(answered)
                answered = []
        self._lane.forget()
        if answered:
            self._finish(answered)


def _has_unsent(sock: Any) -> bool:
    """Whether the client has not taken all yet: an answer might have to wait for it, and others with that."""
    try:
        unsent = fcntl.ioctl(sock, termios.TIOCOUTQ, struct.pack("i", 0))
    except OSError:  # not known of sockets on this system
        return True
    return bool(struct.unpack("i", unsent)[0])
