"""Uploads that wait in a staging store until their analysis takes them to the image store."""

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from flask.testing import FlaskClient
from PIL import Image
from pypdf import PdfReader
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from shared.errors import ObjectNotFoundError, StoreRefusedError
from shared.jobs import claim
from shared.models import Job, JobKind, JobStatus, Scan
from shared.originals import original_link, read_original
from shared.services import Services
from shared.settings import Settings
from shared.storage import LocalStore
from shared.storage.choice import choose_stores
from tests.fakes import PROVENANCE, FailingStore, MadeUpModel, RecordingQueue, picture
from tests.servers.cloudinary import FakeCloudinary
from tests.servers.s3 import S3Server
from worker.pipeline import LoadedModel, ScanPipeline
from worker.rendering import ReportRenderer

SECRET = "a secret key that only the tests use"


@pytest.fixture
def staging(tmp_path: Path) -> FailingStore:
    return FailingStore(tmp_path / "staging", "staging", SECRET, 3600)


@pytest.fixture
def services(services: Services, staging: FailingStore) -> Services:
    return replace(services, staging=staging)


def upload(client: FlaskClient, patient_id: int, *files: bytes) -> None:
    parts = [(io.BytesIO(content), f"{i}.png") for i, content in enumerate(files)]
    answer = client.post("/api/admin/scans/upload", data={"patient_id": str(patient_id), "files": parts})
    assert answer.status_code == 202


def only_scan(services: Services) -> Scan:
    with services.sessions() as session:
        return session.scalars(select(Scan)).one()


def only_job(services: Services) -> Job:
    with services.sessions() as session:
        return session.scalars(select(Job)).one()


def make_due(services: Services) -> None:
    with services.sessions.begin() as session:
        session.execute(update(Job).values(run_after=Job.created_at))


def test_the_analysis_takes_an_original_to_the_image_store(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    upload(admin, patient_id, picture())
    waiting = only_scan(services)
    assert waiting.is_staged
    assert services.staging.exists(waiting.original_path)
    assert not services.images.exists(waiting.original_path)
    assert original_link(services, waiting).startswith("/api/files/staging/")
    assert read_original(services, waiting.original_path, is_staged=True, sha256=waiting.sha256) == picture()
    assert pipeline.drain() == 1
    scan = only_scan(services)
    assert not scan.is_staged
    assert scan.prediction == "Tumor"
    assert services.images.get(scan.original_path) == picture()
    assert services.images.exists(scan.overlay_path)
    assert not services.staging.exists(scan.original_path)
    assert original_link(services, scan).startswith("/api/files/images/")
    assert admin.get(original_link(services, scan)).data == picture()


def test_a_reader_of_a_row_that_has_just_changed_finds_the_original(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    upload(admin, patient_id, picture())
    scan = only_scan(services)
    key = scan.original_path
    pipeline.drain()
    assert read_original(services, key, is_staged=True, sha256=scan.sha256) == picture()
    services.images.delete(key)
    for is_staged in (True, False):
        with pytest.raises(ObjectNotFoundError):
            read_original(services, key, is_staged, scan.sha256)


def test_a_rejected_picture_is_taken_along_too(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline, model: MadeUpModel
) -> None:
    model.rejects = True
    upload(admin, patient_id, picture())
    assert pipeline.drain() == 1
    scan = only_scan(services)
    assert (scan.review, scan.is_staged) == ("rejected", False)
    assert services.images.get(scan.original_path) == picture()
    assert not services.staging.exists(scan.original_path)


def test_while_the_image_store_is_down_the_original_stays_staged_and_the_job_is_retried(
    admin: FlaskClient, patient_id: int, services: Services, images: FailingStore, pipeline: ScanPipeline
) -> None:
    upload(admin, patient_id, picture())
    images.broken = frozenset({"put"})
    assert pipeline.drain() == 0
    assert (only_job(services).status, only_job(services).error_code) == ("queued", "SERVICE_UNAVAILABLE")
    scan = only_scan(services)
    assert scan.is_staged
    assert services.staging.get(scan.original_path) == picture()
    images.broken = frozenset()
    make_due(services)
    assert pipeline.drain() == 1
    assert services.images.get(scan.original_path) == picture()
    assert not services.staging.exists(scan.original_path)


def test_a_staged_copy_that_cannot_be_deleted_spoils_no_result(
    admin: FlaskClient, patient_id: int, services: Services, staging: FailingStore, pipeline: ScanPipeline
) -> None:
    upload(admin, patient_id, picture())
    staging.broken = frozenset({"delete"})
    assert pipeline.drain() == 1
    scan = only_scan(services)
    assert (scan.prediction, scan.is_staged) == ("Tumor", False)
    assert staging.exists(scan.original_path)
    assert services.images.get(scan.original_path) == picture()


def test_an_attempt_that_lost_its_claim_leaves_the_staged_original_for_the_next(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    pipeline: ScanPipeline,
    model: MadeUpModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload(admin, patient_id, picture())
    predict = model.predict

    def predict_too_slowly(inputs):
        with services.sessions.begin() as session:  # as if the lease had run out and somebody else had it
            session.execute(update(Job).values(status=JobStatus.QUEUED))
            assert claim(session, JobKind.SCAN, "another worker", 1, lease_seconds=60)
        return predict(inputs)

    monkeypatch.setattr(model, "predict", predict_too_slowly)
    pipeline.drain()
    scan = only_scan(services)
    assert (scan.is_staged, scan.prediction) == (True, None)
    assert services.staging.get(scan.original_path) == picture()


def test_a_worker_without_the_staging_store_says_which_setting_is_missing(
    admin: FlaskClient, patient_id: int, services: Services, model: MadeUpModel
) -> None:
    upload(admin, patient_id, picture())
    astray = ScanPipeline(replace(services, staging=None), LoadedModel(model, 64, PROVENANCE))
    try:
        assert astray.drain() == 1
    finally:
        astray.close()
    job = only_job(services)
    assert job.status == JobStatus.FAILED
    assert "STAGING_STORE" in job.error_message
    with pytest.raises(StoreRefusedError):
        original_link(replace(services, staging=None), only_scan(services))
    assert services.staging.exists(only_scan(services).original_path), "nothing is lost"


def test_an_original_that_is_in_the_image_store_is_not_stored_again(
    admin: FlaskClient, patient_id: int, services: Services, settings: Settings, model: MadeUpModel
) -> None:
    unstaged = replace(services, staging=None)
    upload(admin, patient_id, picture())
    scan = only_scan(services)
    services.images.put(scan.original_path, picture(), "image/png")
    with services.sessions.begin() as session:
        session.execute(update(Scan).values(is_staged=False))
    before = (settings.image_folder / scan.original_path).stat().st_ino
    built = ScanPipeline(unstaged, LoadedModel(model, 64, PROVENANCE))
    try:
        assert built.drain() == 1
    finally:
        built.close()
    assert (settings.image_folder / scan.original_path).stat().st_ino == before


def test_an_address_of_the_replaced_system_is_its_own_link(services: Services) -> None:
    scan = Scan(original_path="https://pictures.example.org/1.png", is_staged=False)
    assert original_link(services, scan) == "https://pictures.example.org/1.png"
    with pytest.raises(ObjectNotFoundError):
        read_original(services, scan.original_path, is_staged=False, sha256=None)


class MeetingStore(LocalStore):
    """Stores nothing until three pictures are being stored at once."""

    meeting = threading.Barrier(3, timeout=10)

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self.meeting.wait()
        super().put(key, data, content_type)


def test_one_scans_pictures_are_stored_side_by_side(
    admin: FlaskClient, patient_id: int, services: Services, settings: Settings, model: MadeUpModel
) -> None:
    upload(admin, patient_id, picture())
    wide = replace(
        services,
        settings=settings.model_copy(update={"io_threads": 3}),
        images=MeetingStore(settings.image_folder, "images", SECRET, 3600),
    )
    built = ScanPipeline(wide, LoadedModel(model, 64, PROVENANCE))
    try:
        assert built.drain() == 1
    finally:
        built.close()
    assert only_scan(services).prediction == "Tumor"


class TestInTheCloud:
    """Pictures in Cloudinary, reports and waiting uploads in S3, all over HTTP."""

    @pytest.fixture
    def services(
        self,
        settings: Settings,
        sessions: sessionmaker[Session],
        queue: RecordingQueue,
        cloudinary_server: FakeCloudinary,
        s3_server: S3Server,
    ) -> Services:
        cloud = cloudinary_server
        values = settings.model_dump() | {
            "cloudinary_url": f"cloudinary://{cloud.api_key}:{cloud.api_secret}@{cloud.cloud}",
            "cloudinary_upload_prefix": cloud.url,
            "cloudinary_delivery_prefix": cloud.url,
            "aws_access_key_id": s3_server.access_key_id,
            "aws_secret_access_key": s3_server.secret_access_key,
            "aws_s3_bucket": s3_server.bucket,
            "aws_s3_endpoint_url": s3_server.url,
            "staging_store": "s3",
        }
        chosen = Settings(_env_file=None, **values)
        stores = choose_stores(chosen)
        return Services(chosen, sessions, stores.images, stores.reports, queue, staging=stores.staging)

    @pytest.fixture
    def pipeline(self, services: Services, model: MadeUpModel) -> Iterator[ScanPipeline]:
        built = ScanPipeline(services, LoadedModel(model, 64, PROVENANCE))
        yield built
        built.close()

    def test_an_upload_becomes_a_result_and_a_report(
        self,
        admin: FlaskClient,
        patient_id: int,
        pipeline: ScanPipeline,
        renderer: ReportRenderer,
        cloudinary_server: FakeCloudinary,
        s3_server: S3Server,
    ) -> None:
        pictures = [picture(100 + i) for i in range(5)]
        upload(admin, patient_id, *pictures)
        assert cloudinary_server.requests == [], "an upload waits for no slow store"
        waiting = admin.get(f"/api/admin/patients/{patient_id}/scans").json["data"]
        assert httpx.get(waiting[-1]["original_path"]).content == pictures[0]

        assert pipeline.drain() == 5

        scans = admin.get(f"/api/admin/patients/{patient_id}/scans").json["data"]
        assert len(cloudinary_server.assets) == 3 * 5
        for scan, content in zip(reversed(scans), pictures, strict=True):
            assert scan["prediction"] == "Tumor"
            assert scan["original_path"].startswith(cloudinary_server.url)
            assert httpx.get(scan["original_path"]).content == content
            for kind in ("heatmap_path", "overlay_path"):
                answer = httpx.get(scan[kind]).raise_for_status()
                assert Image.open(io.BytesIO(answer.content)).size == (64, 48)
            assert s3_server.stored(f"staging/original/{scan['scan_id']}.png") == {}

        answer = admin.post("/api/report/generate", json={"patient_id": patient_id})
        cloudinary_server.requests.clear()
        assert renderer.drain() == 1
        assert [request.method for request in cloudinary_server.requests] == ["GET"] * 3 * 5
        report = admin.get(f"/api/jobs/{answer.json['job_id']}").json["data"]["result"]
        link = admin.get(f"/api/report/download/{report['report_id']}").json["download_url"]
        assert link.startswith(s3_server.url)
        pdf = httpx.get(link).raise_for_status()
        assert pdf.headers["content-disposition"].startswith("attachment")
        assert "Ada Example" in PdfReader(io.BytesIO(pdf.content)).pages[0].extract_text()
        assert s3_server.stored(f"reports/{report['report_id']}.pdf")["content-type"] == "application/pdf"

    def test_an_image_store_that_refuses_ends_the_job_and_the_original_is_kept(
        self,
        admin: FlaskClient,
        patient_id: int,
        services: Services,
        pipeline: ScanPipeline,
        cloudinary_server: FakeCloudinary,
        s3_server: S3Server,
    ) -> None:
        upload(admin, patient_id, picture())
        scan_id = only_scan(services).scan_id
        genuine, cloudinary_server.api_secret = cloudinary_server.api_secret, "rotated"
        assert pipeline.drain() == 1
        assert only_job(services).status == JobStatus.FAILED
        assert "CLOUDINARY_API_SECRET" in only_job(services).error_message
        cloudinary_server.api_secret = genuine
        assert s3_server.stored(f"staging/original/{scan_id}.png")
        assert only_scan(services).is_staged
