"""Moves reports from REPORT_FOLDER to the report store, one commit each, and back.

Nothing is ever deleted: the local files stay, and so do the objects after a way back. A row says where it
stands (`legacy_path` is set once it was moved), so a run that was killed is simply run again.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from shared import audit, legacy_reports
from shared.errors import ObjectNotFoundError, StorageError
from shared.models import Report, Scan
from shared.services import Services

PDF = "application/pdf"
_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Outcome(StrEnum):
    """What became of a report."""

    MOVED = "moved"  # or would be, in a dry run
    MISSING = "missing"  # no file to move, and no object either
    RESTORED = "restored"
    LEFT = "left"  # in the store, on the way back: no local file has the same bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One report and what became of it."""

    report_id: str
    outcome: Outcome


def move_all(services: Services, dry_run: bool = False) -> Iterator[Step]:
    """Move what is on the local disk only; reports that the store has already give no step.

    Raises `StorageError` if the store does not answer, or gives back other bytes than it took: run it again.
    """
    for row in _ids(services, is_moved=False):
        report = _load(services, row)
        step = _move(services, report, dry_run)
        if step is not None:
            yield step


def restore_all(services: Services) -> Iterator[Step]:
    """Point moved reports to their local files again, where these still hold the same bytes.

    Raises `StorageError` if the store does not answer.
    """
    for row in _ids(services, is_moved=True):
        report = _load(services, row)
        old_path = report.legacy_path or ""
        if not _has_same_bytes(services, report, old_path):
            yield Step(report.report_id, Outcome.LEFT)
            continue
        with services.sessions.begin() as session:
            _restored(session, report, old_path)
        yield Step(report.report_id, Outcome.RESTORED)


def _move(services: Services, report: Report, dry_run: bool) -> Step | None:
    try:
        content = _local_bytes(services, report)
    except ObjectNotFoundError:
        return Step(report.report_id, Outcome.MISSING)
    if content is None:
        return None
    if not dry_run:
        key = _key(report)
        services.reports.put(key, content, PDF)
        if _digest(services.reports.get(key)) != _digest(content):
            raise StorageError("The report store gave back other bytes than it took; nothing was changed.")
        with services.sessions.begin() as session:
            _moved(session, report, key)
    return Step(report.report_id, Outcome.MOVED)


def _moved(session: Session, report: Report, key: str) -> None:
    """What a move changes."""
    old_path = report.report_path
    values: dict[str, object] = {"is_legacy": False, "legacy_path": old_path}
    _point(session, report, old_path, key, values, "report.moved")


def _restored(session: Session, report: Report, old_path: str) -> None:
    """What the way back changes."""
    is_legacy = old_path != report.report_path  # our own keep their key, whichever store they are in
    values: dict[str, object] = {"is_legacy": is_legacy, "legacy_path": None}
    _point(session, report, report.report_path, old_path, values, "report.restored")


def _point(
    session: Session,
    report: Report,
    source: str | None,
    target: str,
    values: dict[str, object],
    action: str,
) -> None:
    """Change a report's path and its scans', unless somebody else has just done so."""
    is_unchanged = (Report.id == report.id, Report.report_path == source)
    changed = session.execute(
        update(Report).where(*is_unchanged).values(report_path=target, **values).returning(Report.id)
    )
    if changed.first() is not None:
        session.execute(
            update(Scan)
            .where(Scan.patient_id == report.patient_id, Scan.report_path == source)
            .values(report_path=target)
        )
        audit.record(session, audit.CLI, action, f"report:{report.report_id}")


def _local_bytes(services: Services, report: Report) -> bytes | None:
    """The bytes to move; None if the store has them. Raises `ObjectNotFoundError` if nobody has them."""
    if report.is_legacy:
        file = legacy_reports.locate(services, report).file
        return None if file is None else legacy_reports.read_file(file)
    key = report.report_path or ""
    file = legacy_reports.inside(services.settings.report_folder, [key])
    if not services.reports.exists(key):
        if file is None:
            raise ObjectNotFoundError(legacy_reports.GONE)
        return legacy_reports.read_file(file)
    content = None if file is None else legacy_reports.read_file(file)
    # Equal bytes: a run was killed after it stored them. Others: the store's are newer.
    is_half_moved = content is not None and _digest(content) == _digest(services.reports.get(key))
    return content if is_half_moved else None


def _key(report: Report) -> str:
    """The key of a moved PDF: ours keep theirs; old names are not used, as they may hold a person's."""
    if not report.is_legacy:
        return report.report_path or ""
    name = report.report_id if _PLAIN_ID.fullmatch(report.report_id) else "report"
    return f"{name}-taken-over-{report.id}.pdf"


def _has_same_bytes(services: Services, report: Report, old_path: str) -> bool:
    file = legacy_reports.local_file(services, report, old_path)
    if file is None:
        return False
    try:
        content = legacy_reports.read_file(file)
        return _digest(content) == _digest(services.reports.get(report.report_path or ""))
    except ObjectNotFoundError:
        return False


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _ids(services: Services, is_moved: bool) -> list[int]:
    is_done = Report.legacy_path.is_not(None) if is_moved else Report.legacy_path.is_(None)
    query = select(Report.id).where(is_done, Report.report_path.is_not(None)).order_by(Report.id)
    with services.sessions() as session:
        return list(session.scalars(query))


def _load(services: Services, row: int) -> Report:
    with services.sessions() as session:
        return session.get_one(Report, row)
