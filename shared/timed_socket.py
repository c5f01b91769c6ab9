"""A connection on which a thread waits for the other end only so long."""

import errno
import select
import socket
import time
from typing import Any

PATIENCE_SECONDS = 10.0  # that a thread waits at a time, and in one request beyond the time
SLOWEST = 10_000  # that as many bytes in a second take
HEAD_END = b"\r\n\r\n"  # of an HTTP request


class TimedSocket(socket.socket):
    """A connection on which a thread waits for the client only so long.

    Reading later than that finds the end, as if the client had gone; writing raises `BrokenPipeError`.
    """

    waited = 0.0
    moved = 0
    held = b""  # of the next request, read together with the one before
    head_seen = 0
    head = b""  # of the request that has come, if that is all that lies here, unread
    is_given_up = False

    def begin(self) -> None:
        """Count anew, for the next request."""
        self.waited, self.moved, self.head = 0.0, 0, b""

    def note_head(self, fresh: bytes) -> None:
        """Keep what lies here, unread, if it is the head of one request and nothing else."""
        is_one = fresh.endswith(HEAD_END) and fresh.index(HEAD_END) == len(fresh) - len(HEAD_END)
        self.head = fresh if is_one and not self.held else b""

    def recv(self, size: int, flags: int = 0) -> bytes:
        own = self.gettimeout()
        if own == 0:
            return super().recv(size, flags)
        left, began = self._left(), time.monotonic()
        is_there = _is_readable(self, left if own is None else min(own, left))
        self.waited += time.monotonic() - began
        if not is_there:
            if own is not None and own < left:
                raise TimeoutError
            self.is_given_up = True
            return b""
        data = super().recv(size, flags)
        self.moved += len(data)
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        own, began = self.gettimeout(), time.monotonic()
        self.settimeout(max(self._left(), 0.001))
        try:
            sent = super().send(data, flags)
        except TimeoutError:
            raise BrokenPipeError(errno.EPIPE, "the client reads too slowly") from None
        finally:
            self.waited += time.monotonic() - began
            self.settimeout(own)
        self.moved += sent
        return sent

    def sendall(self, data: Any, flags: int = 0) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self.send(rest, flags) :]

    def _left(self) -> float:
        """Seconds that may pass without a byte: never more than the patience."""
        earned = self.moved / SLOWEST
        return max(0.0, PATIENCE_SECONDS + min(0.0, earned - self.waited))


def _is_readable(sock: socket.socket, seconds: float) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
