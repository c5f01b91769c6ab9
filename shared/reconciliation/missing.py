"""Rows whose objects are gone, and scans that nobody was asked to analyse.

Pictures and PDFs are made again by the jobs that made them; an original that is gone stays gone. What the
listing lacks is asked for once more by its key: it may have been stored since.
"""

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from shared.models import UNFINISHED, Job, Report, Scan
from shared.originals import original_store
from shared.reconciliation.findings import Finding, Kind
from shared.reconciliation.inventory import ORIGINAL_KEY, PICTURE_KEY, REPORT_KEY, STORED, anchored
from shared.reconciliation.repairs import Repairs
from shared.services import Services
from shared.storage.choice import IMAGES, REPORTS, STAGING

ROWS_AT_ONCE = 100


def find_unasked(services: Services, session: Session, repairs: Repairs) -> Iterator[Finding]:
    """Scans without any job; a repair makes one, if there is something to analyse."""
    query = _scans().where(~exists().where(Job.scan_id == Scan.id))
    for scan in _rows(session, query, Scan.id):
        stored = select(STORED.c.key).where(STORED.c.owner == scan.scan_id)
        keys = [*session.scalars(stored), scan.heatmap_path or "", scan.overlay_path or ""]
        session.commit()
        can_run = repairs.are_wanted and _has_original(services, scan)
        yield Finding(Kind.NO_JOB, scan.scan_id, can_run and repairs.ask_for(scan.id, keys))


def find_originals(services: Services, session: Session, repairs: Repairs) -> Iterator[Finding]:
    """Originals that are gone. A repair brings back those of which a staged copy is left."""
    role = case((Scan.is_staged, STAGING), else_=IMAGES)
    for scan in _rows(session, _scans().where(~_is_stored(role, Scan.original_path)), Scan.id):
        if not _has_original(services, scan):
            is_back = repairs.copy_back(scan.original_path, scan.content_type)
            yield Finding(Kind.MISSING_ORIGINAL, scan.original_path, is_back)


def find_pictures(services: Services, session: Session, repairs: Repairs) -> Iterator[Finding]:
    """Heatmaps and overlays that are gone; a repair has their scans analysed again."""
    is_pictured = [
        and_(path.regexp_match(anchored(PICTURE_KEY)), ~_is_stored(IMAGES, path))
        for path in (Scan.heatmap_path, Scan.overlay_path)
    ]
    latest = _latest_job(Job.scan_id, Scan)
    query = _scans().add_columns(Job.id.label("job_id")).join(Job, Job.id == latest)
    query = query.where(or_(*is_pictured), Job.status.not_in(UNFINISHED))
    for scan in _rows(session, query, Scan.id):
        keys = [key for key in (scan.heatmap_path, scan.overlay_path) if re.fullmatch(PICTURE_KEY, key or "")]
        lost = [key for key in keys if not services.images.exists(key)]
        if lost:
            can_run = repairs.are_wanted and _has_original(services, scan)
            is_queued = can_run and repairs.repeat(scan.job_id)
            yield from (Finding(Kind.MISSING_PICTURE, key, is_queued) for key in lost)


def find_reports(services: Services, session: Session, repairs: Repairs) -> Iterator[Finding]:
    """PDFs that are gone; a repair has them rendered again, to the same bytes under the same key."""
    query = (
        select(Report.id, Report.report_path, Job.id.label("job_id"))
        .outerjoin(Job, Job.id == _latest_job(Job.report_id, Report))
        .where(Report.report_path.regexp_match(anchored(REPORT_KEY)), ~Report.is_legacy)
        .where(~_is_stored(REPORTS, Report.report_path))
        .where(or_(Job.id.is_(None), Job.status.not_in(UNFINISHED)))
    )
    for report in _rows(session, query, Report.id):
        if not services.reports.exists(report.report_path):
            is_queued = report.job_id is not None and repairs.repeat(report.job_id)
            yield Finding(Kind.MISSING_REPORT, report.report_path, is_queued)


def _scans() -> Select[*tuple[Any, ...]]:
    """Scans whose original has a key of ours: others were taken over and are not judged."""
    return select(
        Scan.id,
        Scan.scan_id,
        Scan.original_path,
        Scan.is_staged,
        Scan.content_type,
        Scan.heatmap_path,
        Scan.overlay_path,
    ).where(Scan.original_path.regexp_match(anchored(ORIGINAL_KEY)))


def _rows(
    session: Session, query: Select[*tuple[Any, ...]], number: InstrumentedAttribute[int]
) -> Iterator[Any]:
    """The query's rows, read in pages, each in a transaction of its own."""
    last = 0
    while rows := session.execute(query.where(number > last).order_by(number).limit(ROWS_AT_ONCE)).all():
        session.commit()
        yield from rows
        last = rows[-1].id
    session.commit()


def _latest_job(subject: InstrumentedAttribute[int | None], of: type[Scan | Report]) -> Any:
    newest = select(Job.id).where(subject == of.id).order_by(Job.position.desc()).limit(1)
    return newest.correlate(of).scalar_subquery()


def _is_stored(
    role: str | ColumnElement[str], key: InstrumentedAttribute[str] | InstrumentedAttribute[str | None]
) -> ColumnElement[bool]:
    return exists().where(STORED.c.role == role, STORED.c.key == key)


def _has_original(services: Services, scan: Any) -> bool:
    """True if a worker would find the original: it looks among the images too."""
    is_staged = scan.is_staged and original_store(services, is_staged=True).exists(scan.original_path)
    return is_staged or services.images.exists(scan.original_path)
