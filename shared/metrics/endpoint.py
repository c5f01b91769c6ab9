"""Serves metrics over HTTP from a thread, on a port that nothing else uses.

Nothing that goes wrong here stops the process: while the port is taken, as by a predecessor that is still
ending, the thread tries again.
"""

import os
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import ClassVar

from prometheus_client import CONTENT_TYPE_LATEST

from shared.logs import get_logger

PATH = "/metrics"
RETRY_SECONDS = 2.0
PATIENCE_SECONDS = 5.0  # with a client that says nothing
STOP_SECONDS = 10.0

log = get_logger(__name__)

# Held while text is rendered. A process that were forked off meanwhile would find locks of the resolver or of
# Postgres' library taken, for ever: every connection that it makes would hang.
_rendering = threading.Lock()
os.register_at_fork(
    before=_rendering.acquire, after_in_parent=_rendering.release, after_in_child=_rendering.release
)


class MetricsEndpoint:
    """`render` gives the text, for each scrape anew, one at a time. `port` 0 takes a free one."""

    def __init__(self, host: str, port: int, render: Callable[[], bytes]) -> None:
        self._address = (host, port)
        self._render = render
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give the port back."""
        with self._lock:
            self._stop.set()
            server = self._server
        if server is not None:
            server.shutdown()
        self._thread.join(STOP_SECONDS)

    def leave_to_parent(self) -> None:
        """In a process that was forked off: the port is not ours."""
        if self._server is not None:
            self._server.socket.close()

    def _serve(self) -> None:
        server = self._bound()
        if server is None:
            return
        with server:
            log.info("metrics served", host=self._address[0], port=server.server_port)
            server.serve_forever()

    def _bound(self) -> ThreadingHTTPServer | None:
        """The server once the port is ours; None if the process ends before."""
        is_said = False
        while not self._stop.is_set():
            try:
                server = _Server(self._address, _handler_of(self._render))
            except OSError as error:
                if not is_said:
                    log.warning("metrics not served yet", port=self._address[1], cause=error.strerror)
                is_said = True
                self._stop.wait(RETRY_SECONDS)
                continue
            with self._lock:
                if not self._stop.is_set():
                    self._server = server
                    return server
            server.server_close()
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without the base's question for this machine's name: see `_rendering`."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base's names
        """A client that hung up, or a scrape that failed; the next one may succeed."""
        log.warning("metrics not sent", exc_info=True)


def _handler_of(render: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar[float] = PATIENCE_SECONDS

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != PATH:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            with _rendering:
                text = render()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Scrapes are no news."""

    return Handler
