"""A worker that nobody wakes, that hangs, that is told to stop: the real one, with its real pool."""

import os
import signal
import time
from pathlib import Path

from redis import Redis
from sqlalchemy import Engine, func, select, text

from shared.models import Job, JobEvent, JobStatus, Worker
from shared.services import Services
from shared.settings import Settings
from shared.sweep import ADVISORY_LOCK
from tests.integration.worker_run import (
    REPORT_QUEUES,
    RunningWorker,
    all_ended,
    count,
    start_worker,
    stop_worker,
    until,
    upload,
)

NO_MODEL = {"ENGINE": "load-test"}
BACKLOG = 500
PER_REQUEST = 50


def jobs_that(services: Services, *conditions: object) -> int:
    return count(services, select(func.count(Job.id)).where(*conditions))  # type: ignore[arg-type]


def _unasked(worker: RunningWorker) -> int:
    return sum(line["ended"] for line in worker.events("did work that no message had come for"))


def test_work_that_no_message_came_for_is_done_without_the_sweeper(
    real_settings: Settings, real_services: Services, patient: int, engine: Engine, tmp_path: Path
) -> None:
    with engine.connect() as sweeping:  # for all others: somebody else sweeps already
        sweeping.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
        assert upload(real_services, patient, 20) == 202
        Redis.from_url(real_settings.redis_url.get_secret_value()).flushall()
        worker = start_worker(real_settings, tmp_path, SWEEP_SECONDS="0.5")  # with the shipped model
        try:
            until(lambda: all_ended(real_services, 20), "the scans are analysed although nothing says so")
            until(lambda: _unasked(worker) == 20, "that is said")
            assert upload(real_services, patient, 1) == 202
            until(lambda: all_ended(real_services, 21), "messages wake the worker as before")
        finally:
            stop_worker(worker)
        sweeping.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ADVISORY_LOCK})


def test_a_process_whose_work_hangs_is_replaced_and_the_job_done_by_the_next(
    real_settings: Settings, real_services: Services, patient: int, tmp_path: Path
) -> None:
    hang = {"FAIL_AT": "predicted:hang:1", "TMPDIR": str(tmp_path), "LEASE_SECONDS": "4"}
    worker = start_worker(real_settings, tmp_path, **NO_MODEL, **hang)
    try:
        assert upload(real_services, patient, 3) == 202
        until(lambda: all_ended(real_services, 3), "the scans are analysed by another process")
        assert len(worker.events("process ends: its work stands still")) == 1
        assert worker.process.poll() is None
        assert jobs_that(real_services, Job.attempt == 2, Job.crash_count == 1) == 3
        assert count(real_services, select(func.count(Worker.name))) == 2
    finally:
        stop_worker(worker)


def test_a_worker_told_to_stop_ends_soon_and_leaves_the_rest_to_others(
    real_settings: Settings, real_services: Services, patient: int, tmp_path: Path
) -> None:
    for _ in range(BACKLOG // PER_REQUEST):
        assert upload(real_services, patient, PER_REQUEST) == 202
    worker = start_worker(real_settings, tmp_path, **NO_MODEL)
    try:
        until(lambda: len(worker.events("batch finished")) > 1, "the work is under way")
        os.kill(worker.process.pid, signal.SIGTERM)
        began = time.monotonic()
        worker.process.wait(30)
        assert time.monotonic() - began < 10
    finally:
        stop_worker(worker)
    done = jobs_that(real_services, Job.status == JobStatus.SUCCEEDED, Job.attempt == 1)
    given_back = count(real_services, select(func.count()).where(JobEvent.reason == "given back"))
    assert 0 < done < BACKLOG
    assert (
        jobs_that(real_services, Job.status == JobStatus.QUEUED, Job.lease_until.is_(None)) == BACKLOG - done
    )
    assert jobs_that(real_services, Job.status == JobStatus.QUEUED, Job.attempt == 1) == given_back
    assert jobs_that(real_services, Job.status == JobStatus.QUEUED, Job.attempt > 1) == 0

    following = start_worker(real_settings, tmp_path, **NO_MODEL)
    try:
        until(lambda: all_ended(real_services, BACKLOG), "another worker does the rest")
    finally:
        stop_worker(following)
    assert jobs_that(real_services, Job.crash_count > 0) == 0
    assert jobs_that(real_services, Job.attempt == 2) == given_back
    assert jobs_that(real_services, Job.attempt > 2) == 0


def test_an_idle_worker_ends_at_once(
    real_settings: Settings, real_services: Services, tmp_path: Path
) -> None:
    worker = start_worker(real_settings, tmp_path, REPORT_QUEUES, WORKER_ROLE="report")
    try:
        until(lambda: bool(count(real_services, select(func.count(Worker.name)))), "it is alive")
        os.kill(worker.process.pid, signal.SIGTERM)
        began = time.monotonic()
        assert worker.process.wait(30) == 0
        assert time.monotonic() - began < 10
    finally:
        stop_worker(worker)
