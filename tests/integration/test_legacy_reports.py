"""PDFs of the replaced system are found wherever that system said they were, and nowhere else."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from shared import legacy_reports
from shared.errors import ObjectNotFoundError
from shared.models import Patient, Report
from shared.services import Services
from shared.settings import Settings
from shared.storage import LocalStore
from tests.fakes import RecordingQueue

PDF = b"%PDF-1.4 an old report"


@pytest.fixture
def folder(settings: Settings) -> Path:
    settings.report_folder.mkdir()
    return settings.report_folder


@pytest.fixture
def services(settings: Settings, sessions, folder: Path) -> Services:
    images = LocalStore(settings.image_folder, "images", "secret", 3600)
    reports = LocalStore(folder, "reports", "secret", 3600)
    return Services(settings, sessions, images, reports, RecordingQueue())


@pytest.fixture
def with_s3(services: Services, tmp_path: Path) -> Services:
    """A report store that is not REPORT_FOLDER, as S3 is."""
    chosen = services.settings.model_copy(update={"report_store": "s3"})
    store = LocalStore(tmp_path / "s3", "reports", "secret", 3600)
    return Services(chosen, services.sessions, store, store, services.queue)


def add_report(services: Services, path: str | None, number: int = 1, is_legacy: bool = True) -> Report:
    """A report of the patient of this number."""
    with services.sessions.begin() as session:
        if session.get(Patient, number) is None:
            name = str(number)
            session.add(Patient(id=number, patient_id=name, name="", username=name, password_hash=""))
            session.flush()
        count = session.query(Report).count()
        report = Report(patient_id=number, report_id=f"R{count}", report_path=path, is_legacy=is_legacy)
        session.add(report)
    return report


@pytest.mark.parametrize(
    "path",
    [
        "reports/x.pdf",
        "x.pdf",
        "/srv/app/reports/x.pdf",
        "C:\\app\\reports\\x.pdf",
        "..\\..\\x.pdf",
        "../../x.pdf",
        "https://bucket.s3.amazonaws.com/reports/x.pdf?X-Amz-Signature=0",
        "http://[broken/x.pdf",
    ],
)
def test_a_file_in_the_report_folder_is_found_by_its_last_part(
    services: Services, folder: Path, path: str
) -> None:
    (folder / "x.pdf").write_bytes(PDF)
    report = add_report(services, path)
    assert legacy_reports.read(services, report) == PDF
    assert legacy_reports.link(services, report) == f"/api/report/file/x.pdf?report_id={report.report_id}"


def test_the_exact_old_path_comes_first(services: Services, folder: Path) -> None:
    (folder / "2024").mkdir()
    (folder / "2024" / "x.pdf").write_bytes(PDF)
    (folder / "x.pdf").write_bytes(b"another")
    assert legacy_reports.read(services, add_report(services, f"{folder}/2024/x.pdf")) == PDF
    assert legacy_reports.read(services, add_report(services, "reports/2024/x.pdf")) == PDF


def test_a_name_with_blanks_makes_a_whole_link(services: Services, folder: Path) -> None:
    (folder / "Ada B?.pdf").write_bytes(PDF)
    report = add_report(services, "reports/Ada B?.pdf")
    assert (
        legacy_reports.link(services, report)
        == f"/api/report/file/Ada%20B%3F.pdf?report_id={report.report_id}"
    )
    assert legacy_reports.read(services, report) == PDF


def test_two_files_of_one_name_are_told_apart_by_the_reports_id(
    services: Services, folder: Path, admin: FlaskClient
) -> None:
    reports = []
    for year, content in ((2023, b"%PDF one"), (2024, b"%PDF two")):
        (folder / str(year)).mkdir()
        (folder / str(year) / "x.pdf").write_bytes(content)
        reports.append((add_report(services, f"reports/{year}/x.pdf", number=year), content))
    for report, content in reports:
        link = admin.get(f"/api/report/download/{report.report_id}").json["download_url"]
        assert admin.get(link).data == content


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        ".",
        "..",
        "/",
        "../secret.pdf",
        "..\\secret.pdf",
        "{outside}/secret.pdf",
        "{folder}/../secret.pdf",
        "{folder}/link.pdf",
        "{folder}/ring.pdf",
        "{folder}/folder.pdf",
        "{folder}/notes.txt",
        "reports/.hidden.pdf",
        "x" * 300 + ".pdf",
        "reports/%2e%2e%2fsecret.pdf",
        "https://bucket/reports/..%2f..%2fsecret.pdf",
    ],
)
def test_nothing_outside_the_report_folder_is_ever_read(
    services: Services, folder: Path, tmp_path: Path, path: str | None
) -> None:
    (tmp_path / "secret.pdf").write_bytes(b"secret")
    (folder / "link.pdf").symlink_to(tmp_path / "secret.pdf")
    (folder / "ring.pdf").symlink_to(folder / "ring.pdf")
    (folder / "folder.pdf").mkdir()
    (folder / "notes.txt").write_text("no report")
    (folder / ".hidden.pdf").write_bytes(PDF)
    report = add_report(services, path and path.format(outside=tmp_path, folder=folder))
    with pytest.raises(ObjectNotFoundError, match="report"):
        legacy_reports.read(services, report)


def test_one_patients_file_is_not_given_for_anothers_report(services: Services, folder: Path) -> None:
    (folder / "x.pdf").write_bytes(PDF)
    first = add_report(services, "/srv/a/x.pdf", number=1)
    assert legacy_reports.read(services, first) == PDF
    second = add_report(services, "/srv/b/x.pdf", number=2)
    for report in (first, second):
        with pytest.raises(ObjectNotFoundError):
            legacy_reports.read(services, report)


@pytest.mark.parametrize("path", ["reports/x.pdf", "/srv/app/reports/x.pdf", "https://s3/b/reports/x.pdf"])
def test_an_object_in_the_bucket_is_found(with_s3: Services, path: str) -> None:
    with_s3.reports.put("x.pdf", PDF, "application/pdf")
    report = add_report(with_s3, path)
    assert legacy_reports.read(with_s3, report) == PDF
    assert legacy_reports.link(with_s3, report).startswith("/api/files/reports/")


def test_with_a_bucket_local_files_are_still_found(with_s3: Services, folder: Path) -> None:
    (folder / "x.pdf").write_bytes(PDF)
    report = add_report(with_s3, "reports/x.pdf")
    assert legacy_reports.link(with_s3, report) == f"/api/report/file/x.pdf?report_id={report.report_id}"
    assert legacy_reports.read(with_s3, report) == PDF


def test_reports_of_ours_are_read_from_the_store(services: Services) -> None:
    services.reports.put("R1.pdf", PDF, "application/pdf")
    report = add_report(services, "R1.pdf", is_legacy=False)
    assert legacy_reports.read(services, report) == PDF
    assert legacy_reports.link(services, report).startswith("/api/files/reports/")


def test_reports_are_found_by_the_exact_name_of_their_file(services: Services) -> None:
    paths = [
        "reports/a_b.pdf",
        "C:\\r\\a_b.pdf",
        "https://s3/b/a_b.pdf?x=1",
        "reports/aXb.pdf",
        "a_b.pdf/c.pdf",
    ]
    added = [add_report(services, path) for path in paths]
    moved = add_report(services, "R9-0.pdf", is_legacy=False)
    with services.sessions.begin() as session:
        session.merge(moved).legacy_path = "reports/a_b.pdf"
    add_report(services, "a_b.pdf", is_legacy=False)
    with services.sessions() as session:
        found = _ids(session, "a_b.pdf")
        assert found == [moved.id, added[2].id, added[1].id, added[0].id]
        assert _ids(session, "a%b.pdf") == _ids(session, "A_B.pdf") == []


def _ids(session: Session, name: str) -> list[int]:
    return [report.id for report in legacy_reports.named(session, name)]
