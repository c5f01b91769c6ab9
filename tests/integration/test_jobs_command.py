"""`list-failed-jobs` and `retry-jobs`: what failed, why, and running it again, as operators do it."""

import json
import uuid
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from api.cli import main
from shared import jobs
from shared.attempts import Failure
from shared.migrations.taken_over_work import NOT_TAKEN_OVER
from shared.models import AuditEvent, Job, JobKind, JobStatus, Stage
from shared.services import Services
from tests.integration.sending import pictures, send
from worker.pipeline import ScanPipeline

CAUSE = "The image store does not answer."


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, services: Services) -> None:
    settings = services.settings
    assert settings.database_url is not None
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("REDIS_URL", settings.redis_url.get_secret_value())


@pytest.fixture
def failed(admin: FlaskClient, patient_id: int, services: Services) -> list[str]:
    """Two jobs that failed, oldest first; a third waits."""
    job_ids = send(admin, patient_id, *pictures(3)).json["job_ids"]
    with services.sessions.begin() as session:
        first, second = jobs.claim(session, JobKind.SCAN, "a worker", 2, lease_seconds=-1)
        failure = Failure(first, "SERVICE_UNAVAILABLE", CAUSE, stage=Stage.FETCH)
        jobs.fail(session, [failure], max_attempts=1, retry_seconds=0)
        jobs.expire_leases(session, max_attempts=1, retry_seconds=0)
        assert [str(first.job_id), str(second.job_id)] == job_ids[:2]
    return job_ids[:2]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


def status_of(services: Services, job_id: str) -> str:
    with services.sessions() as session:
        return session.get_one(Job, uuid.UUID(job_id)).status


def test_what_failed_is_listed_with_stage_and_cause(failed: list[str], said: Callable[[], str]) -> None:
    assert main(["list-failed-jobs"]) == 0
    newest, oldest = (line.split("\t") for line in said().splitlines())
    assert newest[:4] == [failed[1], "scan", "claimed", "1"]
    assert newest[5].startswith("WORKER_LOST: The worker stopped")
    assert oldest[:4] == [failed[0], "scan", "fetch", "1"]
    assert oldest[5] == f"SERVICE_UNAVAILABLE: {CAUSE}"
    assert main(["list-failed-jobs", "--json", "--code", "SERVICE_UNAVAILABLE"]) == 0
    (shown,) = map(json.loads, said().splitlines())
    assert (shown["id"], shown["error"]["message"]) == (failed[0], CAUSE)
    assert main(["list-failed-jobs", "--kind", "report"]) == 0
    assert said() == ""


def test_one_job_is_queued_again_and_runs(
    failed: list[str], services: Services, pipeline: ScanPipeline, said: Callable[[], str]
) -> None:
    assert main(["retry-jobs", failed[0]]) == 0
    assert said() == "Queued again: 1\n"
    assert [status_of(services, job_id) for job_id in failed] == [JobStatus.QUEUED, JobStatus.FAILED]
    with services.sessions() as session:
        retried = session.scalars(select(AuditEvent.subject).where(AuditEvent.action == "job.retried")).all()
    assert retried == [f"job:{failed[0]}"]
    pipeline.drain()
    assert status_of(services, failed[0]) == JobStatus.SUCCEEDED


def test_all_are_queued_again_but_those_that_nothing_was_taken_over_for(
    failed: list[str], services: Services, said: Callable[[], str]
) -> None:
    with services.sessions.begin() as session:
        taken_over = update(Job).where(Job.id == uuid.UUID(failed[1])).values(error_code=NOT_TAKEN_OVER)
        session.execute(taken_over)
    assert main(["retry-jobs", "--all"]) == 0
    assert said() == "Queued again: 1\n"
    assert [status_of(services, job_id) for job_id in failed] == [JobStatus.QUEUED, JobStatus.FAILED]


def test_only_those_with_one_cause_are_queued_again(
    failed: list[str], services: Services, said: Callable[[], str]
) -> None:
    assert main(["retry-jobs", "--all", "--code", "WORKER_LOST"]) == 0
    assert said() == "Queued again: 1\n"
    assert [status_of(services, job_id) for job_id in failed] == [JobStatus.FAILED, JobStatus.QUEUED]


def test_what_cannot_be_retried_is_a_sentence_and_status_1(
    failed: list[str], services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["retry-jobs"]) == 1
    assert "--all" in capsys.readouterr().err
    assert main(["retry-jobs", str(uuid.uuid4())]) == 1
    assert capsys.readouterr().err == "Job not found\n"
    assert main(["retry-jobs", failed[0], failed[0]]) == 1, "it is queued by then"
    assert capsys.readouterr() == (
        "Queued again: 1\n",
        "Only a failed or cancelled job can run again; this one is queued.\n",
    )
    assert status_of(services, failed[1]) == JobStatus.FAILED
