"""Where a job failed, as the API tells it, and that it runs again from there without loss."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from shared import jobs
from shared.errors import ModelPredictionError
from shared.models import Job, JobKind, Scan
from shared.services import Services
from shared.settings import Settings
from tests.fakes import PROVENANCE, FailingStore, MadeUpModel, MadeUpPrediction
from tests.integration.sending import pictures, send
from worker.pipeline import LoadedModel, ScanPipeline
from worker.rendering import ReportRenderer


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One attempt, so that each failure is the last."""
    return settings.model_copy(update={"max_attempts": 1, "outage_attempts": 0})


def stage_of(client: FlaskClient, job_id: str) -> tuple[str, str]:
    job = client.get(f"/api/jobs/{job_id}").json["data"]
    return job["status"], job["stage"]


def original_of(services: Services) -> Path:
    with services.sessions() as session:
        return Path(services.settings.image_folder) / session.scalars(select(Scan.original_path)).one()


def accept(services: Services, content: bytes) -> None:
    """As if the upload's check had taken these bytes."""
    original_of(services).write_bytes(content)
    with services.sessions.begin() as session:
        session.execute(update(Scan).values(sha256=hashlib.sha256(content).hexdigest()))


def test_a_scan_tells_in_which_stage_it_failed(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    images: FailingStore,
    pipeline: ScanPipeline,
    model: MadeUpModel,
) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    assert stage_of(admin, job_id) == ("queued", "waiting")
    good = original_of(services).read_bytes()
    original_of(services).unlink()
    pipeline.drain()
    assert stage_of(admin, job_id) == ("failed", "fetch")
    for content, expected in ((good[:60], "decode"), (good, "predict")):
        accept(services, content)
        model.fails_on_batches_of = 1
        assert admin.post(f"/api/jobs/{job_id}/retry").status_code == 202
        assert stage_of(admin, job_id) == ("queued", "waiting")
        pipeline.drain()
        assert stage_of(admin, job_id) == ("failed", expected)
    model.fails_on_batches_of = None
    images.broken = frozenset({"put"})
    admin.post(f"/api/jobs/{job_id}/retry")
    pipeline.drain()
    assert stage_of(admin, job_id) == ("failed", "store")
    images.broken = frozenset()
    admin.post(f"/api/jobs/{job_id}/retry")
    pipeline.drain()
    assert stage_of(admin, job_id) == ("succeeded", "done")
    assert admin.get(f"/api/jobs/{job_id}").json["data"]["attempt"] == 5


def test_a_report_tells_in_which_stage_it_failed_and_is_rendered_after_all(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline, renderer: ReportRenderer
) -> None:
    send(admin, patient_id)
    pipeline.drain()
    job_id = admin.post("/api/report/generate", json={"patient_id": patient_id}).json["job_id"]
    folder = Path(services.settings.report_folder)
    folder.write_bytes(b"a file where a folder should be")
    renderer.drain()
    assert stage_of(admin, job_id) == ("failed", "store")
    folder.unlink()
    admin.post(f"/api/jobs/{job_id}/retry")
    assert renderer.drain() == 1
    assert stage_of(admin, job_id) == ("succeeded", "done")


def test_a_report_whose_pictures_cannot_be_fetched_fails_while_it_is_rendered(
    admin: FlaskClient,
    patient_id: int,
    images: FailingStore,
    pipeline: ScanPipeline,
    renderer: ReportRenderer,
) -> None:
    send(admin, patient_id)
    pipeline.drain()
    job_id = admin.post("/api/report/generate", json={"patient_id": patient_id}).json["job_id"]
    images.broken = frozenset({"get"})
    renderer.drain()
    assert stage_of(admin, job_id) == ("failed", "render")
    images.broken = frozenset()
    admin.post(f"/api/jobs/{job_id}/retry")
    assert renderer.drain() == 1
    assert stage_of(admin, job_id) == ("succeeded", "done")


class LatePrediction:
    """A prediction whose map is worked out only when it is drawn, and then cannot be."""

    def __init__(self, made: MadeUpPrediction) -> None:
        self._made = made

    def __getattr__(self, name: str) -> object:
        if name == "evidence_map":
            raise ModelPredictionError("made-up failure")
        return getattr(self._made, name)


class LateModel(MadeUpModel):
    """Works out the map of the first picture late."""

    def predict(self, inputs: Sequence[npt.NDArray[np.float32]]) -> list[MadeUpPrediction]:
        first, *others = super().predict(inputs)
        return [LatePrediction(first), *others]  # type: ignore[list-item]  # like one, but for its map


def test_a_scan_that_cannot_be_drawn_fails_alone_in_that_stage(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    spoiled, good = send(admin, patient_id, *pictures(2)).json["job_ids"]
    pipeline = ScanPipeline(services, LoadedModel(LateModel(), 64, PROVENANCE))
    try:
        assert pipeline.drain() == 2
    finally:
        pipeline.close()
    assert stage_of(admin, spoiled) == ("failed", "draw")
    assert stage_of(admin, good) == ("succeeded", "done")


def test_a_job_whose_worker_died_names_no_stage_of_its_work(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    with services.sessions.begin() as session:
        jobs.claim(session, JobKind.SCAN, "a worker", 1, lease_seconds=-1)
        jobs.expire_leases(session, max_attempts=1, retry_seconds=0)
    assert stage_of(admin, job_id) == ("failed", "claimed")


def test_a_claim_given_back_is_due_at_once_and_costs_no_attempt(
    admin: FlaskClient, patient_id: int, services: Services, images: FailingStore, pipeline: ScanPipeline
) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    with services.sessions.begin() as session:
        claims = jobs.claim(session, JobKind.SCAN, "a worker that stops", 1, lease_seconds=60)
        jobs.give_back(session, claims)
        jobs.give_back(session, claims)  # once more changes nothing
        held = session.execute(select(Job.spent_attempts, Job.crash_count, Job.lease_owner)).one()
        assert tuple(held) == (1, 0, None)
        session.execute(update(Job).values(run_after=Job.created_at))
    images.failures = 1  # with one attempt allowed, this is the first that counts
    assert pipeline.drain() == 1
    assert stage_of(admin, job_id) == ("failed", "fetch")
