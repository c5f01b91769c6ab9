"""How gunicorn serves the API: its options, and a worker whose threads slow clients cannot keep.

gunicorn's own threaded worker gives a thread to every connection: as many silent ones as it has threads stop
it, and each client that does not hang up after its answer stops its main loop for two seconds. Here the main
loop, which holds hundreds of connections, waits for the whole head of a request and for the end. A thread is
for requests only, and not for one whose body comes, or whose answer is read, more slowly than said below.
Polls and their connections have one thread for all of them (`api.poll_rounds`).
"""

import socket
import time
from concurrent.futures import Future
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from shared.logs import server_logging
from shared.metrics import multiprocess
from shared.timed_socket import HEAD_END, TimedSocket

LEAN_BACK_SECONDS, MOST_LEAN_BACK_SECONDS = 0.00005, 0.001  # for each connection, before one more is taken
HEAD_SECONDS = 10  # for the whole head of a request
LARGEST_HEAD = 32_768
UNREAD_SECONDS = 0.5  # for the rest of a body that the route did not read
LINGER_SECONDS = 2.0
MOST_DRAINED = 65_536  # bytes that are thrown away after the answer
QUOTING = (  # errors that say what was sent, in the log and in the answer; it may hold a password or a token
    errors.ExpectationFailed,
    errors.InvalidHTTPVersion,
    errors.InvalidHeader,
    errors.InvalidHeaderName,
    errors.InvalidRequestLine,
    errors.InvalidRequestMethod,
    errors.ObsoleteFolding,
    errors.UnsupportedTransferCoding,
)


class ServerLog(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """Without the access log, whose lines nobody would see: see `server_logging`."""

    def access(self, *_: Any) -> None:
        pass


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """The threaded worker, with threads for those requests only whose head has come."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.leaving: dict[Any, None] = {}  # answered connections, in the order of their time-outs

    def run(self) -> None:
        # Not at the top: gunicorn's parent reads this file, and a child made after an update must load anew.
        from api.poll_lane import POLL_LANE
        from api.poll_rounds import PollRounds

        self.polls = PollRounds(self.wsgi.extensions[POLL_LANE], self, self.cfg.keepalive)
        self.polls.start()
        super().run()

    def accept(self, listener: Any) -> None:
        """Whoever has fewer connections is quicker; else one process would take most of a crowd."""
        time.sleep(min(self.nr_conns * LEAN_BACK_SECONDS, MOST_LEAN_BACK_SECONDS))
        super().accept(listener)

    def enqueue_req(self, conn: Any) -> None:
        if conn.initialized or conn.data_ready:
            if not self.polls.take(conn):
                super().enqueue_req(conn)
            return
        plain = conn.sock
        conn.sock = TimedSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        self._await_head(conn)

    def on_client_socket_readable(self, conn: Any, client: TimedSocket) -> None:
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_head(conn)

    def on_pending_socket_readable(self, conn: Any, client: TimedSocket) -> None:
        if _has_head(client):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            super().on_pending_socket_readable(conn, client)

    def handle(self, conn: Any) -> Any:
        conn.sock.begin()
        if conn.sock.head_seen >= LARGEST_HEAD:
            util.write_error(conn.sock, 431, "Request Header Fields Too Large", "The head is too large.")
            return False
        return super().handle(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        result = fs.result() if not fs.cancelled() and fs.exception() is None else None
        held = conn.parser.unreader.buf.getvalue() if result is True else b""
        if result is False:
            self._leave(conn)
        elif held and HEAD_END not in held:
            self._await_head(conn, held)
        else:
            super().finish_request(conn, fs)

    def keeps_polls(self) -> bool:
        """Of `api.poll_rounds.Server`."""
        return bool(self.alive) and len(self.keepalived_conns) + len(self.polls) <= self.max_keepalived

    def answer_elsewhere(self, conn: Any) -> None:
        """Of `api.poll_rounds.Server`."""
        super().enqueue_req(conn)

    def take_back(self, conn: Any, may_follow: bool) -> None:
        """Of `api.poll_rounds.Server`: the main loop has the connection again."""
        done: Future[Any] = Future()
        done.set_result(may_follow)
        self.method_queue.defer(self.finish_request, conn, done)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        shown = type(exc)("not shown") if isinstance(exc, QUOTING) else exc
        super().handle_error(req, client, addr, shown)

    def murder_pending(self) -> None:
        super().murder_pending()
        for conn in [conn for conn in self.leaving if conn.timeout < time.monotonic()]:
            self._end(conn)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Whether another request may follow: not behind a body that did not come or has no clear end."""
        if not keepalive or conn.sock.is_given_up:
            return False
        try:
            return bool(conn.parser.finish_body(deadline=time.monotonic() + UNREAD_SECONDS))
        except errors.ParseException:  # the request has its answer, and gets no second one
            return False

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _await_head(self, conn: Any, held: bytes = b"") -> None:
        conn.sock.settimeout(0)
        conn.sock.held, conn.sock.head_seen = held, len(held)
        conn.timeout = time.monotonic() + HEAD_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _leave(self, conn: Any) -> None:
        """Send no more, and throw away what comes: hanging up at once could take back the answer."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:  # it is gone already
            self.nr_conns -= 1
            conn.close()
            return
        conn.sock.settimeout(0)
        conn.sock.moved = 0
        conn.timeout = time.monotonic() + LINGER_SECONDS
        self.leaving[conn] = None
        self.poller.register(conn.sock, EVENT_READ, partial(self._drain, conn))

    def _drain(self, conn: Any, client: TimedSocket) -> None:
        try:
            data = client.recv(MOST_DRAINED)
        except OSError:
            data = b""
        client.moved += len(data)
        if not data or client.moved > MOST_DRAINED:
            self._end(conn)

    def _end(self, conn: Any) -> None:
        del self.leaving[conn]
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()


def _has_head(sock: TimedSocket) -> bool:
    """Whether a thread would not wait: the head is whole, cannot become so, or is too large.

    Otherwise the socket is next readable when more of it has come.
    """
    try:
        fresh = sock.recv(LARGEST_HEAD, socket.MSG_PEEK)
    except OSError:
        return True
    seen = sock.held + fresh
    is_stuck = len(seen) == sock.head_seen or seen.count(b"\n") != seen.count(b"\r\n")
    sock.head_seen = len(seen)
    if HEAD_END in seen:
        sock.head_seen = 0
        sock.note_head(fresh)
        return True
    if is_stuck or len(seen) >= LARGEST_HEAD:
        return True
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(fresh) + 1)
    return False


# gunicorn's options, by their names there.
worker_class = Worker
logger_class = ServerLog
workers = 2
threads = 16
worker_connections = 400  # of each process: with all else that it opens, below the usual 1024 descriptors
graceful_timeout = 30
keepalive = 15  # s; above the pause of clients that poll, or one would ask just as its connection is ended
control_socket_disable = True
limit_request_line = 4094
limit_request_fields = 100
sendfile = False  # the system's own call knows no slow reader
# Who forwards, and what of it counts, is TRUSTED_PROXIES' alone: by itself gunicorn believes every neighbour.
forwarded_allow_ips = ""
forwarder_headers = ""
logconfig_dict = server_logging()
raw_env = multiprocess.environment()
on_starting, when_ready = multiprocess.on_starting, multiprocess.when_ready
post_fork, child_exit, on_exit = multiprocess.post_fork, multiprocess.child_exit, multiprocess.on_exit
