"""`reconcile`: database against stores, both ways, on the local disk and in the cloud."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from api.cli import main
from shared import audit, job_control, maintenance
from shared.errors import ConflictError, StorageError
from shared.models import Job, JobEvent, JobKind, JobStatus, Patient, Report, Scan
from shared.reconciliation import Finding, Kind, inventory, missing, orphans, reconcile
from shared.services import Services
from shared.settings import Settings
from shared.storage import ObjectStore
from shared.storage.choice import choose_stores
from tests.fakes import PROVENANCE, FailingStore, MadeUpModel, RecordingQueue, picture
from tests.integration.sending import pictures, send
from tests.servers.cloudinary import FakeCloudinary
from tests.servers.s3 import S3Server
from worker.pipeline import LoadedModel, ScanPipeline
from worker.rendering import ReportRenderer

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a secret key that only the tests use"
NOBODY = "0" * 20
PLACES = ("local", "cloud")
FOREIGN = ("report_2023.pdf", "RPT-7-taken-over-3.pdf")  # the replaced system's, and one that was moved


@pytest.fixture
def place() -> str:
    """Where everything is stored; tests choose by parameter."""
    return "local"


@pytest.fixture
def services(
    place: str,
    request: pytest.FixtureRequest,
    settings: Settings,
    sessions: sessionmaker[Session],
    queue: RecordingQueue,
    tmp_path: Path,
) -> Services:
    """Images, reports and staging on the disk; or in Cloudinary and S3."""
    if place == "cloud":
        return _in_the_cloud(settings, sessions, queue, request)
    folders = {
        "images": settings.image_folder,
        "reports": settings.report_folder,
        "staging": tmp_path / "staging",
    }
    stores = {role: FailingStore(folder, role, SECRET, 3600) for role, folder in folders.items()}
    return Services(settings, sessions, queue=queue, **stores)


def _in_the_cloud(
    settings: Settings,
    sessions: sessionmaker[Session],
    queue: RecordingQueue,
    request: pytest.FixtureRequest,
) -> Services:
    cloud: FakeCloudinary = request.getfixturevalue("cloudinary_server")
    s3: S3Server = request.getfixturevalue("s3_server")
    cloud.page_size = 2
    values = settings.model_dump() | {
        "cloudinary_url": f"cloudinary://{cloud.api_key}:{cloud.api_secret}@{cloud.cloud}",
        "cloudinary_upload_prefix": cloud.url,
        "cloudinary_delivery_prefix": cloud.url,
        "aws_access_key_id": s3.access_key_id,
        "aws_secret_access_key": s3.secret_access_key,
        "aws_s3_bucket": s3.bucket,
        "aws_s3_endpoint_url": s3.url,
        "staging_store": "s3",
    }
    chosen = Settings(_env_file=None, **values)
    stores = choose_stores(chosen)
    return Services(chosen, sessions, stores.images, stores.reports, queue, staging=stores.staging)


@pytest.fixture
def pipeline(services: Services, model: MadeUpModel) -> Iterator[ScanPipeline]:
    built = ScanPipeline(services, LoadedModel(model, 64, PROVENANCE))
    yield built
    built.close()


@pytest.fixture
def analysed(admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, renderer: ReportRenderer) -> None:
    """Three scans with results, and a report."""
    send(admin, patient_id, *pictures(3))
    assert pipeline.drain() == 3
    assert admin.post("/api/report/generate", json={"patient_id": patient_id}).status_code == 202
    assert renderer.drain() == 1


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, services: Services, tmp_path: Path) -> None:
    """What an operator's command reads, for the local stores of `services`."""
    settings = services.settings
    assert settings.database_url is not None
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("IMAGE_FOLDER", str(settings.image_folder))
    monkeypatch.setenv("REPORT_FOLDER", str(settings.report_folder))
    monkeypatch.setenv("STAGING_STORE", "local")
    monkeypatch.setenv("STAGING_FOLDER", str(tmp_path / "staging"))


def run(services: Services, repair: bool = False, hours: float = 0) -> list[Finding]:
    return list(reconcile(services, repair, timedelta(hours=hours)))


def kinds(findings: list[Finding]) -> Counter[Kind]:
    return Counter(finding.kind for finding in findings)


def scan_rows(services: Services) -> list[Scan]:
    with services.sessions() as session:
        return list(session.scalars(select(Scan).order_by(Scan.id)))


def report_row(services: Services) -> Report:
    with services.sessions() as session:
        return session.scalars(select(Report)).one()


def jobs_of(services: Services, kind: JobKind) -> list[Job]:
    with services.sessions() as session:
        return list(session.scalars(select(Job).where(Job.kind == kind).order_by(Job.position)))


def everything(services: Services) -> set[str]:
    stores = [services.images, services.reports, services.staging]
    return {
        f"{number}:{entry.key}" for number, store in enumerate(stores) if store for entry in store.keys("")
    }


def staging_of(services: Services) -> ObjectStore:
    assert services.staging is not None
    return services.staging


# A program: the object is deleted, and not yet forgotten, when its process ends.
DIES_AT_THE_FIFTH_REPAIR = """
import itertools, os, signal, sys
from api.cli import main
from shared.reconciliation import orphans

forget, calls = orphans.forget, itertools.count(1)

def die_at_fifth(*arguments):
    if next(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    forget(*arguments)

orphans.forget = die_at_fifth
main(sys.argv[1:])
"""


def wait_for_end_of_lock(services: Services) -> bool:
    """Postgres needs a moment to see that a client is gone."""
    query = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :low")
    low = maintenance.ADVISORY_LOCK % 2**32
    for _ in range(100):
        with services.sessions() as session:
            if session.scalar(query, {"low": low}) == 0:
                return True
        time.sleep(0.05)
    return False


def leave_orphans(services: Services) -> dict[str, Kind]:
    """One object of each kind that no row names, as a killed process leaves it."""
    scan = scan_rows(services)[0]
    lost = {
        f"heatmap/{scan.scan_id}-9.png": Kind.LOST_PICTURE,
        f"overlay/S{NOBODY}-1.png": Kind.LOST_PICTURE,
        f"original/S{NOBODY}.png": Kind.LOST_ORIGINAL,
        f"R{NOBODY}.pdf": Kind.LOST_REPORT,
        scan.original_path: Kind.LOST_COPY,
    }
    for key, kind in lost.items():
        by_kind = {Kind.LOST_REPORT: services.reports, Kind.LOST_COPY: staging_of(services)}
        by_kind.get(kind, services.images).put(key, picture(), "image/png")
    return lost


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.usefixtures("analysed")
def test_what_works_as_it_should_agrees(services: Services) -> None:
    before = everything(services)
    assert len(before) == 3 * 3 + 1
    assert run(services, repair=True) == []
    assert everything(services) == before


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.usefixtures("analysed")
def test_no_orphan_is_left_and_nothing_else_is_deleted(services: Services) -> None:
    before = everything(services)
    lost = leave_orphans(services)
    assert {finding.name: finding.kind for finding in run(services)} == lost
    assert len(everything(services)) == len(before) + len(lost), "only a repair deletes"
    repaired = run(services, repair=True)
    assert {finding.name for finding in repaired if finding.is_repaired} == set(lost)
    assert everything(services) == before
    assert run(services, repair=True) == []


@pytest.mark.usefixtures("analysed")
def test_young_orphans_are_let_be(services: Services) -> None:
    leave_orphans(services)
    before = everything(services)
    assert run(services, repair=True, hours=1) == []
    assert everything(services) == before


def test_what_unfinished_work_has_stored_is_let_be(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    send(admin, patient_id)
    (scan,) = scan_rows(services)
    services.images.put(scan.original_path, picture(), "image/png")
    services.images.put(f"heatmap/{scan.scan_id}-1.png", picture(), "image/png")
    before = everything(services)
    assert run(services, repair=True) == []
    assert everything(services) == before
    with services.sessions.begin() as session:
        job_control.cancel(session, jobs_of(services, JobKind.SCAN)[0].id)
    assert [finding.name for finding in run(services, repair=True)] == [f"heatmap/{scan.scan_id}-1.png"]
    assert staging_of(services).exists(scan.original_path), "a person may still have it run again"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.usefixtures("analysed")
def test_a_lost_picture_is_made_again_and_the_result_stays_until_then(
    services: Services, pipeline: ScanPipeline, queue: RecordingQueue
) -> None:
    scan = scan_rows(services)[0]
    for key in (scan.heatmap_path, scan.overlay_path):
        services.images.delete(key)
    queue.sent.clear()
    assert kinds(run(services)) == {Kind.MISSING_PICTURE: 2}
    assert all(finding.is_repaired for finding in run(services, repair=True))
    assert run(services) == [], "work that is queued is no finding"
    waiting = scan_rows(services)[0]
    assert (waiting.prediction, waiting.heatmap_path) == ("Tumor", scan.heatmap_path)
    (job, *_) = jobs_of(services, JobKind.SCAN)
    assert queue.sent == [(JobKind.SCAN, job.lane, [job.id])]
    assert pipeline.drain() == 1
    again = scan_rows(services)[0]
    assert (scan.heatmap_path, again.heatmap_path) == (
        f"heatmap/{scan.scan_id}-1.png",
        f"heatmap/{scan.scan_id}-2.png",
    )
    assert services.images.exists(again.heatmap_path)
    assert len(jobs_of(services, JobKind.SCAN)) == 3
    assert run(services) == []


@pytest.mark.usefixtures("analysed")
def test_the_picture_beside_a_lost_one_goes_once_the_new_result_is_there(
    services: Services, pipeline: ScanPipeline
) -> None:
    scan = scan_rows(services)[0]
    services.images.delete(scan.heatmap_path)
    run(services, repair=True)
    assert services.images.exists(scan.overlay_path)
    pipeline.drain()
    assert [finding.name for finding in run(services, repair=True)] == [scan.overlay_path]
    assert run(services) == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.usefixtures("analysed")
def test_a_lost_pdf_is_rendered_again_to_the_same_bytes(services: Services, renderer: ReportRenderer) -> None:
    key = report_row(services).report_path
    pdf = services.reports.get(key)
    services.reports.delete(key)
    assert kinds(run(services)) == {Kind.MISSING_REPORT: 1}
    assert [finding.is_repaired for finding in run(services, repair=True)] == [True]
    assert run(services) == []
    assert renderer.drain() == 1
    assert services.reports.get(key) == pdf
    assert report_row(services).report_path == key
    assert run(services) == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.usefixtures("analysed")
def test_a_lost_original_is_named_and_its_scan_not_analysed_in_vain(services: Services) -> None:
    scan = scan_rows(services)[1]
    services.images.delete(scan.original_path)
    services.images.delete(scan.heatmap_path)
    for repair in (False, True, True):
        found = {finding.name: finding.is_repaired for finding in run(services, repair)}
        assert found == {scan.original_path: False, scan.heatmap_path: False}
    assert {job.status for job in jobs_of(services, JobKind.SCAN)} == {JobStatus.SUCCEEDED}


@pytest.mark.usefixtures("analysed")
def test_a_lost_original_comes_back_from_a_staged_copy(services: Services) -> None:
    scan = scan_rows(services)[1]
    original = services.images.get(scan.original_path)
    staging_of(services).put(scan.original_path, original, "image/png")
    services.images.delete(scan.original_path)
    assert kinds(run(services)) == {Kind.MISSING_ORIGINAL: 1}, (
        "the copy is no orphan while it is the only one"
    )
    assert [finding.is_repaired for finding in run(services, repair=True)] == [True]
    assert services.images.get(scan.original_path) == original
    assert kinds(run(services, repair=True)) == {Kind.LOST_COPY: 1}
    assert run(services) == []


def test_an_original_that_waits_in_staging_and_is_lost_is_named(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    send(admin, patient_id)
    (scan,) = scan_rows(services)
    staging_of(services).delete(scan.original_path)
    assert run(services, repair=True) == [Finding(Kind.MISSING_ORIGINAL, scan.original_path)]
    pipeline.drain()
    (job,) = jobs_of(services, JobKind.SCAN)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "NOT_FOUND_ERROR")


@pytest.mark.usefixtures("analysed")
def test_a_scan_without_a_job_gets_one_whose_attempts_go_on(
    services: Services, pipeline: ScanPipeline
) -> None:
    scan = scan_rows(services)[2]
    services.images.put(f"heatmap/{scan.scan_id}-4.png", picture(), "image/png")
    with services.sessions.begin() as session:
        session.execute(delete(Job).where(Job.scan_id == scan.id))
    assert Kind.NO_JOB in kinds(run(services))
    assert Finding(Kind.NO_JOB, scan.scan_id, is_repaired=True) in run(services, repair=True)
    assert pipeline.drain() == 1
    assert scan_rows(services)[2].heatmap_path == f"heatmap/{scan.scan_id}-2.png"
    run(services, repair=True)
    assert run(services) == []


@pytest.mark.usefixtures("analysed")
def test_what_was_taken_over_is_not_judged(services: Services) -> None:
    with services.sessions.begin() as session:
        session.add(Patient(id=900, patient_id="P9", name="Ada", username="old", password_hash=""))
        session.flush()
        session.add_all(
            [
                Scan(
                    patient_id=900,
                    scan_id="SCAN_OLD",
                    original_filename="",
                    original_path="https://pictures.example.org/original/1.png",
                    heatmap_path="https://pictures.example.org/h.png",
                ),
                Report(patient_id=900, report_id="RPT_1", report_path="/srv/lost.pdf", is_legacy=True),
                Report(patient_id=900, report_id="RPT_2", report_path=f"R{NOBODY[:-1]}1.pdf", is_legacy=True),
            ]
        )
    folder = services.settings.report_folder
    for name in FOREIGN:
        (folder / name).write_bytes(b"%PDF")
    assert run(services, repair=True) == []
    assert all((folder / name).exists() for name in FOREIGN)


@pytest.mark.usefixtures("analysed")
def test_temporary_files_of_killed_processes_go(services: Services) -> None:
    folder = services.settings.image_folder / "heatmap"
    old, young = folder / ".S1-1.png.0123abcd.part", folder / ".S2-1.png.0123abcd.part"
    for file in (old, young):
        file.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    assert run(services, repair=True, hours=24) == [
        Finding(Kind.LOST_PART, f"heatmap/{old.name}", is_repaired=True)
    ]
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.usefixtures("analysed")
def test_many_pages_are_read_whole(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are made small: filling real ones would take thousands of objects."""
    monkeypatch.setattr(inventory, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(orphans, "OBJECTS_AT_ONCE", 2)
    monkeypatch.setattr(missing, "ROWS_AT_ONCE", 2)
    scans = scan_rows(services)
    for scan in scans:
        services.images.delete(scan.heatmap_path)
        services.images.delete(scan.overlay_path)
    for number in range(7):
        services.images.put(f"original/S{NOBODY[:-1]}{number}.png", picture(), "image/png")
    expected = {Kind.LOST_ORIGINAL: 7, Kind.MISSING_PICTURE: 6}
    assert kinds(run(services)) == expected
    assert kinds(run(services, repair=True)) == expected
    assert run(services) == []


@pytest.mark.usefixtures("analysed")
@pytest.mark.parametrize("method", ["keys", "delete"])
def test_a_store_that_does_not_answer_ends_the_run_and_the_next_one_goes_on(
    services: Services, method: str
) -> None:
    lost = leave_orphans(services)
    images = services.images
    assert isinstance(images, FailingStore)
    images.broken = frozenset({method})
    with pytest.raises(StorageError, match="made-up outage"):
        run(services, repair=True)
    images.broken = frozenset()
    assert {finding.name for finding in run(services)} == set(lost)
    run(services, repair=True)
    assert run(services) == []


@pytest.mark.usefixtures("analysed")
def test_two_runs_at_once_are_refused_and_the_lock_ends_with_its_run(services: Services) -> None:
    leave_orphans(services)
    first = reconcile(services, repair=True, older_than=timedelta(0))
    next(first)
    with pytest.raises(ConflictError, match="Another reconciliation"):
        run(services)
    first.close()
    assert len(run(services)) == 4, "what was left of the run that was cut short"


@pytest.mark.usefixtures("analysed")
def test_a_repair_is_in_the_audit_trail_with_its_counts(services: Services) -> None:
    leave_orphans(services)
    services.images.delete(scan_rows(services)[1].original_path)
    run(services)
    with services.sessions() as session:
        assert audit.events(session, 10, action="stores.reconciled") == []
    run(services, repair=True)
    with services.sessions() as session:
        (event,) = audit.events(session, 10, action="stores.reconciled")
        assert audit.verify(session).broken_at is None
    lost = {"lost_picture": 2, "lost_original": 1, "lost_report": 1, "lost_copy": 1}
    assert (event.actor, event.subject) == (audit.CLI, "stores")
    assert event.details == {"found": {**lost, "missing_original": 1}, "repaired": lost}


class TestTheCommand:
    """As operators run it."""

    @pytest.fixture
    def printed(self, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
        return lambda: capsys.readouterr().out

    @pytest.mark.usefixtures("analysed", "environment")
    def test_it_says_what_it_found_and_repaired(self, services: Services, printed: Callable[[], str]) -> None:
        assert main(["reconcile"]) == 0
        assert printed() == "Database and stores agree.\n"
        leave_orphans(services)
        assert main(["reconcile"]) == 0, "they are too young"
        printed()
        assert main(["reconcile", "--older-than", "0"]) == 1
        lines = printed().splitlines()
        assert f"PDFs that no report names: 1, repaired 0 (R{NOBODY}.pdf)" in lines
        assert len(lines) == 4
        assert main(["reconcile", "--older-than", "0", "--repair"]) == 0
        assert f"originals without a scan: 1, repaired 1 (original/S{NOBODY}.png)" in printed().splitlines()
        assert main(["reconcile", "--older-than", "0"]) == 0

    @pytest.mark.usefixtures("analysed", "environment")
    def test_json_names_everything(self, services: Services, printed: Callable[[], str]) -> None:
        scan = scan_rows(services)[0]
        services.images.delete(scan.original_path)
        assert main(["reconcile", "--json", "--repair"]) == 1
        assert json.loads(printed()) == {
            "agree": False,
            "repair": True,
            "found": 1,
            "left": 1,
            "findings": [{"kind": "missing_original", "name": scan.original_path, "repaired": False}],
        }

    @pytest.mark.usefixtures("analysed", "environment")
    def test_a_store_that_cannot_be_read_is_a_sentence_and_status_1(
        self, services: Services, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocked = services.settings.image_folder.parent / "blocked"
        blocked.write_text("a file where a folder should be")
        monkeypatch.setenv("IMAGE_FOLDER", str(blocked))
        assert main(["reconcile", "--repair"]) == 1
        assert capsys.readouterr().err == "The images folder could not be read.\n"

    @pytest.mark.usefixtures("analysed", "environment")
    def test_a_killed_run_is_continued_by_the_next(self, services: Services) -> None:
        before = everything(services)
        for number in range(10):
            services.images.put(f"original/S{number:020X}.png", b"lost", "image/png")
        arguments = ["reconcile", "--repair", "--older-than", "0", "--even-if-most-disagrees"]
        command = [sys.executable, "-c", DIES_AT_THE_FIFTH_REPAIR, *arguments]
        assert subprocess.run(command, cwd=ROOT, check=False, timeout=60).returncode == -signal.SIGKILL
        assert len(everything(services)) == len(before) + 10 - 5
        assert wait_for_end_of_lock(services)
        assert main(arguments) == 0
        assert everything(services) == before
        assert run(services) == []

    @pytest.mark.parametrize("hours", ["-1", "nan", "soon"])
    def test_hours_that_make_no_sense_are_refused(self, hours: str) -> None:
        with pytest.raises(SystemExit) as stopped:
            main(["reconcile", "--older-than", hours])
        assert stopped.value.code == 2


@pytest.mark.usefixtures("analysed")
def test_the_ledger_tells_that_a_job_was_repeated(services: Services) -> None:
    scan = scan_rows(services)[0]
    services.images.delete(scan.heatmap_path)
    run(services, repair=True)
    with services.sessions() as session:
        last = session.scalars(select(JobEvent).order_by(JobEvent.id.desc()).limit(1)).one()
    assert (last.status_from, last.status_to, last.reason) == ("succeeded", "queued", "repeated")


def test_unfinished_jobs_are_not_repeated(admin: FlaskClient, patient_id: int, services: Services) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    with services.sessions.begin() as session:
        assert job_control.repeat(session, uuid.UUID(job_id)) is False
        session.execute(update(Job).values(status=JobStatus.FAILED))
    with services.sessions.begin() as session:
        assert job_control.repeat(session, uuid.UUID(job_id)) is True
