"""What people do to jobs: cancel them, and have them run again.

Functions take a session and never commit. A running job that is cancelled is no longer `running`, so the
fence of `shared.jobs` keeps its worker from publishing anything.
"""

import uuid
from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from shared import job_events
from shared.errors import ConflictError, NotFoundError
from shared.models import UNFINISHED, Job, JobStatus, Stage

CANCELLED_BY_PERSON = "cancelled"
RETRIED_BY_PERSON = "retried"
REPEATED_BY_REPAIR = "repeated"
REPEATABLE = (JobStatus.FAILED, JobStatus.CANCELLED)


def cancel(session: Session, job_id: uuid.UUID) -> None:
    """End an unfinished job without a result; a cancelled one stays as it is.

    Raises `NotFoundError`, and `ConflictError` for a job that has ended otherwise.
    """
    job = _locked(session, job_id)
    if job.status == JobStatus.CANCELLED:
        return
    if job.status not in UNFINISHED:
        raise ConflictError(f"The job has ended already: it {job.status}.")
    _cancel(session, [(job.id, job.attempt, job.status)])


def cancel_some(session: Session, batch_id: uuid.UUID) -> int:
    """Cancel the batch's unfinished jobs that nobody is changing at this moment. Returns how many.

    Rows that a worker is writing are skipped, so that the two never wait for each other: call again, each
    time in a transaction of its own, until `count_unfinished` is 0.
    """
    query = (
        select(Job.id, Job.attempt, Job.status)
        .where(_unfinished_in(batch_id))
        .order_by(Job.position)
        .with_for_update(skip_locked=True)
    )
    rows = [(row[0], row[1], row[2]) for row in session.execute(query)]
    _cancel(session, rows)
    return len(rows)


def count_unfinished(session: Session, batch_id: uuid.UUID) -> int:
    """Jobs of the batch that are queued or running."""
    return session.execute(select(func.count()).select_from(Job).where(_unfinished_in(batch_id))).scalar_one()


def retry(session: Session, job_id: uuid.UUID) -> Job:
    """Queue a failed or cancelled job again, with all attempts anew; its ledger is kept.

    Raises `NotFoundError`, and `ConflictError` for a job in any other state.
    """
    job = _locked(session, job_id)
    if job.status not in REPEATABLE:
        raise ConflictError(f"Only a failed or cancelled job can run again; this one is {job.status}.")
    _queue_again(session, [job], job.status, RETRIED_BY_PERSON)
    session.refresh(job)
    return job


def retry_failed(session: Session, batch_id: uuid.UUID) -> list[Job]:
    """Queue all failed jobs of the batch again, like `retry`. Returns them.

    Rows that somebody else is changing at this moment are left to them.
    """
    query = select(Job).where(Job.batch_id == batch_id, Job.status == JobStatus.FAILED)
    jobs = list(session.scalars(query.order_by(Job.position).with_for_update(skip_locked=True)))
    _queue_again(session, jobs, JobStatus.FAILED, RETRIED_BY_PERSON)
    return jobs


def repeat(session: Session, job_id: uuid.UUID) -> bool:
    """Queue a job that has ended again, a succeeded one too: what it stored is gone.

    The attempt goes on growing, so that nothing is stored under a key that was used before; the result stays
    until the new one is recorded. False, and nothing changed, for an unfinished job.
    """
    job = _locked(session, job_id)
    if job.status in UNFINISHED:
        return False
    _queue_again(session, [job], job.status, REPEATED_BY_REPAIR)
    return True


def _queue_again(session: Session, jobs: Sequence[Job], source: JobStatus, reason: str) -> None:
    """In the database; the loaded rows stay as they were."""
    job_events.changed(session, [(job.id, job.attempt) for job in jobs], source, JobStatus.QUEUED, reason)
    session.execute(
        update(Job)
        .where(Job.id.in_([job.id for job in jobs]))
        .values(
            status=JobStatus.QUEUED,
            stage=Stage.WAITING,
            spent_attempts=Job.attempt,
            error_code=None,
            error_message=None,
            finished_at=None,
            started_at=None,
            run_after=func.now(),
        )
        .execution_options(synchronize_session=False)
    )


def _locked(session: Session, job_id: uuid.UUID) -> Job:
    job = session.scalar(select(Job).where(Job.id == job_id).with_for_update())
    if job is None:
        raise NotFoundError("Job not found")
    return job


def _unfinished_in(batch_id: uuid.UUID) -> ColumnElement[bool]:
    return (Job.batch_id == batch_id) & Job.status.in_(UNFINISHED)


def _cancel(session: Session, rows: Sequence[tuple[uuid.UUID, int, JobStatus]]) -> None:
    if not rows:
        return
    session.execute(
        update(Job)
        .where(Job.id.in_([row[0] for row in rows]))
        .values(
            status=JobStatus.CANCELLED,
            stage=Stage.DONE,
            lease_owner=None,
            lease_until=None,
            finished_at=func.now(),
        )
        .execution_options(synchronize_session=False)
    )
    for source in UNFINISHED:
        cancelled = [(job_id, attempt) for job_id, attempt, status in rows if status == source]
        job_events.changed(session, cancelled, source, JobStatus.CANCELLED, CANCELLED_BY_PERSON)
