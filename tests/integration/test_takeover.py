"""The database of the replaced system becomes ours without loss."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask.testing import FlaskClient
from sqlalchemy import Engine, inspect, make_url, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared.database import make_engine, make_sessions
from shared.errors import ConflictError, ServiceUnavailableError
from shared.migrations import alembic_config, upgrade
from shared.migrations.taken_over_people import UNKNOWN_PATIENT
from shared.models import Admin, Base, Job, JobEvent, Patient, Report, Scan, report_scans
from shared.passwords import verify_password
from shared.services import Services
from shared.settings import Settings
from shared.storage import LocalStore
from stack.postgres import Cluster
from tests.fakes import FailingStore, RecordingQueue
from tests.integration.conftest import SECRET, bearer, client_of
from tests.integration.replaced_system import (
    ADMIN_PASSWORD,
    CLOUD,
    OLDER,
    ORPHANS,
    PATIENT_PASSWORD,
    ROWS,
    TABLES,
    old_hash,
)
from worker.rendering import ReportRenderer

OLD_TABLES = ("admins", "patients", "scans", "reports")


@pytest.fixture
def old_settings(settings: Settings, postgres: Cluster) -> Iterator[Settings]:
    """Settings for an empty database of the test's own."""
    name = f"old_{uuid.uuid4().hex}"
    server = make_engine(settings).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(postgres.url).set(database=name).render_as_string(hide_password=False)
    yield settings.model_copy(update={"database_url": type(settings.database_url)(url)})
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def database(old_settings: Settings) -> Iterator[Engine]:
    built = make_engine(old_settings)
    yield built
    built.dispose()


@pytest.fixture
def taken_over(database: Engine) -> Engine:
    _run(database, TABLES, ROWS, ORPHANS)
    upgrade(database)
    return database


def test_an_empty_database_goes_up_down_and_up_again(database: Engine) -> None:
    upgrade(database)
    _downgrade(database)
    assert inspect(database).get_table_names() == ["alembic_version"]
    upgrade(database)
    assert _differences(database) == []


@pytest.mark.parametrize("script", [(TABLES,), (TABLES, ROWS), (TABLES, ROWS, ORPHANS), (OLDER,)])
def test_taken_over_tables_are_those_of_the_models(database: Engine, script: tuple[str, ...]) -> None:
    _run(database, *script)
    upgrade(database)
    assert _differences(database) == []


def test_a_second_upgrade_changes_nothing(taken_over: Engine) -> None:
    before = {table.name: _rows(taken_over, table.name) for table in Base.metadata.sorted_tables}
    upgrade(taken_over)
    assert {table.name: _rows(taken_over, table.name) for table in Base.metadata.sorted_tables} == before


def test_old_tables_are_kept_as_they_were_and_come_back_on_the_way_down(database: Engine) -> None:
    _run(database, TABLES, ROWS, ORPHANS)
    before = {name: _rows(database, name) for name in OLD_TABLES}
    indexes = {name: inspect(database).get_indexes(name) for name in OLD_TABLES}
    upgrade(database)
    assert {name: _rows(database, f"replaced.{name}") for name in OLD_TABLES} == before
    _downgrade(database)
    assert {name: _rows(database, name) for name in OLD_TABLES} == before
    assert {name: inspect(database).get_indexes(name) for name in OLD_TABLES} == indexes
    assert "replaced" not in inspect(database).get_schema_names()
    upgrade(database)
    assert _differences(database) == []


def test_a_failed_takeover_leaves_the_old_database_untouched(database: Engine) -> None:
    _run(database, TABLES, ROWS, "ALTER TABLE scans ALTER COLUMN created_at TYPE text")
    before = {name: _rows(database, name) for name in OLD_TABLES}
    with pytest.raises(ConflictError, match="created_at"):
        upgrade(database)
    assert sorted(inspect(database).get_table_names()) == sorted(OLD_TABLES)
    assert {name: _rows(database, name) for name in OLD_TABLES} == before


def test_a_replaced_system_that_still_runs_is_named(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.migrations.takeover.LOCK_TIMEOUT", "200ms")  # half a minute is too long here
    _run(database, TABLES, ROWS)
    with database.begin() as busy:
        busy.execute(text("UPDATE patients SET age = 42 WHERE id = 1"))
        with pytest.raises(ServiceUnavailableError, match="stop it"):
            upgrade(database)
    upgrade(database)


def test_admins_keep_everything(taken_over: Engine) -> None:
    with Session(taken_over) as session:
        chief, second = session.scalars(select(Admin).order_by(Admin.id))
    assert (chief.id, chief.username, chief.email, chief.role) == (1, "chief", None, "admin")
    assert chief.password_hash == old_hash(ADMIN_PASSWORD)
    assert chief.created_at == datetime(2024, 3, 31, 2, 30, tzinfo=UTC)
    assert (second.id, second.username, second.email) == (7, "second", "second@example.org")
    assert second.created_at is not None


def test_patients_keep_everything(taken_over: Engine) -> None:
    with Session(taken_over) as session:
        patients = {patient.id: patient for patient in session.scalars(select(Patient))}
    ada, child, long, blank = (patients[number] for number in (1, 2, 3, 4))
    assert (ada.patient_id, ada.name, ada.email) == ("PAT-aB12", "Ada Example", "ada@example.org")
    assert (ada.age, ada.gender, ada.phone, ada.address) == (41, "Female", "+44 1", "1 Road")
    assert (ada.username, ada.password_hash) == ("patient_ada", old_hash(PATIENT_PASSWORD))
    assert ada.created_at == datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert ada.updated_at == datetime(2024, 2, 2, 13, 0, 0, 123456, tzinfo=UTC)
    assert (child.email, child.shares_email, ada.shares_email) == ("ada@example.org", True, False)
    assert (child.name, child.age, child.gender) == ("Ada's child", 0, None)
    assert child.username.startswith("patient_")
    assert (long.name, long.gender, long.phone) == ("N" * 500, "g" * 60, "0" * 120)
    assert (long.email, long.age, long.address) == ("x" * 108 + "@example.org", -1, "a\nb")
    assert long.created_at == datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert (blank.name, blank.email, patients[900].email, patients[900].shares_email) == (
        "",
        None,
        None,
        False,
    )


def test_scans_keep_everything_and_speak_our_words(taken_over: Engine) -> None:
    with Session(taken_over) as session:
        scans = {scan.id: scan for scan in session.scalars(select(Scan))}
    first = scans[1]
    assert (first.patient_id, first.scan_id, first.original_filename) == (1, "SCAN-aa", "a b.png")
    assert first.original_path == f"{CLOUD}/original/a.png"
    assert (first.heatmap_path, first.overlay_path) == (f"{CLOUD}/heatmap/a.png", f"{CLOUD}/overlay/a.png")
    assert first.report_path == "reports/report_1.pdf"
    assert first.created_at == first.analysed_at == datetime(2024, 5, 5, 5, 5, 5, tzinfo=UTC)
    assert (scans[2].original_path, scans[2].heatmap_path) == ("temp_uploads/b.png", "C:\\temp\\h.png")
    assert (scans[3].original_filename, scans[3].heatmap_path) == ("c d.jpg", None)
    assert (scans[4].original_filename, scans[4].original_path) == ("", "")
    assert {number: _finding(scan) for number, scan in scans.items()} == {
        1: ("Tumor", 0.971, 0.971),
        2: ("No Tumor", 0.97123, 0.02877),  # percent, and the word's probability in both columns
        3: ("No Tumor", 0.999, 0.001),
        4: ("Tumor", 0.88, 0.88),
        5: (None, None, None),
        6: (None, None, None),
        7: ("Tumor", 1.0, 1.0),
        8: ("No Tumor", 0.6, 0.4),
        9: ("Tumor", None, None),
        20: ("Tumor", 0.9, 0.9),
        21: ("Tumor", 0.9, 0.9),
    }


def test_every_old_scan_has_an_ended_job_and_its_ledger(taken_over: Engine) -> None:
    with Session(taken_over) as session:
        query = select(Scan, Job, JobEvent).join(Job, Job.scan_id == Scan.id).join(JobEvent)
        rows = session.execute(query.order_by(Job.position)).all()
    assert [scan.id for scan, _, _ in rows] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21]
    for scan, job, event in rows:
        expected = ("failed", "NOT_TAKEN_OVER") if scan.id in (5, 6) else ("succeeded", None)
        assert (job.status, job.error_code) == expected
        assert (job.created_at, job.finished_at) == (scan.created_at, scan.created_at)
        assert (event.status_from, event.status_to, event.reason) == (None, job.status, "taken over")


def test_reports_keep_everything_and_know_their_scans(taken_over: Engine) -> None:
    with Session(taken_over) as session:
        reports = {report.id: report for report in session.scalars(select(Report))}
        covered = session.execute(select(report_scans).order_by(report_scans.c.scan_id)).all()
    assert all(report.is_legacy and report.legacy_path is None for report in reports.values())
    assert (reports[1].report_id, reports[1].report_path) == ("RPT-aa", "reports/report_1.pdf")
    assert _counts(reports[1]) == (2, 1, 1)
    assert reports[1].created_at == datetime(2024, 6, 1, tzinfo=UTC)
    assert reports[2].report_path == "D:\\app\\reports\\report_2.pdf"
    assert (_counts(reports[2]), _counts(reports[3]), reports[3].report_path) == ((1, 0, 0), (0, 0, 0), None)
    assert [tuple(row) for row in covered] == [(1, 1), (1, 2)]


def test_records_whose_patient_is_gone_keep_an_owner(taken_over: Engine) -> None:
    with Session(taken_over) as session:
        owners = dict(session.execute(select(Scan.id, Scan.patient_id).where(Scan.id >= 20)).all())
        unknown = session.scalars(select(Patient).where(Patient.name == UNKNOWN_PATIENT)).all()
        report = session.execute(select(Report).where(Report.id == 20)).scalar_one()
    assert owners == {20: 77, 21: 951}
    assert report.patient_id == 950
    assert sorted(patient.id for patient in unknown) == [77, 950, 951]
    assert {(patient.email, patient.password_hash) for patient in unknown} == {(None, "")}


def test_new_rows_get_ids_after_the_old_ones(taken_over: Engine) -> None:
    with Session(taken_over) as session:
        patient = Patient(
            patient_id="P1", name="New", email="new@example.org", username="n", password_hash=""
        )
        session.add(patient)
        session.flush()
        scan = Scan(patient_id=patient.id, scan_id="S1", original_filename="", original_path="a.png")
        session.add_all([scan, Report(patient_id=patient.id, report_id="R1")])
        session.add(Admin(username="new", password_hash=""))
        session.flush()
        assert (patient.id, scan.id) == (952, 22)


def test_a_new_patient_can_take_no_old_address(taken_over: Engine) -> None:
    for address in ("ada@example.org", "x" * 108 + "@example.org"):
        with Session(taken_over) as session:
            session.add(Patient(patient_id="P", name="", email=address, username="n", password_hash=""))
            with pytest.raises(IntegrityError, match="uq_patients_email"):
                session.flush()


def test_an_older_version_without_constraints_and_with_other_types_is_taken_over_too(
    database: Engine,
) -> None:
    _run(database, OLDER)
    upgrade(database)
    with Session(database) as session:
        admins = session.scalars(select(Admin).order_by(Admin.id)).all()
        one, two, three = session.scalars(select(Patient).order_by(Patient.id)).all()
        scans = session.scalars(select(Scan).order_by(Scan.id)).all()
    assert [admin.username for admin in admins[:2]] == ["twin", "twin-2"]
    assert admins[2].username.startswith("admin_")
    assert (one.patient_id, one.age, one.email, one.username) == ("P1", 45, None, "same")
    assert one.created_at == one.updated_at == datetime(2024, 1, 1, 10, tzinfo=UTC)
    assert (two.patient_id, two.age, two.username) == ("P1-2", None, "same-2")
    assert (three.name, three.age) == ("", 7)
    assert len(three.patient_id) == 21
    assert [_finding(scan) for scan in scans] == [("Tumor", 0.9712345, 0.971), ("No Tumor", 0.99999, 0.00001)]
    assert [scan.scan_id for scan in scans] == ["S1", "S1-2"]
    assert scans[0].created_at == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def old_services(old_settings: Settings, taken_over: Engine, images: FailingStore) -> Services:
    reports = LocalStore(old_settings.report_folder, "reports", SECRET, old_settings.link_seconds)
    return Services(old_settings, make_sessions(taken_over), images, reports, RecordingQueue())


@pytest.fixture
def chief(old_services: Services) -> FlaskClient:
    return bearer(old_services, "/api/admin/login", "chief", ADMIN_PASSWORD)


@pytest.fixture
def ada(old_services: Services) -> FlaskClient:
    return bearer(old_services, "/api/patient/login", "patient_ada", PATIENT_PASSWORD)


def test_an_old_password_works_and_is_stored_anew(chief: FlaskClient, taken_over: Engine) -> None:
    assert chief.get("/api/admin/patients").status_code == 200
    with Session(taken_over) as session:
        stored = session.scalars(select(Admin.password_hash).where(Admin.username == "chief")).one()
    assert stored.startswith("$argon2id$")
    assert verify_password(stored, ADMIN_PASSWORD)


@pytest.mark.parametrize("username", ["patient_3", "patient_4"])
def test_nobody_signs_in_where_the_old_system_kept_no_hash(old_services: Services, username: str) -> None:
    client = client_of(old_services, use_cookies=False)
    for password in ("damaged", "x"):
        answer = client.post("/api/patient/login", json={"username": username, "password": password})
        assert answer.status_code == 401


def test_all_old_records_are_listed(chief: FlaskClient) -> None:
    patients = chief.get("/api/admin/patients").json["data"]
    assert [patient["id"] for patient in patients] == [951, 950, 900, 77, 4, 3, 2, 1]
    assert [patients[number]["email"] for number in (5, 4)] == ["x" * 108 + "@example.org", None]
    scans = chief.get("/api/admin/scans").json["data"]
    assert [scan["id"] for scan in scans] == [21, 20, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    reports = chief.get("/api/admin/reports").json["data"]
    assert [report["report_id"] for report in reports] == ["RPT-20", "RPT-2", "RPT-aa"]
    stats = chief.get("/api/admin/dashboard/stats").json["data"]
    assert stats["scan_stats"]["tumor_count"] == 6


def test_old_scans_are_shown_with_the_pictures_that_have_an_address(ada: FlaskClient) -> None:
    second, first = ada.get("/api/patient/1/scans").json["data"]
    assert first["original_path"] == f"{CLOUD}/original/a.png"
    assert first["heatmap_path"] == f"{CLOUD}/heatmap/a.png"
    assert (first["status"], first["prediction"], first["confidence"]) == ("succeeded", "Tumor", 0.971)
    assert (second["original_path"], second["heatmap_path"], second["overlay_path"]) == (None, None, None)
    picture = ada.get("/api/scans/1/image?kind=overlay")
    assert (picture.status_code, picture.headers["Location"]) == (302, f"{CLOUD}/overlay/a.png")


def test_a_scan_without_a_finding_says_what_to_do(chief: FlaskClient) -> None:
    scan = next(scan for scan in chief.get("/api/admin/scans").json["data"] if scan["id"] == 6)
    assert (scan["status"], scan["prediction"]) == ("failed", None)
    error = chief.get(f"/api/jobs/{scan['job_id']}").json["data"]["error"]
    assert error["code"] == "NOT_TAKEN_OVER"
    assert "Upload the slice again" in error["message"]


@pytest.mark.parametrize(("report_id", "name"), [("RPT-aa", "report_1.pdf"), ("RPT-2", "report_2.pdf")])
def test_old_reports_download(
    ada: FlaskClient, chief: FlaskClient, old_settings: Settings, report_id: str, name: str
) -> None:
    old_settings.report_folder.mkdir()
    (old_settings.report_folder / name).write_bytes(b"%PDF-1.4 of old")
    for client in (ada, chief):
        listed = client.get("/api/patient/1/reports").json["data"]
        shown = next(report["report_path"] for report in listed if report["report_id"] == report_id)
        assert shown.rsplit("/", 1)[-1] == name
        for way in (f"download/{report_id}", f"download-by-filename/{name}"):
            link = client.get(f"/api/report/{way}").json["download_url"]
            assert link.partition("?")[0] == f"/api/report/file/{name}"
            assert client.get(link).data == b"%PDF-1.4 of old"


def test_a_report_without_its_file_is_not_found(ada: FlaskClient) -> None:
    answer = ada.get("/api/report/download/RPT-aa")
    assert (answer.status_code, answer.json["code"]) == (404, "NOT_FOUND_ERROR")
    assert "REPORT_FOLDER" in answer.json["error"]


def test_a_new_report_covers_old_scans(ada: FlaskClient, chief: FlaskClient, old_services: Services) -> None:
    renderer = ReportRenderer(old_services)
    asked = chief.post("/api/report/generate", json={"patient_id": 1})
    assert asked.status_code == 202
    try:
        assert renderer.drain() == 1
    finally:
        renderer.close()
    newest = ada.get("/api/patient/1/reports").json["data"][0]
    assert (newest["scan_count"], newest["tumor_count"], newest["no_tumor_count"]) == (2, 1, 1)


def _run(database: Engine, *scripts: str) -> None:
    with database.begin() as connection:
        for script in scripts:
            connection.exec_driver_sql(script.replace("%", "%%"))


def _downgrade(database: Engine) -> None:
    config = alembic_config()
    with database.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")


def _differences(database: Engine) -> list[Any]:
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))


def _rows(database: Engine, table: str) -> list[Any]:
    with database.connect() as connection:
        return sorted(str(row) for row in connection.execute(text(f"SELECT * FROM {table}")))  # noqa: S608 - a name of ours


def _finding(scan: Scan) -> tuple[str | None, float | None, float | None]:
    return scan.prediction, scan.confidence, scan.probability


def _counts(report: Report) -> tuple[int, int, int]:
    return report.scan_count, report.tumor_count, report.no_tumor_count
