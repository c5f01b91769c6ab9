"""Pictures that are too large to be kept while the model runs are decoded again to be drawn."""

import gc
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select

from shared.models import Job, JobStatus, Scan
from shared.services import Services
from tests.fakes import PROVENANCE, FailingStore, MadeUpModel, MadeUpPrediction, picture
from worker import batch_source
from worker.pipeline import LoadedModel, ScanPipeline

SIZE = (201, 101)  # of no other picture in this process
LARGE = picture(size=SIZE)
SECRET = "a secret key that only the tests use"


@dataclass
class WatchingModel(MadeUpModel):
    """Notes how many pictures of `SIZE` are in memory while it runs, and can break a store meanwhile."""

    held: list[int] = field(default_factory=list)
    broken_store: FailingStore | None = None

    def predict(self, inputs: Sequence[npt.NDArray[np.float32]]) -> list[MadeUpPrediction]:
        gc.collect()
        # By `type`: asking some library's stand-ins for their class makes them warn.
        pictures = [each for each in gc.get_objects() if issubclass(type(each), Image.Image)]
        self.held.append(sum(each.size == SIZE for each in pictures))
        if self.broken_store:
            self.broken_store.broken = frozenset({"get"})
        return super().predict(inputs)


@pytest.fixture
def staging(tmp_path: Path) -> FailingStore:
    return FailingStore(tmp_path / "staging", "staging", SECRET, 3600)


@pytest.fixture
def services(services: Services, staging: FailingStore) -> Services:
    return replace(services, staging=staging)


@pytest.fixture
def model() -> WatchingModel:
    return WatchingModel()


@pytest.fixture
def pipeline(services: Services, model: WatchingModel) -> Iterator[ScanPipeline]:
    built = ScanPipeline(services, LoadedModel(model, 64, PROVENANCE))
    yield built
    built.close()


def upload(client: FlaskClient, patient_id: int, number: int) -> None:
    parts = [(io.BytesIO(LARGE), f"{i}.png") for i in range(number)]
    answer = client.post("/api/admin/scans/upload", data={"patient_id": str(patient_id), "files": parts})
    assert answer.status_code == 202


def test_none_is_held_while_the_model_runs_and_the_results_are_the_same(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    pipeline: ScanPipeline,
    model: WatchingModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload(admin, patient_id, 3)
    assert pipeline.drain() == 3
    assert model.held == [3]
    # A real one, of more than four megapixels, would take seconds.
    monkeypatch.setattr(batch_source, "MOST_KEPT_PIXELS", SIZE[0] * SIZE[1] - 1)
    upload(admin, patient_id, 3)
    assert pipeline.drain() == 3
    assert model.held == [3, 0]
    with services.sessions() as session:
        scans = session.scalars(select(Scan)).all()
    assert len({services.images.get(scan.overlay_path or "") for scan in scans}) == 1
    assert len({services.images.get(scan.heatmap_path or "") for scan in scans}) == 1
    assert {services.images.get(scan.original_path) for scan in scans} == {LARGE}
    assert not any(scan.is_staged for scan in scans)


def test_an_original_that_cannot_be_read_again_is_tried_again_later(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    pipeline: ScanPipeline,
    model: WatchingModel,
    staging: FailingStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_source, "MOST_KEPT_PIXELS", SIZE[0] * SIZE[1] - 1)
    upload(admin, patient_id, 1)
    model.broken_store = staging
    assert pipeline.drain() == 0
    with services.sessions() as session:
        job = session.scalars(select(Job)).one()
    assert (job.status, job.attempt) == (JobStatus.QUEUED, 1)
