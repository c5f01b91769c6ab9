"""What is too old to be kept, counted or removed."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, and_, delete, exists, false, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from shared import audit
from shared.maintenance import alone
from shared.models import UNFINISHED, Job, JobEvent, Mail, Patient, Report, Scan, report_scans
from shared.reconciliation.inventory import ORIGINAL_KEY, anchored
from shared.retention.doomed import delete_doomed
from shared.retention.removal import remove_mails, remove_reports, remove_scans
from shared.services import Services
from shared.settings import Settings

APPLIED = "retention.applied"
REPORTS, SCANS, MAILS, LEDGER, OBJECTS = "reports", "scans", "mails", "ledger lines", "objects"
ROWS_AT_ONCE = 200
LINES_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Limits:
    """Days after which things go; None: never."""

    scans: float | None = None
    reports: float | None = None
    public_scans: float | None = None
    work: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        return cls(
            settings.retention_scan_days,
            settings.retention_report_days,
            settings.retention_public_days,
            settings.retention_work_days,
        )

    @property
    def are_set(self) -> bool:
        return any(days is not None for days in asdict(self).values())


def count_due(services: Services, limits: Limits) -> dict[str, int]:
    """How many of each kind `apply` would remove now."""
    with services.sessions() as session:
        session.execute(select(func.set_config("statement_timeout", "0", True)))  # noqa: FBT003 - SQL's: is local
        return {
            kind: session.scalar(select(func.count()).select_from(query.subquery())) or 0
            for kind, query in (
                (REPORTS, _reports(limits)),
                (SCANS, _scans(limits, _is_reported(~_is_old_report(limits)))),
                (MAILS, _mails(limits)),
                (LEDGER, _ledger(limits)),
            )
        }


def apply(services: Services, limits: Limits) -> dict[str, int]:
    """Remove what is too old; returns how many of each kind. Safe to stop and to run again.

    Raises `ConflictError` while other maintenance is going on, and what the stores raise: what was removed
    until then is in the audit trail.
    """
    removed: Counter[str] = Counter()
    with alone(services):
        try:
            for kind, number in _removed(services, limits):
                removed[kind] += number
        finally:
            details = {"days": asdict(limits), "removed": dict(removed)}
            with services.sessions.begin() as session:
                audit.record(session, audit.CLI, APPLIED, "records", details=details)
    return dict(removed)


def _removed(services: Services, limits: Limits) -> Iterator[tuple[str, int]]:
    yield OBJECTS, delete_doomed(services)  # of a run that was cut short
    reported = _is_reported()
    kinds = (
        (REPORTS, _reports(limits), Report.id, Job.report_id, remove_reports),
        (SCANS, _scans(limits, reported), Scan.id, Job.scan_id, remove_scans),
        (MAILS, _mails(limits), Mail.id, Job.mail_id, remove_mails),
    )
    for kind, query, number, subject, remove in kinds:
        while ids := _remove_page(services, query, number, subject, remove):
            yield kind, len(ids)
            yield OBJECTS, delete_doomed(services)
    while lines := _remove_lines(services, limits):
        yield LEDGER, lines


def _remove_page(
    services: Services,
    query: Select[int],
    number: InstrumentedAttribute[int],
    subject: InstrumentedAttribute[int | None],
    remove: Callable[[Session, Sequence[int]], None],
) -> Sequence[int]:
    """Lock some rows and their jobs, look once more whether they are due, and remove them."""
    page = query.order_by(number).limit(ROWS_AT_ONCE).with_for_update(skip_locked=True, of=number.class_)
    with services.sessions.begin() as session:
        locked = session.scalars(page).all()
        session.scalars(select(Job.id).where(subject.in_(locked)).with_for_update()).all()
        ids = session.scalars(query.where(number.in_(locked))).all()
        remove(session, ids)
    return ids


def _remove_lines(services: Services, limits: Limits) -> int:
    page = _ledger(limits).limit(LINES_AT_ONCE)
    with services.sessions.begin() as session:
        removed = delete(JobEvent).where(JobEvent.id.in_(page)).returning(JobEvent.id)
        return len(session.scalars(removed, execution_options={"synchronize_session": False}).all())


def _scans(limits: Limits, is_reported: ColumnElement[bool]) -> Select[int]:
    is_public = exists().where(Job.scan_id == Scan.id, Job.is_public)
    is_old = or_(
        _is_older(Scan.created_at, limits.scans),
        and_(is_public, _is_older(Scan.created_at, limits.public_scans)),
    )
    return (
        select(Scan.id)
        .join(Patient, Patient.id == Scan.patient_id)
        .where(is_old, ~Patient.is_on_hold, ~is_reported, ~_is_at_work(Job.scan_id == Scan.id))
        .where(Scan.original_path.regexp_match(anchored(ORIGINAL_KEY)))  # others were taken over
    )


def _reports(limits: Limits) -> Select[int]:
    return select(Report.id).where(_is_old_report(limits))


def _is_old_report(limits: Limits) -> ColumnElement[bool]:
    is_held = exists().where(Patient.id == Report.patient_id, Patient.is_on_hold)
    return and_(
        _is_older(Report.created_at, limits.reports),
        ~Report.is_legacy,
        Report.legacy_path.is_(None),
        ~is_held,
        ~_is_at_work(Job.report_id == Report.id),
    )


def _mails(limits: Limits) -> Select[int]:
    is_over = exists().where(Job.mail_id == Mail.id, _is_older(Job.finished_at, limits.work))
    return select(Mail.id).where(is_over, ~_is_at_work(Job.mail_id == Mail.id))


def _ledger(limits: Limits) -> Select[int]:
    return (
        select(JobEvent.id)
        .join(Job, Job.id == JobEvent.job_id)
        .where(_is_older(Job.finished_at, limits.work))
    )


def _is_reported(only: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
    """A report covers the scan; `only`: one of these."""
    query = exists().where(report_scans.c.scan_id == Scan.id, report_scans.c.report_id == Report.id)
    return query if only is None else query.where(only)


def _is_at_work(is_its_job: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(is_its_job, Job.status.in_(UNFINISHED))


def _is_older(column: InstrumentedAttribute[object], days: float | None) -> ColumnElement[bool]:
    return false() if days is None else column < func.now() - timedelta(days=days)
