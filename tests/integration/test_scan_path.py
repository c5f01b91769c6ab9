"""One scan's path over HTTP, database and stores, with a made-up model in place of the trained one."""

import io
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from PIL import Image
from pypdf import PdfReader
from sqlalchemy import select, update

from shared.jobs import claim
from shared.models import Job, JobEvent, JobKind, Scan
from shared.services import Services
from shared.sweep import sweep
from tests.fakes import FailingStore, MadeUpModel, RecordingQueue, picture
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer


def upload(client: FlaskClient, patient_id: int, *files: tuple[bytes, str], **headers: str):
    data = {"patient_id": str(patient_id), "files": [(io.BytesIO(content), name) for content, name in files]}
    return client.post("/api/admin/scans/upload", data=data, headers=headers)


def test_an_upload_becomes_a_result_and_a_report(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, renderer: ReportRenderer
) -> None:
    answer = upload(admin, patient_id, (picture(), "one.png"), (picture(200, image_format="JPEG"), "two.jpg"))
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/batches/{answer.json['batch_id']}"
    assert answer.headers["Retry-After"]
    assert [r["prediction"] for r in answer.json["results"]] == [None, None]
    assert [r["status"] for r in answer.json["results"]] == ["queued", "queued"]

    assert pipeline.drain() == 2

    job = admin.get(f"/api/jobs/{answer.json['job_ids'][0]}").json["data"]
    assert job["status"] == "succeeded"
    assert job["result"]["prediction"] == "Tumor"
    assert job["result"]["probability"] == pytest.approx(0.9)
    assert job["result"]["tumor_type"] == "glioma"
    scans = admin.get(f"/api/admin/patients/{patient_id}/scans").json["data"]
    assert [scan["original_filename"] for scan in scans] == ["two.jpg", "one.png"]
    overlay = admin.get(scans[1]["overlay_path"], headers={"Authorization": ""})
    assert overlay.mimetype == "image/png"
    assert Image.open(io.BytesIO(overlay.data)).size == (64, 48)
    original = admin.get(scans[1]["original_path"])
    assert original.data == picture()

    answer = admin.post("/api/report/generate", json={"patient_id": patient_id})
    assert answer.status_code == 202
    assert renderer.drain() == 1
    report = admin.get(f"/api/jobs/{answer.json['job_id']}").json["data"]["result"]
    assert (report["scan_count"], report["tumor_count"], report["no_tumor_count"]) == (2, 2, 0)
    filename = report["report_path"].rsplit("/", 1)[-1]
    for path in (f"download/{report['report_id']}", f"download-by-filename/{filename}"):
        link = admin.get(f"/api/report/{path}").json["download_url"]
        pdf = admin.get(link, headers={"Authorization": ""})
        assert pdf.mimetype == "application/pdf"
        assert "attachment" in pdf.headers["Content-Disposition"]
        assert "Ada Example" in PdfReader(io.BytesIO(pdf.data)).pages[0].extract_text()
    assert admin.get(f"/api/report/file/{filename}").data == pdf.data


def test_one_corrupt_file_fails_alone_with_a_clear_error(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline
) -> None:
    files = (picture(), "good.png"), (picture()[:70], "cut.png"), (b"MZ...", "x.png")
    answer = upload(admin, patient_id, *files)
    assert answer.status_code == 202
    good, cut, program = answer.json["results"]
    assert good["success"] is True
    assert (cut["success"], cut["filename"], cut["code"]) == (False, "cut.png", "FILE_UPLOAD_ERROR")
    assert "not a complete" in cut["error"]
    assert "neither a JPEG nor a PNG" in program["error"]
    assert pipeline.drain() == 1


def test_nothing_usable_is_a_400_and_leaves_no_rows(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    answer = upload(admin, patient_id, (b"", "empty.png"))
    assert (answer.status_code, answer.json["code"]) == (400, "FILE_UPLOAD_ERROR")
    assert answer.json["error"] == "The file is empty."
    with services.sessions() as session:
        assert session.scalars(select(Scan)).all() == []


def test_prefer_wait_answers_in_the_synchronous_shape(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, queue: RecordingQueue, monkeypatch
) -> None:
    # The wake-up reaches a worker at once: here the worker runs inside the call.
    monkeypatch.setattr(queue, "wake", lambda *_: bool(pipeline.drain()))
    answer = upload(admin, patient_id, (picture(), "a.png"), Prefer="wait=5")
    assert answer.status_code == 200
    result = answer.json["results"][0]
    assert result["success"] is True
    assert result["prediction"] == "Tumor"
    for image in ("original_image", "heatmap", "overlay"):
        assert admin.get(result[image]).status_code == 200


def test_a_stopped_broker_loses_nothing(
    admin: FlaskClient, patient_id: int, services: Services, queue: RecordingQueue, pipeline: ScanPipeline
) -> None:
    queue.up = False
    answer = upload(admin, patient_id, (picture(), "a.png"))
    assert answer.status_code == 202
    assert answer.json["results"][0]["status"] == "queued"
    with services.sessions.begin() as session:  # as if a while had passed
        session.execute(update(Job).values(run_after=Job.run_after - timedelta(seconds=60)))
    queue.up = True
    sweep(services)
    assert [[str(job_id) for job_id in ids] for _, _, ids in queue.sent] == [answer.json["job_ids"]]
    assert pipeline.drain() == 1


def test_scans_are_analysed_in_batches(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, model: MadeUpModel
) -> None:
    upload(admin, patient_id, *[(picture(100 + i), f"{i}.png") for i in range(40)])
    assert pipeline.drain() == 40
    assert model.batch_sizes == [16, 16, 8]


def test_a_model_failure_is_narrowed_down_by_halves(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, model: MadeUpModel
) -> None:
    model.fails_on_batches_of = 2
    upload(admin, patient_id, *[(picture(100 + i), f"{i}.png") for i in range(4)])
    assert pipeline.drain() == 4
    assert model.batch_sizes == [4, 2, 1, 1, 2, 1, 1]


def test_a_store_outage_is_retried_and_recorded(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    images: FailingStore,
    pipeline: ScanPipeline,
) -> None:
    answer = upload(admin, patient_id, (picture(), "a.png"))
    images.failures = 1
    assert pipeline.drain() == 0
    job = admin.get(f"/api/jobs/{answer.json['job_ids'][0]}").json["data"]
    assert (job["status"], job["attempt"]) == ("queued", 1)
    with services.sessions.begin() as session:
        session.execute(update(Job).values(run_after=Job.created_at))
    assert pipeline.drain() == 1
    with services.sessions() as session:
        steps = session.execute(select(JobEvent.status_to, JobEvent.reason).order_by(JobEvent.id)).all()
    assert [tuple(step) for step in steps] == [
        ("queued", "created"),
        ("running", "claimed"),
        ("queued", "SERVICE_UNAVAILABLE"),
        ("running", "claimed"),
        ("succeeded", "succeeded"),
    ]


def test_a_dead_workers_scan_is_swept_up_and_run_again(
    admin: FlaskClient, patient_id: int, services: Services, queue: RecordingQueue, pipeline: ScanPipeline
) -> None:
    upload(admin, patient_id, (picture(), "a.png"))
    with services.sessions.begin() as session:
        claim(session, JobKind.SCAN, "worker that dies", 16, lease_seconds=-1)
    queue.sent.clear()
    sweep(services)
    assert pipeline.drain() == 1
    with services.sessions() as session:
        job = session.execute(select(Job)).scalar_one()
    assert (job.status, job.attempt, job.crash_count) == ("succeeded", 2, 1)


def test_etag_answers_304_until_the_job_changes(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline
) -> None:
    job_id = upload(admin, patient_id, (picture(), "a.png")).json["job_ids"][0]
    first = admin.get(f"/api/jobs/{job_id}")
    assert first.json["data"]["queue_position"] == 1
    assert first.headers["Retry-After"]
    again = admin.get(f"/api/jobs/{job_id}", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    pipeline.drain()
    changed = admin.get(f"/api/jobs/{job_id}", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200


def test_job_status_in_bulk_names_unknown_ids(admin: FlaskClient, patient_id: int) -> None:
    job_id = upload(admin, patient_id, (picture(), "a.png")).json["job_ids"][0]
    unknown = "00000000-0000-4000-8000-000000000000"
    answer = admin.post("/api/jobs/status", json={"ids": [job_id, unknown, "nonsense"]})
    assert [job["id"] for job in answer.json["data"]] == [job_id]
    assert answer.json["not_found"] == [unknown, "nonsense"]
    assert admin.get(f"/api/jobs/{unknown}").status_code == 404


def test_a_report_waits_for_its_scans(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, renderer: ReportRenderer
) -> None:
    scan_id = upload(admin, patient_id, (picture(), "a.png")).json["scan_ids"][0]
    answer = admin.post("/api/report/generate", json={"patient_id": patient_id, "scan_ids": [scan_id]})
    assert answer.status_code == 202
    assert renderer.drain() == 0
    pipeline.drain()
    assert renderer.drain() == 1


def test_a_report_never_mixes_patients(admin: FlaskClient, patient_id: int) -> None:
    other = admin.post("/api/admin/patients", json={"name": "B", "email": "b@example.org"}).json["data"]["id"]
    scan_id = upload(admin, patient_id, (picture(), "a.png")).json["scan_ids"][0]
    answer = admin.post("/api/report/generate", json={"patient_id": other, "scan_ids": [scan_id]})
    assert answer.status_code == 400
    assert admin.post("/api/report/generate", json={"patient_id": 999}).json["error"] == "Patient not found"
    assert (
        admin.post("/api/report/generate", json={"patient_id": other}).json["error"]
        == "No scans found for report"
    )


def test_a_picture_that_is_no_brain_mri_gets_no_finding(
    admin: FlaskClient,
    patient_id: int,
    pipeline: ScanPipeline,
    model: MadeUpModel,
    queue: RecordingQueue,
    monkeypatch,
) -> None:
    monkeypatch.setattr(queue, "wake", lambda *_: bool(pipeline.drain()))
    model.rejects = True
    answer = upload(admin, patient_id, (picture(), "cat.png"), Prefer="wait=5")
    assert answer.status_code == 200
    result = answer.json["results"][0]
    assert (result["success"], result["status"], result["code"]) == (False, "rejected", "NOT_A_BRAIN_MRI")
    assert result["error"] == "made-up rejection"
    job = admin.get(f"/api/jobs/{answer.json['job_ids'][0]}").json["data"]
    assert job["status"] == "succeeded", "clients stop polling: the answer is there"
    assert job["result"]["status"] == "rejected"
    assert job["result"]["rejection"] == {"reason": "made-up rejection", "score": 0.97}
    assert list(job["result"]["links"]) == ["original"]
    scan = admin.get(f"/api/admin/patients/{patient_id}/scans").json["data"][0]
    assert (scan["status"], scan["review"]) == ("rejected", "rejected")
    for field in ("prediction", "confidence", "probability", "tumor_type", "heatmap_path", "overlay_path"):
        assert scan[field] is None
    refused = admin.post("/api/report/generate", json={"patient_id": patient_id})
    assert (refused.status_code, refused.json["error"]) == (400, "No scans found for report")


def test_an_inconclusive_probability_says_no_word_but_is_reported(
    admin: FlaskClient,
    patient_id: int,
    pipeline: ScanPipeline,
    renderer: ReportRenderer,
    model: MadeUpModel,
) -> None:
    model.probability, model.review = 0.55, "needs_review"
    upload(admin, patient_id, (picture(), "unclear.png"))
    assert pipeline.drain() == 1
    scan = admin.get(f"/api/admin/patients/{patient_id}/scans").json["data"][0]
    assert (scan["status"], scan["review"]) == ("succeeded", "needs_review")
    assert (scan["prediction"], scan["confidence"], scan["tumor_type"]) == (None, None, None)
    assert scan["probability"] == pytest.approx(0.55)
    assert scan["raw_probability"] == pytest.approx(0.75)
    assert scan["overlay_path"]
    answer = admin.post("/api/report/generate", json={"patient_id": patient_id})
    assert renderer.drain() == 1
    report = admin.get(f"/api/jobs/{answer.json['job_id']}").json["data"]["result"]
    assert (report["scan_count"], report["tumor_count"], report["no_tumor_count"]) == (1, 0, 0)
    pdf = admin.get(f"/api/report/file/{report['report_path'].rsplit('/', 1)[-1]}").data
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    assert "Inconclusive" in text
