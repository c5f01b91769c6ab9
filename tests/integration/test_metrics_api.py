"""The API's metrics as Prometheus reads them: gunicorn with two processes, over HTTP, on another port."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from shared import __version__, accounts
from shared.metrics.backlog import BacklogCollector
from shared.services import build_services
from shared.settings import Settings
from stack.ports import LOOPBACK, free_port
from stack.postgres import Cluster
from stack.redis_server import RedisServer
from tests.fakes import picture
from tests.integration.conftest import ADMIN_PASSWORD
from tests.servers.gunicorn import ROOT, environment_of, running_api

PATIENCE_S = 60
ADMIN = "metrics"
QUEUED = 'brain_tumor_queue_jobs{kind="scan",lane="interactive",status="queued"}'


@dataclass
class Scraped:
    """A running API and where its metrics are."""

    url: str
    metrics_url: str
    log: Path

    def values(self) -> dict[str, float]:
        """Samples by name and labels, such as `name{a="b"}`."""
        text = httpx.get(self.metrics_url, trust_env=False, timeout=20).raise_for_status().text
        found = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found

    def processes(self) -> list[psutil.Process]:
        """gunicorn's children."""
        port = int(self.url.rsplit(":", 1)[1])
        masters = [
            child
            for child in psutil.Process().children()
            if any(f":{port}" in part for part in child.cmdline())
        ]
        return masters[0].children()


@contextmanager
def scraped_api(settings: Settings, folder: Path) -> Iterator[Scraped]:
    """An API with an admin of its own."""
    built = build_services(settings)
    with built.sessions.begin() as session:
        accounts.add_admin(session, ADMIN, None, ADMIN_PASSWORD)
    built.sessions.kw["bind"].dispose()
    port, log = free_port(), folder / "api.log"
    with running_api(settings, log, METRICS_PORT=str(port), TMPDIR=str(folder)) as url:
        scraped = Scraped(url, f"http://{LOOPBACK}:{port}/metrics", log)
        until(lambda: answers(scraped), "metrics are served")
        yield scraped


@pytest.fixture(scope="module")
def api(
    engine: object, postgres: Cluster, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scraped]:
    """One for the tests that do it no harm; they come first, since others empty the database."""
    del engine  # the tables are there
    folder = tmp_path_factory.mktemp("api")
    settings = Settings(
        _env_file=None,
        database_url=SecretStr(postgres.url),
        redis_url=SecretStr(redis_server.url),
        secret_key=SecretStr("a secret key that only the tests use"),
        image_folder=folder / "images",
        report_folder=folder / "reports",
    )
    with scraped_api(settings, folder) as scraped:
        yield scraped


def answers(scraped: Scraped) -> bool:
    try:
        return bool(scraped.values())
    except httpx.TransportError:
        return False


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.1)


@contextmanager
def signed_in(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
        body = {"username": ADMIN, "password": ADMIN_PASSWORD}
        http.headers["Authorization"] = f"Bearer {http.post('/api/admin/login', json=body).json()['token']}"
        yield http


def test_metrics_know_no_person_and_no_id(api: Scraped) -> None:
    queued = api.values()[QUEUED]
    with signed_in(api.url) as http:
        made = http.post(
            "/api/admin/patients", json={"name": "Marvin Markerman", "email": "marvin.metrics@example.org"}
        ).json()["data"]
        form = {"patient_id": str(made["id"])}
        for name, content in (("marker.png", picture()), ("marker.txt", b"no picture")):
            http.post("/api/admin/scans/upload", data=form, files={"files": (name, content)})
        http.get(f"/api/admin/patients/{made['id']}?name=Marvin")
        http.request("MARKER", "/api/marker/path")
    values = api.values()
    text = json.dumps(sorted(values))
    for marker in ("Marvin", "marvin", "marker", "MARKER", made["patient_id"], ADMIN_PASSWORD):
        assert marker not in text
    assert values['brain_tumor_uploaded_files_total{code="none",outcome="accepted"}'] == 1
    assert values['brain_tumor_uploaded_files_total{code="FILE_UPLOAD_ERROR",outcome="refused"}'] == 1
    assert (
        values['brain_tumor_store_operation_seconds_count{operation="put",role="images",vendor="local"}'] == 1
    )
    until(
        lambda: api.values()[QUEUED] == queued + 1,
        "the queue is read again",
    )


def test_a_held_request_is_told_apart(api: Scraped) -> None:
    with signed_in(api.url) as http:
        made = http.post(
            "/api/admin/patients", json={"name": "Ada", "email": "ada.metrics@example.org"}
        ).json()["data"]
        answer = http.post(
            "/api/admin/scans/upload",
            data={"patient_id": str(made["id"])},
            files={"files": ("a.png", picture())},
            headers={"Prefer": "wait=1"},
        )
        assert answer.status_code == 202
    values = api.values()
    name = "brain_tumor_http_request_duration_seconds_sum"
    assert values[f'{name}{{held="true",method="POST",route="/api/admin/scans/upload"}}'] >= 1
    assert values["brain_tumor_http_requests_held"] == 0


def test_the_public_port_has_no_metrics(api: Scraped) -> None:
    for path in ("/metrics", "/api/metrics"):
        assert httpx.get(f"{api.url}{path}", trust_env=False).status_code in (401, 404)
    assert httpx.get(api.metrics_url.replace("/metrics", "/"), trust_env=False).status_code == 404


def test_every_line_of_the_server_is_json_and_the_id_of_the_proxy_is_kept(api: Scraped) -> None:
    with signed_in(api.url) as http:
        answer = http.get("/api/account?secret=word", headers={"X-Request-ID": "proxy-17"})
        assert answer.headers["X-Request-ID"] == "proxy-17"
        made = http.get("/api/account", headers={"X-Request-ID": "not well formed"}).headers["X-Request-ID"]
        assert made.isalnum()
    text = api.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert "secret" not in text
    assert [line["route"] for line in lines if line.get("request_id") == "proxy-17"] == ["/api/account"]
    assert any(line["event"].startswith("Listening at") for line in lines), "gunicorn's own lines"


ACCOUNT = 'brain_tumor_http_requests_total{method="GET",route="/api/account",status="200"}'


def test_all_processes_count_as_one_and_a_dead_ones_counts_stay(
    settings: Settings, sessions: object, tmp_path: Path
) -> None:
    del sessions
    with scraped_api(settings, tmp_path) as api, signed_in(api.url) as http:
        headers = {"Connection": "close"}  # so that both processes get some
        for _ in range(40):
            assert http.get("/api/account", headers=headers).status_code == 200
        assert http.get("/api/jobs/nonsense").status_code == 404
        until(lambda: api.values()[ACCOUNT] == 40, "all requests are counted")
        before = api.values()
        assert (
            before[
                'brain_tumor_http_request_duration_seconds_count{held="false",method="GET",route="/api/account"}'
            ]
            == 40
        )
        assert before["brain_tumor_api_processes"] == 2
        assert before["brain_tumor_database_pool_checked_out"] == 0
        assert before["brain_tumor_database_pool_size"] == 16
        assert before["brain_tumor_database_pool_wait_seconds_count"] >= 40
        victims = api.processes()
        assert len(victims) == 2
        for victim in victims:
            os.kill(victim.pid, signal.SIGKILL)
        until(lambda: api.values()["brain_tumor_api_process_exits_total"] == 2, "the ends are noticed")
        until(lambda: api.values()["brain_tumor_api_processes"] == 2, "there are new processes")
        assert api.values()[ACCOUNT] == 40
        assert http.get("/api/account").status_code == 200
        until(lambda: api.values()[ACCOUNT] == 41, "the new ones count on")
        after = api.values()
        assert after["brain_tumor_http_requests_in_flight"] == 0
        assert after["brain_tumor_database_pool_size"] in (8, 16)  # of the living only


def test_without_postgres_the_others_are_served_and_this_one_says_so(
    settings: Settings, sessions: object, tmp_path: Path
) -> None:
    del sessions
    nowhere = settings.model_copy(
        update={
            "database_url": type(settings.database_url)(f"postgresql://nobody@{LOOPBACK}:{free_port()}/none")
        }
    )
    port = free_port()
    with running_api(nowhere, tmp_path / "api.log", METRICS_PORT=str(port), TMPDIR=str(tmp_path)) as url:
        scraped = Scraped(url, f"http://{LOOPBACK}:{port}/metrics", tmp_path / "api.log")
        until(lambda: answers(scraped), "metrics are served")
        values = scraped.values()
    assert values["brain_tumor_database_up"] == 0
    assert any(name.startswith("brain_tumor_http_requests_total") for name in values)


def test_a_database_that_stands_still_delays_metrics_for_seconds_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import socket

    monkeypatch.setattr("shared.metrics.backlog.PATIENCE_S", 0.5)  # the test need not wait for three seconds
    with socket.create_server((LOOPBACK, 0)) as silent:
        collector = BacklogCollector(f"postgresql://nobody@{LOOPBACK}:{silent.getsockname()[1]}/none")
        began = time.monotonic()
        (metric,) = collector.collect()
    assert metric.samples[0].value == 0
    assert time.monotonic() - began < 5


def test_what_the_master_imported_does_not_outlive_a_reload(
    settings: Settings, sessions: object, tmp_path: Path
) -> None:
    del sessions
    for folder in ("api", "shared"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    url = f"http://{LOOPBACK}:{(port := free_port())}"
    version = tmp_path / "shared" / "__init__.py"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--config",
            "api/server.py",
            "--bind",
            f"{LOOPBACK}:{port}",
            "api.wsgi:app",
        ],
        cwd=tmp_path,
        env={**environment_of(settings), "METRICS_PORT": str(free_port()), "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers_as(wanted: str) -> bool:
        try:
            answer = httpx.get(f"{url}/api/health", trust_env=False, headers={"Connection": "close"})
        except httpx.TransportError:
            return False
        return answer.json()["version"] == wanted

    try:
        until(lambda: answers_as(__version__), "the API answers")
        version.write_text(version.read_text().replace(f'"{__version__}"', '"99.0-reloaded"'))
        process.send_signal(signal.SIGHUP)
        until(lambda: all(answers_as("99.0-reloaded") for _ in range(6)), "all processes run the new code")
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
