"""The monitor as the stack starts it: closed without its password, and open to this machine only."""

import re
import subprocess
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest
from flower.urls import handlers

from shared.settings import Settings
from stack.ports import LOOPBACK, Ports, free_port
from stack.programs import FLOWER_USER, product_programs
from stack.settings import CHECKOUT
from stack.state import Secrets, StateFolder
from tests.security.raw_http import CLOSE, HOST, say
from tests.servers.gunicorn import environment_of

PATIENCE_S = 90
OPEN = {"/metrics", "/healthcheck", "/logout"}  # by its own design: so nobody else may reach its port
GROUP = re.compile(r"\([^)]*\)")
SOCKETS = ("/", "/workers", "/update-workers", "/api/task/events/task-succeeded/", "/api/task/events/x")
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture(scope="module")
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture(scope="module")
def ports() -> Ports:
    return Ports(api=free_port(), postgres=free_port(), redis=free_port(), flower=free_port())


@pytest.fixture(scope="module")
def flower(
    own_settings: Settings, secrets: Secrets, ports: Ports, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[psutil.Popen]:
    folder = tmp_path_factory.mktemp("flower")
    programs = product_programs(StateFolder(folder), secrets, ports)
    program = next(program for program in programs if program.role == "flower")
    log = folder / "flower.log"
    with log.open("wb") as file:
        process = psutil.Popen(
            program.argv,
            cwd=CHECKOUT,
            env={**environment_of(own_settings), **program.environment},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _answers(address(ports)):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, "Flower did not start"
            time.sleep(0.2)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def anonymous(flower: psutil.Popen, ports: Ports) -> Iterator[httpx.Client]:
    del flower
    with httpx.Client(base_url=address(ports), trust_env=False, timeout=PATIENCE_S) as client:
        yield client


@pytest.fixture
def operator(anonymous: httpx.Client, secrets: Secrets) -> httpx.Client:
    anonymous.auth = (FLOWER_USER, secrets.flower_password)
    return anonymous


def address(ports: Ports) -> str:
    return f"http://{LOOPBACK}:{ports.flower}"


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthcheck", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def paths() -> list[str]:
    """One of each of Flower's routes, whatever its version has."""
    patterns = [rule.regex.pattern if hasattr(rule, "regex") else rule[0] for rule in handlers]
    return [GROUP.sub("x", pattern).rstrip("$").replace("/?", "") for pattern in patterns]


def test_no_route_of_flower_opens_without_its_password(anonymous: httpx.Client, secrets: Secrets) -> None:
    wrong = []
    for path in paths():
        for method in ("GET", "POST"):
            answer = anonymous.request(method, path)
            if answer.status_code < 400 and path not in OPEN:
                wrong.append(f"{method} {path}: {answer.status_code}")
    assert {"/", "/workers", "/api/tasks", "/api/worker/shutdown/x", "/api/task/async-apply/x"} < set(paths())
    assert wrong == []
    for login in (None, (FLOWER_USER, "x"), ("", ""), (FLOWER_USER, ""), ("x", secrets.flower_password)):
        for path in ("/workers", "/api/tasks", "/broker"):
            assert anonymous.get(path, auth=login).status_code == 401


@pytest.mark.usefixtures("anonymous")
def test_no_route_of_flower_becomes_a_web_socket(ports: Ports) -> None:
    for path in SOCKETS:
        request = b"GET " + path.encode() + b" HTTP/1.1\r\n" + HOST + CLOSE + UPGRADE + b"\r\n"
        assert say(address(ports), request, only_status=True).statuses[0] in (400, 401, 404), path


def test_what_flower_tells_everybody_names_no_secret_and_nobody_far_can_ask(
    anonymous: httpx.Client, flower: psutil.Popen, own_settings: Settings, secrets: Secrets
) -> None:
    hidden = (secrets.flower_password, own_settings.redis_url.get_secret_value(), own_settings.image_folder)
    for path in OPEN:
        answer = anonymous.get(path)
        assert answer.status_code == 200
        assert not [secret for secret in hidden if str(secret) in answer.text]
    listening = [c.laddr.ip for c in flower.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert set(listening) == {LOOPBACK}


def test_the_password_opens_flower_and_shows_no_other(
    operator: httpx.Client, flower: psutil.Popen, own_settings: Settings, secrets: Secrets
) -> None:
    broker_password = httpx.URL(own_settings.redis_url.get_secret_value()).password
    assert broker_password
    for path in ("/workers", "/tasks", "/broker", "/api/tasks", "/api/task/types"):
        answer = operator.get(path)
        assert answer.status_code == 200, path
        assert broker_password not in answer.text
    shown = " ".join(flower.cmdline())
    assert "flower" in shown
    assert secrets.flower_password not in shown
    assert broker_password not in shown


def test_a_foreign_page_cannot_use_the_password_that_a_browser_remembers(operator: httpx.Client) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        for path in ("/api/worker/shutdown/x", "/api/task/async-apply/x", "/api/task/revoke/x"):
            assert operator.post(path, headers=headers).status_code == 403
        answer = operator.get("/api/tasks", headers=headers)
        assert "Access-Control-Allow-Origin" not in answer.headers
