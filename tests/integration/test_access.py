"""Who may do what: every route, tried by everybody. A route that is missing here fails the test."""

import io
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient

from api import create_app
from shared import accounts
from shared.accounts import PatientFacts
from shared.models import Job
from shared.services import Services
from tests.fakes import picture
from tests.integration.conftest import bearer, client_of
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

Route = tuple[str, str]
CALLERS = ("nobody", "patient A", "patient B", "reader", "admin")

OPEN = (200, 200, 200, 200, 200)
STAFF = (401, 403, 403, 200, 200)
OWN = (401, 200, 403, 200, 200)
ADMIN = (401, 403, 403, 403)


@dataclass(frozen=True)
class World:
    """Patient A with an analysed scan, its report and the jobs; patient B with nothing."""

    patient: int
    scan: int
    job: str
    batch: str
    report: str
    filename: str
    image_token: str
    report_token: str


def json(**body: object) -> dict[str, Any]:
    return {"json": body}


def file() -> tuple[io.BytesIO, str]:
    return io.BytesIO(picture()), "a.png"


# route: what is sent, and the status for each of CALLERS
TABLE: dict[Route, tuple[Callable[[World], dict[str, Any]], tuple[int, ...]]] = {
    ("GET", "/api/health"): (lambda _: {}, OPEN),
    ("GET", "/api/ready"): (lambda _: {}, (503,) * 5),  # no worker runs here
    ("GET", "/api/openapi.json"): (lambda _: {}, OPEN),
    ("GET", "/api/docs"): (lambda _: {}, OPEN),
    ("GET", "/api/docs/rapidoc.js"): (lambda _: {}, OPEN),
    ("POST", "/api/admin/login"): (lambda _: json(username="x", password="x"), (401,) * 5),
    ("POST", "/api/patient/login"): (lambda _: json(username="x", password="x"), (401,) * 5),
    ("GET", "/api/account"): (lambda _: {}, (401, 200, 200, 200, 200)),
    ("POST", "/api/account/password"): (
        lambda _: json(current_password="wrong", new_password="does not matter"),
        (401, 400, 400, 400, 400),
    ),
    ("POST", "/api/account/logout"): (lambda _: json(), (401, 200, 200, 200, 200)),
    ("GET", "/api/admin/dashboard"): (lambda _: {}, STAFF),
    ("GET", "/api/admin/dashboard/stats"): (lambda _: {}, STAFF),
    ("GET", "/api/admin/scans"): (lambda _: {}, STAFF),
    ("GET", "/api/admin/reports"): (lambda _: {}, STAFF),
    ("GET", "/api/admin/audit"): (lambda _: {}, (*ADMIN, 200)),
    ("GET", "/api/admin/patients"): (lambda _: {}, STAFF),
    ("POST", "/api/admin/patients"): (lambda _: json(name="C", email="c@example.org"), (*ADMIN, 201)),
    ("GET", "/api/admin/patients/<int:patient_id>"): (lambda _: {}, STAFF),
    ("PUT", "/api/admin/patients/<int:patient_id>"): (
        lambda _: json(name="A", email="a@example.org"),
        (*ADMIN, 200),
    ),
    ("POST", "/api/admin/patients/<int:patient_id>/reset-password"): (lambda _: {}, (*ADMIN, 200)),
    ("GET", "/api/admin/patients/<int:patient_id>/scans"): (lambda _: {}, STAFF),
    ("GET", "/api/admin/patients/<int:patient_id>/reports"): (lambda _: {}, STAFF),
    ("GET", "/api/patient/<int:patient_id>"): (lambda _: {}, OWN),
    ("GET", "/api/patient/<int:patient_id>/scans"): (lambda _: {}, OWN),
    ("GET", "/api/patient/<int:patient_id>/reports"): (lambda _: {}, OWN),
    ("POST", "/api/admin/scans/upload"): (
        lambda w: {"data": {"patient_id": str(w.patient), "files": [file()]}},
        (*ADMIN, 202),
    ),
    ("POST", "/api/scan/upload"): (
        lambda w: {"data": {"patient_id": str(w.patient), "file": file()}},
        (401, 202, 403, 403, 202),
    ),
    ("GET", "/api/scans/<int:scan_id>/image"): (lambda _: {}, (401, 302, 403, 302, 302)),
    ("GET", "/api/reviews/worklist"): (lambda _: {}, STAFF),
    ("POST", "/api/admin/scans/<int:scan_id>/review"): (
        lambda _: json(verdict="Tumor", analysed_at="2026-01-01T00:00:00Z"),  # of a result that nobody saw
        (401, 403, 403, 409, 409),
    ),
    ("GET", "/api/admin/scans/<int:scan_id>/reviews"): (lambda _: {}, STAFF),
    ("GET", "/api/jobs"): (lambda _: {}, STAFF),
    ("GET", "/api/jobs/<job_id>"): (lambda _: {}, (401, 200, 404, 200, 200)),
    ("DELETE", "/api/jobs/<job_id>"): (lambda _: {}, (*ADMIN, 409)),
    ("POST", "/api/jobs/<job_id>/retry"): (lambda _: {}, (*ADMIN, 409)),
    ("POST", "/api/jobs/status"): (lambda w: json(ids=[w.job]), (401, 200, 200, 200, 200)),
    ("GET", "/api/batches"): (lambda _: {}, STAFF),
    ("POST", "/api/batches"): (lambda _: json(), (*ADMIN, 201)),
    ("GET", "/api/batches/limits"): (lambda _: {}, STAFF),
    ("GET", "/api/batches/<batch_id>"): (lambda _: {}, STAFF),
    ("POST", "/api/batches/<batch_id>/scans"): (
        lambda w: {"data": {"patient_id": str(w.patient), "files": [file()]}},
        (*ADMIN, 202),
    ),
    ("GET", "/api/batches/<batch_id>/results.csv"): (lambda _: {}, STAFF),
    ("DELETE", "/api/batches/<batch_id>"): (lambda _: {}, (*ADMIN, 200)),
    ("POST", "/api/report/generate"): (lambda w: json(patient_id=w.patient), (*ADMIN, 202)),
    ("GET", "/api/report/download/<report_id>"): (lambda _: {}, OWN),
    ("GET", "/api/report/download-by-filename/<filename>"): (lambda _: {}, OWN),
    ("GET", "/api/report/file/<filename>"): (lambda _: {}, OWN),
    # Whoever holds a signed link may follow it until it expires: an <img> on another page sends no login.
    ("GET", "/api/files/images/<token>"): (lambda _: {}, OPEN),
    ("GET", "/api/files/reports/<token>"): (lambda _: {}, OPEN),
    # Pages lead to signing in where the API says 401.
    ("GET", "/"): (lambda _: {}, (303,) * 5),
    ("GET", "/portal/"): (lambda _: {}, (303,) * 5),
    ("GET", "/portal/static/<path:name>"): (lambda _: {}, OPEN),
    ("GET", "/portal/<path:address>"): (lambda _: {}, (404,) * 5),
    ("GET", "/portal/sign-in"): (lambda _: {}, OPEN),
    ("POST", "/portal/sign-in"): (lambda _: {"data": {"username": "x", "password": "x"}}, (401,) * 5),
    ("POST", "/portal/language"): (lambda _: {"data": {"language": "de"}}, (303,) * 5),
    ("GET", "/portal/password"): (lambda _: {}, (303, 200, 200, 200, 200)),
    ("POST", "/portal/password"): (lambda _: {"data": {}}, (303, 400, 400, 400, 400)),
    ("GET", "/portal/password/changed"): (lambda _: {}, (303, 200, 200, 200, 200)),
    ("POST", "/portal/logout"): (lambda _: {}, (303,) * 5),
    ("GET", "/portal/staff"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("GET", "/portal/jobs"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("GET", "/portal/jobs/<job_id>"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("POST", "/portal/jobs/<job_id>/retry"): (lambda _: {}, (303, 403, 403, 403, 409)),
    ("POST", "/portal/jobs/<job_id>/cancel"): (lambda _: {}, (303, 403, 403, 403, 409)),
    ("POST", "/portal/jobs/retry-failed"): (
        lambda _: {"data": {"kind": "scan", "code": "WORKER_LOST"}},
        (303, 403, 403, 403, 303),
    ),
    ("GET", "/portal/audit"): (lambda _: {}, (303, 403, 403, 403, 200)),
    ("GET", "/portal/system"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("GET", "/portal/patients"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("POST", "/portal/patients/search"): (lambda _: {"data": {"search": "A"}}, (303, 403, 403, 303, 303)),
    ("GET", "/portal/patients/new"): (lambda _: {}, (303, 403, 403, 403, 200)),
    ("POST", "/portal/patients/new"): (
        lambda _: {"data": {"name": "D", "email": "d@example.org"}},
        (303, 403, 403, 403, 200),
    ),
    ("GET", "/portal/patients/<int:patient_id>"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("GET", "/portal/patients/<int:patient_id>/edit"): (lambda _: {}, (303, 403, 403, 403, 200)),
    ("POST", "/portal/patients/<int:patient_id>/edit"): (
        lambda _: {"data": {"name": "A", "email": "a@example.org"}},
        (303, 403, 403, 403, 303),
    ),
    ("GET", "/portal/patients/<int:patient_id>/reset-password"): (lambda _: {}, (303, 403, 403, 403, 200)),
    # A's logins have ended before.
    ("POST", "/portal/patients/<int:patient_id>/reset-password"): (lambda _: {}, (303, 303, 403, 403, 200)),
    ("GET", "/portal/upload"): (lambda _: {}, (303, 403, 403, 403, 200)),
    ("POST", "/portal/upload/patient"): (lambda _: {"data": {"search": "A"}}, (303, 403, 403, 403, 200)),
    ("POST", "/portal/upload"): (
        lambda w: {"data": {"patient_id": str(w.patient), "files": [file()]}},
        (303, 403, 403, 403, 200),
    ),
    ("GET", "/portal/batches"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("GET", "/portal/batches/<uuid:batch_id>"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("GET", "/portal/batches/<uuid:batch_id>/progress"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("POST", "/portal/batches/<uuid:batch_id>/retry"): (lambda _: {}, (303, 403, 403, 403, 303)),
    ("POST", "/portal/batches/<uuid:batch_id>/retry/<uuid:job_id>"): (
        lambda _: {},
        (303, 403, 403, 403, 303),
    ),
    ("GET", "/portal/batches/<uuid:batch_id>/cancel"): (lambda _: {}, (303, 403, 403, 403, 200)),
    ("POST", "/portal/batches/<uuid:batch_id>/cancel"): (lambda _: {}, (303, 403, 403, 403, 303)),
    ("GET", "/portal/worklist"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("GET", "/portal/staff/scans"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("GET", "/portal/staff/scans/<int:scan_id>"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("POST", "/portal/staff/scans/<int:scan_id>/retry"): (lambda _: {}, (303, 403, 403, 403, 303)),
    ("POST", "/portal/staff/scans/<int:scan_id>/cancel"): (lambda _: {}, (303, 403, 403, 403, 303)),
    ("GET", "/portal/staff/reports"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("POST", "/portal/staff/reports"): (
        lambda w: {"data": {"whole_of": str(w.patient)}},
        (303, 403, 403, 403, 303),
    ),
    ("GET", "/portal/staff/reports/<report_id>"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("GET", "/portal/staff/reports/<report_id>/file"): (lambda _: {}, (303, 403, 403, 200, 200)),
    ("POST", "/portal/staff/reports/<report_id>/retry"): (lambda _: {}, (303, 403, 403, 403, 303)),
    ("POST", "/portal/staff/scans/<int:scan_id>/review"): (lambda _: {"data": {}}, (303, 403, 403, 400, 400)),
    ("GET", "/portal/scans"): (lambda _: {}, (303, 200, 200, 403, 403)),
    ("GET", "/portal/scans/<int:scan_id>"): (lambda _: {}, (303, 200, 403, 403, 403)),
    ("GET", "/portal/reports"): (lambda _: {}, (303, 200, 200, 403, 403)),
    ("GET", "/portal/reports/<report_id>/download"): (lambda _: {}, (303, 303, 403, 403, 403)),
}
LAST = ("POST", "/api/account/logout")  # ends the logins that the others need
AFTER_LAST = ("POST", "/portal/logout")  # leads to signing in, with a login or without
ENDS_LOGINS = ("POST", "/api/admin/patients/<int:patient_id>/reset-password")
ENDS_MORE = ("POST", "/portal/patients/<int:patient_id>/reset-password")


def routes_of(services: Services) -> set[Route]:
    rules = create_app(services).url_map.iter_rules()
    return {(method, rule.rule) for rule in rules for method in rule.methods - {"HEAD", "OPTIONS"}}


def url_of(rule: str, world: World) -> str:
    values = {
        "<int:patient_id>": world.patient,
        "<int:scan_id>": world.scan,
        "<job_id>": world.job,
        "<batch_id>": world.batch,
        "<uuid:job_id>": world.job,
        "<uuid:batch_id>": world.batch,
        "<report_id>": world.report,
        "<filename>": world.filename,
        "<path:name>": "pages.css",
        "<path:address>": "nowhere",
        "images/<token>": f"images/{world.image_token}",
        "reports/<token>": f"reports/{world.report_token}",
    }
    for name, value in values.items():
        rule = rule.replace(name, str(value))
    return rule


@pytest.fixture
def patients(services: Services) -> list[tuple[int, FlaskClient]]:
    """A and B with a client each."""
    made = []
    for name in "AB":
        with services.sessions.begin() as session:
            facts = PatientFacts(name, f"{name.lower()}@example.org")
            patient, credentials = accounts.create_patient(session, facts)
            patient.has_generated_password = False  # else pages want another one first
        client = bearer(services, "/api/patient/login", credentials.username, credentials.password)
        made.append((patient.id, client))
    return made


@pytest.fixture
def world(
    admin: FlaskClient,
    patients: list[tuple[int, FlaskClient]],
    services: Services,
    pipeline: ScanPipeline,
    renderer: ReportRenderer,
) -> World:
    patient = patients[0][0]
    batch = admin.post("/api/batches", json={}).json["batch_id"]
    form = {"patient_id": str(patient), "files": [file()]}
    uploaded = admin.post(f"/api/batches/{batch}/scans", data=form).json
    pipeline.drain()
    admin.post("/api/report/generate", json={"patient_id": patient})
    renderer.drain()
    with services.sessions() as session:
        scan = session.get(Job, uuid.UUID(uploaded["job_ids"][0])).scan_id
    report = admin.get(f"/api/admin/patients/{patient}/reports").json["data"][0]
    image = admin.get(f"/api/admin/patients/{patient}/scans").json["data"][0]["overlay_path"]
    link = admin.get(f"/api/report/download/{report['report_id']}").json["download_url"]
    return World(
        patient=patient,
        scan=scan,
        job=uploaded["job_ids"][0],
        batch=batch,
        report=report["report_id"],
        filename=report["report_path"].rsplit("/", 1)[-1],
        image_token=image.rsplit("/", 1)[-1],
        report_token=link.rsplit("/", 1)[-1],
    )


@pytest.fixture
def callers(
    services: Services, admin: FlaskClient, reader: FlaskClient, patients: list[tuple[int, FlaskClient]]
) -> Iterator[dict[str, FlaskClient]]:
    nobody = client_of(services, use_cookies=False)
    clients = (nobody, patients[0][1], patients[1][1], reader, admin)
    return dict(zip(CALLERS, clients, strict=True))


def test_every_route_answers_each_caller_as_the_table_says(
    services: Services, world: World, callers: dict[str, FlaskClient]
) -> None:
    assert routes_of(services) == set(TABLE), "each route needs its row, and each row its route"
    ending = (ENDS_LOGINS, ENDS_MORE, LAST, AFTER_LAST)
    ordered = [*(route for route in TABLE if route not in ending), *ending]
    wrong = []
    for route in ordered:
        send, expected = TABLE[route]
        method, rule = route
        for name, status in zip(CALLERS, expected, strict=True):
            answer = callers[name].open(url_of(rule, world), method=method, **send(world))
            # A's logins end when an admin resets A's password.
            is_signed_out = route == LAST and name == "patient A"
            if answer.status_code != (401 if is_signed_out else status):
                wrong.append(f"{method} {rule} as {name}: {answer.status_code}, not {status}")
    assert wrong == []


def test_a_patient_sees_nothing_of_others_in_bulk_answers(
    world: World, callers: dict[str, FlaskClient]
) -> None:
    own = callers["patient A"].post("/api/jobs/status", json={"ids": [world.job]}).json
    assert [job["id"] for job in own["data"]] == [world.job]
    foreign = callers["patient B"].post("/api/jobs/status", json={"ids": [world.job]}).json
    assert (foreign["data"], foreign["not_found"]) == ([], [world.job])


@pytest.mark.parametrize("caller_name", ["admin", "patient A"])
def test_unknown_things_are_404_and_not_an_error(
    world: World, callers: dict[str, FlaskClient], caller_name: str
) -> None:
    client = callers[caller_name]
    for url in (
        "/api/jobs/00000000-0000-4000-8000-000000000000",
        "/api/jobs/nonsense",
        "/api/report/download/R0",
        "/api/report/file/other.pdf",
        f"/api/report/download/{world.report}/more",
    ):
        assert client.get(url).status_code == 404, url
