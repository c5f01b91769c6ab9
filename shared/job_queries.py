"""Reading jobs. Functions take a session and change nothing."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from shared.jobs import is_ready
from shared.models import Job, JobKind, JobStatus, Lane, Scan


def load(session: Session, job_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Job]:
    """Jobs with the scan, report or mail that they are about, by id; unknown ids are left out.

    Evidence maps stay behind: they are most of a scan's row, and a poll shows none.
    """
    query = (
        select(Job)
        .options(joinedload(Job.scan).defer(Scan.explanation), joinedload(Job.report), joinedload(Job.mail))
        .where(Job.id.in_(job_ids))
    )
    return {job.id: job for job in session.scalars(query)}


def patient_of(job: Job) -> int | None:
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


def waiting_ids(
    session: Session, kind: JobKind, lane: Lane, older_than_seconds: float, limit: int
) -> list[uuid.UUID]:
    """The oldest jobs that could run but have waited for a while: perhaps their wake-up was lost."""
    cutoff = func.now() - timedelta(seconds=older_than_seconds)
    return list(
        session.scalars(
            select(Job.id)
            .where(Job.kind == kind, Job.lane == lane, Job.status == JobStatus.QUEUED)
            .where(Job.run_after <= cutoff, is_ready())
            .order_by(Job.position)
            .limit(limit)
        )
    )
