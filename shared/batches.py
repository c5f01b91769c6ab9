"""Batches: scans that were sent together, in one upload or in many requests. Functions never commit."""

import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.orm import Session, defer, joinedload, sessionmaker

from shared import job_queries
from shared.errors import ConflictError, NotFoundError
from shared.models import UNFINISHED, Batch, BatchOrigin, Job, JobKind, JobStatus, Patient, Scan
from shared.results import NEEDS_REVIEW, NO_TUMOR, REJECTED, TUMOR

ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is. `counts` by job status sum to `total`; `outcomes` are of succeeded jobs."""

    total: int
    counts: dict[str, int]
    outcomes: dict[str, int]
    eta_seconds: int | None


def create(session: Session, name: str | None, admin_id: int) -> Batch:
    """An empty batch, to be filled by any number of requests."""
    batch = Batch(id=uuid.uuid4(), origin=BatchOrigin.REQUEST, name=name, admin_id=admin_id)
    session.add(batch)
    session.flush()
    return batch


def get(session: Session, batch_id: uuid.UUID | None) -> Batch:
    """Raises `NotFoundError` if there is no such batch."""
    batch = session.get(Batch, batch_id) if batch_id else None
    if batch is None:
        raise NotFoundError("Batch not found")
    return batch


def lock_open(session: Session, batch_id: uuid.UUID) -> Batch:
    """The batch, held open until the commit. Raises `ConflictError` if it was cancelled."""
    batch = session.scalar(select(Batch).where(Batch.id == batch_id).with_for_update(read=True))
    if batch is None:
        raise NotFoundError("Batch not found")
    refuse_if_closed(batch)
    return batch


def refuse_if_closed(batch: Batch) -> None:
    """Raises `ConflictError` if the batch was cancelled."""
    if batch.cancelled_at is not None:
        raise ConflictError("This batch was cancelled. Start a new one for further scans.")


def close(session: Session, batch_id: uuid.UUID) -> None:
    """Mark the batch as cancelled: from the commit on it takes no more scans. Safe to repeat."""
    session.execute(
        update(Batch)
        .where(Batch.id == batch_id, Batch.cancelled_at.is_(None))
        .values(cancelled_at=func.now())
        .execution_options(synchronize_session=False)
    )


def page(session: Session, limit: int | None, before: uuid.UUID | None) -> list[Batch]:
    """Batches that were asked for, newest first."""
    query = select(Batch).where(Batch.origin == BatchOrigin.REQUEST)
    if before is not None:
        edge = select(Batch.created_at, Batch.id).where(Batch.id == before).subquery()
        query = query.where(tuple_(Batch.created_at, Batch.id) < select(edge).scalar_subquery())
    query = query.order_by(Batch.created_at.desc(), Batch.id.desc())
    return list(session.scalars(query.limit(limit) if limit is not None else query))


def progress(session: Session, batch_id: uuid.UUID) -> Progress:
    """Count the batch's jobs by status and its results by outcome."""
    return progress_of(session, [batch_id])[batch_id]


def progress_of(session: Session, batch_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Progress]:
    """The same for each of many batches, counted together."""
    found = {batch_id: _Count() for batch_id in batch_ids}
    query = (
        select(Batch.id, Job.status, Scan.prediction, Scan.review, func.count(), func.max(Job.position))
        .join(Job, Job.batch_id == Batch.id)
        .join(Scan, Scan.id == Job.scan_id)
        .where(Batch.id.in_(batch_ids))
        .group_by(Batch.id, Job.status, Scan.prediction, Scan.review)
    )
    for batch_id, status, prediction, review, number, position in session.execute(query):
        count = found[batch_id]
        count.jobs[status] += number
        if status == JobStatus.SUCCEEDED:
            count.outcomes[_outcome(prediction, review)] += number
        if status in UNFINISHED:
            count.last_unfinished = max(count.last_unfinished, position)
    pace = job_queries.seconds_per_job(session, JobKind.SCAN)
    return {batch_id: _progress(session, count, pace) for batch_id, count in found.items()}


def scans_page(
    session: Session,
    batch_id: uuid.UUID,
    limit: int,
    before: int | None = None,
    status: JobStatus | None = None,
) -> list[tuple[Scan, Job]]:
    """Scans of the batch with their jobs and patients, newest first, from before jobs.position `before`."""
    query = (
        select(Scan, Job)
        .join(Job, Job.scan_id == Scan.id)
        .where(Job.batch_id == batch_id)
        .options(defer(Scan.explanation), joinedload(Scan.patient))
        .order_by(Job.position.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(Job.position < before)
    if status is not None:
        query = query.where(Job.status == status)
    return [(scan, job) for scan, job in session.execute(query)]


def result_rows(sessions: sessionmaker[Session], batch_id: uuid.UUID) -> Iterator[Sequence[Any]]:
    """(Scan, Job, Patient.patient_id) of the batch in the order of arrival.

    Read in pages, each in a transaction of its own: none is open while the reader takes its time.
    """
    query = (
        select(Scan, Job, Patient.patient_id)
        .join(Job, Job.scan_id == Scan.id)
        .join(Patient, Patient.id == Scan.patient_id)
        .where(Job.batch_id == batch_id)
        .options(defer(Scan.explanation))  # most of a row, and no line shows it
        .order_by(Job.position)
        .limit(ROWS_AT_ONCE)
    )
    last = 0
    while True:
        with sessions() as session:
            rows = session.execute(query.where(Job.position > last)).all()
        yield from rows
        if len(rows) < ROWS_AT_ONCE:
            return
        last = rows[-1].Job.position


def _outcome(prediction: str | None, review: str | None) -> str:
    if review in (NEEDS_REVIEW, REJECTED):
        return str(review)
    return {TUMOR: "tumor", NO_TUMOR: "no_tumor"}[str(prediction)]


@dataclass(slots=True)
class _Count:
    jobs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, JobStatus), 0))
    outcomes: dict[str, int] = field(
        default_factory=lambda: {"tumor": 0, "no_tumor": 0, NEEDS_REVIEW: 0, REJECTED: 0}
    )
    last_unfinished: int = 0  # jobs.position


def _progress(session: Session, count: _Count, pace: float | None) -> Progress:
    eta = None
    if count.last_unfinished and pace is not None:
        ahead = job_queries.count_unfinished_to(session, JobKind.SCAN, count.last_unfinished)
        eta = math.ceil(ahead * pace)
    return Progress(sum(count.jobs.values()), count.jobs, count.outcomes, eta)
