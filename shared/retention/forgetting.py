"""Everything of one patient: removed when they ask for it, or held when it must stay."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.orm import Session

from shared import audit, job_control, legacy_reports
from shared.errors import ConflictError, NotFoundError, ObjectNotFoundError, StorageError
from shared.maintenance import alone
from shared.models import UNFINISHED, IdempotencyKey, Job, Login, Mail, Patient, Report, Scan, report_scans
from shared.retention.doomed import delete_doomed, doom
from shared.retention.removal import remove_mails, remove_reports, remove_scans
from shared.services import Services
from shared.storage.choice import REPORTS
from shared.storage.keys import is_key

FORGOTTEN, HELD, RELEASED = "patient.forgotten", "patient.held", "patient.released"
ROWS_AT_ONCE = 200


@dataclass(slots=True)
class Forgotten:
    """What was removed. `left_at`: where pictures of the replaced system are, which a person must delete."""

    scans: int = 0
    reports: int = 0
    mails: int = 0
    objects: int = 0
    left_at: list[str] = field(default_factory=list)


def find_patient(session: Session, name: str) -> Patient:
    """By number or display id. Raises `NotFoundError`."""
    is_meant = Patient.id == int(name) if name.isdecimal() and len(name) < 10 else Patient.patient_id == name
    patient = session.scalar(select(Patient).where(is_meant))
    if patient is None:
        raise NotFoundError("There is no such patient: give the number or the id that begins with P.")
    return patient


def hold(session: Session, patient: Patient, is_held: bool) -> None:
    """Have retention leave the patient's records, or no longer."""
    patient.is_on_hold = is_held
    session.flush()
    audit.record(session, audit.CLI, HELD if is_held else RELEASED, f"patient:{patient.id}")


def forget(services: Services, patient_id: int) -> Forgotten:
    """Remove a patient with everything of theirs; unfinished work is cancelled. Safe to run again.

    Raises `NotFoundError`, `ConflictError` for a patient on hold or while other maintenance is going on, and
    what the stores raise. What a worker stores at this very moment reconciliation finds later.
    """
    forgotten = Forgotten()
    with alone(services):
        _close(services, patient_id)
        is_removed = False
        while not is_removed:
            while _remove_reports(services, patient_id, forgotten):
                forgotten.objects += delete_doomed(services)
            while _remove_scans(services, patient_id, forgotten):
                forgotten.objects += delete_doomed(services)
            is_removed = _remove_patient(services, patient_id, forgotten)
        forgotten.objects += delete_doomed(services)  # of a run that was cut short
    return forgotten


def _close(services: Services, patient_id: int) -> None:
    """Let the patient in no more, and cancel what is not finished."""
    with services.sessions.begin() as session:
        patient = session.get(Patient, patient_id)
        if patient is None:
            raise NotFoundError("Patient not found")
        if patient.is_on_hold:
            raise ConflictError("This patient's records are on hold: release them first.")
        session.execute(delete(Login).where(Login.patient_id == patient_id))
        is_theirs = or_(
            Job.scan_id.in_(select(Scan.id).where(Scan.patient_id == patient_id)),
            Job.report_id.in_(select(Report.id).where(Report.patient_id == patient_id)),
            Job.mail_id.in_(select(Mail.id).where(Mail.patient_id == patient_id)),
        )
        unfinished = session.scalars(select(Job.id).where(is_theirs, Job.status.in_(UNFINISHED))).all()
    for job_id in unfinished:
        _cancel(services, job_id)


def _cancel(services: Services, job_id: uuid.UUID) -> None:
    with suppress(ConflictError), services.sessions.begin() as session:  # it has just ended
        job_control.cancel(session, job_id)


def _remove_reports(services: Services, patient_id: int, forgotten: Forgotten) -> int:
    """Remove some of the patient's reports."""
    query = select(Report).where(Report.patient_id == patient_id).order_by(Report.id).limit(ROWS_AT_ONCE)
    with services.sessions() as session:
        reports = session.scalars(query).all()
    _remove_old_files(services, reports)
    with services.sessions.begin() as session:
        remove_reports(session, [report.id for report in reports])
    forgotten.reports += len(reports)
    return len(reports)


def _remove_old_files(services: Services, reports: Sequence[Report]) -> None:
    """Delete PDFs of the replaced system, and copies that stayed on the disk when they were moved."""
    for report in reports:
        with suppress(ObjectNotFoundError):
            if report.is_legacy:
                found = legacy_reports.locate(services, report)
                if found.key is not None:
                    with services.sessions.begin() as session:
                        doom(session, [(REPORTS, found.key)])
                elif found.file is not None:
                    _unlink(found.file)
            elif report.legacy_path is not None:
                _unlink(legacy_reports.local_file(services, report, report.legacy_path))


def _unlink(file: Path | None) -> None:
    if file is not None:
        try:
            file.unlink(missing_ok=True)
        except OSError:
            raise StorageError("A file in REPORT_FOLDER could not be removed.") from None


def _remove_scans(services: Services, patient_id: int, forgotten: Forgotten) -> int:
    """Remove some of the patient's scans; one for which a report was asked meanwhile waits for it to go."""
    is_reported = exists().where(report_scans.c.scan_id == Scan.id)
    with services.sessions.begin() as session:
        page = select(Scan.id).where(Scan.patient_id == patient_id).order_by(Scan.id).limit(ROWS_AT_ONCE)
        locked = session.scalars(page.with_for_update()).all()
        scans = session.scalars(select(Scan).where(Scan.id.in_(locked), ~is_reported)).all()
        paths = {
            path for scan in scans for path in (scan.original_path, scan.heatmap_path, scan.overlay_path)
        }
        remove_scans(session, [scan.id for scan in scans])
    forgotten.scans += len(scans)
    forgotten.left_at += sorted(path for path in paths if path and not is_key(path))
    return len(scans)


def _remove_patient(services: Services, patient_id: int, forgotten: Forgotten) -> bool:
    """Remove the row itself and what is left beside it; False if something came in that must go first."""
    with services.sessions.begin() as session:
        session.scalars(select(Patient.id).where(Patient.id == patient_id).with_for_update()).one()
        for kind in (Report, Scan):
            if session.scalar(select(kind.id).where(kind.patient_id == patient_id).limit(1)) is not None:
                return False
        mails = session.scalars(select(Mail.id).where(Mail.patient_id == patient_id)).all()
        remove_mails(session, mails)
        forgotten.mails += len(mails)
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.caller == f"patient:{patient_id}"))
        session.execute(delete(Patient).where(Patient.id == patient_id))
        details = {"scans": forgotten.scans, "reports": forgotten.reports, "mails": forgotten.mails}
        audit.record(session, audit.CLI, FORGOTTEN, f"patient:{patient_id}", details=details)
    return True
