"""`python -m bench.load`: HTTP requests over many connections, each as soon as the last one is answered.

A process of its own that does little else: what is to be sent is read as JSON from standard input and sent as
it is, of an answer only its head is looked at. Prints what came of it as JSON.
"""

import json
import random
import selectors
import socket
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
PATIENCE_S = 60
READ_AT_ONCE = 2**16


@dataclass(frozen=True, slots=True)
class Outcome:
    """Answers per second, and how long they took in milliseconds."""

    count: int
    per_second: float
    p50_ms: float
    p99_ms: float
    answers: dict[str, int]  # how often each status came; "lost" where none did

    @property
    def is_clean(self) -> bool:
        """Every request was answered, with a success."""
        return all(status.startswith("2") for status in self.answers)


def drive(url: str, requests: Sequence[bytes], connections: int, seconds: float) -> Outcome:
    """Send the requests in any order for the time given, from another process."""
    order = {
        "url": url,
        "requests": [b64encode(request).decode() for request in requests],
        "connections": connections,
        "seconds": seconds,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=seconds + 2 * PATIENCE_S,
    )
    return Outcome(**json.loads(done.stdout))


def get(url: str, path: str, authorization: str) -> bytes:
    """A request as it goes over the wire."""
    head = (f"GET {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", f"Authorization: {authorization}")
    return "\r\n".join((*head, "", "")).encode()


def upload(url: str, authorization: str, patient_id: int, name: str, data: bytes) -> bytes:
    """One picture, in a request of its own."""
    mark = "bench-part"
    body = (
        f'--{mark}\r\nContent-Disposition: form-data; name="patient_id"\r\n\r\n{patient_id}\r\n'
        f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        "Content-Type: image/png\r\n\r\n"
    ).encode() + data
    body += f"\r\n--{mark}--\r\n".encode()
    head = (
        "POST /api/admin/scans/upload HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        f"Authorization: {authorization}",
        f"Content-Type: multipart/form-data; boundary={mark}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode() + body


@dataclass
class _Load:
    """Plain sockets and one selector: what this takes of the machine is taken from the server."""

    place: tuple[str, int]
    requests: list[bytes]
    seconds: float
    milliseconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    def run(self, connections: int) -> dict[str, Any]:
        began = time.perf_counter()
        end = began + self.seconds
        with selectors.DefaultSelector() as selector:
            open_ones = {_Connection(self, selector, number) for number in range(connections)}
            while open_ones:
                ready = selector.select(PATIENCE_S)
                if not ready:
                    self.answers["lost"] += len(open_ones)
                    break
                for key, _ in ready:
                    if not key.data.goes_on(time.perf_counter() < end):
                        open_ones.discard(key.data)
        seconds = time.perf_counter() - began
        times = self.milliseconds or [0.0]
        return {
            "count": len(self.milliseconds),
            "per_second": len(self.milliseconds) / seconds,
            "p50_ms": float(np.percentile(times, 50)),
            "p99_ms": float(np.percentile(times, 99)),
            "answers": dict(self.answers),
        }


class _Connection:
    """One request after the other; opened anew where the server has closed it."""

    def __init__(self, load: _Load, selector: selectors.BaseSelector, seed: int) -> None:
        self._load, self._selector = load, selector
        self._random = random.Random(seed)  # noqa: S311 - which one is sent is no secret
        self._open()

    def goes_on(self, may_ask: bool) -> bool:
        """Send or read what is there. False once there is an answer and no more is to be asked."""
        try:
            if self._unsent:
                self._send()
                return True
            if not self._read():
                return True
            if may_ask and b"connection: close" not in self._head:
                self._ask()
                return True
        except OSError:
            self._load.answers["lost"] += 1
        self._close()
        if may_ask:
            self._open()
        return may_ask

    def _open(self) -> None:
        self._socket = socket.create_connection(self._load.place, PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(0)
        self._selector.register(self._socket, selectors.EVENT_READ, self)
        self._ask()

    def _close(self) -> None:
        self._selector.unregister(self._socket)
        self._socket.close()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._received = b""
        self._unsent = self._random.choice(self._load.requests)
        self._send()

    def _send(self) -> None:
        was_waiting = self._selector.get_key(self._socket).events == selectors.EVENT_WRITE
        with suppress(BlockingIOError):
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        if bool(self._unsent) != was_waiting:
            wanted = selectors.EVENT_WRITE if self._unsent else selectors.EVENT_READ
            self._selector.modify(self._socket, wanted, self)

    def _read(self) -> bool:
        """Whether the answer is whole. Raises `ConnectionError` if there will be none."""
        part = self._socket.recv(READ_AT_ONCE)
        if not part:
            raise ConnectionResetError
        self._received += part
        head, end, body = self._received.partition(HEAD_END)
        self._head = head.lower()
        if not end or len(body) < _length(self._head):
            return False
        self._load.milliseconds.append((time.perf_counter() - self._began) * 1000)
        self._load.answers[head[9:12].decode()] += 1
        return True


def _length(head: bytes) -> int:
    _, found, rest = head.partition(LENGTH)
    return int(rest.partition(b"\r\n")[0]) if found else 0


def main() -> int:
    """Read the order, do it, print the outcome."""
    order = json.loads(sys.stdin.read())
    place = urlsplit(order["url"])
    requests = [b64decode(request) for request in order["requests"]]
    load = _Load((place.hostname or "", place.port or 80), requests, order["seconds"])
    sys.stdout.write(json.dumps(load.run(order["connections"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
