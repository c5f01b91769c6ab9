"""What clients of no library say to a server: bytes, and how they stop saying them."""

import re
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

STATUS = re.compile(rb"HTTP/1\.\d (\d{3}) ")
HOST = b"Host: api.example\r\n"
CLOSE = b"Connection: close\r\n"
HEALTH = b"GET /api/health HTTP/1.1\r\n"
LOGIN = b"POST /api/admin/login HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came back, whether the server ended the connection, and after how long."""

    received: bytes
    is_closed: bool
    seconds: float

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in STATUS.findall(self.received)]


def connect(url: str, seconds: float = 20) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=seconds)


def listen(client: socket.socket, seconds: float = 20, only_status: bool = False) -> Exchange:
    """Read until the server ends the connection, has been silent for `seconds`, or has given its status."""
    began, received = time.monotonic(), bytearray()
    client.settimeout(seconds)
    is_closed = True
    try:
        while part := client.recv(65_536):
            received += part
            if only_status and STATUS.search(received):
                is_closed = False
                break
    except TimeoutError:
        is_closed = False
    except ConnectionError:
        pass
    return Exchange(bytes(received), is_closed, time.monotonic() - began)


def say(url: str, *parts: bytes, hang_up: bool = False, only_status: bool = False) -> Exchange:
    """Send everything, say that there is no more if asked to, and listen. Being cut off is no failure."""
    with connect(url) as client:
        try:
            for part in parts:
                client.sendall(part)
            if hang_up:
                client.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass
        return listen(client, only_status=only_status)


def get(path: str, *headers: bytes, host: bytes = HOST) -> bytes:
    """A request that ends its connection."""
    return b"GET " + path.encode("latin-1") + b" HTTP/1.1\r\n" + host + CLOSE + b"".join(headers) + b"\r\n"
