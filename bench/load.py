"""`python -m bench.load`: HTTP requests over many connections, each as soon as the last one is answered.

A process of its own that does little else: what is to be sent is read as JSON from standard input and sent as
it is, of an answer only its head is looked at. Prints what came of it as JSON.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
PATIENCE_S = 60


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
    host: str
    port: int
    requests: list[bytes]
    seconds: float
    milliseconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    end: float = 0.0

    async def run(self, connections: int) -> dict[str, Any]:
        began = time.perf_counter()
        self.end = began + self.seconds
        await asyncio.gather(*(self._connection(number) for number in range(connections)))
        seconds = time.perf_counter() - began
        times = self.milliseconds or [0.0]
        return {
            "count": len(self.milliseconds),
            "per_second": len(self.milliseconds) / seconds,
            "p50_ms": float(np.percentile(times, 50)),
            "p99_ms": float(np.percentile(times, 99)),
            "answers": dict(self.answers),
        }

    async def _connection(self, seed: int) -> None:
        choose = random.Random(seed)  # noqa: S311 - which one is sent is no secret
        while time.perf_counter() < self.end:
            try:
                reader, writer = await asyncio.open_connection(self.host, self.port)
                await self._talk(reader, writer, choose)
                writer.close()
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                self.answers["lost"] += 1

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, choose: random.Random
    ) -> None:
        """Until the time is up or the server ends the connection."""
        while time.perf_counter() < self.end:
            began = time.perf_counter()
            writer.write(choose.choice(self.requests))
            head = await asyncio.wait_for(reader.readuntil(HEAD_END), PATIENCE_S)
            lowered = head.lower()
            await reader.readexactly(_length(lowered))
            self.milliseconds.append((time.perf_counter() - began) * 1000)
            self.answers[head[9:12].decode()] += 1
            if b"connection: close" in lowered:
                return


def _length(head: bytes) -> int:
    _, found, rest = head.partition(LENGTH)
    return int(rest.partition(b"\r\n")[0]) if found else 0


def main() -> int:
    """Read the order, do it, print the outcome."""
    order = json.loads(sys.stdin.read())
    place = urlsplit(order["url"])
    requests = [b64decode(request) for request in order["requests"]]
    load = _Load(place.hostname or "", place.port or 80, requests, order["seconds"])
    sys.stdout.write(json.dumps(asyncio.run(load.run(order["connections"]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
