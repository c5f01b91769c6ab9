"""Who waits for whom at a real worker: the oldest first, and small uploads never behind all bulk work."""

from pathlib import Path

from sqlalchemy import ColumnElement, func, select

from shared.models import Job, JobStatus, Lane
from shared.services import Services
from shared.settings import Settings
from tests.integration.worker_run import count, start_worker, stop_worker, until, upload

BULK = 240  # fifteen batches
SLOW_MODEL = {"ENGINE": "load-test", "FAIL_AT": "predicted:sleep=0.5"}


def jobs_that(services: Services, *conditions: ColumnElement[bool]) -> int:
    return count(services, select(func.count(Job.id)).where(*conditions))


def test_a_small_upload_overtakes_bulk_work_which_goes_on_oldest_first(
    real_settings: Settings, real_services: Services, patient: int, tmp_path: Path
) -> None:
    is_small, is_bulk = Job.lane == Lane.INTERACTIVE, Job.lane == Lane.BULK
    for _ in range(4):
        assert upload(real_services, patient, BULK // 4) == 202
    worker = start_worker(real_settings, tmp_path, **SLOW_MODEL)
    try:
        until(lambda: len(worker.events("batch finished")) > 0, "bulk work is under way")
        assert upload(real_services, patient, 2) == 202
        has_ended = Job.status == JobStatus.SUCCEEDED
        until(lambda: jobs_that(real_services, is_small, has_ended) == 2, "the small upload is analysed")
    finally:
        stop_worker(worker)
    last = select(func.max(Job.finished_at)).where(is_small).scalar_subquery()
    overtaken = jobs_that(real_services, is_bulk, Job.finished_at.is_(None) | (Job.finished_at > last))
    assert overtaken > BULK / 3
    youngest_begun = select(func.max(Job.position)).where(is_bulk, Job.started_at.is_not(None))
    oldest_waiting = select(func.min(Job.position)).where(is_bulk, Job.started_at.is_(None))
    assert count(real_services, youngest_begun) < count(real_services, oldest_waiting)
