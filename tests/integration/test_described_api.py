"""The API's description: complete, valid, and kept to under requests that a machine makes up."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from api import create_app
from shared.services import Services
from tests.fakes import picture
from tests.servers.gunicorn import running_api
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

MADE_UP = 15  # requests for each operation
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
# /api/ready tells truthfully that no worker runs here; the others end the login or change its password.
LEFT_OUT = "^/api/(ready|account/(logout|password))$"


@dataclass(frozen=True)
class LiveApi:
    """gunicorn with the real application, and an admin's token."""

    url: str
    token: str


@pytest.fixture
def live_api(services: Services, admin: FlaskClient, tmp_path: Path) -> Iterator[LiveApi]:
    """The stack's API as a process, with the database and Redis of the tests."""
    token = admin.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    # Made-up waits for jobs that no worker will ever take would be kept otherwise.
    with running_api(services.settings, tmp_path / "api.log", MAX_WAIT_SECONDS="0.2") as url:
        yield LiveApi(url, token)


@pytest.fixture
def known_ids(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, renderer: ReportRenderer
) -> dict[str, object]:
    """Parameters of paths that lead to something: an analysed scan and its report."""
    batch = admin.post("/api/batches", json={}).json["batch_id"]
    form = {"patient_id": str(patient_id), "files": [(io.BytesIO(picture()), "a.png")]}
    job = admin.post(f"/api/batches/{batch}/scans", data=form).json["job_ids"][0]
    pipeline.drain()
    admin.post("/api/report/generate", json={"patient_id": patient_id})
    renderer.drain()
    scan = admin.get("/api/admin/scans").json["data"][0]
    report = admin.get("/api/admin/reports").json["data"][0]
    return {
        "patient_id": patient_id,
        "scan_id": scan["id"],
        "job_id": job,
        "batch_id": batch,
        "report_id": report["report_id"],
        "filename": report["report_path"].rsplit("/", 1)[-1],
    }


@pytest.fixture
def described(admin: FlaskClient) -> dict[str, object]:
    return dict(admin.get("/api/openapi.json").json)


def test_the_description_is_valid_openapi_3_1(described: dict[str, object]) -> None:
    assert described["openapi"] == "3.1.0"
    validate(described)


def test_every_route_is_described_but_signed_links_and_the_description_itself(
    services: Services, described: dict[str, object]
) -> None:
    app: Flask = create_app(services)
    routes = {
        rule.rule.replace("<int:", "{").replace("<", "{").replace(">", "}")
        for rule in app.url_map.iter_rules()
    }
    undescribed = {route for route in routes if route.startswith("/api/") and route not in described["paths"]}
    assert undescribed == {
        "/api/docs",
        "/api/docs/rapidoc.js",
        "/api/openapi.json",
        "/api/files/images/{token}",
        "/api/files/reports/{token}",
    }


def test_the_page_needs_no_other_host(admin: FlaskClient) -> None:
    page = admin.get("/api/docs")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "http" not in page.text
    assert admin.get("/api/docs/rapidoc.js").mimetype == "text/javascript"


@pytest.mark.parametrize("knows_ids", [False, True], ids=["made-up ids", "known ids"])
def test_made_up_requests_find_no_server_error_and_no_undescribed_answer(
    live_api: LiveApi, known_ids: dict[str, object], tmp_path: Path, knows_ids: bool
) -> None:
    lines = [f'"path.{name}" = {json.dumps(value)}\n' for name, value in known_ids.items()]
    (tmp_path / "schemathesis.toml").write_text("[parameters]\n" + "".join(lines) if knows_ids else "")
    argv = [
        Path(sys.executable).with_name("schemathesis"),
        "run",
        f"{live_api.url}/api/openapi.json",
        f"--header=Authorization: Bearer {live_api.token}",
        f"--checks={','.join(CHECKS)}",
        f"--max-examples={MADE_UP}",
        "--phases=examples,coverage,fuzzing",
        f"--exclude-path-regex={LEFT_OUT}",
        "--seed=7",
        "--no-color",
    ]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
