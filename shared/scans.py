"""Registering uploaded scans and reading them back. Functions take a session and never commit."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session, defer, joinedload

from shared import job_events
from shared.errors import NotFoundError
from shared.models import UNFINISHED, Batch, BatchOrigin, Job, JobKind, JobStatus, Lane, Scan

IS_RELEASED = Scan.reader_verdict.is_not(None)  # the release gate: a reader has judged what patients see
INTERACTIVE_LIMIT = 8  # an upload of more files than this is bulk work


@dataclass(frozen=True, slots=True)
class StoredOriginal:
    """An upload whose bytes are checked and stored, not yet registered."""

    patient_id: int
    scan_id: str
    filename: str  # the client's name, cleaned: for display only
    key: str
    is_staged: bool
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


def register(
    session: Session,
    originals: Sequence[StoredOriginal],
    batch: Batch | None = None,
    is_public: bool = False,
) -> Registered:
    """Make scan and job rows, all queued, in the batch that was asked for or in one of their own."""
    is_small = batch is None and len(originals) <= INTERACTIVE_LIMIT
    lane = Lane.INTERACTIVE if is_small else Lane.BULK
    if batch is None:
        batch = Batch(id=uuid.uuid4(), origin=BatchOrigin.UPLOAD)
        session.add(batch)
    scans = [_scan(original) for original in originals]
    session.add_all(scans)
    session.flush()
    rows = [
        Job(
            id=uuid.uuid4(),
            kind=JobKind.SCAN,
            lane=lane,
            scan_id=scan.id,
            scan=scan,
            batch_id=batch.id,
            is_public=is_public,
        )
        for scan in scans
    ]
    session.add_all(rows)
    session.flush()
    job_events.created(session, [row.id for row in rows])
    return Registered(batch.id, lane, rows)


def _scan(original: StoredOriginal) -> Scan:
    return Scan(
        patient_id=original.patient_id,
        scan_id=original.scan_id,
        original_filename=original.filename,
        original_path=original.key,
        is_staged=original.is_staged,
        content_type=original.content_type,
        byte_size=original.byte_size,
        width=original.width,
        height=original.height,
        sha256=original.sha256,
    )


def page(
    session: Session,
    limit: int | None = None,
    before: int | None = None,
    patient_id: int | None = None,
    with_maps: bool = True,
    only_released: bool = False,
) -> list[tuple[Scan, Job]]:
    """Scans with their latest jobs, newest first, from before scans.id `before`.

    Without `with_maps` the evidence maps, most of a row, stay in the database. `only_released`: those that
    patients may see while RELEASE_GATE is on.
    """
    query = with_jobs(with_maps).order_by(Scan.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Scan.id < before)
    if patient_id is not None:
        query = query.where(Scan.patient_id == patient_id)
    if only_released:
        query = query.where(IS_RELEASED)
    return [(scan, job) for scan, job in session.execute(query)]


def with_jobs(with_maps: bool) -> Select[Scan, Job]:
    """Scans with their patients and latest jobs."""
    latest = (
        select(Job.id).where(Job.scan_id == Scan.id).order_by(Job.position.desc()).limit(1).correlate(Scan)
    ).scalar_subquery()
    query = select(Scan, Job).join(Job, Job.id == latest).options(joinedload(Scan.patient))
    return query if with_maps else query.options(defer(Scan.explanation))


def get_scan(session: Session, scan_id: int, only_released: bool = False) -> Scan:
    """Raises `NotFoundError` if there is no such scan, or `only_released` and it is not."""
    scan = session.get(Scan, scan_id)
    if scan is None or (only_released and unreleased(session, [scan_id])):
        raise NotFoundError("Scan not found")
    return scan


def unreleased(session: Session, scan_ids: Collection[int]) -> set[int]:
    """Those of the scans that patients may not see yet while RELEASE_GATE is on."""
    return set(session.scalars(select(Scan.id).where(Scan.id.in_(scan_ids), ~IS_RELEASED)))


def count_unreleased(session: Session, patient_id: int) -> int:
    """How many of the patient's scans are on their way to a verdict: none whose analysis has failed."""
    is_on_its_way = exists().where(Job.scan_id == Scan.id, Job.status.in_((*UNFINISHED, JobStatus.SUCCEEDED)))
    query = select(func.count()).where(Scan.patient_id == patient_id, ~IS_RELEASED, is_on_its_way)
    return session.execute(query).scalar_one()
