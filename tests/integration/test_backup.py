"""`backup` and `restore`: everything comes back, into an empty database only, or nothing is touched."""

import gzip
import json
import shutil
import stat
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import MetaData, Table, func, inspect, select, text, update
from sqlalchemy.orm import Session

from api.cli import main
from shared import accounts, audit, jobs
from shared.accounts import PatientFacts
from shared.backup import Restored, read_manifest, restore, take_backup
from shared.backup.parts import Line
from shared.database import make_engine, make_sessions
from shared.errors import BackupError, ConflictError
from shared.maintenance import alone
from shared.migrations import downgrade, known_revisions, upgrade
from shared.models import (
    Batch,
    BatchOrigin,
    DoomedObject,
    IdempotencyKey,
    Job,
    JobKind,
    JobStatus,
    Login,
    LoginFailure,
    Mail,
    MailTemplate,
    Patient,
    ReaderVerdict,
    Scan,
    ScanReview,
    Worker,
)
from shared.retention.removal import remove_scans
from shared.services import Services
from shared.settings import Settings
from shared.storage import LocalStore
from tests.fakes import PROVENANCE, MadeUpModel, picture
from tests.integration.conftest import SECRET
from tests.integration.fresh_database import fresh_database
from tests.integration.sending import new_batch, pictures, send
from worker.pipeline import LoadedModel, ScanPipeline
from worker.rendering import ReportRenderer

NASTY = "Zoë\t\\N\n\r\"'; DROP TABLE scans; -- \U0001d54a \u202e \\. \x01"
MOMENT = datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
HUGE = {"n": 2**62, "deep": [[], {}, None, True, 1e-300, NASTY], "": "\\u0041"}
RUNNING_WHEN_TAKEN = "scan-worker:1"


@pytest.fixture
def other(settings: Settings, services: Services) -> Iterator[Services]:
    """The same stores over an empty database."""
    with fresh_database(settings) as fresh:
        engine = make_engine(fresh)
        yield replace(services, settings=fresh, sessions=make_sessions(engine))
        engine.dispose()


@pytest.fixture
def filled(
    services: Services,
    admin: FlaskClient,
    patient_id: int,
    pipeline: ScanPipeline,
    renderer: ReportRenderer,
) -> Services:
    """Work in every state, and a row of the nasty kind in every table."""
    send(admin, patient_id, *pictures(3))
    assert pipeline.drain() == 3
    assert admin.post("/api/report/generate", json={"patient_id": patient_id}).status_code == 202
    assert renderer.drain() == 1
    new_batch(admin)
    send(
        admin, patient_id, *pictures(2), headers={"Idempotency-Key": NASTY.encode("unicode_escape").decode()}
    )
    with services.sessions.begin() as session:
        assert len(jobs.claim_fresh(session, JobKind.SCAN, RUNNING_WHEN_TAKEN, 1, 60)) == 1
        _nasty_rows(session)
        audit.record(session, "cli", "test.nasty", "patient:1", NASTY[:60], HUGE)
    return services


def _nasty_rows(session: Session) -> None:
    patient = accounts.create_patient(session, PatientFacts(NASTY, "nasty@example.org"))[0]
    patient.address, patient.updated_at = NASTY, MOMENT
    mail = Mail(template=MailTemplate.CREDENTIALS, patient_id=patient.id, message_id=NASTY, secret=NASTY)
    session.add_all(
        [
            mail,
            Login(token_sha256="0" * 64, patient_id=patient.id, expires_at=MOMENT),
            LoginFailure(account_sha256="1" * 64, address="::1", at=MOMENT),
            Worker(name=RUNNING_WHEN_TAKEN, role="scan", device=NASTY[:50]),
            IdempotencyKey(caller="admin:1", key=NASTY, fingerprint="f" * 64, answer=HUGE),
            Batch(origin=BatchOrigin.REQUEST, name=NASTY, cancelled_at=MOMENT),
            DoomedObject(role="images", key="original/gone.png"),
            ScanReview(scan_id=1, admin_id=1, verdict=ReaderVerdict.UNUSABLE, comment=NASTY, at=MOMENT),
        ]
    )
    session.flush()
    session.add(Job(id=uuid.uuid4(), kind=JobKind.MAIL, mail_id=mail.id, error_message=NASTY))
    # As long as the type allows, so that a sequence or a number that is cut short would show.
    session.execute(text("SELECT setval('jobs_position_seq', 9007199254740993)"))
    session.execute(update(Scan).where(Scan.id == 1).values(explanation=HUGE, probability=0.1 + 0.2))


def contents(services: Services) -> dict[str, list[Any]]:
    """All rows of all tables but the schema's version."""
    with services.sessions() as session:
        connection = session.connection()
        found = {}
        for name in inspect(connection).get_table_names():
            table = Table(name, MetaData(), autoload_with=connection)
            rows = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
            found[name] = [dict(row) for row in rows]
    found.pop("alembic_version")
    return found


def inventory_of(folder: Path) -> list[Line]:
    with gzip.open(folder / "objects.jsonl.gz") as file:
        return [json.loads(line) for line in file]


def brought_back(other: Services, folder: Path) -> Restored:
    return restore(other, folder, read_manifest(folder))


def test_every_row_of_every_table_comes_back_as_it_was(
    filled: Services, other: Services, tmp_path: Path
) -> None:
    before = contents(filled)
    assert [name for name, rows in before.items() if not rows] == []
    taken = take_backup(filled, tmp_path / "backup")
    assert taken.rows == sum(map(len, before.values()))
    restored = brought_back(other, tmp_path / "backup")
    after = contents(other)
    assert (restored.rows, restored.queued_again, restored.objects.missing) == (taken.rows, 1, 0)
    assert (restored.verdict.broken_at, restored.verdict.has_known_head) == (None, True)
    assert after.pop("audit_events")[:-1] == before.pop("audit_events")
    assert after.pop("logins") == []  # one that was ended since must not open again
    assert before.pop("logins") != []
    [event] = [event for event in after["job_events"] if event not in before["job_events"]]
    assert (event["status_from"], event["status_to"]) == ("running", "queued")
    after["job_events"].remove(event)
    changed = [(was, now) for was, now in zip(before["jobs"], after["jobs"], strict=True) if was != now]
    [(was, now)] = changed
    assert (was["lease_owner"], now["lease_owner"], now["status"]) == (RUNNING_WHEN_TAKEN, None, "queued")
    assert now["attempt"] - now["spent_attempts"] == was["attempt"] - was["spent_attempts"] - 1
    assert {**before, "jobs": []} == {**after, "jobs": []}


def test_work_goes_on_after_the_restore(filled: Services, other: Services, tmp_path: Path) -> None:
    take_backup(filled, tmp_path / "backup")
    brought_back(other, tmp_path / "backup")
    pipeline = ScanPipeline(other, LoadedModel(MadeUpModel(), 64, PROVENANCE))
    assert pipeline.drain() == 2  # one was queued, one was running
    pipeline.close()
    with other.sessions.begin() as session:
        scans = session.scalars(select(Scan)).all()
        assert all(other.images.exists(scan.overlay_path or "") for scan in scans)
        highest = session.execute(select(func.max(Patient.id))).scalar_one()
        facts = PatientFacts("New", "new@example.org")
        assert accounts.create_patient(session, facts)[0].id == highest + 1  # sequences go on
        audit.record(session, audit.CLI, "test", "patient:1")
    with other.sessions() as session:
        assert audit.verify(session).broken_at is None


def test_an_older_schema_is_restored_and_brought_up_to_date(
    filled: Services, other: Services, tmp_path: Path, settings: Settings
) -> None:
    with fresh_database(settings) as old:
        engine = make_engine(old)
        upgrade(engine)
        older = replace(filled, settings=old, sessions=make_sessions(engine))
        with older.sessions.begin() as session:
            accounts.create_patient(session, PatientFacts(NASTY, "ada@example.org"))
        downgrade(engine, "0004")
        taken = take_backup(older, tmp_path / "backup")
        engine.dispose()
    assert taken.schema_revision == "0004"
    upgrade(other.sessions.kw["bind"])  # empty, and further than the backup
    brought_back(other, tmp_path / "backup")
    with other.sessions() as session:
        assert session.scalar(select(Patient.name)) == NASTY
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == known_revisions()[-1]


def test_the_inventory_tells_what_the_rows_name_and_what_is_missing(
    filled: Services, other: Services, tmp_path: Path
) -> None:
    with filled.sessions() as session:
        scans = {scan.original_path: scan for scan in session.scalars(select(Scan))}
    gone = next(key for key, scan in scans.items() if scan.analysed_at)
    filled.images.delete(gone)
    taken = take_backup(filled, tmp_path / "backup")
    lines = {str(line["key"]): line for line in inventory_of(tmp_path / "backup")}
    assert taken.inventory.objects == len(lines) == 5 + 2 * 3 + 1  # originals, pictures, a PDF
    assert [key for key, line in lines.items() if not line["stored"]] == [gone]
    for key, scan in scans.items():
        assert (lines[key]["sha256"], lines[key]["bytes"]) == (scan.sha256, scan.byte_size)
    assert {line["vendor"] for line in lines.values()} == {"local"}
    assert {line["role"] for line in lines.values()} == {"images", "reports"}
    restored = brought_back(other, tmp_path / "backup")
    assert (restored.objects.missing, list(restored.objects.examples)) == (1, [("images", gone)])


def test_objects_that_the_backup_has_are_put_where_they_are_missing(
    filled: Services, other: Services, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    take_backup(filled, folder, with_objects=True)
    originals = {str(line["key"]): filled.images.get(str(line["key"])) for line in inventory_of(folder)[:4]}
    empty = {role: LocalStore(tmp_path / "new" / role, role, SECRET, 60) for role in ("images", "reports")}
    restored = brought_back(replace(other, **empty), folder)
    assert (restored.objects.back, restored.objects.missing) == (12, 0)
    for key, data in originals.items():
        assert empty["images"].get(key) == data
    assert len(list((tmp_path / "new").rglob("*.p*"))) == 12


def test_objects_alone_come_back_but_none_of_what_was_removed_on_purpose(
    filled: Services,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    take_backup(filled, tmp_path / "backup", with_objects=True)
    with filled.sessions() as session:
        forgotten, kept = session.scalars(select(Scan).order_by(Scan.id.desc()).limit(2)).all()
    with filled.sessions.begin() as session:
        remove_scans(session, [forgotten.id])
    shutil.rmtree(filled.settings.image_folder)
    before = contents(filled)
    assert filled.settings.database_url is not None
    monkeypatch.setenv("DATABASE_URL", filled.settings.database_url.get_secret_value())
    monkeypatch.setenv("IMAGE_FOLDER", str(filled.settings.image_folder))
    monkeypatch.setenv("REPORT_FOLDER", str(filled.settings.report_folder))
    assert main(["restore", str(tmp_path / "backup"), "--only-objects"]) == 0
    assert "brought back: 10, missing: 0" in capsys.readouterr().out
    assert filled.images.exists(kept.original_path)
    assert not filled.images.exists(forgotten.original_path)
    assert contents(filled) == before


def test_an_original_that_left_staging_after_the_backup_is_not_missed(
    filled: Services, other: Services, tmp_path: Path
) -> None:
    staging = LocalStore(tmp_path / "staging", "staging", SECRET, 60)
    with filled.sessions.begin() as session:
        scan = session.scalars(select(Scan).where(Scan.analysed_at.is_(None))).first()
        assert scan is not None
        scan.is_staged = True
        data = filled.images.get(scan.original_path)
        staging.put(scan.original_path, data, "image/png")
        filled.images.delete(scan.original_path)
    take_backup(replace(filled, staging=staging), tmp_path / "backup")
    filled.images.put(scan.original_path, data, "image/png")
    staging.delete(scan.original_path)
    assert brought_back(replace(other, staging=staging), tmp_path / "backup").objects.missing == 0


def test_only_the_owner_may_read_a_backup_and_it_holds_no_settings(filled: Services, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    take_backup(filled, folder, with_objects=True)
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert filled.settings.database_url is not None
    password = filled.settings.database_url.get_secret_value().split(":")[2].split("@")[0]
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            told = gzip.decompress(data) if path.suffix == ".gz" else data
            assert SECRET.encode() not in told
            assert password.encode() not in told
    assert [path.name for path in tmp_path.glob(".*.part")] == []


def test_a_backup_is_never_written_over_and_a_failed_one_leaves_nothing(
    filled: Services, tmp_path: Path, images: Any
) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(BackupError, match="already"):
        take_backup(filled, tmp_path / "there")
    images.broken = frozenset({"keys"})
    with pytest.raises(Exception, match="made-up outage"):
        take_backup(filled, tmp_path / "backup")
    assert sorted(path.name for path in tmp_path.iterdir() if "backup" in path.name) == []


def test_a_backup_while_scans_come_in_is_of_one_moment(
    services: Services, admin: FlaskClient, patient_id: int, other: Services, tmp_path: Path
) -> None:
    enough = threading.Event()
    client = admin

    def upload() -> None:
        while not enough.is_set():
            assert send(client, patient_id, ("a.png", picture())).status_code == 202

    sender = threading.Thread(target=upload)
    sender.start()
    try:
        for number in range(3):
            take_backup(services, tmp_path / str(number))
    finally:
        enough.set()
        sender.join()
    restored = brought_back(other, tmp_path / "2")  # foreign keys hold, or it would have been refused
    with other.sessions() as session:
        scans = session.scalars(select(Scan)).all()
        without_job = select(func.count(Scan.id)).where(
            ~select(Job.id).where(Job.scan_id == Scan.id).exists()
        )
        assert session.scalar(without_job) == 0
    assert scans
    assert restored.objects.missing == 0
    assert len(scans) == sum(line["role"] == "images" for line in inventory_of(tmp_path / "2"))


DAMAGES: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("manifest.json", lambda path: path.write_bytes(path.read_bytes().replace(b'"0', b'"1', 1))),
    ("manifest.json", lambda path: path.write_bytes(path.read_bytes()[:200])),
    ("manifest.sha256", lambda path: path.write_bytes(b"")),
    ("manifest.sha256", Path.unlink),
    ("tables/scans.copy.gz", lambda path: path.write_bytes(path.read_bytes()[:-1])),
    ("tables/jobs.copy.gz", lambda path: path.write_bytes(path.read_bytes().swapcase())),
    ("tables/audit_events.copy.gz", Path.unlink),
    ("objects.jsonl.gz", lambda path: path.write_bytes(path.read_bytes() + b"\0")),
    ("objects/reports", shutil.rmtree),
    ("objects/images/original", lambda path: next(path.iterdir()).write_bytes(picture(1))),
)


def test_a_damaged_backup_is_refused_before_anything_is_written(
    filled: Services,
    other: Services,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    take_backup(filled, tmp_path / "backup", with_objects=True)
    assert other.settings.database_url is not None
    monkeypatch.setenv("DATABASE_URL", other.settings.database_url.get_secret_value())
    for number, (name, damage) in enumerate(DAMAGES):
        folder = shutil.copytree(tmp_path / "backup", tmp_path / str(number))
        damage(folder / name)
        assert main(["restore", str(folder)]) == 1, name
        said = capsys.readouterr()
        assert "backup" in said.err, name
        assert said.out == "", name
    with other.sessions() as session:
        assert inspect(session.connection()).get_table_names() == []


def test_a_restore_that_breaks_off_leaves_an_empty_database_and_is_run_again(
    filled: Services, other: Services, tmp_path: Path
) -> None:
    taken = take_backup(filled, tmp_path / "backup")
    *most, last = taken.tables
    wrong = taken.model_copy(update={"tables": (*most, last.model_copy(update={"rows": last.rows + 1}))})
    with pytest.raises(BackupError, match="not whole"):
        restore(other, tmp_path / "backup", wrong)  # everything but the last row is there by then
    assert {name: rows for name, rows in contents(other).items() if rows} == {}
    assert brought_back(other, tmp_path / "backup").rows == taken.rows


def test_a_backup_of_a_newer_version_is_refused(filled: Services, other: Services, tmp_path: Path) -> None:
    newer = take_backup(filled, tmp_path / "backup").model_copy(update={"schema_revision": "9999"})
    with pytest.raises(BackupError, match="does not know"):
        restore(other, tmp_path / "backup", newer)


def test_a_database_with_rows_is_left_as_it_is(filled: Services, tmp_path: Path) -> None:
    take_backup(filled, tmp_path / "backup")
    before = contents(filled)
    with pytest.raises(ConflictError, match="not empty"):
        brought_back(filled, tmp_path / "backup")
    assert contents(filled) == before


def test_a_database_of_something_else_is_left_as_it_is(
    filled: Services, other: Services, tmp_path: Path
) -> None:
    take_backup(filled, tmp_path / "backup")
    with other.sessions.begin() as session:
        session.execute(text("CREATE TABLE patients (id int)"))
    with pytest.raises(ConflictError, match="something else"):
        brought_back(other, tmp_path / "backup")


def test_the_commands_say_what_they_did_and_fit_together(
    filled: Services,
    other: Services,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings, fresh = filled.settings, other.settings
    assert settings.database_url is not None
    assert fresh.database_url is not None
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("IMAGE_FOLDER", str(settings.image_folder))
    monkeypatch.setenv("REPORT_FOLDER", str(settings.report_folder))
    folder = str(tmp_path / "backups" / "today")
    assert main(["backup", folder, "--objects"]) == 0
    assert "12 objects, copied" in capsys.readouterr().out
    assert main(["restore", folder, "--check"]) == 0
    assert "The backup is whole." in capsys.readouterr().out
    assert main(["restore", folder]) == 1  # the database that it came from
    assert "not empty" in capsys.readouterr().err
    monkeypatch.setenv("DATABASE_URL", fresh.database_url.get_secret_value())
    assert main(["restore", folder]) == 0
    said = capsys.readouterr().out
    assert "1 running jobs queued again" in said
    assert "unbroken" in said
    with other.sessions() as session:
        assert session.scalar(select(func.count()).where(Job.status == JobStatus.RUNNING)) == 0


def test_other_maintenance_and_a_backup_wait_for_each_other(filled: Services, tmp_path: Path) -> None:
    with alone(filled), pytest.raises(ConflictError, match="Wait until it has ended"):
        take_backup(filled, tmp_path / "backup")
    assert take_backup(filled, tmp_path / "backup").taken_at > datetime.now(UTC) - timedelta(minutes=5)
