"""`retention` and `forget-patient`: what is to go goes whole, and nothing else does."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from api.cli import main
from shared import audit, reports, retention
from shared.errors import ConflictError, StorageError
from shared.models import (
    AuditEvent,
    Base,
    Batch,
    DoomedObject,
    IdempotencyKey,
    Job,
    JobEvent,
    JobKind,
    JobStatus,
    Mail,
    MailTemplate,
    Patient,
    Report,
    Scan,
)
from shared.reconciliation import reconcile
from shared.retention import Limits, ageing, doomed, forgetting
from shared.services import Services
from tests.fakes import FailingStore
from tests.integration.sending import new_patient, pictures, send, send_one, stored
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

YEAR = 365.0
ALL = Limits(scans=YEAR, reports=YEAR)
OLD, YOUNG = 400, 300  # days
Analyse = Callable[[int, int], list[Scan]]


@pytest.fixture
def analyse(admin: FlaskClient, services: Services, pipeline: ScanPipeline) -> Analyse:
    """Has that many scans of a patient analysed, and gives them."""

    def run(patient_id: int, number: int) -> list[Scan]:
        answer = send(admin, patient_id, *pictures(number))
        assert pipeline.drain() == number
        with services.sessions() as session:
            return list(session.scalars(select(Scan).where(Scan.scan_id.in_(answer.json["scan_ids"]))))

    return run


def report_on(admin: FlaskClient, renderer: ReportRenderer, services: Services, *scans: Scan) -> Report:
    body = {"patient_id": scans[0].patient_id, "scan_ids": [scan.scan_id for scan in scans]}
    assert admin.post("/api/report/generate", json=body).status_code == 202
    assert renderer.drain() == 1
    with services.sessions() as session:
        return session.scalars(select(Report).order_by(Report.id.desc())).first() or Report()


def make_old(services: Services, *rows: Scan | Report, days: float = OLD) -> None:
    with services.sessions.begin() as session:
        for row in rows:
            kind = type(row)
            at = func.now() - timedelta(days=days)
            session.execute(update(kind).where(kind.id == row.id).values(created_at=at))


def number_of(services: Services, kind: type[Base]) -> int:
    with services.sessions() as session:
        return session.execute(select(func.count()).select_from(kind)).scalar_one()


def assert_agreement(services: Services) -> None:
    """No row without its object, no object without its row, and nothing left to delete."""
    assert list(reconcile(services, repair=False, older_than=timedelta(0))) == []
    assert number_of(services, DoomedObject) == 0


def kept_names(services: Services) -> list[int]:
    with services.sessions() as session:
        return sorted(session.scalars(select(Scan.id)))


def test_what_is_too_old_goes_with_its_objects_and_the_rest_stays(
    services: Services,
    admin: FlaskClient,
    patient_id: int,
    analyse: Analyse,
    renderer: ReportRenderer,
) -> None:
    old, young, held, at_work = analyse(patient_id, 2), analyse(patient_id, 2), [], []
    held_id, _ = new_patient(services, "Held Patient")
    held = analyse(held_id, 1)
    with services.sessions.begin() as session:
        retention.hold(session, session.get_one(Patient, held_id), is_held=True)
    report = report_on(admin, renderer, services, *old)
    send(admin, patient_id)
    with services.sessions() as session:
        at_work = [session.scalars(select(Scan).order_by(Scan.id.desc())).first() or Scan()]
    make_old(services, *old, *held, *at_work, report)
    make_old(services, *young, days=YOUNG)
    due = retention.count_due(services, ALL)
    assert due == {"reports": 1, "scans": 2, "mails": 0, "ledger lines": 0}
    assert_agreement(services)  # counting changed nothing
    removed = retention.apply(services, ALL)
    assert removed == {"reports": 1, "scans": 2, "objects": 1 + 2 * 3}
    assert kept_names(services) == sorted(scan.id for scan in (*young, *held, *at_work))
    assert number_of(services, Report) == 0
    assert len(stored(services)) == 3 * 3 + 1
    assert_agreement(services)
    with services.sessions() as session:
        act = session.scalars(select(AuditEvent).where(AuditEvent.action == "retention.applied")).one()
        assert (act.actor, act.subject) == ("cli", "records")
        assert act.details is not None
        assert act.details["removed"] == removed
        assert act.details["days"]["scans"] == YEAR
        assert audit.verify(session).broken_at is None
    assert retention.apply(services, ALL) == {"objects": 0}


def test_a_scan_stays_as_long_as_a_report_covers_it(
    services: Services, admin: FlaskClient, patient_id: int, analyse: Analyse, renderer: ReportRenderer
) -> None:
    scans = analyse(patient_id, 2)
    first = report_on(admin, renderer, services, *scans)
    second = report_on(admin, renderer, services, scans[0])
    make_old(services, *scans, first)
    assert retention.count_due(services, ALL)["scans"] == 1
    retention.apply(services, ALL)
    assert kept_names(services) == [scans[0].id]
    assert_agreement(services)
    make_old(services, second)
    retention.apply(services, ALL)
    assert kept_names(services) == []
    assert_agreement(services)


def test_a_scan_names_the_newest_report_that_is_left(
    services: Services, admin: FlaskClient, patient_id: int, analyse: Analyse, renderer: ReportRenderer
) -> None:
    [scan] = analyse(patient_id, 1)
    first = report_on(admin, renderer, services, scan)
    second = report_on(admin, renderer, services, scan)
    make_old(services, second)
    retention.apply(services, ALL)
    with services.sessions() as session:
        assert session.get_one(Scan, scan.id).report_path == first.report_path
    make_old(services, first)
    retention.apply(services, Limits(reports=YEAR))
    with services.sessions() as session:
        assert session.get_one(Scan, scan.id).report_path is None


def test_scans_of_strangers_have_a_limit_of_their_own(
    services: Services, patient_id: int, analyse: Analyse, pipeline: ScanPipeline, admin: FlaskClient
) -> None:
    ours = analyse(patient_id, 1)
    with services.sessions.begin() as session:
        before = set(session.scalars(select(Scan.id)))
    assert send_one(admin, patient_id).status_code == 202
    assert pipeline.drain() == 1
    with services.sessions.begin() as session:
        theirs = session.scalars(select(Scan).where(Scan.id.not_in(before))).one()
        session.execute(update(Job).where(Job.scan_id == theirs.id).values(is_public=True))
    make_old(services, *ours, theirs, days=8)
    retention.apply(services, Limits(public_scans=7))
    assert kept_names(services) == [scan.id for scan in ours]
    assert_agreement(services)


def _add_mail(session: Session, patient_id: int, name: str, status: JobStatus, days: float) -> None:
    mail = Mail(template=MailTemplate.CREDENTIALS, patient_id=patient_id, message_id=name)
    session.add(mail)
    session.flush()
    ended = None if status == JobStatus.QUEUED else func.now() - timedelta(days=days)
    session.add(Job(kind=JobKind.MAIL, mail_id=mail.id, status=status, finished_at=ended))


def test_ledgers_and_mails_go_early_and_results_stay(
    services: Services, patient_id: int, analyse: Analyse
) -> None:
    old, young = analyse(patient_id, 2), analyse(patient_id, 1)
    with services.sessions.begin() as session:
        _add_mail(session, patient_id, "<old>", JobStatus.SUCCEEDED, OLD)
        _add_mail(session, patient_id, "<new>", JobStatus.FAILED, YOUNG)
        _add_mail(session, patient_id, "<waiting>", JobStatus.QUEUED, OLD)
        for scan in old:
            at = func.now() - timedelta(days=OLD)
            session.execute(update(Job).where(Job.scan_id == scan.id).values(finished_at=at))
    removed = retention.apply(services, Limits(work=YEAR))
    assert (removed["mails"], removed["ledger lines"]) == (1, 2 * 3)
    assert kept_names(services) == sorted(scan.id for scan in (*old, *young))
    with services.sessions() as session:
        assert sorted(session.scalars(select(Mail.message_id))) == ["<new>", "<waiting>"]
    assert number_of(services, JobEvent) == 3
    assert_agreement(services)


def test_a_run_that_breaks_off_is_finished_by_the_next_in_small_steps(
    services: Services,
    patient_id: int,
    analyse: Analyse,
    images: FailingStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ageing, "ROWS_AT_ONCE", 2)
    scans = analyse(patient_id, 5)
    make_old(services, *scans)
    images.broken = frozenset({"delete"})
    with pytest.raises(StorageError):
        retention.apply(services, ALL)
    assert kept_names(services) == sorted(scan.id for scan in scans)[2:]  # one step was made
    assert number_of(services, DoomedObject) == 2 * 3
    images.broken = frozenset()
    assert retention.apply(services, ALL) == {"objects": 5 * 3, "scans": 3}
    assert stored(services) == []
    assert (number_of(services, Job), number_of(services, Batch)) == (0, 0)
    assert_agreement(services)
    with services.sessions() as session:
        acts = session.scalars(select(AuditEvent).where(AuditEvent.action == "retention.applied")).all()
    assert [act.details["removed"] for act in acts if act.details] == [
        {"scans": 2, "objects": 0},
        {"objects": 15, "scans": 3},
    ]


def test_a_report_asked_for_at_the_same_moment_keeps_its_scans(
    services: Services, patient_id: int, analyse: Analyse
) -> None:
    scans = analyse(patient_id, 2)
    make_old(services, *scans)
    with services.sessions.begin() as session:
        reports.request_report(session, patient_id, [scans[0].scan_id])
        removed = retention.apply(services, ALL)  # the request is not committed yet
    assert removed["scans"] == 1
    assert kept_names(services) == [scans[0].id]


def test_one_patient_is_forgotten_whole_and_others_are_not_touched(
    services: Services,
    admin: FlaskClient,
    patient_id: int,
    analyse: Analyse,
    renderer: ReportRenderer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forgetting, "ROWS_AT_ONCE", 2)
    other_id, other = new_patient(services)
    others = analyse(other_id, 1)
    report_on(admin, renderer, services, *others)
    theirs = analyse(patient_id, 3)
    report_on(admin, renderer, services, *theirs)
    send(admin, patient_id, *pictures(2), headers={"Idempotency-Key": "with file names in its answer"})
    with services.sessions.begin() as session:
        _add_mail(session, patient_id, "<theirs>", JobStatus.SUCCEEDED, 1)
        _add_mail(session, other_id, "<others>", JobStatus.SUCCEEDED, 1)
    forgotten = retention.forget(services, patient_id)
    assert (forgotten.scans, forgotten.reports, forgotten.mails) == (5, 1, 1)
    assert forgotten.objects == 3 * 3 + 2 + 2 + 1 - 2  # what was never analysed has an original only
    assert kept_names(services) == [scan.id for scan in others]
    assert [number_of(services, kind) for kind in (Patient, Report, Mail, IdempotencyKey)] == [1, 1, 1, 0]
    assert len(stored(services)) == 3
    assert_agreement(services)
    assert other.get(f"/api/patient/{other_id}/scans").status_code == 200
    with services.sessions() as session:
        acts = list(
            session.scalars(select(AuditEvent.action).where(AuditEvent.subject == f"patient:{patient_id}"))
        )
        assert acts[-1] == "patient.forgotten"
        assert "scan.uploaded" in acts
        assert audit.verify(session).broken_at is None


def test_a_report_asked_for_while_its_patient_is_forgotten_goes_too(
    services: Services, patient_id: int, analyse: Analyse, monkeypatch: pytest.MonkeyPatch
) -> None:
    [scan] = analyse(patient_id, 1)
    is_asked = False

    def delete_and_ask(given: Services) -> int:  # between the removal of reports and that of scans
        nonlocal is_asked
        if not is_asked:
            is_asked = True
            with services.sessions.begin() as session:
                reports.request_report(session, patient_id, [scan.scan_id])
        return doomed.delete_doomed(given)

    report = Report(patient_id=patient_id, report_id="R1", report_path="R1.pdf")
    with services.sessions.begin() as session:
        session.add(report)
    monkeypatch.setattr(forgetting, "delete_doomed", delete_and_ask)
    forgotten = retention.forget(services, patient_id)
    assert is_asked
    assert (forgotten.scans, forgotten.reports) == (1, 2)
    assert_agreement(services)


def test_forgetting_goes_on_after_an_outage(
    services: Services, patient_id: int, analyse: Analyse, images: FailingStore
) -> None:
    analyse(patient_id, 2)
    images.broken = frozenset({"delete"})
    with pytest.raises(StorageError):
        retention.forget(services, patient_id)
    images.broken = frozenset()
    retention.forget(services, patient_id)
    assert (number_of(services, Patient), stored(services)) == (0, [])
    assert_agreement(services)


def test_old_pdfs_of_a_forgotten_patient_go_too(services: Services, patient_id: int) -> None:
    folder = services.settings.report_folder
    folder.mkdir(parents=True)
    for name in ("old report.pdf", "moved.pdf", "kept.pdf"):
        (folder / name).write_bytes(b"%PDF")
    with services.sessions.begin() as session:
        moved = {"report_path": "RPT-moved.pdf", "legacy_path": "reports/moved.pdf"}
        session.add_all(
            [
                Report(
                    patient_id=patient_id,
                    report_id="RPT1",
                    report_path="reports/old report.pdf",
                    is_legacy=True,
                ),
                Report(patient_id=patient_id, report_id="RPT2", **moved),
                Report(
                    patient_id=patient_id, report_id="RPT3", report_path="reports/gone.pdf", is_legacy=True
                ),
            ]
        )
        address = "https://pictures.example.org/1.png"
        scan = Scan(patient_id=patient_id, scan_id="S1", original_filename="1.png", original_path=address)
        session.add(scan)
    services.reports.put("RPT-moved.pdf", b"%PDF", "application/pdf")
    assert retention.forget(services, patient_id).left_at == [address]
    assert [path.name for path in folder.iterdir()] == ["kept.pdf"]
    assert number_of(services, Patient) == 0


def test_the_commands_ask_first_and_honour_a_hold(
    services: Services,
    patient_id: int,
    analyse: Analyse,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = services.settings
    assert settings.database_url is not None
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("IMAGE_FOLDER", str(settings.image_folder))
    monkeypatch.setenv("REPORT_FOLDER", str(settings.report_folder))
    make_old(services, *analyse(patient_id, 2))
    with services.sessions() as session:
        name = session.get_one(Patient, patient_id).patient_id

    def said(*arguments: str, status: int = 0) -> str:
        assert main(arguments) == status
        told = capsys.readouterr()
        return told.out + told.err

    assert "no limit is set" in said("retention", "--apply")
    monkeypatch.setenv("RETENTION_SCAN_DAYS", "365")
    assert "scans: 2 would be removed" in said("retention")
    assert "scans: 0 would be removed" in said("retention", "--older-than", "500")
    said("hold-patient", name)
    assert "scans: 0 would be removed" in said("retention", "--dry-run")
    assert "on hold" in said("forget-patient", str(patient_id), "--yes", status=1)
    said("release-patient", str(patient_id))
    assert "repeat with --yes" in said("forget-patient", name, status=1)
    assert "scans: 2 removed" in said("retention", "--apply")
    assert "0 scans, 0 reports" in said("forget-patient", name, "--yes")
    assert "no such patient" in said("forget-patient", name, "--yes", status=1)
    with services.sessions() as session:
        acts = list(session.scalars(select(AuditEvent.action).where(AuditEvent.actor == "cli")))
    assert acts == ["patient.held", "patient.released", "retention.applied", "patient.forgotten"]


def test_a_patient_on_hold_is_not_forgotten(services: Services, patient_id: int, analyse: Analyse) -> None:
    analyse(patient_id, 1)
    with services.sessions.begin() as session:
        retention.hold(session, session.get_one(Patient, patient_id), is_held=True)
    with pytest.raises(ConflictError):
        retention.forget(services, patient_id)
    assert len(stored(services)) == 3


def test_a_staged_original_goes_from_the_staging_store(
    services: Services, patient_id: int, admin: FlaskClient, tmp_path: Path
) -> None:
    staging = FailingStore(tmp_path / "staging", "staging", "secret", 60)
    staged = replace(services, staging=staging)
    assert send(admin, patient_id).status_code == 202
    with services.sessions.begin() as session:
        scan = session.scalars(select(Scan)).one()
        scan.is_staged = True
        staging.put(scan.original_path, services.images.get(scan.original_path), "image/png")
    retention.forget(staged, patient_id)
    assert [*staging.keys(""), *stored(services)] == []
