"""Verdicts of readers beside the model's results: what is kept, what counts, and what is refused."""

import csv
import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from pypdf import PdfReader
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from shared import job_control, reviews
from shared.models import AuditEvent, Job, ReaderVerdict, Scan, ScanReview
from shared.retention import forget
from shared.reviews import Reading
from shared.services import Services
from tests.fakes import MadeUpModel, picture
from tests.integration.portal import upload
from tests.integration.sending import add, new_batch
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer


@pytest.fixture
def scan(admin: FlaskClient, patient_id: int, pipeline: ScanPipeline) -> int:
    """A scan in which the model saw a tumour."""
    upload(admin, patient_id)
    pipeline.drain()
    return int(scans_of(admin)[0]["id"])


def scans_of(client: FlaskClient) -> list[dict[str, Any]]:
    return list(client.get("/api/admin/scans").json["data"])


def body(client: FlaskClient, scan: int, verdict: str, comment: str | None = None) -> dict[str, Any]:
    seen = next(row for row in scans_of(client) if row["id"] == scan)
    return {"verdict": verdict, "comment": comment, "analysed_at": seen["analysed_at"]}


def send(client: FlaskClient, scan: int, verdict: str, comment: str | None = None) -> Any:
    return client.post(f"/api/admin/scans/{scan}/review", json=body(client, scan, verdict, comment))


def test_each_verdict_is_kept_and_the_newest_counts(
    admin: FlaskClient, reader: FlaskClient, scan: int, services: Services
) -> None:
    before = scans_of(admin)[0]
    assert (before["reader_verdict"], before["reviewed_at"]) == (None, None)
    first = send(reader, scan, "No Tumor", "a vessel,\r\nno mass")
    assert first.status_code == 201
    second = send(admin, scan, "Tumor").json["data"]
    kept = admin.get(f"/api/admin/scans/{scan}/reviews").json["data"]
    assert kept == [second, first.json["data"]]
    assert [(row["reader"], row["verdict"], row["comment"], row["agrees"]) for row in kept] == [
        ("admin", "Tumor", None, True),
        ("reader", "No Tumor", "a vessel,\nno mass", False),
    ]
    assert (kept[0]["prediction"], kept[0]["probability"], kept[0]["model_version"]) == ("Tumor", 0.9, "1")
    after = scans_of(reader)[0]
    assert (after["reader_verdict"], after["reviewed_at"]) == ("Tumor", second["at"])
    assert after["prediction"] == before["prediction"], "the model's result stays"
    with services.sessions() as session:
        acts = session.scalars(select(AuditEvent).where(AuditEvent.action == "scan.reviewed")).all()
    assert [(act.actor, act.subject, act.details) for act in acts] == [
        ("reader:2", f"scan:{scan}", {"review": 1}),
        ("admin:1", f"scan:{scan}", {"review": 2}),
    ]


@pytest.mark.parametrize(
    ("verdict", "comment", "field"),
    [
        ("No Tumor", None, "comment"),
        ("Unusable", " \n", "comment"),
        ("No Tumor", "x" * (reviews.MAX_COMMENT + 1), "comment"),
        ("No Tumor", "a\0b", "comment"),
        ("Perhaps", None, "verdict"),
    ],
)
def test_what_is_wrong_with_a_review_is_said_by_field(
    reader: FlaskClient, scan: int, verdict: str, comment: str | None, field: str
) -> None:
    refused = send(reader, scan, verdict, comment)
    assert (refused.status_code, refused.json["field"]) == (400, field)
    assert scans_of(reader)[0]["reader_verdict"] is None
    assert reader.get(f"/api/admin/scans/{scan}/reviews").json["data"] == []


def test_where_the_model_gave_no_prediction_there_is_nothing_to_agree_with(
    reader: FlaskClient, admin: FlaskClient, patient_id: int, model: MadeUpModel, pipeline: ScanPipeline
) -> None:
    model.probability, model.review = 0.5, "needs_review"
    upload(admin, patient_id)
    pipeline.drain()
    kept = send(reader, 1, "Unusable").json["data"]
    assert (kept["agrees"], kept["prediction"], kept["review"]) == (None, None, "needs_review")


def test_a_comment_is_in_no_log_no_error_and_no_audit_trail(
    services: Services, reader: FlaskClient, scan: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for comment, status in (
        ("a private remark", 201),
        ("a private remark\0", 400),
        ("a private remark" * 99, 400),
    ):
        answer = send(reader, scan, "No Tumor", comment)
        assert answer.status_code == status
        assert status == 201 or "private" not in answer.text
    printed = capsys.readouterr()
    assert "/review" in printed.out + printed.err, "requests are logged"
    assert "private" not in printed.out + printed.err
    with services.sessions() as session:
        assert "private" not in str([act.details for act in session.scalars(select(AuditEvent))])


def test_the_same_verdict_sent_twice_is_kept_once(reader: FlaskClient, scan: int) -> None:
    first, again = send(reader, scan, "Tumor"), send(reader, scan, "Tumor")
    assert again.json == first.json
    assert len(reader.get(f"/api/admin/scans/{scan}/reviews").json["data"]) == 1


def test_a_result_that_is_not_there_or_no_longer_shown_is_not_reviewed(
    reader: FlaskClient, admin: FlaskClient, patient_id: int, scan: int
) -> None:
    sent = body(reader, scan, "Tumor")
    upload(admin, patient_id)
    assert reader.post("/api/admin/scans/2/review", json=sent).json["code"] == "CONFLICT_ERROR"
    assert reader.post("/api/admin/scans/99/review", json=sent).status_code == 404
    assert reader.get("/api/admin/scans/99/reviews").status_code == 404
    old = {**sent, "analysed_at": "2026-01-01T00:00:00.000Z"}
    assert reader.post(f"/api/admin/scans/{scan}/review", json=old).status_code == 409


def analyse_again(services: Services, pipeline: ScanPipeline) -> None:
    with services.sessions.begin() as session:
        assert job_control.repeat(session, session.scalars(select(Job.id).where(Job.scan_id == 1)).one())
    pipeline.drain()


def test_a_verdict_outlives_the_same_result_made_again_but_not_another_one(
    services: Services, reader: FlaskClient, scan: int, model: MadeUpModel, pipeline: ScanPipeline
) -> None:
    sent = body(reader, scan, "Tumor")
    assert send(reader, scan, "Tumor").status_code == 201
    model.probability = 0.8
    analyse_again(services, pipeline)
    assert scans_of(reader)[0]["reader_verdict"] == "Tumor"
    assert reader.post(f"/api/admin/scans/{scan}/review", json=sent).status_code == 409, "that form is old"
    model.probability = 0.2
    analyse_again(services, pipeline)
    row = scans_of(reader)[0]
    assert (row["prediction"], row["reader_verdict"], row["reviewed_at"]) == ("No Tumor", None, None)
    assert len(reader.get(f"/api/admin/scans/{scan}/reviews").json["data"]) == 1, "history stays"
    assert reader.get("/api/admin/dashboard").json["data"]["review_stats"]["reviewed"] == 0


def test_a_result_that_comes_while_a_verdict_is_being_kept_withdraws_it(
    services: Services, scan: int, model: MadeUpModel, pipeline: ScanPipeline
) -> None:
    model.probability = 0.2
    with ThreadPoolExecutor(1) as threads:
        with services.sessions.begin() as session:
            seen = session.get_one(Scan, scan).analysed_at
            assert seen is not None
            reviews.add(session, scan, 1, Reading(ReaderVerdict.TUMOR, None, seen))
            coming = threads.submit(analyse_again, services, pipeline)
            wait_for_a_blocked_statement(services)
        coming.result()
    with services.sessions() as session:
        row = session.get_one(Scan, scan)
        assert (row.prediction, row.reader_verdict, row.reader_agrees) == ("No Tumor", None, None)
        assert session.scalars(select(ScanReview.verdict)).all() == ["Tumor"]


def wait_for_a_blocked_statement(services: Services) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with services.sessions() as session:
            if session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                return
        time.sleep(0.01)
    pytest.fail("the worker's statement does not wait for the reader's transaction")


def test_the_worklist_has_the_undecided_oldest_first_in_pages(
    admin: FlaskClient, reader: FlaskClient, patient_id: int, model: MadeUpModel, pipeline: ScanPipeline
) -> None:
    upload(admin, patient_id, "clear.png")
    pipeline.drain()
    model.probability, model.review = 0.5, "needs_review"
    for name in ("first.png", "second.png", "third.png"):
        upload(admin, patient_id, name)
    pipeline.drain()
    page = reader.get("/api/reviews/worklist?limit=2")
    assert [row["original_filename"] for row in page.json["data"]] == ["first.png", "second.png"]
    assert page.json["data"][0]["patient_name"] == "Ada Example"
    rest = reader.get(page.headers["Link"].split(">")[0].lstrip("<"))
    assert [row["original_filename"] for row in rest.json["data"]] == ["third.png"]
    send(reader, page.json["data"][0]["id"], "Tumor")
    names = [row["original_filename"] for row in reader.get("/api/reviews/worklist").json["data"]]
    assert names == ["second.png", "third.png"]
    send(reader, 1, "No Tumor", "a vessel")
    stats = admin.get("/api/admin/dashboard").json["data"]["review_stats"]
    assert stats == {"waiting": 2, "reviewed": 2, "agreed": 0, "overridden": 1}


def test_the_table_of_a_batch_says_what_the_reader_said(
    admin: FlaskClient, reader: FlaskClient, patient_id: int, pipeline: ScanPipeline
) -> None:
    batch = new_batch(admin)
    add(admin, batch, patient_id, ("read.png", picture(101)), ("unread.png", picture(102)))
    pipeline.drain()
    said = send(reader, 1, "No Tumor", "a private remark").json["data"]
    table = admin.get(f"/api/batches/{batch}/results.csv").text
    rows = csv.DictReader(table.splitlines())
    assert [(row["prediction"], row["reader_verdict"], row["reviewed_at"]) for row in rows] == [
        ("Tumor", "No Tumor", said["at"]),
        ("Tumor", "", ""),
    ]
    assert "private" not in table


def test_the_worklist_and_its_length_come_from_partial_indexes(services: Services, patient_id: int) -> None:
    """So that they stay fast where millions of scans need nobody: here nine of ten have been read."""
    with services.sessions() as session:
        session.execute(text(f"{MANY_SCANS}; ANALYZE scans"), {"patient": patient_id})
        for with_all, index in ((False, "ix_scans_undecided"), (True, "ix_scans_unread")):
            assert index in plan(session, with_all)
        session.rollback()


MANY_SCANS = """
INSERT INTO scans
    (patient_id, scan_id, original_filename, original_path, is_staged, review, analysed_at, reader_verdict)
SELECT :patient, 'many-' || n, 'many.png', 'many.png', false,
       CASE WHEN n % 2 = 0 THEN 'needs_review' END, now(), CASE WHEN n % 10 > 0 THEN 'Tumor' END
FROM generate_series(1, 5000) AS n
"""


def plan(session: Session, with_all: bool) -> str:
    waiting = select(Scan.id).where(reviews.is_waiting(with_all)).order_by(Scan.id).limit(25)
    query = waiting.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
    return "\n".join(session.connection().exec_driver_sql(f"EXPLAIN {query}").scalars())


def pdf_of(admin: FlaskClient, renderer: ReportRenderer, patient_id: int) -> str:
    """The text of a new report about all of the patient's scans."""
    admin.post("/api/report/generate", json={"patient_id": patient_id})
    assert renderer.drain() == 1
    newest = admin.get(f"/api/admin/patients/{patient_id}/reports").json["data"][0]
    return text_of(admin, newest["report_path"])


def text_of(admin: FlaskClient, path: str) -> str:
    pdf = admin.get(f"/api/report/file/{path.rsplit('/', 1)[-1]}").data
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).split())


def test_a_report_shows_both_and_one_made_before_stays_as_it_was(
    admin: FlaskClient,
    reader: FlaskClient,
    patient_id: int,
    scan: int,
    model: MadeUpModel,
    pipeline: ScanPipeline,
    renderer: ReportRenderer,
) -> None:
    model.rejects = True
    upload(admin, patient_id, "rejected.png")
    pipeline.drain()
    before = pdf_of(admin, renderer, patient_id)
    assert "not reviewed by a radiologist" in before
    assert "rejected.png" not in before
    send(reader, scan, "No Tumor", "a vessel")
    send(reader, 2, "Tumor")
    after = pdf_of(admin, renderer, patient_id)
    assert "Prediction Tumor" in after
    for said in (
        "Radiologist No tumor",
        "Reviewed by reader",
        "a vessel",
        "rejected.png",
        "Radiologist Tumor",
    ):
        assert said in after
    oldest = admin.get(f"/api/admin/patients/{patient_id}/reports").json["data"][-1]
    assert text_of(admin, oldest["report_path"]) == before


def test_reviews_go_with_their_scan(services: Services, reader: FlaskClient, scan: int) -> None:
    send(reader, scan, "Tumor")
    forget(services, 1)
    with services.sessions() as session:
        assert session.scalars(select(ScanReview)).all() == []
