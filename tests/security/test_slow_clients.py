"""Clients that take their time: they keep neither the threads nor the main loop of the real server."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from api.server import HEAD_SECONDS, LINGER_SECONDS, threads, workers
from shared import timed_socket
from shared.settings import Settings
from shared.storage import LocalStore
from shared.timed_socket import PATIENCE_SECONDS, TimedSocket
from tests.integration.conftest import SECRET
from tests.security.raw_http import HEALTH, HOST, LOGIN, connect, get, listen, say

MANY = 3 * workers * threads
SLACK = 6.0  # a noisy machine; far below what the waiting would take without the limits
LARGE = 24_000_000  # bytes: more than both ends' buffers
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


class Crowd:
    """Clients that have said something and are still there."""

    def __init__(self, server: str, closing: ExitStack) -> None:
        self._server, self._closing = server, closing

    def of(self, count: int, said: bytes) -> list[socket.socket]:
        clients = [self._closing.enter_context(connect(self._server)) for _ in range(count)]
        for client in clients:
            client.sendall(said)
        return clients


@pytest.fixture
def crowd(server: str) -> Iterator[Crowd]:
    with ExitStack() as closing:
        yield Crowd(server, closing)


def seconds_of_a_request(server: str) -> float:
    exchange = say(server, get("/api/health"))
    assert exchange.statuses == [200]
    return exchange.seconds


def are_ended(clients: list[socket.socket], by: float, most: int = 1) -> None:
    """With no more answers each than `most`: the rest of a body that came too late is no request."""
    for client in clients:
        exchange = listen(client, max(by - time.monotonic(), 0.1))
        assert exchange.is_closed
        assert len(exchange.statuses) <= most


def test_silent_and_half_heads_take_no_thread_and_end_in_time(server: str, crowd: Crowd) -> None:
    """Of each kind more than there are threads."""
    by = time.monotonic() + HEAD_SECONDS + SLACK
    waiting = [
        *crowd.of(MANY, b""),
        *crowd.of(MANY, HEALTH + HOST),
        *crowd.of(MANY, HEALTH + HOST + b"\r\n" + HEALTH),  # after a first request on the connection
        *crowd.of(1, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)),  # TLS
        *crowd.of(1, b"GET /api/health HTTP/1.1\rHost: x\r\r"),
    ]
    for piece in (b"X-A: 1\r\n", b"X-B: 2\r\n"):
        assert seconds_of_a_request(server) < SLACK / 2
        for client in waiting[MANY : 2 * MANY]:
            client.sendall(piece)
    are_ended(waiting, by, most=2)


def test_a_head_that_comes_in_pieces_is_answered(server: str) -> None:
    with connect(server) as client:
        for byte in HEALTH + HOST + b"Connection: close\r\n\r\n":
            client.sendall(bytes([byte]))
        assert listen(client).statuses == [200]


def test_a_head_cut_off_ends_at_once(server: str) -> None:
    exchange = say(server, HEALTH + HOST, hang_up=True)
    assert (exchange.statuses, exchange.is_closed) == ([], True)
    assert exchange.seconds < SLACK / 2


def test_who_does_not_hang_up_after_the_answer_holds_nothing(server: str, crowd: Crowd) -> None:
    by = time.monotonic() + LINGER_SECONDS + SLACK
    answered = crowd.of(MANY, get("/api/health"))
    assert seconds_of_a_request(server) < SLACK / 2
    are_ended(answered, by)


def test_slow_bodies_and_slow_readers_hold_threads_for_seconds_only(
    server: str, own_settings: Settings, crowd: Crowd
) -> None:
    """As many as a process has threads: others may wait meanwhile, which the proxy in front has to mend."""
    store = LocalStore(own_settings.image_folder, "images", SECRET, 60)
    store.put("overlay/large.png", bytes(LARGE), "image/png")
    began = time.monotonic()
    readers = crowd.of(threads // 2, get(store.link("overlay/large.png")))
    bodies = [
        *crowd.of(threads // 4, LOGIN + b"Content-Length: 100\r\n\r\n{"),
        *crowd.of(threads // 4, LOGIN + CHUNKED + b"64\r\n{"),
    ]
    stop = threading.Event()
    trickle = threading.Thread(target=_trickle, args=(bodies[::2], stop))
    trickle.start()
    try:
        are_ended(bodies, began + 2 * PATIENCE_SECONDS + SLACK)
    finally:
        stop.set()
        trickle.join()
    while time.monotonic() < began + PATIENCE_SECONDS + SLACK / 2:
        seconds_of_a_request(server)
        time.sleep(0.2)
    assert seconds_of_a_request(server) < SLACK / 2
    assert all(len(listen(reader).received) < LARGE for reader in readers)


def _trickle(clients: list[socket.socket], stop: threading.Event) -> None:
    """A byte a second, so that no single wait is long."""
    while not stop.wait(1):
        for client in clients:
            try:
                client.sendall(b" ")
            except OSError:  # ended, as it must be
                continue


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TimedSocket, socket.socket]]:
    """Both ends of a connection with little patience: seconds are the test's to spare."""
    monkeypatch.setattr(timed_socket, "PATIENCE_SECONDS", 0.4)
    ours, theirs = socket.socketpair()
    timed = TimedSocket(ours.family, ours.type, ours.proto, fileno=ours.detach())
    with timed, theirs:
        yield timed, theirs


def test_a_wait_for_nothing_finds_the_end(pair: tuple[TimedSocket, socket.socket]) -> None:
    timed, theirs = pair
    theirs.sendall(b"abc")
    assert [timed.recv(2), timed.recv(2), timed.recv(2)] == [b"ab", b"c", b""]
    timed.begin()
    theirs.sendall(b"d")
    assert timed.recv(2) == b"d"


def test_a_shorter_time_out_of_gunicorns_own_counts(pair: tuple[TimedSocket, socket.socket]) -> None:
    timed, _ = pair
    timed.settimeout(0.01)
    with pytest.raises(TimeoutError):
        timed.recv(1)
    timed.settimeout(0)
    with pytest.raises(BlockingIOError):
        timed.recv(1)


def test_who_reads_nothing_is_left(pair: tuple[TimedSocket, socket.socket]) -> None:
    timed, theirs = pair
    timed.sendall(b"x" * 1_000)
    assert theirs.recv(2_000) == b"x" * 1_000
    with pytest.raises(BrokenPipeError):
        timed.sendall(bytes(50_000_000))


def test_the_time_between_reads_is_not_the_clients(pair: tuple[TimedSocket, socket.socket]) -> None:
    """A request may be worked on for as long as it takes."""
    timed, theirs = pair
    for _ in range(3):
        theirs.sendall(b"x")
        assert timed.recv(1) == b"x"
        time.sleep(0.2)
    assert timed.waited < 0.2
