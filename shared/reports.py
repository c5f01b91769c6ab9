"""Asking for reports and reading them back. Functions take a session and never commit."""

import uuid
from collections.abc import Collection, Sequence

from sqlalchemy import and_, exists, select, update
from sqlalchemy.orm import Session, joinedload, selectinload

from shared import job_events, jobs, legacy_reports
from shared.accounts import get_patient
from shared.attempts import Claim
from shared.errors import NotFoundError, ValidationError
from shared.ids import new_report_id
from shared.models import Job, JobKind, Lane, Report, Scan, report_scans
from shared.results import NO_TUMOR, TUMOR
from shared.scans import IS_RELEASED as IS_SCAN_RELEASED

NO_SCANS = "No scans found for report"
_COVERS = and_(report_scans.c.report_id == Report.id, report_scans.c.scan_id == Scan.id)
# The release gate: readers have judged all that the report covers, and it is known what that is.
IS_RELEASED = exists().where(_COVERS) & ~exists().where(_COVERS, ~IS_SCAN_RELEASED)


def request_report(session: Session, patient_id: int, scan_ids: Sequence[str] | None) -> Job:
    """Make a report and its job. Without `scan_ids` it covers all finished scans of the patient.

    Raises `NotFoundError` for an unknown patient and `ValidationError` if there is nothing to report or a
    scan is not this patient's. Scans that are still being analysed are waited for.
    """
    get_patient(session, patient_id)
    query = select(Scan).where(Scan.patient_id == patient_id).order_by(Scan.id)
    if scan_ids is None:
        scans = [scan for scan in session.scalars(query) if is_reportable(scan)]
    else:
        scans = list(session.scalars(query.where(Scan.scan_id.in_(scan_ids))))
        if len(scans) != len(set(scan_ids)):
            raise ValidationError(
                f"{NO_SCANS}: a scan id is unknown or belongs to another patient.", "scan_ids"
            )
    if not scans:
        raise ValidationError(NO_SCANS, "scan_ids")
    report = Report(patient_id=patient_id, report_id=new_report_id(), scans=scans, scan_count=len(scans))
    session.add(report)
    session.flush()
    job = Job(id=uuid.uuid4(), kind=JobKind.REPORT, lane=Lane.INTERACTIVE, report_id=report.id, report=report)
    session.add(job)
    session.flush()
    job_events.created(session, [job.id])
    return job


def is_reportable(scan: Scan) -> bool:
    """True if there is something to say: by the model, or by a reader about a picture that it rejected."""
    return scan.probability is not None or scan.reader_verdict is not None


def load_for_rendering(session: Session, claim: Claim) -> Report:
    """The report with its patient and scans."""
    query = select(Report).options(selectinload(Report.patient), selectinload(Report.scans))
    return session.execute(query.where(Report.id == claim.subject_id)).scalar_one()


def record(session: Session, claim: Claim, key: str, scans: Sequence[Scan]) -> bool:
    """End the job and name the stored PDF. False, and nothing written, if the claim was lost."""
    if not jobs.succeed(session, [claim]):
        return False
    session.execute(
        update(Report)
        .where(Report.id == claim.subject_id)
        .values(
            report_path=key,
            scan_count=len(scans),
            tumor_count=sum(scan.prediction == TUMOR for scan in scans),
            no_tumor_count=sum(scan.prediction == NO_TUMOR for scan in scans),
        )
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Scan)
        .where(Scan.id.in_([scan.id for scan in scans]))
        .values(report_path=key)
        .execution_options(synchronize_session=False)
    )
    return True


def page(
    session: Session,
    limit: int | None = None,
    before: int | None = None,
    patient_id: int | None = None,
    only_released: bool = False,
) -> list[Report]:
    """Finished reports with their patients, newest first, from before reports.id `before`.

    `only_released`: those that patients may see while RELEASE_GATE is on.
    """
    query = (
        select(Report)
        .options(joinedload(Report.patient))
        .where(Report.report_path.is_not(None))
        .order_by(Report.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(Report.id < before)
    if patient_id is not None:
        query = query.where(Report.patient_id == patient_id)
    if only_released:
        query = query.where(IS_RELEASED)
    return list(session.scalars(query))


def covering(session: Session, scan_id: int, only_released: bool = False) -> list[Report]:
    """Finished reports that show this scan (scans.id), newest first."""
    query = select(Report).where(Report.scans.any(Scan.id == scan_id), Report.report_path.is_not(None))
    if only_released:
        query = query.where(IS_RELEASED)
    return list(session.scalars(query.order_by(Report.id.desc())))


def find_report(session: Session, report_id: str, only_released: bool = False) -> Report:
    """A finished report by its display id: ours in any case, old ones exactly. Raises `NotFoundError`."""
    if "\0" in report_id:
        return _found(None)  # no text in Postgres has it
    is_named = Report.report_id.in_((report_id, report_id.upper()))
    query = select(Report).where(is_named, Report.report_path.is_not(None))
    if only_released:
        query = query.where(IS_RELEASED)
    return _found(session.scalar(query.order_by((Report.report_id == report_id).desc())))


def named(session: Session, filename: str, only_released: bool = False) -> list[Report]:
    """Finished reports with exactly this file name, newest first; names of ours are unique."""
    ours = session.scalars(select(Report).where(Report.report_path == filename, ~Report.is_legacy)).all()
    found = list(ours) or legacy_reports.named(session, filename)
    hidden = unreleased(session, [report.id for report in found]) if only_released else ()
    return [report for report in found if report.id not in hidden]


def unreleased(session: Session, report_ids: Collection[int]) -> set[int]:
    """Those of the reports that patients may not see yet while RELEASE_GATE is on."""
    return set(session.scalars(select(Report.id).where(Report.id.in_(report_ids), ~IS_RELEASED)))


def released_paths(session: Session, paths: Collection[str]) -> set[str]:
    """Those of the stored names that lead to a report which patients may see."""
    return set(session.scalars(select(Report.report_path).where(Report.report_path.in_(paths), IS_RELEASED)))


def _found(report: Report | None) -> Report:
    if report is None:
        raise NotFoundError("Report not found")
    return report
