"""Batches over several requests: counting, exporting, cancelling."""

import csv
import io
import threading
import time
import uuid
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text, update

from api.csv_export import csv_rows
from shared import jobs
from shared.models import Job, JobKind, JobStatus, Scan
from shared.services import Services
from tests.fakes import FailingStore, MadeUpModel, RecordingQueue, picture
from tests.integration.sending import (
    add,
    as_,
    at_once,
    new_batch,
    new_patient,
    pictures,
    rows_of,
    send,
    stored,
)
from tests.integration.test_jobs import UNKNOWN, pages_of
from worker.pipeline import ScanPipeline

Json = dict[str, Any]


def shown(client: FlaskClient, batch_id: str) -> Json:
    answer = client.get(f"/api/batches/{batch_id}")
    assert answer.status_code == 200
    batch: Json = answer.json["data"]
    assert sum(batch["counts"].values()) == batch["total"]
    return batch


FILL = """
    WITH made AS (
        INSERT INTO scans (patient_id, scan_id, original_filename, original_path, is_staged, prediction)
        SELECT :patient_id, 'S' || gen_random_uuid(), n || '.png', 'original/x.png', false,
               CASE WHEN :status = 'succeeded' THEN CASE n % 2 WHEN 0 THEN 'Tumor' ELSE 'No Tumor' END END
        FROM generate_series(1, :number) AS n
        RETURNING id
    )
    INSERT INTO jobs (id, kind, lane, status, stage, attempt, spent_attempts, crash_count, is_public,
                      scan_id, batch_id, finished_at)
    SELECT gen_random_uuid(), 'scan', 'bulk', :status, 'done', 1, 0, 0, false,
           id, :batch_id, CASE WHEN :status = 'succeeded' THEN now() END
    FROM made
"""


def fill(services: Services, patient_id: int, batch_id: str, number: int, status: JobStatus) -> None:
    """Rows as uploads and workers would have left them."""
    values = {"patient_id": patient_id, "batch_id": batch_id, "number": number, "status": status}
    with services.sessions.begin() as session:
        session.execute(text(FILL), values)


def test_a_batch_is_filled_by_many_requests_also_at_once(
    admin: FlaskClient, patient_id: int, services: Services, queue: RecordingQueue, pipeline: ScanPipeline
) -> None:
    made = admin.post("/api/batches", json={"name": "  March  "})
    assert made.status_code == 201
    batch_id = made.json["batch_id"]
    assert made.headers["Location"] == f"/api/batches/{batch_id}"
    assert (made.json["data"]["name"], made.json["data"]["total"]) == ("March", 0)
    other, _ = new_patient(services)
    senders = [(as_(admin, services), patient) for patient in (patient_id, other, patient_id, other)]
    answers = at_once([partial(add, client, batch_id, patient, *pictures(5)) for client, patient in senders])
    assert [answer.status_code for answer in answers] == [202] * 4
    for answer in answers:
        assert answer.json["batch_id"] == batch_id
        assert answer.headers["Location"] == f"/api/batches/{batch_id}"
    assert {lane for _, lane, _ in queue.sent} == {"bulk"}, "nobody waits for a single scan of it"
    batch = shown(admin, batch_id)
    assert (batch["total"], batch["counts"]["queued"]) == (20, 20)
    assert pipeline.drain() == 20
    batch = shown(admin, batch_id)
    assert (batch["counts"]["succeeded"], batch["outcomes"]["tumor"]) == (20, 20)
    job_ids = [job_id for answer in answers for job_id in answer.json["job_ids"]]
    assert len(set(job_ids)) == 20
    assert admin.get(f"/api/jobs?batch_id={batch_id}").json["data"][0]["batch_id"] == batch_id


def test_every_outcome_and_status_is_counted_once(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, model: MadeUpModel
) -> None:
    batch_id = new_batch(admin)
    for probability, review, rejects in (
        (0.9, None, False),
        (0.1, None, False),
        (0.5, "needs_review", False),
        (0.9, None, True),
    ):
        model.probability, model.review, model.rejects = probability, review, rejects
        add(admin, batch_id, patient_id)
        pipeline.drain()
    model.fails_on_batches_of = 1
    add(admin, batch_id, patient_id)
    pipeline.drain()
    cancelled, _ = add(admin, batch_id, patient_id, *pictures(2)).json["job_ids"]
    admin.delete(f"/api/jobs/{cancelled}")
    send(admin, patient_id)  # not of this batch
    batch = shown(admin, batch_id)
    assert batch["counts"] == {"queued": 1, "running": 0, "succeeded": 4, "failed": 1, "cancelled": 1}
    assert batch["outcomes"] == {"tumor": 1, "no_tumor": 1, "needs_review": 1, "rejected": 1}


def test_the_estimate_counts_all_that_must_end_first(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    done, batch_id = new_batch(admin), new_batch(admin)
    assert shown(admin, batch_id)["eta_seconds"] is None
    add(admin, done, patient_id, *pictures(5))
    pipeline.drain()
    with services.sessions.begin() as session:  # five in ten seconds
        session.execute(update(Job).values(finished_at=func.now() - timedelta(seconds=10)))
    assert shown(admin, done)["eta_seconds"] is None, "nothing is left"
    send(admin, patient_id, *pictures(3))
    add(admin, batch_id, patient_id, *pictures(2))
    assert 10 <= shown(admin, batch_id)["eta_seconds"] <= 13


def test_results_are_one_line_for_each_scan_and_harmless_in_a_spreadsheet(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, model: MadeUpModel
) -> None:
    batch_id = new_batch(admin)
    names = [
        "=HYPERLINK(A1)",
        "+1.png",
        "-1.png",
        "@SUM(A1).png",
        "\t=1+1.png",
        "a,b; c.png",
        "患者 ü.png",
    ]
    add(admin, batch_id, patient_id, *[(name, picture(100 + n)) for n, name in enumerate(names)])
    pipeline.drain()
    model.fails_on_batches_of = 1
    add(admin, batch_id, patient_id)
    pipeline.drain()
    add(admin, batch_id, patient_id, ("waiting.png", picture()))
    answer = admin.get(f"/api/batches/{batch_id}/results.csv")
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="results-{batch_id}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8"))))
    assert [row["filename"] for row in rows[:7]] == [
        "'=HYPERLINK(A1)",
        "'+1.png",
        "'-1.png",
        "'@SUM(A1).png",
        "'=1+1.png",
        "a,b; c.png",
        "患者 ü.png",
    ]
    assert [row["status"] for row in rows] == ["succeeded"] * 7 + ["failed", "queued"]
    first, failed, waiting = rows[0], rows[7], rows[8]
    patient = admin.get(f"/api/admin/patients/{patient_id}").json["data"]
    assert (first["patient_id"], first["patient_identifier"]) == (str(patient_id), patient["patient_id"])
    assert (first["prediction"], float(first["probability"])) == ("Tumor", pytest.approx(0.9))
    assert (first["model_name"], first["model_version"]) == ("made-up", "1")
    assert (failed["error_code"], failed["prediction"]) == ("MODEL_PREDICTION_ERROR", "")
    assert failed["error_message"]
    assert (waiting["prediction"], waiting["analysed_at"]) == ("", "")
    assert "Ada" not in answer.text


def test_results_are_sent_as_they_are_read(admin: FlaskClient, patient_id: int, services: Services) -> None:
    batch_id = new_batch(admin)
    fill(services, patient_id, batch_id, 2500, JobStatus.SUCCEEDED)
    answer = admin.get(f"/api/batches/{batch_id}/results.csv", buffered=False)
    assert answer.content_length is None, "its length is not known: it is streamed"
    assert len(list(csv.reader(io.StringIO(answer.text)))) == 2501


def test_no_transaction_is_open_while_a_reader_of_results_takes_its_time(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    batch_id = new_batch(admin)
    fill(services, patient_id, batch_id, 1001, JobStatus.SUCCEEDED)
    lines = csv_rows(services.sessions, uuid.UUID(batch_id))
    pool = services.sessions.kw["bind"].pool
    assert [pool.checkedout() for _ in zip(range(1002), lines, strict=False)] == [0] * 1002


def test_a_cancelled_batch_takes_no_more_and_leaves_nothing_to_do(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline, queue: RecordingQueue
) -> None:
    batch_id = new_batch(admin)
    add(admin, batch_id, patient_id)
    pipeline.drain()
    add(admin, batch_id, patient_id, *pictures(3))
    kept = stored(services)
    answer = admin.delete(f"/api/batches/{batch_id}")
    assert (answer.status_code, answer.json["cancelled"]) == (200, 3)
    assert answer.json["data"]["counts"] == {
        "queued": 0,
        "running": 0,
        "succeeded": 1,
        "failed": 0,
        "cancelled": 3,
    }
    assert answer.json["data"]["cancelled_at"]
    assert pipeline.drain() == 0
    queue.sent.clear()
    refused = add(admin, batch_id, patient_id)
    assert (refused.status_code, refused.json["code"]) == (409, "CONFLICT_ERROR")
    tried = admin.post(
        f"/api/batches/{batch_id}/scans?dry_run=1",
        data={"patient_id": str(patient_id), "files": [(io.BytesIO(picture()), "a.png")]},
    )
    assert tried.status_code == 409, "a dry run tells the same"
    assert (rows_of(services), stored(services), queue.sent) == ((4, 4), kept, [])
    again = admin.delete(f"/api/batches/{batch_id}")
    assert (again.status_code, again.json["cancelled"]) == (200, 0)
    assert again.json["data"] == answer.json["data"]


def test_what_is_on_its_way_when_a_batch_is_cancelled_is_refused_and_removed(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    images: FailingStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch_id = new_batch(admin)
    canceller, store = as_(admin, services), images.put

    def store_and_cancel(key: str, data: bytes, content_type: str) -> None:
        # Between the first look at the batch and the rows.
        store(key, data, content_type)
        assert canceller.delete(f"/api/batches/{batch_id}").status_code == 200

    monkeypatch.setattr(images, "put", store_and_cancel)
    assert add(admin, batch_id, patient_id).status_code == 409
    assert (rows_of(services), stored(services)) == ((0, 0), [])


def test_a_batch_is_cancelled_while_workers_and_senders_are_at_it(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    batch_id = new_batch(admin)
    for _ in range(3):
        add(admin, batch_id, patient_id, *pictures(40))
    sender = as_(admin, services)
    seen: list[int] = []

    def keep_sending() -> None:
        while not seen or seen[-1] == 202:
            seen.append(add(sender, batch_id, patient_id, *pictures(2)).status_code)

    threads = [threading.Thread(target=pipeline.drain), threading.Thread(target=keep_sending)]
    for thread in threads:
        thread.start()
    while not shown(admin, batch_id)["counts"]["succeeded"] or not seen:
        time.sleep(0.02)
    answer = admin.delete(f"/api/batches/{batch_id}")
    batch = answer.json["data"]
    assert answer.status_code == 200
    assert batch["counts"]["queued"] + batch["counts"]["running"] == 0
    assert sum(batch["counts"].values()) == batch["total"]
    for thread in threads:
        thread.join()
    assert seen[-1] == 409
    assert shown(admin, batch_id) == batch, "nothing is published or added afterwards"
    with services.sessions() as session:
        spoken = session.execute(
            select(func.count())
            .select_from(Scan)
            .join(Job, Job.scan_id == Scan.id)
            .where(Job.status == JobStatus.CANCELLED, Scan.probability.is_not(None))
        ).scalar_one()
    assert spoken == 0


def test_rows_that_a_worker_is_writing_are_waited_for(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    batch_id = new_batch(admin)
    add(admin, batch_id, patient_id, *pictures(2))
    with services.sessions.begin() as session:
        (claim,) = jobs.claim(session, JobKind.SCAN, "a worker", 1, lease_seconds=60)
    answers = []
    other = as_(admin, services)
    with services.sessions.begin() as session:
        assert jobs.succeed(session, [claim]) == [claim]
        cancelling = threading.Thread(target=lambda: answers.append(other.delete(f"/api/batches/{batch_id}")))
        cancelling.start()
        time.sleep(0.3)
        session.execute(update(Scan).where(Scan.id == claim.subject_id).values(prediction="Tumor"))
    cancelling.join()
    counts = answers[0].json["data"]["counts"]
    assert (counts["succeeded"], counts["cancelled"], counts["running"]) == (1, 1, 0)


def test_batches_are_listed_newest_first_in_pages(admin: FlaskClient, patient_id: int) -> None:
    made = [new_batch(admin) for _ in range(5)]
    add(admin, made[0], patient_id)
    send(admin, patient_id, *pictures(2))  # an upload's own batch was not asked for
    listed = [batch["id"] for batch in admin.get("/api/batches").json["data"]]
    assert listed == made[::-1]
    for size in (1, 2, 5):
        pages = pages_of(admin, f"/api/batches?limit={size}")
        assert [batch["id"] for page in pages for batch in page] == listed
    assert admin.get("/api/batches").json["data"][-1] == shown(admin, made[0])
    assert admin.get("/api/batches?cursor=nonsense").status_code == 400
    assert admin.get(f"/api/batches?cursor={UNKNOWN}").json["data"] == []


@pytest.mark.parametrize("batch_id", [UNKNOWN, "nonsense", "%00", "1"])
def test_unknown_batches_are_a_404(
    admin: FlaskClient, patient_id: int, services: Services, batch_id: str
) -> None:
    for answer in (
        admin.get(f"/api/batches/{batch_id}"),
        admin.get(f"/api/batches/{batch_id}/results.csv"),
        admin.delete(f"/api/batches/{batch_id}"),
        add(admin, batch_id, patient_id),
    ):
        assert (answer.status_code, answer.json["error"]) == (404, "Batch not found")
    assert stored(services) == []


def test_what_a_batch_cannot_use_is_refused(admin: FlaskClient, patient_id: int, services: Services) -> None:
    batch_id = new_batch(admin)
    url = f"/api/batches/{batch_id}/scans"

    def file() -> tuple[io.BytesIO, str]:
        return io.BytesIO(picture()), "a.png"

    for form, status, field in (
        ({}, 400, "patient_id"),
        ({"patient_id": str(patient_id)}, 400, "files"),
        ({"files": [file()]}, 400, "patient_id"),
        ({"files": [file()], "patient_id": "999"}, 404, None),
        ({"files": [(io.BytesIO(b"x"), "a.png")], "patient_id": str(patient_id)}, 400, "files"),
        ({"files": [file()], "archive": file(), "patient_id": str(patient_id)}, 400, "archive"),
    ):
        answer = admin.post(url, data=form)
        assert (answer.status_code, answer.json.get("field")) == (status, field), answer.json
    for body in ({"name": "x" * 101}, {"name": "two\nlines"}, {"name": 1}, [], "x"):
        assert admin.post("/api/batches", json=body).status_code == 400, body
    assert (rows_of(services), stored(services)) == ((0, 0), [])
    assert shown(admin, batch_id)["total"] == 0


def test_the_limits_can_be_asked_for(admin: FlaskClient, services: Services) -> None:
    settings = services.settings
    assert admin.get("/api/batches/limits").json["data"] == {
        "max_request_bytes": settings.max_content_length,
        "max_files": settings.max_files_per_upload,
        "max_image_pixels": settings.max_image_pixels,
        "max_image_side": settings.max_image_side,
    }


def test_a_batch_of_ten_thousand_is_shown_at_once(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    batch_id = new_batch(admin)
    for status, number in ((JobStatus.SUCCEEDED, 6000), (JobStatus.QUEUED, 4000)):
        fill(services, patient_id, batch_id, number, status)
    times = []
    for _ in range(5):
        began = time.monotonic()
        batch = shown(admin, batch_id)
        times.append(time.monotonic() - began)
    assert (batch["total"], batch["outcomes"]["tumor"]) == (10_000, 3000)
    assert min(times) < 0.3, times
