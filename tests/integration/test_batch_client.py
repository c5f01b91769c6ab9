"""The batch client as a process against the real API: interrupted, resumed, and nothing twice."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from sqlalchemy import func, select
from werkzeug.serving import make_server

from api import create_app
from shared import logins
from shared.models import Scan
from shared.services import Services
from shared.settings import Settings
from tests.fakes import picture
from tests.integration.conftest import ADMIN_PASSWORD
from worker.pipeline import ScanPipeline
from worker.process import load_model
from worker.rendering import ReportRenderer

FILES, FILES_PER_REQUEST = 60, 10
PATIENCE_S = 60


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_files_per_upload": FILES_PER_REQUEST, "engine": "load-test"})


@pytest.fixture
def url(services: Services) -> Iterator[str]:
    """The application on a port, a little slower with uploads than it is, so that one can come between."""
    app = create_app(services)

    def slowed(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = app(environ, start_response)
        if environ["PATH_INFO"].endswith("/scans"):
            time.sleep(0.3)
        return answer

    server = make_server("127.0.0.1", 0, slowed, threaded=True)
    server.daemon_threads = True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    folders = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_STATE_HOME": str(tmp_path / "state")}
    return {**os.environ, **folders, "BRAIN_SCANS_PASSWORD": ADMIN_PASSWORD}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:02}.png").write_bytes(picture(50 + number))
    return folder


def start(environment: dict[str, str], *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "brain_scans", *map(str, arguments), "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=environment, **pipes)  # type: ignore[call-overload, no-any-return]


def run(environment: dict[str, str], *arguments: object) -> dict[str, Any]:
    process = start(environment, *arguments)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return dict(json.loads(out))


def count_scans(services: Services) -> int:
    with services.sessions() as session:
        return session.scalar(select(func.count(Scan.id))) or 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_interrupted_submission_goes_on_and_every_file_is_one_scan(
    services: Services,
    patient_id: int,
    url: str,
    environment: dict[str, str],
    folder: Path,
    number: signal.Signals,
    status: int,
) -> None:
    run(environment, "login", url)
    submit = ("submit", folder, "--patient", patient_id, "--parallel", 2)

    interrupted = start(environment, *submit)
    deadline = time.monotonic() + PATIENCE_S
    while count_scans(services) < FILES_PER_REQUEST:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    interrupted.send_signal(number)
    _, err = interrupted.communicate(timeout=PATIENCE_S)
    assert interrupted.returncode == status, err
    assert count_scans(services) < FILES

    done = run(environment, *submit)
    assert done["accepted"] + done["already_accepted"] == FILES
    assert done["refused"] == []
    with services.sessions() as session:
        rows = session.execute(select(Scan.original_filename, Scan.sha256, Scan.patient_id)).all()
    assert len(rows) == FILES
    assert {name for name, _, _ in rows} == {file.name for file in folder.iterdir()}
    assert len({sha256 for _, sha256, _ in rows}) == FILES
    assert {patient for _, _, patient in rows} == {patient_id}


def test_a_batch_is_followed_to_its_end_and_its_results_fetched(
    services: Services,
    renderer: ReportRenderer,
    patient_id: int,
    url: str,
    environment: dict[str, str],
    folder: Path,
    tmp_path: Path,
) -> None:
    run(environment, "login", url)
    checked = run(environment, "submit", folder, "--patient", patient_id, "--dry-run")
    assert (checked["files"], checked["requests"], count_scans(services)) == (
        FILES,
        FILES // FILES_PER_REQUEST,
        0,
    )
    batch = run(environment, "submit", folder, "--patient", patient_id, "--name", "Monday")["batch_id"]
    following = start(environment, "status", batch, "--wait")
    pipeline = ScanPipeline(services, load_model(services.settings))
    try:
        assert pipeline.drain() == FILES
    finally:
        pipeline.close()
    out, err = following.communicate(timeout=PATIENCE_S)
    assert following.returncode == 0, err
    state = json.loads(out)
    assert (state["total"], state["counts"]["succeeded"], state["name"]) == (FILES, FILES, "Monday")
    assert state["outcomes"] == {"tumor": 0, "no_tumor": 0, "needs_review": FILES, "rejected": 0}

    run(environment, "results", "--csv", tmp_path / "results.csv")
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert len(rows) == FILES
    assert len({row["scan_id"] for row in rows}) == FILES
    assert {row["prediction"] for row in rows} == {""}
    assert {row["review"] for row in rows} == {"needs_review"}

    asking = start(environment, "report", "--patient", patient_id, "--out", tmp_path / "report.pdf")
    while not renderer.drain():
        assert asking.poll() is None
        time.sleep(0.1)
    _, err = asking.communicate(timeout=PATIENCE_S)
    assert asking.returncode == 0, err
    assert len(PdfReader(tmp_path / "report.pdf").pages) > 1


def test_a_cancelled_batch_ends_and_a_revoked_login_is_over(
    services: Services, patient_id: int, url: str, environment: dict[str, str], folder: Path
) -> None:
    run(environment, "login", url)
    token = json.loads(Path(environment["XDG_CONFIG_HOME"], "brain-scans", "login.json").read_text())["token"]
    run(environment, "submit", folder, "--patient", patient_id)
    assert run(environment, "cancel")["cancelled"] == FILES
    assert run(environment, "logout") == {"signed_out": True, "was_open": True}
    with services.sessions() as session:
        assert logins.caller_of(session, token) is None
