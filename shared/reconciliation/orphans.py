"""Objects that no row names: of lost attempts, of uploads that were never registered, of killed processes."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session

from shared.models import UNFINISHED, Job, Report, Scan
from shared.reconciliation.findings import Finding, Kind
from shared.reconciliation.inventory import STORED, forget, roles
from shared.services import Services
from shared.storage import LocalStore
from shared.storage.choice import IMAGES, REPORTS, STAGING

OBJECTS_AT_ONCE = 100  # looked up just before they are deleted, so that what was looked up is still so


def find(services: Services, session: Session, before: datetime, repair: bool) -> Iterator[Finding]:
    """Objects last written before that time, deleted if `repair`. Raises what the stores raise."""
    stores = roles(services)
    last = ("", "")
    while rows := _page(session, before, last):
        for role, key, kind in rows:
            if repair:
                stores[role].delete(key)
                forget(session, [(role, key)])
                session.commit()
            yield Finding(Kind[kind], key, repair)
        last = (rows[-1].role, rows[-1].key)


def find_parts(services: Services, before: datetime, repair: bool) -> Iterator[Finding]:
    """Half-written files in the folders of local stores, deleted if `repair`."""
    for store in roles(services).values():
        if isinstance(store, LocalStore):
            for part in store.parts():
                if part.modified_at < before:
                    if repair:
                        store.delete_part(part)
                    yield Finding(Kind.LOST_PART, part.key, repair)


def _page(session: Session, before: datetime, last: tuple[str, str]) -> Sequence[Any]:
    kind = case(
        (STORED.c.role == REPORTS, Kind.LOST_REPORT.name),
        (STORED.c.role == STAGING, Kind.LOST_COPY.name),
        (func.starts_with(STORED.c.key, "original/"), Kind.LOST_ORIGINAL.name),
        else_=Kind.LOST_PICTURE.name,
    )
    query = (
        select(STORED.c.role, STORED.c.key, kind.label("kind"))
        .where(
            tuple_(STORED.c.role, STORED.c.key) > tuple_(*map(literal, last)), STORED.c.modified_at < before
        )
        .where(~_is_named(), ~_is_busy())
        .order_by(STORED.c.role, STORED.c.key)
        .limit(OBJECTS_AT_ONCE)
    )
    rows = session.execute(query).all()
    session.commit()
    return rows


def _is_named() -> ColumnElement[bool]:
    """A row names the object, or needs it: a staged copy stays while the image store lacks the original."""
    other = STORED.alias("other")
    in_images = exists().where(other.c.role == IMAGES, other.c.key == STORED.c.key).correlate(STORED)
    scan_names = and_(
        Scan.scan_id == STORED.c.owner,
        or_(
            Scan.original_path == STORED.c.key,
            Scan.heatmap_path == STORED.c.key,
            Scan.overlay_path == STORED.c.key,
        ),
        or_(
            STORED.c.role == IMAGES,
            Scan.is_staged,
            ~in_images,
        ),
    )
    report_names = and_(Report.report_id == STORED.c.owner, Report.report_path == STORED.c.key)
    return case(
        (STORED.c.role == REPORTS, exists().where(report_names)),
        else_=exists().where(scan_names),
    )


def _is_busy() -> ColumnElement[bool]:
    """Its scan or report has an unfinished job, which may be about to name it."""
    scan_is = and_(Scan.scan_id == STORED.c.owner, Job.scan_id == Scan.id)
    report_is = and_(Report.report_id == STORED.c.owner, Job.report_id == Report.id)
    return case(
        (STORED.c.role == REPORTS, exists().where(report_is, Job.status.in_(UNFINISHED))),
        else_=exists().where(scan_is, Job.status.in_(UNFINISHED)),
    )
