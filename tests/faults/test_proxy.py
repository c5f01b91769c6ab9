"""The fault proxy does to a connection what it says, and nothing otherwise."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from stack.ports import LOOPBACK
from tests.faults.proxy import FaultProxy


class Echo(socketserver.ThreadingTCPServer):
    """Sends back what it gets, and remembers it."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), EchoHandler)
        self.heard = bytearray()


class EchoHandler(socketserver.BaseRequestHandler):
    server: Echo

    def handle(self) -> None:
        try:
            while data := self.request.recv(4096):
                self.server.heard += data
                self.request.sendall(data)
        except OSError:
            pass  # cut: what most of these tests do


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy(echo.server_address[1]) as running:
        yield running


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with _connect(proxy) as connection:
        assert _said(connection, b"hello") == b"hello"
        yield connection


def _connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection((LOOPBACK, proxy.port), timeout=5)


def _said(connection: socket.socket, words: bytes) -> bytes:
    """What comes back for these words; empty: the other side ended the connection properly."""
    connection.sendall(words)
    heard = b""
    while len(heard) < len(words) and (data := connection.recv(4096)):
        heard += data
    return heard


def test_large_things_pass_whole(client: socket.socket) -> None:
    words = bytes(range(256)) * 400
    assert _said(client, words) == words


def test_a_delay_holds_both_ways(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.delay_s = 0.1
    began = time.monotonic()
    assert _said(client, b"late") == b"late"
    assert time.monotonic() - began >= 0.2


def test_a_trickle_is_slow_and_whole(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.bytes_per_second = 2000
    began = time.monotonic()
    assert _said(client, b"x" * 800) == b"x" * 800
    assert time.monotonic() - began >= 0.4


def test_a_cut_resets_connections_and_lets_new_ones_in(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.cut()
    with pytest.raises(ConnectionError):
        _said(client, b"anybody there?")
    with _connect(proxy) as again:
        assert _said(again, b"back") == b"back"


def test_a_half_closed_client_reads_the_end_and_is_still_heard(
    proxy: FaultProxy, client: socket.socket, echo: Echo
) -> None:
    proxy.half_close()
    assert client.recv(10) == b""
    client.sendall(b"still here")
    deadline = time.monotonic() + 5
    while b"still here" not in echo.heard:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_refusing_ends_all_and_takes_none(proxy: FaultProxy, client: socket.socket) -> None:
    with proxy.refusing():
        with pytest.raises(ConnectionError):
            _said(client, b"anybody there?")
        with pytest.raises(ConnectionError), _connect(proxy) as refused:
            assert _said(refused, b"hello") == b"hello"
    with _connect(proxy) as again:
        assert _said(again, b"back") == b"back"


def test_hanging_passes_nothing_and_loses_nothing(proxy: FaultProxy, client: socket.socket) -> None:
    client.settimeout(0.2)
    with proxy.hanging():
        client.sendall(b"wait")
        with pytest.raises(TimeoutError):
            client.recv(10)
    client.settimeout(5)
    assert client.recv(10) == b"wait"


def test_a_dropped_reply_comes_after_the_work_was_done(
    proxy: FaultProxy, client: socket.socket, echo: Echo
) -> None:
    proxy.drop_replies_to(b"COMMIT")
    assert _said(client, b"SELECT") == b"SELECT"
    with pytest.raises(ConnectionError):
        _said(client, b"COMMIT")
    assert bytes(echo.heard).endswith(b"COMMIT")
    assert proxy.replies_dropped == 1
    with _connect(proxy) as again:
        assert _said(again, b"COMMIT") == b"COMMIT"


def test_a_server_that_is_down_looks_down(proxy: FaultProxy, echo: Echo) -> None:
    echo.shutdown()
    echo.server_close()
    with pytest.raises(ConnectionError), _connect(proxy) as connection:
        assert _said(connection, b"hello") == b"hello"
