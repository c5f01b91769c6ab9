"""Scans and reports for the staff: finding, judging the evidence, acting on jobs, and PDFs in the page."""

import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select, update

from shared import jobs
from shared.attempts import Failure
from shared.models import AuditEvent, Job, JobEvent, JobKind, JobStatus, Report, Scan
from shared.results import NEEDS_REVIEW
from shared.services import Services
from tests.fakes import MadeUpModel, RecordingQueue
from tests.integration.portal import GERMAN, Outline, upload
from tests.integration.sending import new_patient
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

SCANS, REPORTS = "/portal/staff/scans", "/portal/staff/reports"
NAMES = re.compile(r"[a-z_]+\.png")


def listed(client: FlaskClient, query: str = "") -> list[str]:
    """The file names that the list shows."""
    page = client.get(f"{SCANS}?{query}")
    assert page.status_code == 200, page.text
    return NAMES.findall(page.text)


def scan_ids(admin: FlaskClient, patient_id: int) -> list[str]:
    return [scan["scan_id"] for scan in admin.get(f"/api/admin/patients/{patient_id}/scans").json["data"]]


def ask_for_report(client: FlaskClient, *chosen: str, once: str = "") -> str:
    """The page that the form leads to."""
    answer = client.post(REPORTS, data={"scan": list(chosen), "once": once})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


@pytest.fixture
def all_outcomes(
    services: Services, admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, model: MadeUpModel
) -> None:
    """A scan for each outcome, named after it; the oldest is tumor.png."""
    for name, said in {
        "tumor": {"probability": 0.9},
        "no_tumor": {"probability": 0.1},
        "needs_review": {"probability": 0.5, "review": NEEDS_REVIEW},
        "rejected": {"rejects": True},
    }.items():
        for field, value in {"review": None, **said}.items():
            setattr(model, field, value)
        upload(admin, patient_id, f"{name}.png")
        pipeline.drain()
    for name in ("failed", "cancelled", "unfinished"):
        upload(admin, patient_id, f"{name}.png")
    with services.sessions.begin() as session:
        for number, status in ((5, JobStatus.FAILED), (6, JobStatus.CANCELLED), (7, JobStatus.RUNNING)):
            session.execute(update(Job).where(Job.scan_id == number).values(status=status))


@pytest.mark.usefixtures("all_outcomes")
def test_each_filter_shows_what_it_names(services: Services, admin: FlaskClient, reader: FlaskClient) -> None:
    everything = listed(reader)
    assert len(everything) == 7
    assert everything[-1] == "tumor.png"
    for outcome in ("tumor", "no_tumor", "needs_review", "rejected", "failed", "cancelled", "unfinished"):
        assert listed(admin, f"outcome={outcome}") == [f"{outcome}.png"]
    review = {"analysed_at": admin.get("/api/admin/scans").json["data"][-1]["analysed_at"], "then": "scan"}
    for verdict, comment in (("No Tumor", "An artefact."), ("Tumor", "")):
        reader.post(f"{SCANS}/1/review", data={**review, "verdict": verdict, "comment": comment})
        assert listed(admin, "reading=reviewed") == ["tumor.png"]
        assert listed(admin, "reading=overridden") == (["tumor.png"] if verdict == "No Tumor" else [])
    assert listed(admin, "reading=waiting") == ["rejected.png", "needs_review.png", "no_tumor.png"]
    yesterday = datetime.now(UTC) - timedelta(days=1)
    with services.sessions.begin() as session:
        session.execute(update(Scan).where(Scan.id == 2).values(created_at=yesterday))
    assert listed(admin, f"until={yesterday.date()}") == ["no_tumor.png"]
    assert len(listed(admin, f"since={(yesterday + timedelta(days=1)).date()}")) == 6
    assert listed(admin, "outcome=tumor&until=2020-01-01") == []
    assert "No scan fits these filters." in admin.get(f"{SCANS}?until=2020-01-01").text
    for wrong in ("outcome=x", "reading=x", "since=x", "patient=x", "patient=999", "before=x"):
        assert admin.get(f"{SCANS}?{wrong}").status_code == 404, wrong


def test_the_list_is_in_pages_that_keep_its_filters_and_may_share_a_moment(
    services: Services, admin: FlaskClient, patient_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.portal.staff_scans.SCANS_ON_PAGE", 2)  # a test can make this many
    other, _ = new_patient(services)
    for name in ("a", "b", "c", "d", "e"):
        upload(admin, patient_id, f"{name}.png")
    upload(admin, other, "foreign.png")
    with services.sessions.begin() as session:
        session.execute(update(Scan).values(created_at=datetime.now(UTC)))
    seen, address = [], f"{SCANS}?outcome=unfinished&patient={patient_id}"
    while address:
        page = admin.get(address).text
        seen.append(NAMES.findall(page))
        found = re.search(r'href="([^"]+)" rel="next"', page)
        address = found[1].replace("&amp;", "&") if found else ""
    assert seen == [["e.png", "d.png"], ["c.png", "b.png"], ["a.png"]]


def test_a_number_leads_to_what_it_is_of(admin: FlaskClient, patient_id: int) -> None:
    upload(admin, patient_id)
    patient = admin.get(f"/api/admin/patients/{patient_id}").json["data"]["patient_id"]
    [scan] = scan_ids(admin, patient_id)
    to_patient = admin.get(f"{SCANS}?number={patient.lower()}&outcome=failed").headers["Location"]
    assert to_patient == f"{SCANS}?outcome=failed&patient={patient_id}"
    assert admin.get(f"{SCANS}?number=+{scan}").headers["Location"] == f"{SCANS}/1"
    assert "No patient and no scan has the number S0" in admin.get(f"{SCANS}?number=S0").text
    assert admin.get(f"{SCANS}?number=%00").status_code == 200


def test_who_has_no_scans_and_reports_is_told_how_they_come(admin: FlaskClient) -> None:
    assert "There are no scans yet." in admin.get(SCANS).text
    assert "There are no finished reports yet." in admin.get(REPORTS).text


def test_a_scan_shows_its_evidence_and_the_model(
    services: Services, admin: FlaskClient, reader: FlaskClient, patient_id: int, pipeline: ScanPipeline
) -> None:
    upload(admin, patient_id, "ada's <head>.png")
    pipeline.drain()
    page = reader.get(f"{SCANS}/1")
    assert "ada&#39;s &lt;head&gt;.png" in page.text
    for words in ("90%", "Glioma", "0.7500", "made-up", "0" * 64, "made up", "Succeeded"):
        assert words in page.text, words
    assert 'class="band" x="40.0" y="1.5" width="20.0"' in page.text
    assert "Inconclusive between 40% and 60%" in page.text
    assert [image["alt"] == "" for image in Outline(page.text).all("img")] == [False, False, True, False]
    assert "Run the analysis again" not in page.text
    with services.sessions.begin() as session:
        scan = session.get_one(Scan, 1)
        model = {name: value for name, value in (scan.model or {}).items() if name != "inconclusive"}
        scan.model = {**model, "novel": "shown as it is"}
        outside = {"flags": ["heat_outside_head"], "heat_outside_head": 0.8}
        scan.explanation = {**(scan.explanation or {}), **outside}
    page = reader.get(f"{SCANS}/1")
    assert 'class="band"' not in page.text  # scans analysed earlier do not say where that was
    assert "shown as it is" in page.text
    assert "80% of the heat lies outside the head." in page.text
    assert "Gliom" in reader.get(f"{SCANS}/1", headers=GERMAN).text
    with services.sessions() as session:
        views = session.scalars(select(AuditEvent.subject).where(AuditEvent.action == "scan.viewed")).all()
    assert views == ["scan:1"] * 3


def test_a_rejected_picture_says_why_and_has_no_probability(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, model: MadeUpModel
) -> None:
    model.rejects = True
    upload(admin, patient_id)
    pipeline.drain()
    page = admin.get(f"{SCANS}/1").text
    assert "made-up rejection" in page
    assert "97% probability of being no brain MRI" in page
    assert "calibrated probability" not in page
    assert "Make a report of this scan" not in page


def test_neighbours_are_those_of_the_same_patient(
    services: Services, admin: FlaskClient, patient_id: int
) -> None:
    other, _ = new_patient(services)
    for patient in (patient_id, other, patient_id, patient_id):
        upload(admin, patient)
    page = admin.get(f"{SCANS}/3").text
    assert re.search(rf'href="{SCANS}/1" rel="prev"', page)
    assert re.search(rf'href="{SCANS}/4" rel="next"', page)
    assert not re.search('rel="(prev|next)"', admin.get(f"{SCANS}/2").text)


def test_the_course_tells_every_attempt_and_its_cause(
    services: Services, admin: FlaskClient, patient_id: int
) -> None:
    upload(admin, patient_id)
    with services.sessions.begin() as session:
        [claim] = jobs.claim(session, JobKind.SCAN, "worker-7", 1, 60)
        failure = Failure(claim, "SERVICE_UNAVAILABLE", "The store is away.", retry=True)
        jobs.fail(session, [failure], max_attempts=3, retry_seconds=0)
    with services.sessions.begin() as session:
        [claim] = jobs.claim(session, JobKind.SCAN, "worker-7", 1, 60)
        assert "worker-7" not in admin.get(f"{SCANS}/1").text  # not committed yet
        jobs.give_up_crashed(session, [claim], max_attempts=3, retry_seconds=0)
    with services.sessions.begin() as session:
        [claim] = jobs.claim(session, JobKind.SCAN, "worker-7", 1, 60)
    assert "worker-7" in admin.get(f"{SCANS}/1").text
    with services.sessions.begin() as session:
        jobs.give_up_crashed(session, [claim], max_attempts=3, retry_seconds=0)
    page = admin.get(f"{SCANS}/1").text
    told = re.findall(r'class="what">([^<]+)<', page)
    assert told == [
        "Queued",
        "Attempt 1 started",
        "Attempt 1 failed; another one follows",
        "Attempt 2 started",
        "The worker of attempt 2 stopped; another one follows",
        "Attempt 3 started",
        "Failed for good",
    ]
    assert page.count("SERVICE_UNAVAILABLE") == 1
    assert "The worker stopped in the middle of the work." in page
    with services.sessions.begin() as session:
        session.execute(delete(JobEvent))
    assert admin.get(f"{SCANS}/1").status_code == 200


def test_admins_cancel_and_repeat_and_readers_only_look(
    services: Services, admin: FlaskClient, reader: FlaskClient, patient_id: int, queue: RecordingQueue
) -> None:
    upload(admin, patient_id)
    for act, status, button in (
        ("cancel", "cancelled", "Run the analysis again"),
        ("cancel", "cancelled", "Run the analysis again"),  # a second click changes nothing
        ("retry", "queued", "Cancel the analysis"),
        ("retry", "queued", "Cancel the analysis"),
    ):
        assert reader.post(f"{SCANS}/1/{act}").status_code == 403
        assert admin.post(f"{SCANS}/1/{act}").headers["Location"] == f"{SCANS}/1"
        assert admin.get("/api/jobs").json["data"][0]["status"] == status
        assert button in admin.get(f"{SCANS}/1").text
        assert button not in reader.get(f"{SCANS}/1").text
    assert len(queue.sent) == 2  # the upload and one retry
    with services.sessions() as session:
        acts = session.scalars(select(AuditEvent.action).where(AuditEvent.action.like("job.%"))).all()
    assert acts == ["job.cancelled", "job.cancelled", "job.retried"]
    assert admin.post(f"{SCANS}/99/retry").status_code == 404


def test_a_report_of_chosen_scans_is_made_once_and_shown_in_the_page(
    services: Services,
    admin: FlaskClient,
    reader: FlaskClient,
    patient_id: int,
    pipeline: ScanPipeline,
    renderer: ReportRenderer,
) -> None:
    for _ in range(3):
        upload(admin, patient_id)
    pipeline.drain()
    form = Outline(admin.get(f"{SCANS}?patient={patient_id}").text)
    [once] = [field["value"] for field in form.all("input") if field.get("name") == "once"]
    boxes = [field["value"] or "" for field in form.all("input") if field.get("name") == "scan"]
    assert boxes == scan_ids(admin, patient_id)
    page = ask_for_report(admin, *boxes[:2], once=once or "")
    assert ask_for_report(admin, *boxes[:2], once=once or "") == page  # a double click
    waiting = admin.get(page)
    assert "The report waits for its turn" in waiting.text
    assert re.search(r'id="live" data-jobs="[0-9a-f-]{36}=queued"', waiting.text)
    assert re.search(r'data-jobs="[0-9a-f-]{36}=queued"', admin.get(REPORTS).text)
    assert admin.get(f"{page}/file").status_code == 404
    renderer.drain()
    ready = reader.get(page)
    assert [frame["src"] for frame in Outline(ready.text).all("iframe")] == [f"{page}/file"]
    assert ready.headers["Content-Security-Policy"].endswith("; frame-src 'self'")
    assert ready.headers["X-Frame-Options"] == "DENY"
    assert all(number in ready.text for number in boxes[:2])
    pdf = reader.get(f"{page}/file")
    assert pdf.data.startswith(b"%PDF")
    assert pdf.headers["Content-Disposition"].startswith("inline")
    assert pdf.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert pdf.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    assert pdf.headers["Cache-Control"] == "no-store"
    saved = reader.get(f"{page}/file?download=1")
    assert saved.headers["Content-Disposition"].startswith("attachment")
    assert "2 scans: tumour 2, no tumour 0" in reader.get(REPORTS).text
    assert page in reader.get(f"{SCANS}/{3}").text
    with services.sessions() as session:
        assert len(session.scalars(select(Report)).all()) == 1
        acts = session.scalars(select(AuditEvent.action).where(AuditEvent.action.like("report.%"))).all()
    assert acts.count("report.requested") == 1
    assert acts.count("report.downloaded") == 2


@pytest.mark.usefixtures("all_outcomes")
def test_every_page_is_whole_in_every_state(admin: FlaskClient, patient_id: int) -> None:
    report = ask_for_report(admin, *scan_ids(admin, patient_id))
    pages = [admin.get(f"{SCANS}/{number}") for number in range(1, 8)]
    pages += [admin.get(address) for address in (SCANS, f"{SCANS}?number=S0", REPORTS, report)]
    for page in (*pages, admin.post(REPORTS)):
        outline = Outline(page.text)
        assert len(outline.all("h1")) == 1
        ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
        assert all(later <= level + 1 for level, later in itertools.pairwise(levels))
        for tag, attributes in outline.tags:
            assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        assert all("alt" in image for image in outline.all("img"))


def test_a_report_that_cannot_be_is_refused_with_the_way_on(
    services: Services, admin: FlaskClient, patient_id: int
) -> None:
    other, _ = new_patient(services)
    for patient in (patient_id, other):
        upload(admin, patient)
    chosen = scan_ids(admin, patient_id) + scan_ids(admin, other)
    several = admin.post(REPORTS, data={"scan": chosen})
    assert several.status_code == 400
    assert "The chosen scans belong to 2 patients." in several.text
    assert f'href="{SCANS}?patient={other}"' in several.text
    assert "No scan was chosen." in admin.post(REPORTS, data={"scan": ["S0", "\0"]}).text
    nothing = admin.post(REPORTS, data={"whole_of": str(other)})
    assert (nothing.status_code, "No scans found for report" in nothing.text) == (400, True)
    assert admin.post(REPORTS, data={"whole_of": "999"}).status_code == 404


def test_a_failed_report_says_why_and_is_made_again(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, renderer: ReportRenderer, model: MadeUpModel
) -> None:
    model.rejects = True
    upload(admin, patient_id)
    page = ask_for_report(admin, *scan_ids(admin, patient_id))
    pipeline.drain()
    renderer.drain()
    for address in (page, REPORTS):
        assert "No scans found for report" in admin.get(address).text
    model.rejects = False
    admin.post(f"{SCANS}/1/retry")  # has succeeded, so nothing happens
    assert admin.post(f"{page}/retry").headers["Location"] == page
    assert "The report waits for its turn" in admin.get(page).text
    assert admin.post(f"{REPORTS}/R0/retry").status_code == 404
    assert admin.get(f"{REPORTS}/%00").status_code == 404
