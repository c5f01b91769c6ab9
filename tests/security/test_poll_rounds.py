"""The thread that answers polls in rounds, with connections of the test's own."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event

from api import poll_lane, rate_limit
from api.poll_lane import POLL_LANE
from api.poll_rounds import MOST_AT_ONCE, PollRounds
from api.request_log import Answered
from shared.services import Services
from shared.timed_socket import TimedSocket
from tests.integration.sending import as_
from tests.security.polls import Asked, read_answer


class Connection:
    """One on which a poll has come, with nobody at its other end."""

    def __init__(self, asked: Asked, closing: ExitStack) -> None:
        own, self.other = socket.socketpair()
        self.sock = TimedSocket(own.family, own.type, own.proto, fileno=own.detach())
        for end in (self.sock, self.other):
            closing.enter_context(end)
        self.other.sendall(asked.request)
        self.sock.settimeout(0)
        self.asked, self.sock.head = asked, asked.request

    def init(self) -> None:
        """gunicorn would make a parser for what comes later."""


class Server:
    """Notes what becomes of connections."""

    def __init__(self) -> None:
        self.keeps = True
        self.elsewhere: list[Connection] = []
        self.back: list[tuple[Connection, bool]] = []

    def keeps_polls(self) -> bool:
        return self.keeps

    def answer_elsewhere(self, conn: Connection) -> None:
        self.elsewhere.append(conn)

    def take_back(self, conn: Connection, may_follow: bool) -> None:
        self.back.append((conn, may_follow))


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    asked: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


def rounds_of(client: FlaskClient, keep_seconds: float = 60) -> tuple[PollRounds, Server]:
    server = Server()
    return PollRounds(client.application.extensions[POLL_LANE], server, keep_seconds), server


def test_a_round_asks_once_and_leaves_to_others_what_is_no_plain_success(
    admin: FlaskClient, services: Services, questions: list[Asked]
) -> None:
    asked = questions[:MOST_AT_ONCE]
    engine = services.sessions.kw["bind"]

    with ExitStack() as closing, statements(engine) as told:
        rounds, server = rounds_of(admin)
        conns = [Connection(question, closing) for question in asked]
        assert all(rounds.take(conn) for conn in conns)
        rounds.start()
        answered = [conn for conn in conns if conn.asked.status == 200]
        for conn in answered:
            assert read_answer(conn.other)[1]["data"]["id"] == conn.asked.job_id
        wait_for(lambda: len(server.elsewhere) + len(answered) == len(conns))
    assert [conn.asked for conn in server.elsewhere] == [one for one in asked if one.status != 200]
    reads = [statement for statement in told if statement.startswith("SELECT")]
    assert len(reads) <= 3, "logins, jobs, and how fast those that wait go on"


def test_what_a_poll_waits_for_others_counts_as_its_time(
    admin: FlaskClient, questions: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Answered] = []
    monkeypatch.setattr(poll_lane, "note_answer", lambda answered, **_: answers.append(answered))
    lane = admin.application.extensions[POLL_LANE]
    (seen,) = lane.look_at([questions[1].request])
    assert lane.answer_to(seen._replace(began=seen.began - 60))  # so long have others taken
    assert lane.answer_to(seen)
    first, second = (answered.seconds for answered in answers)
    assert second < 60 <= first


def test_who_asks_too_often_is_left_to_others(
    admin: FlaskClient, services: Services, questions: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(time=lambda: 30.0))  # no minute ends
    limited = as_(admin, services, requests_per_minute=1)
    staff, owner = questions[1], questions[0]
    lane = limited.application.extensions[POLL_LANE]
    seen = lane.look_at([staff.request, owner.request, staff.request])
    assert [lane.answer_to(one) is None for one in seen] == [False, False, True]
    assert limited.get(f"/api/jobs/{staff.job_id}").status_code == 429


def test_what_is_no_poll_or_would_have_to_wait_is_not_taken(
    admin: FlaskClient, questions: list[Asked]
) -> None:
    rounds, _ = rounds_of(admin)
    with ExitStack() as closing:
        conn = Connection(questions[0], closing)
        for head in (b"", b"POST" + conn.sock.head[3:], conn.sock.head.replace(b"HTTP/1.1", b"HTTP/1.0")):
            conn.sock.head = head
            assert not rounds.take(conn)
        conn.sock.head = questions[0].request
        conn.sock.send(b"the last answer, which nobody has read")
        assert not rounds.take(conn)
        conn.other.recv(100)
        assert rounds.take(conn)


def test_who_has_polled_is_waited_for_until_something_else_comes(
    admin: FlaskClient, questions: list[Asked]
) -> None:
    rounds, server = rounds_of(admin)
    rounds.start()
    asked = questions[0].request
    with ExitStack() as closing:
        conns = [Connection(questions[0], closing) for _ in range(4)]
        for turn in range(3):
            for conn in conns:
                if turn:
                    conn.other.sendall(asked)
                else:
                    assert rounds.take(conn)
            assert [read_answer(conn.other)[0] for conn in conns] == [200] * 4
            assert len(rounds) == 4
        conns[0].other.sendall(asked[:-2])  # the rest will come later
        conns[1].other.sendall(asked.replace(b"GET", b"PUT"))
        conns[2].other.sendall(asked + asked)
        conns[3].other.close()
        wait_for(lambda: len(server.back) == 4)
        assert {conn for conn, may_follow in server.back if may_follow} == set(conns)
        assert conns[1].sock.recv(4096) == asked.replace(b"GET", b"PUT"), "nothing was taken off it"
        assert (len(rounds), server.elsewhere) == (0, [])


def test_a_connection_on_which_nothing_comes_is_ended(admin: FlaskClient, questions: list[Asked]) -> None:
    rounds, server = rounds_of(admin, keep_seconds=1)
    rounds.start()
    with ExitStack() as closing:
        conn = Connection(questions[0], closing)
        assert rounds.take(conn)
        read_answer(conn.other)
        assert server.back == []
        wait_for(lambda: server.back == [(conn, False)])


def test_a_server_that_stops_has_its_connections_back(admin: FlaskClient, questions: list[Asked]) -> None:
    rounds, server = rounds_of(admin)
    rounds.start()
    with ExitStack() as closing:
        kept, late = (Connection(questions[0], closing) for _ in range(2))
        assert rounds.take(kept)
        read_answer(kept.other)
        server.keeps = False
        assert rounds.take(late)
        wait_for(lambda: (server.elsewhere, server.back) == ([late], [(kept, True)]))
        assert late.sock.recv(4096) == late.asked.request, "nothing was taken off it"


@pytest.mark.parametrize("error", [psycopg2.OperationalError("made up"), ValueError("made up")])
def test_what_cannot_be_looked_up_is_left_to_others_and_the_next_round_goes_on(
    admin: FlaskClient, services: Services, questions: list[Asked], error: Exception
) -> None:
    engine = services.sessions.kw["bind"]

    def refuse(*_: object) -> None:
        raise error

    rounds, server = rounds_of(admin)
    rounds.start()
    with ExitStack() as closing:
        event.listen(engine, "before_cursor_execute", refuse)
        first, second = (Connection(questions[0], closing) for _ in range(2))
        assert rounds.take(first)
        wait_for(lambda: server.elsewhere == [first])
        event.remove(engine, "before_cursor_execute", refuse)
        lane = admin.application.extensions[POLL_LANE]
        assert lane.is_open() == isinstance(error, ValueError)
        lane._closed_until = 0.0
        assert rounds.take(second)
        assert read_answer(second.other)[0] == 200
