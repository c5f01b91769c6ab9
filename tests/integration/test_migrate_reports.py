"""`migrate-reports`: from the local disk to S3 and back, however often it is stopped."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from api.cli import main
from shared import legacy_reports, report_moves
from shared.errors import StorageError
from shared.models import Patient, Report, Scan
from shared.services import Services, build_services
from shared.settings import Settings, load_settings
from shared.storage import LocalStore
from tests.fakes import RecordingQueue
from tests.servers.s3 import S3Server

ROOT = Path(__file__).resolve().parents[2]
Printed = Callable[[], str]


class StoppingStore(LocalStore):
    """Takes as many objects as told, then fails."""

    puts_left = 10**6

    def put(self, key: str, data: bytes, content_type: str) -> None:
        if self.puts_left == 0:
            raise StorageError("made-up outage")
        self.puts_left -= 1
        super().put(key, data, content_type)


class ForgetfulStore(LocalStore):
    """Gives back other bytes than it took."""

    def get(self, key: str) -> bytes:
        return super().get(key)[:-1]


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    sessions: sessionmaker[Session],  # noqa: ARG001 - empties the tables
    s3_server: S3Server,
) -> None:
    """What an operator sets to go on with S3."""
    assert settings.database_url is not None
    settings.report_folder.mkdir()
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("REPORT_FOLDER", str(settings.report_folder))
    monkeypatch.setenv("AWS_S3_BUCKET", s3_server.bucket)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_access_key)
    monkeypatch.setenv("AWS_S3_ENDPOINT_URL", s3_server.url)


@pytest.fixture
def s3(environment: None) -> Services:  # noqa: ARG001
    return build_services(load_settings())


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    return lambda: capsys.readouterr().out


@pytest.fixture
def stopping(settings: Settings, sessions: sessionmaker[Session], tmp_path: Path) -> Services:
    """A report store that is not REPORT_FOLDER and fails when told."""
    settings.report_folder.mkdir()
    chosen = settings.model_copy(update={"report_store": "s3"})
    store = StoppingStore(tmp_path / "target", "reports", "secret", 3600)
    return Services(chosen, sessions, store, store, RecordingQueue())


def pdf(name: str) -> bytes:
    return f"%PDF-1.4 {name}".encode()


def add_reports(services: Services) -> None:
    """Two old reports with files, one of ours, one old one whose file is lost, and scans that name them."""
    folder = services.settings.report_folder
    for name in ("old_a.pdf", "old b.pdf", "RAAA.pdf"):
        (folder / name).write_bytes(pdf(name))
    with services.sessions.begin() as session:
        session.add(Patient(id=1, patient_id="P1", name="Ada", username="ada", password_hash=""))
        session.flush()
        session.add_all(
            [
                Report(
                    id=1, patient_id=1, report_id="RPT_1", report_path="reports/old_a.pdf", is_legacy=True
                ),
                Report(id=2, patient_id=1, report_id="RPT 2", report_path="C:\\r\\old b.pdf", is_legacy=True),
                Report(id=3, patient_id=1, report_id="RAAA", report_path="RAAA.pdf"),
                Report(id=4, patient_id=1, report_id="RPT_4", report_path="/srv/lost.pdf", is_legacy=True),
                Report(id=5, patient_id=1, report_id="RUNFINISHED"),
            ]
        )
        for number, path in enumerate(("reports/old_a.pdf", "RAAA.pdf", "/srv/lost.pdf")):
            scan = Scan(patient_id=1, scan_id=f"S{number}", original_filename="", original_path="a.png")
            scan.report_path = path
            session.add(scan)


def rows(services: Services) -> dict[str, tuple[str | None, bool, str | None]]:
    with services.sessions() as session:
        reports = session.scalars(select(Report).order_by(Report.id)).all()
    return {
        report.report_id: (report.report_path, report.is_legacy, report.legacy_path) for report in reports
    }


def scan_paths(services: Services) -> list[str | None]:
    with services.sessions() as session:
        return list(session.scalars(select(Scan.report_path).order_by(Scan.id)))


MOVED = {
    "RPT_1": ("RPT_1-taken-over-1.pdf", False, "reports/old_a.pdf"),
    "RPT 2": ("report-taken-over-2.pdf", False, "C:\\r\\old b.pdf"),
    "RAAA": ("RAAA.pdf", False, "RAAA.pdf"),
    "RPT_4": ("/srv/lost.pdf", True, None),
    "RUNFINISHED": (None, False, None),
}


def test_reports_are_moved_and_rows_and_scans_point_to_them(s3: Services, printed: Printed) -> None:
    add_reports(s3)
    assert main(["migrate-reports"]) == 1  # one file is missing
    assert printed().splitlines() == [
        "RPT_1: moved",
        "RPT 2: moved",
        "RAAA: moved",
        "RPT_4: missing",
        "Reports: 3 moved, 1 missing. The files in REPORT_FOLDER are kept.",
    ]
    assert rows(s3) == MOVED
    assert scan_paths(s3) == ["RPT_1-taken-over-1.pdf", "RAAA.pdf", "/srv/lost.pdf"]
    for key, name in (("RPT_1-taken-over-1.pdf", "old_a.pdf"), ("report-taken-over-2.pdf", "old b.pdf")):
        assert s3.reports.get(key) == pdf(name)
    assert len(list(s3.settings.report_folder.iterdir())) == 3


def test_moved_reports_are_read_from_s3(s3: Services) -> None:
    add_reports(s3)
    main(["migrate-reports"])
    for file in s3.settings.report_folder.iterdir():
        file.unlink()
    with s3.sessions() as session:
        reports = {report.report_id: report for report in session.scalars(select(Report))}
        assert [report.report_id for report in legacy_reports.named(session, "old_a.pdf")] == ["RPT_1"]
    assert legacy_reports.read(s3, reports["RPT_1"]) == pdf("old_a.pdf")
    assert legacy_reports.link(s3, reports["RPT 2"]).startswith("http")


def test_a_second_run_moves_nothing(s3: Services, printed: Printed) -> None:
    add_reports(s3)
    main(["migrate-reports"])
    before = rows(s3)
    printed()
    assert main(["migrate-reports", "--json"]) == 1
    answer = json.loads(printed())
    assert answer == {"moved": [], "missing": ["RPT_4"], "dry_run": False, "local_files": "kept"}
    assert rows(s3) == before


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(s3: Services, printed: Printed) -> None:
    add_reports(s3)
    before = rows(s3)
    assert main(["migrate-reports", "--dry-run", "--json"]) == 1
    answer = json.loads(printed())
    assert (answer["moved"], answer["missing"], answer["dry_run"]) == (
        ["RPT_1", "RPT 2", "RAAA"],
        ["RPT_4"],
        True,
    )
    assert rows(s3) == before
    assert not s3.reports.exists("RAAA.pdf")
    assert main(["migrate-reports", "--dry-run"]) == 1
    assert "RAAA: would be moved" in printed()


def test_with_all_files_there_the_status_is_0(s3: Services, printed: Printed) -> None:
    add_reports(s3)
    (s3.settings.report_folder / "lost.pdf").write_bytes(pdf("lost.pdf"))
    assert main(["migrate-reports"]) == 0
    assert "4 moved, 0 missing" in printed()


def test_a_rollback_restores_the_rows_whose_files_are_the_same(s3: Services, printed: Printed) -> None:
    add_reports(s3)
    before = rows(s3)
    main(["migrate-reports"])
    (s3.settings.report_folder / "old b.pdf").write_bytes(b"changed since")
    printed()
    assert main(["migrate-reports", "--rollback", "--json"]) == 1
    assert json.loads(printed()) | {"local_files": ""} == {
        "restored": ["RPT_1", "RAAA"],
        "left": ["RPT 2"],
        "dry_run": False,
        "local_files": "",
    }
    assert rows(s3) == {**before, "RPT 2": MOVED["RPT 2"]}
    assert scan_paths(s3) == ["reports/old_a.pdf", "RAAA.pdf", "/srv/lost.pdf"]
    assert s3.reports.get("RPT_1-taken-over-1.pdf") == pdf("old_a.pdf")


def test_reports_can_be_moved_again_after_a_rollback(s3: Services) -> None:
    add_reports(s3)
    main(["migrate-reports"])
    main(["migrate-reports", "--rollback"])
    main(["migrate-reports"])
    assert rows(s3) == MOVED


def test_reports_that_s3_has_already_are_let_be(s3: Services, printed: Printed) -> None:
    add_reports(s3)
    s3.reports.put("old_a.pdf", pdf("old_a.pdf"), report_moves.PDF)
    s3.reports.put("RAAA.pdf", b"rendered anew since", report_moves.PDF)
    main(["migrate-reports", "--json"])
    assert json.loads(printed())["moved"] == ["RPT 2"]
    assert s3.reports.get("RAAA.pdf") == b"rendered anew since"


def test_without_s3_it_is_refused_in_a_sentence(
    s3: Services,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("REPORT_STORE", "local")
    assert main(["migrate-reports"]) == 1
    assert "REPORT_STORE=s3" in capsys.readouterr().err


@pytest.mark.parametrize("puts", [0, 1, 2, 3])
def test_a_run_that_stops_is_continued_by_the_next(stopping: Services, puts: int) -> None:
    add_reports(stopping)
    store = stopping.reports
    assert isinstance(store, StoppingStore)
    store.puts_left = puts
    with suppress(StorageError):
        list(report_moves.move_all(stopping))
    done = [name for name, (_, _, old_path) in rows(stopping).items() if old_path is not None]
    assert len(done) == puts
    store.puts_left = 3 - puts  # no report is stored twice
    list(report_moves.move_all(stopping))
    assert rows(stopping) == MOVED


def test_a_run_killed_between_store_and_commit_is_continued(stopping: Services) -> None:
    add_reports(stopping)
    stopping.reports.put("RPT_1-taken-over-1.pdf", pdf("old_a.pdf")[:5], report_moves.PDF)
    stopping.reports.put("RAAA.pdf", pdf("RAAA.pdf"), report_moves.PDF)
    list(report_moves.move_all(stopping))
    assert rows(stopping) == MOVED
    assert stopping.reports.get("RPT_1-taken-over-1.pdf") == pdf("old_a.pdf")


def test_bytes_that_come_back_changed_change_no_row(stopping: Services, tmp_path: Path) -> None:
    add_reports(stopping)
    store = ForgetfulStore(tmp_path / "forgetful", "reports", "secret", 3600)
    services = Services(stopping.settings, stopping.sessions, store, store, stopping.queue)
    before = rows(services)
    with pytest.raises(StorageError, match="other bytes"):
        list(report_moves.move_all(services))
    assert rows(services) == before


def test_a_killed_command_loses_nothing_and_is_continued(s3: Services) -> None:
    count = 60
    folder = s3.settings.report_folder
    with s3.sessions.begin() as session:
        session.add(Patient(id=1, patient_id="P1", name="Ada", username="ada", password_hash=""))
        session.flush()
        for number in range(count):
            (folder / f"{number}.pdf").write_bytes(pdf(str(number)))
            report = Report(
                patient_id=1, report_id=f"R{number}", report_path=f"/old/{number}.pdf", is_legacy=True
            )
            session.add(report)
    command = [sys.executable, "-m", "api.cli", "migrate-reports"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    for _ in range(7):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    halfway = [path for path, is_legacy, _ in rows(s3).values() if not is_legacy]
    assert 7 <= len(halfway) < count
    assert main(["migrate-reports"]) == 0
    assert not any(is_legacy for _, is_legacy, _ in rows(s3).values())
    for number, (path, _, _) in enumerate(rows(s3).values()):
        stored = hashlib.sha256(s3.reports.get(path or "")).digest()
        assert stored == hashlib.sha256(pdf(str(number))).digest()
