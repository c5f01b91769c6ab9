"""nginx as it stands in front of the API and Flower: the real program with our configuration.

Runs where Debian's nginx is installed, and is skipped elsewhere.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from deploy import prepare
from stack.ports import free_port

START = Path(__file__).parents[2] / "deploy" / "nginx" / "start.sh"
BODY_LIMIT = 300_000
PATIENCE_S = 60

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


@dataclass
class Upstream:
    """Stands for the API and Flower: says what it was asked."""

    server: ThreadingHTTPServer
    seen: list[dict[str, str]] = field(default_factory=list)
    news: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return self.server.server_address[1]


@dataclass(frozen=True)
class Proxy:
    http: str
    https: str
    tls_port: int
    upstream: Upstream
    trust: ssl.SSLContext

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.https, verify=self.trust, timeout=PATIENCE_S, trust_env=False)

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.tls_port), timeout=PATIENCE_S)
        return self.trust.wrap_socket(plain, server_hostname="localhost")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            facts = {name.lower(): value for name, value in self.headers.items()}
            known.seen.append({**facts, "path": self.path, "body bytes": str(len(body))})
            if self.path == "/api/dies":
                self.close_connection = True
                return
            if self.path.startswith("/api/jobs/"):
                self.long_poll()
                return
            answer = json.dumps(known.seen[-1]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.send_header("X-Content-Type-Options", "nosniff")
            if self.path.startswith("/api/docs/"):
                self.send_header("Cache-Control", "public, max-age=60")
                self.send_header("X-Request-ID", self.headers["X-Request-ID"])
            self.end_headers()
            self.wfile.write(answer)

        def do_POST(self) -> None:
            self.do_GET()

        def long_poll(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nfirst\r\n")
            known.news.wait(PATIENCE_S)
            self.wfile.write(b"4\r\nlast\r\n0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    known = Upstream(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    threading.Thread(target=known.server.serve_forever, daemon=True).start()
    yield known
    known.server.shutdown()
    known.server.server_close()


@pytest.fixture(scope="module")
def proxy(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    prepare.make_certificate(folder, "localhost")
    plain, tls = free_port(), free_port()
    environment = {
        **os.environ,
        "PUBLIC_URL": f"https://localhost:{tls}/",
        "MAX_CONTENT_LENGTH": str(BODY_LIMIT),
        "MAX_WAIT_SECONDS": "25",
        "CERTIFICATE_FOLDER": str(folder),
        "RUN_FOLDER": str(folder),
        "API_ADDRESS": f"127.0.0.1:{upstream.port}",
        "FLOWER_ADDRESS": f"127.0.0.1:{upstream.port}",
        "RESOLVER": "127.0.0.1",
        "LISTEN_HTTP": f"127.0.0.1:{plain}",
        "LISTEN_HTTPS": f"127.0.0.1:{tls}",
        # Started by root, workers would become nobody, who may not enter the test's folder.
        "DIRECTIVES": "user root;" if os.geteuid() == 0 else "",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["sh", str(START)], env=environment, stdout=log, stderr=log)
    try:
        wait_for(tls, process, folder / "log")
        trust = ssl.create_default_context(cafile=folder / "server.crt")
        yield Proxy(f"http://127.0.0.1:{plain}", f"https://localhost:{tls}", tls, upstream, trust)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture(autouse=True)
def nothing_seen(request: pytest.FixtureRequest) -> None:
    known: Upstream = request.getfixturevalue("upstream")
    known.seen.clear()
    known.news.clear()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(log.read_text())


def head(method: str, path: str, length: int) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


def test_plain_http_leads_to_the_public_address(proxy: Proxy) -> None:
    answer = httpx.get(f"{proxy.http}/api/health?a=b", headers={"Host": "evil.example"}, trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"{proxy.https}/api/health?a=b"
    assert proxy.upstream.seen == []


def test_the_api_learns_who_calls_and_no_client_can_say_otherwise(proxy: Proxy) -> None:
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "for=6.6.6.6",
        "X-Request-ID": "given-1",
    }
    with proxy.client() as client:
        seen = client.get("/api/health", headers=lies).json()
        assert seen["x-forwarded-for"] == "127.0.0.1"
        assert seen["x-forwarded-proto"] == "https"
        assert seen["x-forwarded-host"] == seen["host"] == f"localhost:{proxy.tls_port}"
        assert seen["x-request-id"] == "given-1"
        assert not {"x-forwarded-prefix", "x-forwarded-port", "forwarded"} & seen.keys()
        made = client.get("/api/health", headers={"X-Request-ID": "no good\tid"}).json()["x-request-id"]
    assert len(made) == 32


def test_headers_of_the_api_are_not_doubled(proxy: Proxy) -> None:
    with proxy.client() as client:
        assert client.get("/api/health").headers.get_list("X-Content-Type-Options") == ["nosniff"]


def test_a_body_above_the_limit_is_refused_in_the_apis_words(proxy: Proxy) -> None:
    with proxy.client() as client:
        assert client.post("/api/x", content=bytes(BODY_LIMIT)).json()["body bytes"] == str(BODY_LIMIT)
        refused = client.post("/api/x", content=bytes(BODY_LIMIT + 1))
    assert refused.status_code == 413
    assert (refused.json()["code"], refused.json()["success"]) == ("PAYLOAD_TOO_LARGE", False)
    assert len(proxy.upstream.seen) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/flower/metrics",
        "/flower/healthcheck",
        "/flower//metrics",
        "/flower/%6detrics",
        "/flower/x/../metrics",
        "/flower/./healthcheck?x",
    ],
)
def test_what_is_open_inside_is_not_reached_from_outside(proxy: Proxy, path: str) -> None:
    with proxy.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = connection.makefile("rb").read()
    assert b" 404 " in answer.splitlines()[0]
    assert proxy.upstream.seen == []


def test_flower_is_passed_on_with_its_path_and_login(proxy: Proxy) -> None:
    with proxy.client() as client:
        answer = client.get("/flower/api/tasks", headers={"Authorization": "Basic eDp5"})
    assert (answer.json()["path"], answer.json()["authorization"]) == ("/flower/api/tasks", "Basic eDp5")
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_a_long_poll_hears_at_once(proxy: Proxy) -> None:
    with proxy.client() as client, client.stream("GET", "/api/jobs/1?wait=20") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first"  # the API has not ended its answer yet
        proxy.upstream.news.set()
        assert b"".join(parts) == b"last"


def test_slow_bodies_are_gathered_before_the_api_hears_of_them(proxy: Proxy) -> None:
    body = bytes(200_000)
    slow = [proxy.connect() for _ in range(30)]
    try:
        for connection in slow:
            connection.sendall(head("POST", "/api/x", len(body)) + body[:100_000])
        with proxy.client() as client:
            client.get("/api/health")
        assert [seen["path"] for seen in proxy.upstream.seen] == ["/api/health"]
        slow[0].sendall(body[100_000:])
        assert b" 200 " in slow[0].recv(1000)
        assert proxy.upstream.seen[-1]["body bytes"] == str(len(body))
    finally:
        for connection in slow:
            connection.close()


def test_what_is_the_same_for_all_is_kept_and_what_is_not_is_not(proxy: Proxy) -> None:
    with proxy.client() as client:
        first, second = (client.get("/api/docs/x.js", headers={"X-Request-ID": f"r{n}"}) for n in "12")
        client.get("/api/patient/1")
        client.get("/api/patient/1")
    assert first.json() == second.json()
    assert second.headers.get_list("X-Request-ID") == ["r2"]
    assert [seen["path"] for seen in proxy.upstream.seen] == ["/api/docs/x.js"] + 2 * ["/api/patient/1"]


def test_one_address_holds_a_hundred_connections_at_most(proxy: Proxy) -> None:
    held = [proxy.connect() for _ in range(101)]
    try:
        for connection in held:
            connection.sendall(head("POST", "/api/x", 10) + b"1")
        deadline = time.monotonic() + PATIENCE_S
        with proxy.client() as client:
            while (refused := client.get("/api/health")).is_success:  # nginx has not read all the heads yet
                assert time.monotonic() < deadline, "the limit is not kept"
    finally:
        for connection in held:
            connection.close()
    assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
    assert refused.headers["Retry-After"] == "5"


def test_an_api_that_goes_away_is_told_of_in_its_own_words(proxy: Proxy) -> None:
    with proxy.client() as client:
        answer = client.post("/api/dies")
    assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert answer.headers["Retry-After"] == "5"
    assert len(proxy.upstream.seen) == 1  # and is not sent again


def test_paths_and_tokens_are_not_logged(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> None:
    with proxy.client() as client:
        client.get("/api/images/secret-key?token=secret-token", headers={"X-Request-ID": "logged-1"})
    log = next(tmp_path_factory.getbasetemp().glob("proxy*/log")).read_text()
    assert "logged-1" in log
    assert "secret" not in log
