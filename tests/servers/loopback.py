"""An HTTP server on loopback that records what it is asked and can misbehave as told."""

import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    """One request, body read whole; header names in small letters."""

    method: str
    target: str  # path and query as they came
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What the next request meets. Without an `answer` the server does its work, then misbehaves."""

    answer: Answer | None = None  # given instead of doing anything
    change: Callable[[Answer], Answer] = lambda answer: answer  # of the answer that is due
    stall_s: float = 0  # silence before the answer
    is_reset: bool = False  # the connection breaks in the middle of the answer
    trickle_s: float = 0  # pause after each `trickle_bytes`
    trickle_bytes: int = 200


def _kind(_: Request) -> Fault | None:
    return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away while it is served is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class LoopbackServer:
    """Serves `self.answer(request)` from a thread. Use as a context manager."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.mood: Callable[[Request], Fault | None] = _kind  # beside those: what any request meets
        self._stopping = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def handle_any(self) -> None:
                owner._handle(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - http.server's names

            def log_message(self, *args: object) -> None:
                """Tests print nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        if headers.get("expect", "").lower() == "100-continue":
            handler.send_response_only(100)
            handler.end_headers()
        body = handler.rfile.read(length)
        request = Request(handler.command, handler.path, headers, body)
        self.requests.append(request)
        fault = self.faults.pop(0) if self.faults else self.mood(request) or Fault()
        answer = fault.answer or fault.change(self.answer(request))
        if fault.stall_s and self._stopping.wait(fault.stall_s):
            handler.close_connection = True
            return
        try:
            self._send(handler, answer, fault)
        except OSError:  # the client has gone: its patience was what the test is about
            handler.close_connection = True

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer, fault: Fault) -> None:
        handler.send_response(answer.status)
        names = {name.lower() for name in answer.headers}
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if "content-length" not in names:
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if fault.is_reset:
            handler.wfile.write(answer.body[: len(answer.body) // 2])
            handler.wfile.flush()
            _reset(handler.connection)
            handler.close_connection = True
            return
        if not fault.trickle_s:
            handler.wfile.write(answer.body)
            return
        for start in range(0, len(answer.body), fault.trickle_bytes):
            handler.wfile.write(answer.body[start : start + fault.trickle_bytes])
            handler.wfile.flush()
            if self._stopping.wait(fault.trickle_s):
                return


def _reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()
