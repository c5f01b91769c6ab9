"""The patient's own scans and reports as pages, in every state, and nothing of anybody else."""

import re
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from shared.models import Job, JobStatus, Scan
from shared.services import Services
from tests.fakes import MadeUpModel
from tests.integration.portal import GERMAN, Outline, Visitor, upload, visitor
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

STATES = {  # what to set in the row; words of the badge in both languages
    "waiting": ({}, "Waiting", "Wartet"),
    "running": ({"status": JobStatus.RUNNING}, "Being analysed", "Wird ausgewertet"),
    "failed": ({"status": JobStatus.FAILED}, "Analysis failed", "Auswertung fehlgeschlagen"),
    "cancelled": ({"status": JobStatus.CANCELLED}, "Analysis stopped", "Auswertung abgebrochen"),
}
RESULTS = {  # what the model says; words of the badge in both languages
    "tumor": ({"probability": 0.9}, "Signs of a possible tumour", "Anzeichen eines möglichen Tumors"),
    "no_tumor": ({"probability": 0.1}, "No signs of a tumour found", "Keine Anzeichen eines Tumors gefunden"),
    "needs_review": (
        {"probability": 0.5, "review": "needs_review"},
        "No clear result",
        "Kein eindeutiges Ergebnis",
    ),
    "rejected": ({"rejects": True}, "Not a brain MRI", "Kein MRT-Bild eines Gehirns"),
}


@pytest.fixture
def ada(services: Services) -> Visitor:
    return visitor(services, "Ada")


@pytest.fixture
def ben(services: Services) -> Visitor:
    return visitor(services, "Ben")


def badges(page: str) -> list[str]:
    return re.findall(r'<span class="badge [a-z_]+">([^<]+)</span>', page)


def analysed(admin: FlaskClient, ada: Visitor, pipeline: ScanPipeline) -> int:
    """The number of a new scan of Ada with its result."""
    upload(admin, ada.id, "ada's <head>.png")
    pipeline.drain()
    return int(admin.get(f"/api/admin/patients/{ada.id}/scans").json["data"][0]["id"])


def test_who_has_no_scans_and_reports_is_told_how_they_come(ada: Visitor) -> None:
    assert "There are no scans of you yet." in ada.get("/portal/scans").text
    assert "There are no reports about you yet." in ada.get("/portal/reports").text


@pytest.mark.parametrize("state", STATES)
def test_a_scan_without_a_result_says_why_in_both_languages(
    services: Services, admin: FlaskClient, ada: Visitor, state: str
) -> None:
    columns, english, german = STATES[state]
    upload(admin, ada.id)
    if columns:
        with services.sessions.begin() as session:
            session.execute(update(Job).values(**columns))
    for address in ("/portal/scans", "/portal/scans/1"):
        assert badges(ada.get(address).text) == [english]
        assert badges(ada.get(address, headers=GERMAN).text) == [german]
    page = ada.get("/portal/scans/1").text
    waits = state in ("waiting", "running")
    assert bool(re.search(r'data-jobs="[0-9a-f-]{36}=(queued|running)"', page)) is waits
    assert ("Show what is new" in page) is waits
    assert "estimated probability" not in page


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_is_told_in_plain_words_in_both_languages(
    admin: FlaskClient, ada: Visitor, pipeline: ScanPipeline, model: MadeUpModel, result: str
) -> None:
    said, english, german = RESULTS[result]
    for name, value in said.items():
        setattr(model, name, value)
    analysed(admin, ada, pipeline)
    page = ada.get("/portal/scans/1").text
    assert badges(page) == [english]
    assert "radiologist" in page
    assert badges(ada.get("/portal/scans/1", headers=GERMAN).text) == [german]
    assert badges(ada.get("/portal/scans").text) == [english]
    assert ("estimated probability" in page) is (result != "rejected")
    assert ("What the colours mean" in page) is (result != "rejected")


def test_one_scan_shows_its_pictures_and_what_they_mean(
    admin: FlaskClient, ada: Visitor, pipeline: ScanPipeline
) -> None:
    number = analysed(admin, ada, pipeline)
    page = ada.get(f"/portal/scans/{number}")
    assert "<strong>90%</strong>" in page.text
    assert "90\N{NO-BREAK SPACE}%" in ada.get(f"/portal/scans/{number}", headers=GERMAN).text
    assert "It is not the probability that you are ill." in page.text
    assert "The colours are not the outline of a tumour" in page.text
    images = Outline(page.text).all("img")
    assert len(images) == 5  # the overlay over the original, and three side by side
    assert all((image["width"], image["height"]) == ("64", "48") for image in images)
    assert [image["alt"] == "" for image in images] == [True, False, False, False, False]
    for image in images:
        assert ada.get(urlsplit(image["src"] or "").path).mimetype == "image/png"
    assert "ada&#39;s &lt;head&gt;.png" in page.text


def test_the_list_is_in_pages_newest_first(
    admin: FlaskClient, ada: Visitor, ben: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.portal.patient.SCANS_ON_PAGE", 2)  # for a list of a size that a test can make
    for name in ("first.png", "second.png", "third.png"):
        upload(admin, ada.id, name)
        upload(admin, ben.id, f"bens {name}")
    newest = ada.get("/portal/scans").text
    names = re.compile(r"(?:bens )?\w+\.png")
    assert names.findall(newest) == ["third.png", "second.png"]
    older = re.search(r'href="(/portal/scans\?before=\d+)" rel="next"', newest)
    assert older is not None
    last = ada.get(older[1]).text
    assert names.findall(last) == ["first.png"]
    assert 'rel="next"' not in last
    assert "There are no older scans." in ada.get("/portal/scans?before=1").text


def test_a_report_is_listed_linked_from_its_scan_and_downloaded(
    admin: FlaskClient, ada: Visitor, pipeline: ScanPipeline, renderer: ReportRenderer
) -> None:
    number = analysed(admin, ada, pipeline)
    assert "There is none yet." in ada.get(f"/portal/scans/{number}").text
    admin.post("/api/report/generate", json={"patient_id": ada.id})
    renderer.drain()
    link = re.compile(r'href="(/portal/reports/R[0-9A-F]+/download)"')
    listed = link.findall(ada.get("/portal/reports").text)
    assert len(listed) == 1
    assert link.findall(ada.get(f"/portal/scans/{number}").text) == listed
    pdf = ada.get(listed[0], follow_redirects=True)
    assert (pdf.status_code, pdf.mimetype) == (200, "application/pdf")
    assert pdf.headers["Content-Disposition"].startswith("attachment")


def test_another_patient_sees_nothing_of_it(
    admin: FlaskClient, ada: Visitor, ben: Visitor, pipeline: ScanPipeline, renderer: ReportRenderer
) -> None:
    number = analysed(admin, ada, pipeline)
    admin.post("/api/report/generate", json={"patient_id": ada.id})
    renderer.drain()
    report = admin.get("/api/admin/reports").json["data"][0]["report_id"]
    assert report not in ben.get("/portal/reports").text
    assert "There are no scans of you yet." in ben.get("/portal/scans").text
    for address in (f"/portal/scans/{number}", f"/portal/reports/{report}/download"):
        page = ben.get(address)
        assert page.status_code == 403
        assert "This page is not for your account" in page.text
        assert "ada" not in page.text.lower()
        assert Outline(page.text).all("img") == []


def test_who_saw_and_downloaded_what_is_in_the_audit_trail(
    admin: FlaskClient, ada: Visitor, pipeline: ScanPipeline, renderer: ReportRenderer
) -> None:
    number = analysed(admin, ada, pipeline)
    admin.post("/api/report/generate", json={"patient_id": ada.id})
    renderer.drain()
    report = admin.get("/api/admin/reports").json["data"][0]["report_id"]
    for address in ("scans", f"scans/{number}", "reports", f"reports/{report}/download"):
        ada.get(f"/portal/{address}")
    events = admin.get(f"/api/admin/audit?actor=patient:{ada.id}&limit=4").json["data"]
    assert [(event["action"], event["subject"]) for event in reversed(events)] == [
        ("scan.listed", f"patient:{ada.id}"),
        ("scan.viewed", f"scan:{number}"),
        ("report.listed", f"patient:{ada.id}"),
        ("report.downloaded", f"report:{report}"),
    ]


def test_pictures_of_the_replaced_system_are_let_in_from_their_host_and_no_other(
    services: Services, admin: FlaskClient, ada: Visitor, pipeline: ScanPipeline
) -> None:
    number = analysed(admin, ada, pipeline)
    with services.sessions.begin() as session:
        session.execute(
            update(Scan).values(original_path="https://pictures.example/a.png", width=None, height=None)
        )
    page = ada.get(f"/portal/scans/{number}")
    policy = page.headers["Content-Security-Policy"]
    assert re.search(r"img-src 'self'[^;]* https://pictures\.example$", policy)
    assert 'src="https://pictures.example/a.png"' in page.text
    assert "pictures.example" not in ada.get("/portal/reports").headers["Content-Security-Policy"]
