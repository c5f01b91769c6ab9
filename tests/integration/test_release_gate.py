"""RELEASE_GATE=on: patients and strangers see nothing of a result before a reader has judged it."""

import io
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shared.models import JobKind
from shared.services import Services
from shared.settings import Settings
from tests.fakes import MadeUpModel, RecordingQueue, picture
from tests.integration import test_access
from tests.integration.conftest import client_of
from tests.integration.portal import GERMAN, Visitor, upload, visitor
from tests.integration.test_access import AFTER_LAST, LAST, TABLE, Route, World, url_of
from tests.integration.test_reviews import send
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

PROBABILITY = 0.8765
TOLD = re.compile(  # what tells of a result: as a number, a word, a picture or an address of one
    r"0\.8765|0\.1235|\b88\s?%|\"Tumor\"|\"rejected\"|glioma|/api/files/|kind=|Signs of|signs of|NOT_A_BRAIN"
)
SKIPPED = {
    *(LAST, AFTER_LAST),  # they end the logins that the others need
    *(("GET", "/api/openapi.json"), ("GET", "/api/docs/rapidoc.js")),  # they tell of results in general
    *(("GET", "/api/files/images/<token>"), ("GET", "/api/files/reports/<token>")),  # with the staff's links
}
patients, world = test_access.patients, test_access.world  # its fixtures


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"release_gate": True, "allow_public_uploads": True})


@pytest.fixture
def model() -> MadeUpModel:
    return MadeUpModel(PROBABILITY)


def told(answer: TestResponse) -> list[str]:
    """What an answer tells of a result: in its body, or in where it leads."""
    return TOLD.findall(answer.data.decode(errors="replace")) + TOLD.findall(
        answer.headers.get("Location", "")
    )


def tell_all(client: FlaskClient, world: World) -> dict[Route, list[str]]:
    """What every route tells this caller of a result."""
    found = {}
    for route in TABLE.keys() - SKIPPED:
        method, rule = route
        answer = client.open(url_of(rule, world), method=method, **TABLE[route][0](world))
        if said := told(answer):
            found[route] = said
    return found


def test_no_route_tells_a_patient_or_a_stranger_of_a_result_that_is_not_released(
    services: Services,
    world: World,
    patients: list[tuple[int, FlaskClient]],
    reader: FlaskClient,
) -> None:
    nobody = client_of(services, use_cookies=False)
    for client in (patients[0][1], patients[1][1], nobody):
        assert tell_all(client, world) == {}
    assert send(reader, world.scan, "Tumor").status_code == 201
    seen = tell_all(patients[0][1], world)
    assert {
        ("GET", "/api/patient/<int:patient_id>/scans"),
        ("GET", "/api/scans/<int:scan_id>/image"),
        ("GET", "/api/jobs/<job_id>"),
        ("POST", "/api/jobs/status"),
        ("GET", "/api/report/download/<report_id>"),
        ("GET", "/api/report/download-by-filename/<filename>"),
        ("GET", "/portal/scans"),
        ("GET", "/portal/scans/<int:scan_id>"),
        ("GET", "/portal/reports/<report_id>/download"),
    } <= seen.keys(), "or this test would not notice what is told"


def test_a_patient_learns_that_the_work_has_ended_and_that_a_radiologist_looks(
    world: World, patients: list[tuple[int, FlaskClient]], admin: FlaskClient
) -> None:
    own = patients[0][1]
    job = own.get(f"/api/jobs/{world.job}").json["data"]
    assert (job["status"], job["result"]) == ("succeeded", None)
    [listed] = own.post("/api/jobs/status", json={"ids": [world.job]}).json["data"]
    assert (listed["status"], listed["result"]) == ("succeeded", None)
    assert admin.get(f"/api/jobs/{world.job}").json["data"]["result"]["prediction"] == "Tumor"
    assert own.get(f"/api/patient/{world.patient}/scans").json["data"] == []
    assert own.get(f"/api/patient/{world.patient}/reports").json["data"] == []
    assert own.get(f"/api/report/file/{world.filename}").status_code == 404
    assert own.get(f"/portal/scans/{world.scan}").status_code == 404


def send_scan(client: FlaskClient, patient: int, **headers: str) -> Any:
    form = {
        "patient_id": str(patient),
        "file": (io.BytesIO(picture()), "a.png"),
        "generate_report": "true",
    }
    answer = client.post("/api/scan/upload", data=form, headers={"Prefer": "wait=5", **headers})
    assert answer.status_code == 200, answer.json
    return answer


@pytest.fixture
def quick(queue: RecordingQueue, pipeline: ScanPipeline, renderer: ReportRenderer) -> None:
    queue.workers.update({JobKind.SCAN: pipeline.drain, JobKind.REPORT: renderer.drain})


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("rejects", [False, True])
def test_an_upload_that_waits_is_answered_without_the_result(
    services: Services,
    patients: list[tuple[int, FlaskClient]],
    admin: FlaskClient,
    model: MadeUpModel,
    rejects: bool,
) -> None:
    model.rejects = rejects
    number, own = patients[0]
    nobody = client_of(services, use_cookies=False)
    for client in (own, nobody):
        answer = send_scan(client, number)
        assert told(answer) == []
        [result] = answer.json["results"]
        assert (result["success"], result["status"], result["probability"]) == (True, "succeeded", None)
        assert (answer.json["report_generated"], answer.json["report_data"]) == (False, None)
        assert client.get(f"/api/jobs/{answer.json['job_ids'][0]}").json["data"]["result"] is None
        if report := answer.json.get("report_job_id"):
            error = client.get(f"/api/jobs/{report}").json["data"]["error"]
            assert error is None if not rejects else error["code"] == "NOT_RELEASED"
    assert told(send_scan(admin, number)) != []


def test_a_report_is_released_with_the_last_of_its_scans(
    services: Services,
    admin: FlaskClient,
    reader: FlaskClient,
    pipeline: ScanPipeline,
    renderer: ReportRenderer,
) -> None:
    ada = visitor(services, "Ada")
    for name in ("one.png", "two.png"):
        upload(admin, ada.id, name)
    pipeline.drain()
    send(reader, 1, "Tumor")
    ask_report(admin, renderer, ada, ["one.png"])
    ask_report(admin, renderer, ada, ["one.png", "two.png"])
    assert waiting_on(ada) == ["1 scan is being reviewed by a radiologist"] * 2
    listed = ada.get(f"/api/patient/{ada.id}/reports").json["data"]
    assert [report["scan_count"] for report in listed] == [1]
    [scan] = ada.get(f"/api/patient/{ada.id}/scans").json["data"]
    assert (scan["reader_verdict"], scan["report_path"]) == ("Tumor", None), "the newest covers both"
    assert "comment" not in json.dumps(scan)
    assert ada.get("/portal/scans/1").text.count("Report of ") == 1
    send(reader, 2, "Unusable", "only noise")
    assert len(ada.get(f"/api/patient/{ada.id}/reports").json["data"]) == 2
    rows = ada.get(f"/api/patient/{ada.id}/scans").json["data"]
    assert [bool(row["report_path"]) for row in rows] == [True, True]
    assert waiting_on(ada) == []


def ask_report(admin: FlaskClient, renderer: ReportRenderer, ada: Visitor, names: list[str]) -> None:
    rows = admin.get(f"/api/admin/patients/{ada.id}/scans").json["data"]
    ids = [row["scan_id"] for row in rows if row["original_filename"] in names]
    admin.post("/api/report/generate", json={"patient_id": ada.id, "scan_ids": ids})
    assert renderer.drain() == 1


def waiting_on(ada: Visitor) -> list[str]:
    """What both of the patient's lists say of scans that wait."""
    pages = [ada.get(address).text for address in ("/portal/scans", "/portal/reports")]
    return [
        words
        for page in pages
        for words in re.findall(r"\d+ scans? (?:is|are) being reviewed by a radiologist", page)
    ]


def test_pages_say_how_many_scans_wait_and_nothing_else_in_both_languages(
    services: Services, admin: FlaskClient, reader: FlaskClient, model: MadeUpModel, pipeline: ScanPipeline
) -> None:
    ada = visitor(services, "Ada")
    assert "There are no scans of you yet." in ada.get("/portal/scans").text
    upload(admin, ada.id, "one.png")
    model.rejects = True
    pipeline.drain()
    upload(admin, ada.id, "two.png")
    page = ada.get("/portal/scans").text
    assert "2 scans are being reviewed" in page
    assert "There are no scans of you yet." not in page
    assert ".png" not in page
    assert "2 Aufnahmen" in ada.get("/portal/scans", headers=GERMAN).text
    send(reader, 1, "No Tumor")
    assert "Radiologist: no tumour" in ada.get("/portal/scans").text
    assert "A radiologist sees no tumour" in ada.get("/portal/scans/1").text


def test_with_the_gate_every_analysed_scan_is_on_the_worklist(
    admin: FlaskClient, reader: FlaskClient, patient_id: int, model: MadeUpModel, pipeline: ScanPipeline
) -> None:
    upload(admin, patient_id, "clear.png")
    pipeline.drain()
    model.rejects = True
    upload(admin, patient_id, "rejected.png")
    pipeline.drain()
    upload(admin, patient_id, "waiting.png")
    listed = reader.get("/api/reviews/worklist").json["data"]
    assert [row["original_filename"] for row in listed] == ["clear.png", "rejected.png"]
    assert admin.get("/api/admin/dashboard").json["data"]["review_stats"]["waiting"] == 2
