"""A job's ledger as steps that people can follow: what happened, when, and how long it took."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.job_control import REPEATED_BY_REPAIR, RETRIED_BY_PERSON
from shared.job_history import History
from shared.jobs import GIVEN_BACK, WORKER_LOST
from shared.models import UNFINISHED, JobEvent, JobStatus


class StepKind(StrEnum):
    """Templates have words for each."""

    CREATED = "created"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    POSTPONED = "postponed"  # the attempt failed, another one follows
    LOST = "lost"  # the worker died, another attempt follows
    GIVEN_BACK = "given_back"
    RETRIED = "retried"
    REPEATED = "repeated"


_OF_REASON = {
    WORKER_LOST: StepKind.LOST,
    GIVEN_BACK: StepKind.GIVEN_BACK,
    RETRIED_BY_PERSON: StepKind.RETRIED,
    REPEATED_BY_REPAIR: StepKind.REPEATED,
}
_OF_STATUS = {
    JobStatus.RUNNING: StepKind.STARTED,
    JobStatus.SUCCEEDED: StepKind.SUCCEEDED,
    JobStatus.FAILED: StepKind.FAILED,
    JobStatus.CANCELLED: StepKind.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Step:
    """`seconds` since the step before; `cause`: an error code, where there is one."""

    kind: StepKind
    at: datetime
    attempt: int
    seconds: float | None
    cause: str | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """One job. `worker` has it now; `stage` is where it is, or where its last attempt failed for good."""

    job_id: str
    status: str
    stage: str
    attempts: int
    worker: str | None
    error_code: str | None
    error_message: str | None
    steps: tuple[Step, ...]

    @property
    def is_unfinished(self) -> bool:
        return self.status in UNFINISHED

    @property
    def is_repeatable(self) -> bool:
        return self.status in (JobStatus.FAILED, JobStatus.CANCELLED)


def timeline_of(history: History) -> Timeline:
    job = history.job
    return Timeline(
        job_id=str(job.id),
        status=str(job.status),
        stage=str(job.stage),
        attempts=job.attempt,
        worker=job.lease_owner,
        error_code=job.error_code,
        error_message=job.error_message,
        steps=tuple(map(_step, history.events, (None, *history.events))),
    )


def _step(event: JobEvent, last: JobEvent | None) -> Step:
    kind = _kind(event)
    return Step(
        kind=kind,
        at=event.at,
        attempt=event.attempt,
        seconds=None if last is None else (event.at - last.at).total_seconds(),
        cause=event.reason if kind in (StepKind.FAILED, StepKind.POSTPONED) else None,
    )


def _kind(event: JobEvent) -> StepKind:
    if event.status_from is None:
        return StepKind.CREATED
    if event.status_to == JobStatus.QUEUED:
        return _OF_REASON.get(event.reason, StepKind.POSTPONED)
    return _OF_STATUS[JobStatus(event.status_to)]
