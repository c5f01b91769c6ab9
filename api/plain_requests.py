"""HTTP requests that leave no doubt, read and answered with a few string operations.

gunicorn reads any request and writes any answer; that takes most of a poll's time. Here is only the simplest
kind: a GET without a body, its head in one piece, each field once, nothing about the connection but that it
stays open. Of those this makes what gunicorn makes; everything else is left to it.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from wsgiref.types import WSGIEnvironment

from gunicorn import SERVER
from gunicorn.util import http_date

LARGEST_HEAD = 4096  # bytes
_HEAD = re.compile(rb"GET (/[A-Za-z0-9/_-]*) HTTP/1\.1\r\n((?:[A-Za-z][A-Za-z0-9-]*:[ -~]*\r\n){1,60})\r\n")
_OF_CONNECTIONS = frozenset(  # and of bodies: these change how the request or the answer is to be read
    {
        "CONTENT-LENGTH",
        "CONTENT-TYPE",
        "EXPECT",
        "HTTP2-SETTINGS",
        "KEEP-ALIVE",
        "PROXY-CONNECTION",
        "TE",
        "TRAILER",
        "TRANSFER-ENCODING",
        "UPGRADE",
    }
)


def read_head(head: bytes) -> WSGIEnvironment | None:
    """Method, path and fields as WSGI has them; None if this is not for here."""
    found = _HEAD.fullmatch(head) if len(head) <= LARGEST_HEAD else None
    if found is None:
        return None
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": found[1].decode(), "QUERY_STRING": ""}
    for line in found[2].decode()[:-2].split("\r\n"):
        name, _, value = line.partition(":")
        name, value = name.upper(), value.strip(" ")
        key = f"HTTP_{name.replace('-', '_')}"
        if name in _OF_CONNECTIONS or key in environ:
            return None
        if name == "CONNECTION" and value.lower() != "keep-alive":
            return None
        environ[key] = value
    return environ


def write_answer(status: HTTPStatus, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """The whole answer, after which the connection stays open. `headers` name the body's length."""
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Server: {SERVER}",
        f"Date: {http_date()}",
        "Connection: keep-alive",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
