"""Registering uploaded scans and reading them back. Functions take a session and never commit."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from shared import jobs
from shared.errors import NotFoundError
from shared.models import Batch, Job, JobKind, Lane, Scan

INTERACTIVE_LIMIT = 8  # an upload of more files than this is bulk work


@dataclass(frozen=True, slots=True)
class StoredOriginal:
    """An upload whose bytes are checked and stored, not yet registered."""

    scan_id: str
    filename: str  # the client's name, cleaned: for display only
    key: str
    content_type: str
    byte_size: int
    width: int
    height: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Registered:
    """The rows that an upload made, jobs in the order of the originals."""

    batch_id: uuid.UUID
    lane: Lane
    jobs: Sequence[Job]


def register(session: Session, patient_id: int, originals: Sequence[StoredOriginal]) -> Registered:
    """Make scan and job rows, all queued, and the batch that holds them."""
    lane = Lane.INTERACTIVE if len(originals) <= INTERACTIVE_LIMIT else Lane.BULK
    batch = Batch(id=uuid.uuid4())
    scans = [
        Scan(
            patient_id=patient_id,
            scan_id=original.scan_id,
            original_filename=original.filename,
            original_path=original.key,
            content_type=original.content_type,
            byte_size=original.byte_size,
            width=original.width,
            height=original.height,
            sha256=original.sha256,
        )
        for original in originals
    ]
    session.add(batch)
    session.add_all(scans)
    session.flush()
    rows = [
        Job(id=uuid.uuid4(), kind=JobKind.SCAN, lane=lane, scan_id=scan.id, scan=scan, batch_id=batch.id)
        for scan in scans
    ]
    session.add_all(rows)
    session.flush()
    jobs.log_created(session, [row.id for row in rows])
    return Registered(batch.id, lane, rows)


def scans_of(session: Session, patient_id: int) -> list[tuple[Scan, Job]]:
    """A patient's scans with their latest jobs, newest first."""
    return _with_jobs(session, Scan.patient_id == patient_id)


def get_scan(session: Session, scan_id: int) -> Scan:
    """Raises `NotFoundError` if there is no such scan."""
    scan = session.get(Scan, scan_id)
    if scan is None:
        raise NotFoundError("Scan not found")
    return scan


def _with_jobs(session: Session, condition: object) -> list[tuple[Scan, Job]]:
    latest = (
        select(Job.id).where(Job.scan_id == Scan.id).order_by(Job.position.desc()).limit(1).correlate(Scan)
    ).scalar_subquery()
    query = select(Scan, Job).join(Job, Job.id == latest).where(condition).order_by(Scan.id.desc())  # type: ignore[arg-type]
    return [(scan, job) for scan, job in session.execute(query)]
