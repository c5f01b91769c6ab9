"""Uploads: what is answered at once, what after waiting, and who may send whose scans."""

import os
import threading
import time

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from api import uploads
from shared.images import ImageLimits
from shared.models import Job, JobKind, Scan
from shared.services import Services
from tests.fakes import FailingStore, MadeUpModel, RecordingQueue, picture
from tests.integration.conftest import client_of
from tests.integration.sending import as_, new_patient, pictures, rows_of, send, send_one, stored
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

UPLOAD_KEYS = {"success", "batch_id", "job_ids", "scan_ids", "results", "report_generated", "report_data"}
IMAGES = ("original_image", "heatmap", "overlay")


@pytest.fixture
def quick(queue: RecordingQueue, pipeline: ScanPipeline, renderer: ReportRenderer) -> RecordingQueue:
    """Workers that are done before the answer is sent."""
    queue.workers = {JobKind.SCAN: pipeline.drain, JobKind.REPORT: renderer.drain}
    return queue


def test_one_file_is_accepted_as_a_job(admin: FlaskClient, patient_id: int) -> None:
    answer = send(admin, patient_id)
    body = answer.json
    assert answer.status_code == 202
    assert set(body) == UPLOAD_KEYS
    (job_id,), (scan_id,) = body["job_ids"], body["scan_ids"]
    assert answer.headers["Location"] == f"/api/jobs/{job_id}"
    assert int(answer.headers["Retry-After"]) >= 1
    assert (body["success"], body["report_generated"], body["report_data"]) == (True, False, None)
    (result,) = body["results"]
    assert (result["success"], result["filename"], result["status"]) == (True, "a.png", "queued")
    assert (result["job_id"], result["scan_id"], result["prediction"]) == (job_id, scan_id, None)
    assert admin.get(answer.headers["Location"]).json["data"]["status"] == "queued"


def test_several_files_are_accepted_as_a_batch_in_their_order(admin: FlaskClient, patient_id: int) -> None:
    answer = send(
        admin, patient_id, ("a.png", picture()), ("bad.png", b"x"), ("c.jpg", picture(9, image_format="JPEG"))
    )
    body = answer.json
    assert answer.headers["Location"] == f"/api/batches/{body['batch_id']}"
    assert [result["filename"] for result in body["results"]] == ["a.png", "bad.png", "c.jpg"]
    good = [result for result in body["results"] if result["success"]]
    assert [result["job_id"] for result in good] == body["job_ids"]
    assert [result["scan_id"] for result in good] == body["scan_ids"]
    assert set(body["results"][1]) == {"success", "filename", "error", "code"}
    assert admin.get(answer.headers["Location"]).json["data"]["total"] == 2


def test_the_row_is_committed_before_a_worker_is_woken(
    admin: FlaskClient, patient_id: int, services: Services, queue: RecordingQueue
) -> None:
    seen = []
    queue.workers[JobKind.SCAN] = lambda: seen.append(rows_of(services))
    send(admin, patient_id)
    assert seen == [(1, 1)]


def test_the_single_upload_has_its_files_fields_beside_the_results(
    admin: FlaskClient, patient_id: int, quick: RecordingQueue
) -> None:
    del quick
    accepted = send_one(admin, patient_id)
    assert accepted.status_code == 202
    result = accepted.json["results"][0]
    assert {name: accepted.json[name] for name in result} == result
    analysed = send_one(admin, patient_id, headers={"Prefer": "wait=5"})
    assert analysed.status_code == 200
    assert (analysed.json["prediction"], analysed.json["scan_id"]) == ("Tumor", analysed.json["scan_ids"][0])


def test_waiting_answers_in_the_synchronous_shape_and_a_bad_file_spoils_no_other(
    admin: FlaskClient, patient_id: int, quick: RecordingQueue
) -> None:
    del quick
    answer = send(
        admin,
        patient_id,
        ("a.png", picture()),
        ("b.png", b"junk"),
        headers={"Prefer": "respond-async, wait=5"},
    )
    assert answer.status_code == 200
    good, bad = answer.json["results"]
    assert (good["success"], good["prediction"], bad["success"]) == (True, "Tumor", False)
    assert good["confidence"] == pytest.approx(0.9)
    assert good["probability"] == pytest.approx(0.9)
    for name in IMAGES:
        image = admin.get(good[name], headers={"Authorization": ""})
        assert image.mimetype == "image/png"


def test_a_report_asked_for_with_the_upload_has_a_job_of_its_own(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, renderer: ReportRenderer
) -> None:
    answer = send(admin, patient_id, generate_report="true")
    assert answer.status_code == 202
    assert (answer.json["report_generated"], answer.json["report_data"]) == (False, None)
    url = f"/api/jobs/{answer.json['report_job_id']}"
    assert admin.get(url).json["data"]["kind"] == "report"
    assert "report_job_id" not in send(admin, patient_id, generate_report="false").json
    assert (pipeline.drain(), renderer.drain()) == (2, 1)
    report = admin.get(url).json["data"]
    assert report["status"] == "succeeded"
    assert report["result"]["scan_count"] == 1, "of these scans, not of all the patient's"


def test_a_report_that_is_waited_for_comes_with_the_answer(
    admin: FlaskClient, patient_id: int, quick: RecordingQueue
) -> None:
    del quick
    answer = send(admin, patient_id, headers={"Prefer": "wait=5"}, generate_report="true")
    assert answer.status_code == 200
    assert answer.json["report_generated"] is True
    report = answer.json["report_data"]
    assert (report["scan_count"], report["tumor_count"]) == (1, 1)
    assert admin.get(f"/api/report/download/{report['report_id']}").status_code == 200


def test_a_report_about_nothing_but_rejected_pictures_is_not_generated(
    admin: FlaskClient, patient_id: int, quick: RecordingQueue, model: MadeUpModel
) -> None:
    del quick
    model.rejects = True
    answer = send(admin, patient_id, headers={"Prefer": "wait=5"}, generate_report="true")
    assert answer.status_code == 200
    assert (answer.json["report_generated"], answer.json["report_data"]) == (False, None)


def test_the_setting_waits_for_clients_that_ask_for_nothing(
    admin: FlaskClient, patient_id: int, services: Services, quick: RecordingQueue
) -> None:
    del quick
    waiting = as_(admin, services, upload_wait_seconds=5)
    assert send(waiting, patient_id).status_code == 200
    assert send(waiting, patient_id, headers={"Prefer": "wait=0"}).status_code == 202
    assert send(waiting, patient_id, headers={"Prefer": "respond-async"}).status_code == 202
    report = waiting.post("/api/report/generate", json={"patient_id": patient_id})
    assert report.status_code == 200
    assert {"report_id", "report_path"} <= set(report.json["data"])


def test_a_report_that_is_waited_for_in_vain_is_an_error(
    admin: FlaskClient, patient_id: int, quick: RecordingQueue, model: MadeUpModel
) -> None:
    del quick
    model.rejects = True
    body = {"patient_id": patient_id, "scan_ids": send(admin, patient_id).json["scan_ids"]}
    answer = admin.post("/api/report/generate", json=body, headers={"Prefer": "wait=5"})
    assert (answer.status_code, answer.json["error"]) == (400, "No scans found for report")
    assert admin.post("/api/report/generate", json=body).json["data"]["status"] == "failed"


def test_what_is_not_done_in_time_is_accepted_and_the_wait_is_capped(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    impatient = as_(admin, services, max_wait_seconds=0.2)
    began = time.monotonic()
    answer = send(impatient, patient_id, headers={"Prefer": "wait=600"})
    assert 0.2 <= time.monotonic() - began < 3
    assert answer.status_code == 202
    assert set(answer.json) == UPLOAD_KEYS
    assert answer.json["results"][0]["status"] == "queued"


def test_a_failed_analysis_is_told_in_the_synchronous_shape(
    admin: FlaskClient, patient_id: int, quick: RecordingQueue, model: MadeUpModel
) -> None:
    del quick
    model.fails_on_batches_of = 1
    answer = send(admin, patient_id, headers={"Prefer": "wait=5"})
    assert answer.status_code == 200
    (result,) = answer.json["results"]
    assert (result["success"], result["status"], result["code"]) == (
        False,
        "failed",
        "MODEL_PREDICTION_ERROR",
    )
    assert result["error"]
    assert result["prediction"] is None


def test_patients_upload_for_themselves_only(
    admin: FlaskClient, patient_id: int, services: Services, reader: FlaskClient, anonymous: FlaskClient
) -> None:
    own, patient = new_patient(services)
    for named in (None, own, ""):
        answer = send_one(patient, named)
        assert answer.status_code == 202, answer.json
        assert answer.json["patient_id"] == own
    for client, status in ((patient, 403), (reader, 403), (anonymous, 401)):
        answer = send_one(client, patient_id)
        assert answer.status_code == status
        assert answer.json["success"] is False
    assert send_one(patient, 999).status_code == 403, "also where nobody has that number"
    assert send(patient, own).status_code == 403, "the other route is the staff's"
    assert rows_of(services) == (3, 3)
    assert send_one(admin).json["field"] == "patient_id"


@pytest.mark.parametrize(
    "number", ["0", "-1", "1.0", "1e3", "nonsense", "", "²", "99999999999", "true", "[1]", "1 2"]
)
def test_numbers_that_are_no_patients_are_refused(admin: FlaskClient, patient_id: int, number: str) -> None:
    del patient_id
    answer = send(admin, number)
    assert (answer.status_code, answer.json["field"]) == (400, "patient_id")


def test_a_numeric_string_is_a_patients_number_and_an_unknown_one_is_a_404(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    assert send(admin, f"{patient_id}").status_code == 202
    for answer in (send(admin, 999), send_one(admin, 999)):
        assert (answer.status_code, answer.json["error"]) == (404, "Patient not found")
    assert rows_of(services) == (1, 1)
    assert len(stored(services)) == 1


def test_an_anonymous_upload_is_followed_by_its_job_id_alone(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    private = send(admin, patient_id, ("of-somebody-else.png", picture())).json["job_ids"][0]
    anonymous = as_(client_of(services, use_cookies=False), services, allow_public_uploads=True)
    answer = send_one(anonymous, patient_id, generate_report="true")
    assert answer.status_code == 202
    (job_id,) = answer.json["job_ids"]
    assert answer.headers["Location"] == f"/api/jobs/{job_id}"
    queued = anonymous.get(f"/api/jobs/{job_id}")
    assert queued.json["data"]["status"] == "queued"
    pipeline.drain()
    ended = anonymous.get(f"/api/jobs/{job_id}")
    assert ended.json["data"]["result"]["prediction"] == "Tumor"
    for link in ended.json["data"]["result"]["links"].values():
        assert anonymous.get(link).status_code == 200
    with services.sessions() as session:
        scan = session.scalars(select(Scan).order_by(Scan.id.desc())).first()
        assert scan is not None
        assert (scan.patient_id, scan.original_filename) == (patient_id, "a.png")
        job = session.scalars(select(Job).where(Job.scan_id == scan.id)).one()
    for shown in (answer, queued, ended):
        for secret in (scan.scan_id, "patient_id", "Ada", "of-somebody-else"):
            assert secret not in shown.text, secret
    for shown in (queued, ended):
        assert str(job.batch_id) not in shown.text
    assert "report_job_id" not in answer.json, "nobody could fetch it"
    assert anonymous.get(f"/api/jobs/{private}").status_code == 401
    assert anonymous.get(f"/api/batches/{answer.json['batch_id']}").status_code == 401
    assert anonymous.post("/api/jobs/status", json={"ids": [job_id]}).status_code == 401
    assert anonymous.delete(f"/api/jobs/{job_id}").status_code == 401
    assert send(anonymous, patient_id).status_code == 401
    staff_view = admin.get(f"/api/jobs/{job_id}").json["data"]
    assert staff_view["result"]["scan_id"] == scan.scan_id


def test_an_anonymous_upload_that_waits_shows_the_finding_and_no_record(
    patient_id: int, services: Services, quick: RecordingQueue
) -> None:
    del quick
    anonymous = as_(client_of(services, use_cookies=False), services, allow_public_uploads=True)
    answer = send_one(anonymous, patient_id, headers={"Prefer": "wait=5"})
    assert answer.status_code == 200
    assert (answer.json["prediction"], answer.json["scan_ids"]) == ("Tumor", [])
    assert not {"patient_id", "scan_id"} & (set(answer.json) | set(answer.json["results"][0]))
    assert send_one(anonymous, 999).status_code == 404
    assert send_one(anonymous).json["field"] == "patient_id"


def test_a_store_that_takes_nothing_is_a_503_and_leaves_no_rows(
    admin: FlaskClient, patient_id: int, services: Services, images: FailingStore
) -> None:
    images.failures = 2
    answer = send(admin, patient_id, ("a.png", picture()), ("b.png", picture(7)))
    assert (answer.status_code, answer.json["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert answer.headers["Retry-After"]
    assert rows_of(services) == (0, 0)


def test_a_store_that_misses_one_file_takes_the_others(
    admin: FlaskClient, patient_id: int, images: FailingStore
) -> None:
    images.failures = 1
    answer = send(admin, patient_id, ("a.png", picture()), ("b.png", picture(7)))
    assert answer.status_code == 202
    assert sorted(result["success"] for result in answer.json["results"]) == [False, True]
    (lost,) = (result for result in answer.json["results"] if not result["success"])
    assert lost["code"] == "SERVICE_UNAVAILABLE", "it is not the file's fault: send it again"


def test_a_bulk_upload_waits_for_a_far_store_with_many_threads_and_checks_with_few(
    admin: FlaskClient, patient_id: int, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    far = as_(admin, services, image_store="s3", aws_s3_bucket="far")
    together, put, check_picture = threading.Barrier(10), services.images.put, uploads.check_picture
    under_check: set[int] = set()
    most: list[int] = []

    def put_together(key: str, data: bytes, content_type: str) -> None:
        together.wait(20)  # breaks unless ten wait for the store at the same time
        put(key, data, content_type)

    def check_counted(data: bytes, limits: ImageLimits) -> tuple[int, int]:
        under_check.add(threading.get_ident())
        most.append(len(under_check))
        try:
            return check_picture(data, limits)
        finally:
            under_check.remove(threading.get_ident())

    monkeypatch.setattr(services.images, "put", put_together)
    monkeypatch.setattr(uploads, "check_picture", check_counted)
    assert len(send(far, patient_id, *pictures(10)).json["job_ids"]) == 10
    assert max(most) <= 2
    assert len(most) == 10
