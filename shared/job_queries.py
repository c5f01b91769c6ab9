"""Reading jobs. Functions take a session and change nothing."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session, joinedload

from shared.due_jobs import is_ready
from shared.models import UNFINISHED, Job, JobKind, JobStatus, Lane, Mail, Report, Scan
from shared.polled_jobs import PolledJob
from shared.queue import Hint

PACE_SECONDS = 60.0
WITH_SUBJECTS = select(Job).options(
    joinedload(Job.scan).defer(Scan.explanation), joinedload(Job.report), joinedload(Job.mail)
)
_BY_IDS = WITH_SUBJECTS.where(Job.id.in_(bindparam("ids", expanding=True)))  # built once: each poll asks it


def load(session: Session, job_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Job]:
    """Jobs with the scan, report or mail that they are about, by id; unknown ids are left out.

    Evidence maps stay behind: they are most of a scan's row, and a poll shows none.
    """
    return {job.id: job for job in session.scalars(_BY_IDS, {"ids": job_ids})}


def statuses(session: Session, job_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, JobStatus]:
    """How the jobs stand, by id; unknown ids are left out."""
    rows = session.execute(select(Job.id, Job.status).where(Job.id.in_(job_ids)))
    return {job_id: status for job_id, status in rows}  # noqa: C416 - mypy takes no Row for a pair


def patient_of(job: Job | PolledJob) -> int | None:
    """patients.id of a loaded job's subject."""
    subject = job.scan or job.report or job.mail
    return subject.patient_id if subject else None


def count_ahead(session: Session, job: Job) -> int:
    """How many older jobs of the same kind and lane are still queued."""
    query = select(func.count()).where(
        Job.kind == job.kind,
        Job.lane == job.lane,
        Job.status == JobStatus.QUEUED,
        Job.position < job.position,
    )
    return session.execute(query).scalar_one()


def count_unfinished_to(session: Session, kind: JobKind, position: int) -> int:
    """How many unfinished jobs of the kind are as old as this position, or older."""
    query = select(func.count()).where(Job.kind == kind, Job.status.in_(UNFINISHED), Job.position <= position)
    return session.execute(query).scalar_one()


def seconds_per_job(session: Session, kind: JobKind) -> float | None:
    """The pace of the last minute, all workers together; None if nothing has ended in it."""
    begin = func.now() - timedelta(seconds=PACE_SECONDS)
    query = select(func.count(), func.extract("epoch", func.now() - func.min(Job.finished_at))).where(
        Job.kind == kind, Job.status == JobStatus.SUCCEEDED, Job.finished_at > begin
    )
    ended, seconds = session.execute(query).one()
    if not ended:
        return None
    return max(float(seconds), 1.0) / int(ended)


def is_queue_full(session: Session, most: int) -> bool:
    """True if at least that many jobs are unfinished."""
    row = session.execute(select(1).where(Job.status.in_(UNFINISHED)).offset(most - 1).limit(1)).first()
    return row is not None


def page(
    session: Session,
    limit: int | None,
    before: int | None,
    status: JobStatus | None = None,
    kind: JobKind | None = None,
    patient_id: int | None = None,
    batch_id: uuid.UUID | None = None,
) -> list[Job]:
    """Jobs that match, newest first, from before the position `before`."""
    query = WITH_SUBJECTS.order_by(Job.position.desc())
    if before is not None:
        query = query.where(Job.position < before)
    for column, wanted in ((Job.status, status), (Job.kind, kind), (Job.batch_id, batch_id)):
        if wanted is not None:
            query = query.where(column == wanted)
    if patient_id is not None:
        query = query.where(
            or_(
                Job.scan_id.in_(select(Scan.id).where(Scan.patient_id == patient_id)),
                Job.report_id.in_(select(Report.id).where(Report.patient_id == patient_id)),
                Job.mail_id.in_(select(Mail.id).where(Mail.patient_id == patient_id)),
            )
        )
    return list(session.scalars(query.limit(limit) if limit is not None else query))


def waiting(session: Session, kind: JobKind, lane: Lane, older_than_seconds: float, limit: int) -> list[Hint]:
    """The oldest jobs that could run but have waited for a while: perhaps their wake-up was lost."""
    cutoff = func.now() - timedelta(seconds=older_than_seconds)
    query = (
        select(Job.id, Job.batch_id)
        .where(Job.kind == kind, Job.lane == lane, Job.status == JobStatus.QUEUED)
        .where(Job.run_after <= cutoff, is_ready())
        .order_by(Job.position)
        .limit(limit)
    )
    return [Hint(job_id, batch_id) for job_id, batch_id in session.execute(query)]
