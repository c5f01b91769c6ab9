"""Whether database and stores belong together at all.

Beside a wrong bucket, folder or database almost everything looks missing, or like nobody's. A repair would
have every report made again, or would delete what another system stored.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, case, exists, func, literal, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from shared.errors import ConflictError
from shared.models import Report, Scan
from shared.reconciliation.inventory import ORIGINAL_KEY, PICTURE_KEY, REPORT_KEY, STORED, anchored
from shared.storage.choice import IMAGES, REPORTS, STAGING

FEW = 20  # that many may always be missing, or nobody's: small systems lose most of what they have at once
MOST = 0.5

_ADVICE = (
    "That looks like the wrong bucket, folder or database, so nothing was repaired. Check DATABASE_URL and "
    "the settings of the {store}; if it is really so, repair with --even-if-most-disagrees."
)


def refuse_strangers(session: Session, before: datetime) -> None:
    """Raises `ConflictError` if a store lacks most of what rows name, or most of what it has is unknown.

    What is younger than `before` is nobody's for good reasons. One store is not made up for by the others.
    """
    for query, sentence in (
        (_missing(), "{part} of {whole} objects that the database names are missing from the {store}."),
        (_unknown(before), "{part} of {whole} objects in the {store} belong to nothing in the database."),
    ):
        counts = session.execute(query).all()
        session.commit()
        for role, whole, part in counts:
            if part > FEW and part > MOST * whole:
                store = f"{role} store"
                said = sentence.format(part=part, whole=whole, store=store)
                raise ConflictError(f"{said} {_ADVICE.format(store=store)}")


def _missing() -> Select[Any]:
    """By role: how many objects rows name, and how many of those are not stored."""
    named = union_all(
        _named(case((Scan.is_staged, STAGING), else_=IMAGES), Scan.original_path, ORIGINAL_KEY),
        _named(literal(IMAGES), Scan.heatmap_path, PICTURE_KEY),
        _named(literal(IMAGES), Scan.overlay_path, PICTURE_KEY),
        _named(literal(REPORTS), Report.report_path, REPORT_KEY).where(~Report.is_legacy),
    ).subquery()
    is_stored = exists().where(STORED.c.role == named.c.role, STORED.c.key == named.c.key)
    return select(named.c.role, func.count(), func.count().filter(~is_stored)).group_by(named.c.role)


def _named(role: ColumnElement[str], key: InstrumentedAttribute[Any], pattern: str) -> Select[Any]:
    columns: list[ColumnElement[Any]] = [role.label("role"), key.label("key")]
    return select(*columns).where(key.regexp_match(anchored(pattern)))


def _unknown(before: datetime) -> Select[Any]:
    """By role: how many objects are stored, and how many of those are of a scan or report that no row is."""
    is_known = case(
        (STORED.c.role == REPORTS, exists().where(Report.report_id == STORED.c.owner)),
        else_=exists().where(Scan.scan_id == STORED.c.owner),
    )
    counts = select(STORED.c.role, func.count(), func.count().filter(~is_known))
    return counts.where(STORED.c.modified_at < before).group_by(STORED.c.role)
