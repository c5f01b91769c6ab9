"""Requests that no library sends, to the real server: each is refused as documented or cut off."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.security.raw_http import CLOSE, HEALTH, HOST, LOGIN, get, say

EMPTY = b'{"username": "", "password": ""}'  # 32 bytes; the answer says which fields are missing
UNDERSTOOD = b"Username and password are required"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
WHOLE = b"20\r\n" + EMPTY + b"\r\n0\r\n\r\n"
MOST_SECONDS = 15.0  # patience of api/server.py, and the machine's own slowness
MOST_RSS_MB = 400

REFUSED = {
    "a header of 1 MB": (431, get("/api/health", b"X: " + b"a" * 1_000_000 + b"\r\n")),
    "a header that never ends": (431, HEALTH + HOST + b"X: " + b"a" * 3_000_000),
    "10,000 headers": (431, get("/api/health", *(b"X-%d: a\r\n" % n for n in range(10_000)))),
    "101 headers": (431, get("/api/health", *(b"X-%d: a\r\n" % n for n in range(101)))),
    "a long header": (431, get("/api/health", b"X: " + b"a" * 9_000 + b"\r\n")),
    "a path of 5 kB": (414, get("/" + "a" * 5_000)),
    "a query of 5 kB": (414, get("/api/health?" + "a" * 5_000)),
    "a path of 1 MB": (431, get("/" + "a" * 1_000_000)),
    "HTTP/0.9": (400, b"GET /api/health\r\n\r\n"),
    "HTTP/2 on the wire": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2.0": (400, b"GET /api/health HTTP/2.0\r\n" + HOST + b"\r\n"),
    "HTTP/11": (400, b"GET /api/health HTTP/11\r\n" + HOST + b"\r\n"),
    "a version of no protocol": (400, b"GET /api/health FTP/1.1\r\n" + HOST + b"\r\n"),
    "a small method": (400, b"get /api/health HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a long method": (400, b"A" * 100 + b" /api/health HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a method of odd letters": (400, b"G(T /api/health HTTP/1.1\r\n" + HOST + b"\r\n"),
    "an unknown method": (405, b"FROB /api/health HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"),
    "TRACE": (405, b"TRACE /api/health HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"),
    "CONNECT": (404, b"CONNECT evil.example:80 HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"),
    "OPTIONS of all": (404, b"OPTIONS * HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"),
    "an authority as path": (400, get("evil.example:80")),
    "an address that is none": (400, get("http://[/api/health")),
    "a path of nothing": (400, b"GET  HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a null byte in the path": (400, get("/api/\0health")),
    "an encoded null byte": (404, get("/api/health%00")),
    "an encoded line end": (404, get("/api/health%0d%0aX:%201")),
    "percent signs": (404, get("/api/%zz?%=%&%00=%ff")),
    "bytes that are no ASCII": (400, get("/api/\xff")),
    "a null byte in a header": (400, get("/api/health", b"X: a\0b\r\n")),
    "a line feed alone": (400, b"GET /api/health HTTP/1.1\nHost: x\n\n"),
    "a header without a colon": (400, get("/api/health", b"colonless\r\n")),
    "a header without a name": (400, get("/api/health", b": x\r\n")),
    "a folded header": (400, get("/api/health", b"X: a\r\n b\r\n")),
    "a space before the colon": (400, get("/api/health", b"X : a\r\n")),
    "two hosts": (400, get("/api/health", b"Host: evil.example\r\n")),
    "two types": (400, get("/api/health", b"Content-Type: a/b\r\nContent-Type: c/d\r\n")),
    "an expectation of magic": (417, get("/api/health", b"Expect: magic\r\n")),
    "every byte": (400, bytes(range(256)) * 8),
    "empty lines": (400, b"\r\n" * 1_000),
    "a proxy's greeting": (400, b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + get("/api/health")),
}
NO_HOSTS = (b"", b" ", b"a b", b"[", b"[::1", b"a:b", b"a:999999", b"a:", b"a/b", b"user@a", b"\xff", b"a,b")
SIGNS = (b"<script>", b"a\\b", b"a?b", b"a#b", b"..", b"x" * 300, b"http://a", b"a%00", b"'", b"a;b")

SMUGGLED = {
    "a negative length": b"Content-Length: -1\r\n\r\n" + EMPTY,
    "a length with a sign": b"Content-Length: +32\r\n\r\n" + EMPTY,
    "two words as length": b"Content-Length: 3 2\r\n\r\n" + EMPTY,
    "a length in hex": b"Content-Length: 0x20\r\n\r\n" + EMPTY,
    "a length in other digits": b"Content-Length: \xb2\r\n\r\n" + EMPTY,
    "no length": b"Content-Length: \r\n\r\n" + EMPTY,
    "a list of lengths": b"Content-Length: 32, 32\r\n\r\n" + EMPTY,
    "one length twice": b"Content-Length: 32\r\nContent-Length: 32\r\n\r\n" + EMPTY,
    "two lengths": b"Content-Length: 32\r\nContent-Length: 0\r\n\r\n" + EMPTY,
    "a length of 5000 digits": b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n" + EMPTY,
    "length, then chunks": b"Content-Length: 32\r\n" + CHUNKED + b"\r\n" + WHOLE,
    "chunks, then length": CHUNKED + b"Content-Length: 3\r\n\r\n" + WHOLE,
    "chunks twice": CHUNKED + CHUNKED + b"\r\n" + WHOLE,
    "chunked, identity": CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + WHOLE,
    "identity": b"Transfer-Encoding: identity\r\n\r\n" + EMPTY,
    "gzip without an end": b"Transfer-Encoding: gzip\r\n\r\n" + EMPTY,
    "an unseen sign before chunked": b"Transfer-Encoding: \x0bchunked\r\n\r\n" + WHOLE,
    "a null byte after chunked": b"Transfer-Encoding: chunked\0\r\n\r\n" + WHOLE,
    "a space in the name": b"Transfer-Encoding : chunked\r\n\r\n" + WHOLE,
    "a folded encoding": b"Transfer-Encoding:\r\n chunked\r\n\r\n" + WHOLE,
    "an encoding of HTTP's last chunk": b"X: a\nTransfer-Encoding: chunked\r\n\r\n" + WHOLE,
}
BAD_CHUNKS = {
    "a negative chunk": b"-20\r\n" + EMPTY + b"\r\n0\r\n\r\n",
    "a word as size": b"size\r\n" + EMPTY + b"\r\n0\r\n\r\n",
    "0x in a size": b"0x20\r\n" + EMPTY + b"\r\n0\r\n\r\n",
    "a size with an underscore": b"2_0\r\n" + EMPTY + b"\r\n0\r\n\r\n",
    "no size": b"\r\n" + EMPTY + b"\r\n0\r\n\r\n",
    "a chunk longer than said": b"1f\r\n" + EMPTY + b"\r\n0\r\n\r\n",
    "an extension of 1 MB": b"20;a=" + b"x" * 1_000_000 + b"\r\n" + EMPTY + b"\r\n0\r\n\r\n",
    "an extension with a null byte": b"20;a=\0\r\n" + EMPTY + b"\r\n0\r\n\r\n",
    "an extension with a return": b"20;a=\rb\r\n" + EMPTY + b"\r\n0\r\n\r\n",
    "trailers of 1 MB": b"20\r\n" + EMPTY + b"\r\n0\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "a length as trailer": b"20\r\n" + EMPTY + b"\r\n0\r\nContent-Length: 3\r\n\r\n",
    "an encoding as trailer": b"20\r\n" + EMPTY + b"\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
}


@pytest.fixture(autouse=True)
def still_up(server: str) -> Iterator[None]:
    """After each test."""
    yield
    assert say(server, get("/api/health")).statuses == [200]


def test_what_is_no_request_is_refused_and_not_shown_again(server: str) -> None:
    wrong = []
    for name, (status, request) in REFUSED.items():
        exchange = say(server, request)
        if (exchange.statuses, exchange.is_closed) != ([status], True) or exchange.seconds > MOST_SECONDS:
            wrong.append(f"{name}: {exchange.statuses} {exchange.is_closed} {exchange.seconds:.1f} s")
        if b"colonless" in exchange.received or b"evil" in exchange.received:
            wrong.append(f"{name}: shown again")
    assert wrong == []


@pytest.mark.parametrize("path", ["/api/health", "/nowhere", "/api/docs"])
def test_a_host_that_is_none_is_refused(server: str, path: str) -> None:
    for host in (*NO_HOSTS, *SIGNS):
        exchange = say(server, get(path, host=b"Host: " + host + b"\r\n"))
        assert exchange.statuses == [400], host
    for host in (b"a.example", b"a.example:80", b"127.0.0.1:5000", b"[::1]:5000", b"A.EXAMPLE"):
        exchange = say(server, get("/api/health", host=b"Host: " + host + b"\r\n"))
        assert exchange.statuses == [200], host


def test_a_request_whose_length_is_in_doubt_is_refused_whole(server: str) -> None:
    """And what follows it is not taken for a request: that is how requests are smuggled past proxies."""
    wrong = []
    for name, rest in SMUGGLED.items():
        exchange = say(server, LOGIN + rest + get("/api/health"))
        if exchange.statuses != [400] or UNDERSTOOD in exchange.received or not exchange.is_closed:
            wrong.append(f"{name}: {exchange.statuses}")
    unknown = say(server, LOGIN + b"Transfer-Encoding: xchunked\r\n\r\n" + WHOLE + get("/api/health"))
    assert unknown.statuses == [501]  # as RFC 9112 demands
    old = LOGIN.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert say(server, old + CHUNKED + b"\r\n" + WHOLE + get("/api/health")).statuses == [400]
    assert wrong == []


def test_chunks_that_break_the_rules_are_refused_by_the_route_that_reads_them(server: str) -> None:
    wrong = []
    for name, body in BAD_CHUNKS.items():
        exchange = say(server, LOGIN + CHUNKED + b"\r\n" + body + get("/api/health"))
        told = json.loads(exchange.received.split(b"\r\n\r\n", 1)[1])
        if exchange.statuses != [400] or told["code"] != "VALIDATION_ERROR" or "username" in told["error"]:
            wrong.append(f"{name}: {exchange.statuses} {told}")
    assert wrong == []


def test_a_route_that_reads_no_body_gives_one_answer_and_hangs_up(server: str) -> None:
    for body in BAD_CHUNKS.values():
        exchange = say(server, HEALTH + HOST + CHUNKED + b"\r\n" + body + get("/api/health"))
        assert exchange.statuses == [200]
        assert exchange.is_closed


def test_chunks_that_keep_the_rules_are_read(server: str) -> None:
    in_pieces = b"".join(b'1;a=b;c="d"\r\n%c\r\n' % byte for byte in EMPTY) + b"0\r\nX: y\r\n\r\n"
    for body in (WHOLE, in_pieces, WHOLE.replace(b"20", b"00000020", 1)):
        exchange = say(server, LOGIN + CLOSE + CHUNKED + b"\r\n" + body)
        assert (exchange.statuses, UNDERSTOOD in exchange.received) == ([400], True)


def test_a_body_without_end_is_cut_off_at_the_limit(server: str) -> None:
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    exchange = say(server, LOGIN + CHUNKED + b"\r\n", *([chunk] * 2_000))  # 128 MB, of which 16 are allowed
    assert exchange.statuses in ([400], [])  # half of some JSON; the client may still be sending when cut off
    assert exchange.is_closed
    for length in (b"20000000", b"9" * 30):
        exchange = say(server, LOGIN + b"Content-Length: " + length + b"\r\n\r\n")
        assert (exchange.statuses, exchange.is_closed) == ([413], True)


def test_a_body_that_ends_early_is_no_body(server: str) -> None:
    for said in (b"Content-Length: 100\r\n\r\n", CHUNKED + b"\r\n64\r\n"):
        exchange = say(server, LOGIN + said + EMPTY[:-1], hang_up=True)
        assert (exchange.statuses, UNDERSTOOD in exchange.received) == ([400], False)


def test_requests_in_one_go_are_answered_in_their_order(server: str) -> None:
    """A line of them, one of which is bad: it has the last answer."""
    one = HEALTH + HOST + b"\r\n"
    assert say(server, one * 50 + get("/nowhere")).statuses == [200] * 50 + [404]
    bad = LOGIN + b"Content-Length: 10\r\n\r\n" + EMPTY + get("/api/health")
    assert say(server, one * 3 + bad).statuses == [200] * 3 + [400] * 2


def test_no_header_says_what_only_a_proxy_may(server: str) -> None:
    """gunicorn itself would believe any neighbour; TRUSTED_PROXIES says who is believed."""
    assert say(server, get("/api/health", b"SCRIPT_NAME: /x\r\n")).statuses == [200]
    assert say(server, get("/x/api/health", b"SCRIPT_NAME: /x\r\n")).statuses == [404]
    assert say(server, get("/nowhere", b"PATH_INFO: /api/health\r\n")).statuses == [404]
    assert say(server, get("http://evil.example/api/health")).statuses == [200]
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    assert say(server, HEALTH + HOST + upgrade + b"\r\n" + get("/nowhere")).statuses == [200, 404]


def test_nothing_of_it_filled_memory_or_the_log(server: str, log: Path) -> None:
    """After all of the above."""
    say(server, LOGIN + b"Content-Length: 0\r\n\r\n" + b'{"password": "hunter2"}\r\n\r\n')
    bind = server.removeprefix("http://")
    own = [child for child in psutil.Process().children() if bind in child.cmdline()]
    for process in own[0].children():
        peak = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        assert peak is not None
        assert int(peak[1]) / 1_000 < MOST_RSS_MB
    text = log.read_text()
    assert "Traceback" not in text
    for secret in ("hunter2", "colonless", "evil"):
        assert secret not in text
