"""The short reading and writing of HTTP says what gunicorn says, or nothing."""

from http import HTTPStatus
from typing import Any
from wsgiref.types import WSGIEnvironment

import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import Response
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api import server
from api.plain_requests import LARGEST_HEAD, read_head, write_answer

FIELDS = [
    b"Host: api.example:5000",
    b"host: api.example",
    b"Authorization: Bearer a-token_of.ours",
    b"COOKIE: session=abc; other=1",
    b'If-None-Match: "a", W/"b"',
    b"X-Request-ID:   spaces around it   ",
    b"X-Forwarded-For: 192.0.2.1, 192.0.2.2",
    b"Connection: keep-alive",
    b"Accept:",
    b"Accept: a:b::c",
]
DOUBTFUL = [
    b"Connection: close",
    b"Connection: keep-alive, upgrade",
    b"Connection: keep-alive\t",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Upgrade: h2c",
    b"Script_Name: /api",
    b"SCRIPT-NAME: /api",
    b"Name : value",
    b" folded",
    b"no colon",
    b": no name",
    b"Caf\xe9: au lait",
    b"X-Word: caf\xe9",
    b"X-Tab: a\tb",
    b"X-Zero: a\x00b",
    b"X-Return: a\rb",
    b"X-Line: a\nb",
    b"",
]
PATHS = [
    b"/api/jobs/0",
    b"/api/jobs/A-b_c",
    b"/",
    b"//two",
    b"/a%20b",
    b"/a?b=c",
    b"/a#b",
    b"/a;b",
    b"a",
    b"*",
    b"/\xe9",
]
LINES = [b"GET %s HTTP/1.1", b"GET %s HTTP/1.0", b"GET  %s HTTP/1.1", b"get %s HTTP/1.1", b"HEAD %s HTTP/1.1"]

heads = st.builds(
    lambda line, path, fields, after: (
        b"\r\n".join([line.replace(b"%s", path), *fields]) + b"\r\n\r\n" + after
    ),
    st.sampled_from(LINES[:1] * 8 + LINES),
    st.sampled_from(PATHS[:2] * 8 + PATHS),
    st.lists(st.sampled_from(FIELDS * 3 + DOUBTFUL), max_size=6),
    st.sampled_from([b""] * 8 + [b"\r\n", b"x", b"GET / HTTP/1.1\r\n\r\n"]),
)


class Wire:
    """A connection on which all has come."""

    def __init__(self, received: bytes) -> None:
        self.received, self.sent = received, b""

    def recv(self, size: int) -> bytes:
        part, self.received = self.received[:size], self.received[size:]
        return part

    def sendall(self, data: bytes) -> None:
        self.sent += data


def as_served() -> Config:
    config = Config()
    for name, value in vars(server).items():
        if name in config.settings and not callable(value):
            config.set(name, value)
    return config


CONFIG = as_served()


def gunicorns(head: bytes) -> tuple[Any, WSGIEnvironment]:
    """The request and its environment; what follows it in `head` must be nothing."""
    parser = RequestParser(CONFIG, Wire(head), ("192.0.2.9", 1))
    request = next(parser)
    _, environ = wsgi.create(request, Wire(b""), ("192.0.2.9", 1), ("192.0.2.8", 80), CONFIG)
    assert request.body.read() == b""
    assert parser.unreader.buf.getvalue() + parser.unreader.sock.received == b""
    return request, environ


@settings(max_examples=500)
@given(heads)
@example(b"GET /api/jobs/0 HTTP/1.1\r\nHost: a\r\n\r\n")
def test_what_is_read_is_what_gunicorn_reads(head: bytes) -> None:
    found = read_head(head)
    if found is None:
        return
    request, environ = gunicorns(head)
    ours = {"REQUEST_METHOD", "PATH_INFO", "QUERY_STRING"}
    assert found == {name: value for name, value in environ.items() if name in ours or name[:5] == "HTTP_"}
    assert not request.should_close()
    assert "CONTENT_LENGTH" not in environ


def test_usual_polls_are_read() -> None:
    head = b"GET /api/jobs/0 HTTP/1.1\r\n" + b"\r\n".join(FIELDS[:1] + FIELDS[2:-1]) + b"\r\n\r\n"
    assert read_head(head) == {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/jobs/0",
        "QUERY_STRING": "",
        "HTTP_HOST": "api.example:5000",
        "HTTP_AUTHORIZATION": "Bearer a-token_of.ours",
        "HTTP_COOKIE": "session=abc; other=1",
        "HTTP_IF_NONE_MATCH": '"a", W/"b"',
        "HTTP_X_REQUEST_ID": "spaces around it",
        "HTTP_X_FORWARDED_FOR": "192.0.2.1, 192.0.2.2",
        "HTTP_CONNECTION": "keep-alive",
        "HTTP_ACCEPT": "",
    }


@pytest.mark.parametrize("field", DOUBTFUL)
def test_what_leaves_doubt_is_not_read(field: bytes) -> None:
    head = b"GET /api/jobs/0 HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n"
    assert (read_head(head.replace(b"%s", field)) is None) != (field == b"SCRIPT-NAME: /api")


def test_large_heads_and_repeated_fields_are_not_read() -> None:
    usual = b"GET /api/jobs/0 HTTP/1.1\r\nHost: a\r\nX-A: %s\r\n\r\n"
    assert read_head(usual.replace(b"%s", b"a" * (LARGEST_HEAD - len(usual)))) is not None
    assert read_head(usual.replace(b"%s", b"a" * LARGEST_HEAD)) is None
    assert read_head(usual.replace(b"%s", b"a\r\nhost: a")) is None
    with pytest.raises(ParseException):
        gunicorns(usual.replace(b"%s", b"a\r\nhost: a"))


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (HTTPStatus.OK, [("Content-Type", "application/json"), ("Content-Length", "3")], b"{}\n"),
        (HTTPStatus.NOT_MODIFIED, [("ETag", '"a"'), ("X-Request-ID", "b")], b""),
    ],
)
def test_what_is_written_is_what_gunicorn_writes(
    status: HTTPStatus, headers: list[tuple[str, str]], body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("gunicorn.util", "api.plain_requests"):
        monkeypatch.setattr(f"{module}.http_date", lambda: "Thu, 01 Jan 1970 00:00:00 GMT")
    request, _ = gunicorns(b"GET /api/jobs/0 HTTP/1.1\r\nHost: a\r\n\r\n")
    wire = Wire(b"")
    response = Response(request, wire, CONFIG)
    response.start_response(f"{status.value} {status.phrase}", headers)
    response.write(body)
    response.close()
    assert not response.should_close()
    assert write_answer(status, headers, body) == wire.sent
