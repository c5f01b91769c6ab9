"""The audit trail: who created, saw, downloaded, changed or removed what, and when.

The database writes number, time and hash of each row and refuses any change (`v0003_whole_contract`). Rows
hold ids and counts, never names. Functions take a session and never commit. Record last in a transaction:
the chain is written by one transaction at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session

from shared.models import AuditEvent

CLI = "cli"
ANONYMOUS = "anonymous"
NO_HASH = "0" * 64
VERIFIED_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found: rows read, the newest hash, and the first row that is not as it was written."""

    rows: int
    head: str
    broken_at: int | None
    reason: str | None
    has_known_head: bool


def record(
    session: Session,
    actor: str,
    action: str,
    subject: str,
    request_id: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Add one act, for example ("admin:1", "scan.uploaded", "patient:7")."""
    session.add(
        AuditEvent(actor=actor, action=action, subject=subject, request_id=request_id, details=details)
    )
    session.flush()


def events(
    session: Session,
    limit: int,
    before: int | None = None,
    actor: str | None = None,
    action: str | None = None,
    subject: str | None = None,
) -> Sequence[AuditEvent]:
    """Acts that match, newest first, from before the row number `before`."""
    query = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    for column, wanted in (
        (AuditEvent.actor, actor),
        (AuditEvent.action, action),
        (AuditEvent.subject, subject),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return session.scalars(query).all()


def verify(session: Session, known_head: str | None = None, newest: int | None = None) -> Verdict:
    """Walk the whole chain, or its `newest` rows. `known_head`, a hash noted earlier, must still be in it.

    A changed row has another hash, a removed or inserted one breaks the numbers or the links; rows removed
    from the end show only by a head that was noted before.
    """
    before = 0 if newest is None else _before_newest(session, newest)
    previous, number, has_known_head = _hash_of(session, before), before, known_head in (None, NO_HASH)
    for row in _rows_with_computed_hash(session, before):
        number += 1
        reason = None
        if row.id != number:
            reason = f"row {number} is missing"
        elif row.previous_hash != previous:
            reason = "it does not follow the row before it"
        elif row.hash != row.computed:
            reason = "its content is not what was written"
        if reason:
            return Verdict(number - before, previous, number, reason, has_known_head)
        previous = row.hash
        has_known_head = has_known_head or row.hash == known_head
    return Verdict(number - before, previous, None, None, has_known_head)


def _before_newest(session: Session, newest: int) -> int:
    last = session.scalar(select(func.max(AuditEvent.id)))
    return max((last or 0) - newest, 0)


def _hash_of(session: Session, number: int) -> str:
    """What the row after this one has to follow; nothing can follow a row that is missing."""
    if number == 0:
        return NO_HASH
    return session.scalar(select(AuditEvent.hash).where(AuditEvent.id == number)) or ""


def _rows_with_computed_hash(session: Session, after: int) -> Iterator[Any]:
    computed: ColumnElement[str] = literal_column("audit_events_hash(audit_events)").label("computed")
    while True:
        query = (
            select(AuditEvent.id, AuditEvent.previous_hash, AuditEvent.hash, computed)
            .where(AuditEvent.id > after)
            .order_by(AuditEvent.id)
            .limit(VERIFIED_AT_ONCE)
        )
        rows = session.execute(query).all()
        if not rows:
            return
        yield from rows
        after = rows[-1].id
