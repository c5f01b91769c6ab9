"""Cancelling jobs and running them again, while workers are at work or not."""

import uuid

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from shared import jobs
from shared.models import Job, JobEvent, JobKind, Scan
from shared.services import Services
from shared.settings import Settings
from tests.fakes import FailingStore, MadeUpModel, RecordingQueue
from tests.integration.sending import new_patient, pictures, send
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A store's failures count like any other."""
    return settings.model_copy(update={"outage_attempts": 0})


def status_of(client: FlaskClient, job_id: str) -> str:
    return str(client.get(f"/api/jobs/{job_id}").json["data"]["status"])


def ledger_of(services: Services, job_id: str) -> list[tuple[int, str, str]]:
    query = select(JobEvent.attempt, JobEvent.status_to, JobEvent.reason).where(
        JobEvent.job_id == uuid.UUID(job_id)
    )
    with services.sessions() as session:
        return [(row[0], row[1], row[2]) for row in session.execute(query.order_by(JobEvent.id))]


def make_due(services: Services) -> None:
    """As if the pauses before further attempts were over."""
    with services.sessions.begin() as session:
        session.execute(update(Job).values(run_after=Job.created_at))


def test_a_queued_job_that_is_cancelled_never_runs(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline, model: MadeUpModel
) -> None:
    cancelled, other = send(admin, patient_id, *pictures(2)).json["job_ids"]
    answer = admin.delete(f"/api/jobs/{cancelled}")
    assert (answer.status_code, answer.json["data"]["status"]) == (200, "cancelled")
    assert answer.json["data"]["finished_at"]
    assert answer.json["data"]["error"] is None
    assert pipeline.drain() == 1
    assert model.batch_sizes == [1]
    assert (status_of(admin, cancelled), status_of(admin, other)) == ("cancelled", "succeeded")
    assert ledger_of(services, cancelled) == [(0, "queued", "created"), (0, "cancelled", "cancelled")]
    scan = admin.get(f"/api/admin/patients/{patient_id}/scans").json["data"][1]
    assert (scan["status"], scan["prediction"], scan["review"]) == ("cancelled", None, None)


def test_cancelling_again_changes_nothing(admin: FlaskClient, patient_id: int, services: Services) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    first, second = (admin.delete(f"/api/jobs/{job_id}") for _ in range(2))
    assert (first.status_code, first.json) == (second.status_code, second.json)
    assert len(ledger_of(services, job_id)) == 2


def test_a_running_job_that_is_cancelled_is_not_published(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    images: FailingStore,
    pipeline: ScanPipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    store = images.put

    def cancel_then_store(key: str, data: bytes, content_type: str) -> None:
        # The worker is at its last step: everything is drawn, nothing recorded.
        assert admin.delete(f"/api/jobs/{job_id}").status_code == 200
        store(key, data, content_type)

    monkeypatch.setattr(images, "put", cancel_then_store)
    assert pipeline.drain() == 0
    assert status_of(admin, job_id) == "cancelled"
    with services.sessions() as session:
        scan = session.scalars(select(Scan)).one()
        job = session.scalars(select(Job)).one()
    assert (scan.prediction, scan.probability, scan.heatmap_path, scan.analysed_at) == (None,) * 4
    assert (job.lease_owner, job.lease_until) == (None, None)
    assert [step[1] for step in ledger_of(services, job_id)] == ["queued", "running", "cancelled"]


def test_a_cancelled_jobs_failure_and_lost_worker_do_not_bring_it_back(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    job_ids = send(admin, patient_id, *pictures(2)).json["job_ids"]
    with services.sessions.begin() as session:
        failing, crashing = jobs.claim(session, JobKind.SCAN, "a worker", 2, lease_seconds=-1)
    for job_id in job_ids:
        assert admin.delete(f"/api/jobs/{job_id}").status_code == 200
    with services.sessions.begin() as session:
        jobs.fail(session, [jobs.Failure(failing, "X", "x", retry=True)], 4, 0)
        jobs.give_up_crashed(session, [crashing], 4, 0)
        assert jobs.expire_leases(session, 4, 0) == 0
    assert [status_of(admin, job_id) for job_id in job_ids] == ["cancelled", "cancelled"]


def test_what_has_ended_cannot_be_cancelled(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, model: MadeUpModel
) -> None:
    (succeeded,) = send(admin, patient_id).json["job_ids"]
    pipeline.drain()
    model.fails_on_batches_of = 1
    (failed,) = send(admin, patient_id).json["job_ids"]
    pipeline.drain()
    for job_id, status in ((succeeded, "succeeded"), (failed, "failed")):
        answer = admin.delete(f"/api/jobs/{job_id}")
        assert (answer.status_code, answer.json["code"]) == (409, "CONFLICT_ERROR")
        assert status_of(admin, job_id) == status


def test_a_report_of_cancelled_scans_says_that_there_is_nothing_to_report(
    admin: FlaskClient, patient_id: int, renderer: ReportRenderer
) -> None:
    upload = send(admin, patient_id, generate_report="true").json
    assert renderer.drain() == 0, "it waits for its scan"
    admin.delete(f"/api/jobs/{upload['job_ids'][0]}")
    renderer.drain()
    report = admin.get(f"/api/jobs/{upload['report_job_id']}").json["data"]
    assert report["status"] == "failed"
    assert report["error"]["message"] == "No scans found for report"


def test_a_failed_job_runs_again_with_all_its_attempts_on_the_same_scan(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    images: FailingStore,
    pipeline: ScanPipeline,
    queue: RecordingQueue,
) -> None:
    upload = send(admin, patient_id).json
    (job_id,) = upload["job_ids"]
    most = services.settings.max_attempts

    def fail(times: int) -> None:
        for _ in range(times):
            images.failures = 1
            pipeline.drain()
            make_due(services)

    fail(most)
    assert status_of(admin, job_id) == "failed"
    before = ledger_of(services, job_id)
    queue.sent.clear()
    answer = admin.post(f"/api/jobs/{job_id}/retry")
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/jobs/{job_id}"
    assert answer.headers["Retry-After"]
    body = answer.json["data"]
    assert (body["id"], body["status"], body["attempt"], body["error"]) == (job_id, "queued", most, None)
    assert (body["started_at"], body["finished_at"]) == (None, None)
    assert [[str(sent) for sent in ids] for _, _, ids in queue.sent] == [[job_id]]
    fail(most - 1)
    assert status_of(admin, job_id) == "queued", "the attempts before the retry do not count"
    assert pipeline.drain() == 1
    body = admin.get(f"/api/jobs/{job_id}").json["data"]
    assert (body["status"], body["attempt"]) == ("succeeded", 2 * most)
    assert body["result"]["scan_id"] == upload["scan_ids"][0]
    ledger = ledger_of(services, job_id)
    assert ledger[: len(before)] == before
    assert ledger[len(before)] == (most, "queued", "retried")
    claimed = [attempt for attempt, status, _ in ledger if status == "running"]
    assert claimed == list(range(1, 2 * most + 1)), "the fence only ever grows"


def test_a_worker_from_before_the_retry_writes_nothing(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    with services.sessions.begin() as session:
        (zombie,) = jobs.claim(session, JobKind.SCAN, "a zombie", 1, lease_seconds=60)
    admin.delete(f"/api/jobs/{job_id}")
    assert admin.post(f"/api/jobs/{job_id}/retry").status_code == 202
    with services.sessions.begin() as session:
        assert jobs.succeed(session, [zombie]) == []
        (fresh,) = jobs.claim(session, JobKind.SCAN, "a worker", 1, lease_seconds=60)
        assert (fresh.attempt, fresh.tries) == (2, 1)
        assert jobs.succeed(session, [zombie]) == []
        assert jobs.succeed(session, [fresh]) == [fresh]


def test_only_what_ended_without_a_result_runs_again(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]

    def retry() -> tuple[int, str]:
        answer = admin.post(f"/api/jobs/{job_id}/retry")
        return answer.status_code, answer.json.get("code", "")

    assert retry() == (409, "CONFLICT_ERROR"), "queued"
    with services.sessions.begin() as session:
        (claim,) = jobs.claim(session, JobKind.SCAN, "a worker", 1, lease_seconds=60)
    assert retry() == (409, "CONFLICT_ERROR"), "running"
    with services.sessions.begin() as session:
        jobs.give_up_crashed(session, [claim], 4, 0)
    pipeline.drain()
    assert retry() == (409, "CONFLICT_ERROR"), "succeeded"
    (job_id,) = send(admin, patient_id).json["job_ids"]
    admin.delete(f"/api/jobs/{job_id}")
    assert retry() == (202, ""), "cancelled"


def test_patients_neither_cancel_nor_retry(admin: FlaskClient, patient_id: int, services: Services) -> None:
    own, patient = new_patient(services)
    (job_id,) = send(admin, own).json["job_ids"]
    assert patient.get(f"/api/jobs/{job_id}").status_code == 200
    assert patient.delete(f"/api/jobs/{job_id}").status_code == 403
    assert patient.post(f"/api/jobs/{job_id}/retry").status_code == 403
    assert status_of(admin, job_id) == "queued"
    foreign = send(admin, patient_id).json["job_ids"][0]
    assert patient.get(f"/api/jobs/{foreign}").status_code == 404
