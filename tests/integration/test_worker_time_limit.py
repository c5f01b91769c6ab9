"""Celery's time limit, the last resort: what hangs is killed, done again, and its ledger says why."""

from pathlib import Path

from sqlalchemy import func, select

from shared import jobs, reports, results
from shared.models import Job, JobEvent, JobKind, JobStatus, Worker
from shared.queue import hints
from shared.results import Finding, ScanResult
from shared.services import Services
from shared.settings import Settings
from tests.fakes import PROVENANCE
from tests.integration.worker_run import (
    REPORT_QUEUES,
    count,
    start_worker,
    stop_worker,
    until,
    upload,
)

LIMIT_S = 3  # before the lease keeper sees that nothing moves


def ask_for_report(services: Services, patient: int) -> Job:
    """A report over a scan that is analysed, and the wake-up for it."""
    assert upload(services, patient, 1) == 202
    finding = Finding(0.9, 0.8, {"glioma": 0.9, "notumor": 0.1}, None, {}, "heatmap/h.png", "overlay/o.png")
    with services.sessions.begin() as session:
        (claim,) = jobs.claim(session, JobKind.SCAN, "a worker", 1, lease_seconds=60)
        results.record(session, [ScanResult(claim, finding, PROVENANCE)])
        job = reports.request_report(session, patient, None)
    services.queue.wake(job.kind, job.lane, hints([job]))
    return job


def test_a_report_that_hangs_is_killed_and_rendered_by_another_process(
    real_settings: Settings, real_services: Services, patient: int, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    hang = {"FAIL_AT": "report-rendered:hang:1", "TMPDIR": str(temporary), "SWEEP_SECONDS": "1"}
    limit = ["--", f"task.time_limit={LIMIT_S}"]  # in place of the minutes that the product allows
    worker = start_worker(real_settings, tmp_path, REPORT_QUEUES, limit, WORKER_ROLE="report", **hang)
    try:
        until(lambda: bool(count(real_services, select(func.count(Worker.name)))), "it is alive")
        job = ask_for_report(real_services, patient)
        is_done = select(func.count(Job.id)).where(Job.id == job.id, Job.status == JobStatus.SUCCEEDED)
        until(lambda: bool(count(real_services, is_done)), "the report is rendered after all")
        assert worker.events("process ends: its work stands still") == [], "it was not the time limit"
        assert worker.process.poll() is None
    finally:
        stop_worker(worker)
    with real_services.sessions() as session:
        ended = session.get_one(Job, job.id)
        steps = session.scalars(
            select(JobEvent.reason).where(JobEvent.job_id == job.id).order_by(JobEvent.id)
        ).all()
    assert (ended.attempt, ended.crash_count) == (2, 1)
    assert steps == ["created", "claimed", "WORKER_LOST", "claimed", "succeeded"]
    left = [path.name for path in temporary.rglob("*") if path.is_file()]
    assert left == ["failpoint-report-rendered-0"], "killed processes leave no files behind"
