"""`worker.replay` with the shipped model: what it recorded comes out again, and what was changed does not."""

import io
import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from shared.errors import NotFoundError, ValidationError
from shared.models import Scan
from shared.services import Services
from shared.settings import Settings
from tests.fakes import RecordingQueue
from worker.pipeline import ScanPipeline
from worker.process import load_model
from worker.replay import _sentence, replay

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="module")
def loaded():
    return load_model(Settings(database_url="postgresql://unused", batch_size=2))


@pytest.fixture
def scan_id(
    admin: FlaskClient, patient_id: int, services: Services, queue: RecordingQueue, loaded, monkeypatch
):
    """A phantom that the shipped model has analysed, in a batch with another one."""
    monkeypatch.setattr(queue, "wake", lambda *_: True)
    names = ("phantom_05_ring_lesion.png", "phantom_01_no_tumor.png")
    files = [(io.BytesIO((SAMPLES / name).read_bytes()), name) for name in names]
    data = {"patient_id": str(patient_id), "files": files}
    answer = admin.post("/api/admin/scans/upload", data=data)
    pipeline = ScanPipeline(services, loaded)
    try:
        assert pipeline.drain() == 2
    finally:
        pipeline.close()
    return answer.json["scan_ids"][0]


def test_a_stored_scan_reproduces(services: Services, scan_id: str) -> None:
    answer = replay(services, scan_id.lower())
    assert answer["reproduces"] is True
    assert answer["change"] <= 1e-4
    assert answer["model"]["engine"].startswith(("openvino", "torch"))
    band = json.loads((services.settings.model_folder / "manifest.json").read_text())["band"]
    assert answer["model"]["inconclusive"] == [band["low"], band["high"]]
    assert "reproduces" in _sentence(json.loads(json.dumps(answer)))


def test_a_changed_result_or_picture_does_not(services: Services, scan_id: str) -> None:
    with services.sessions.begin() as session:
        session.execute(update(Scan).where(Scan.scan_id == scan_id).values(probability=0.5))
    answer = replay(services, scan_id)
    assert answer["reproduces"] is False
    assert "does NOT reproduce" in _sentence(answer)
    with services.sessions.begin() as session:
        key = session.scalar(select(Scan.original_path).where(Scan.scan_id == scan_id))
        rejection = {"reason": "x", "score": 1.0}
        values = {"probability": None, "rejection": rejection}
        session.execute(update(Scan).where(Scan.scan_id == scan_id).values(**values))
    assert replay(services, scan_id)["reproduces"] is False
    assert services.images.get(key) == (SAMPLES / "phantom_05_ring_lesion.png").read_bytes()


def test_what_cannot_be_compared_is_said(services: Services, scan_id: str) -> None:
    with pytest.raises(NotFoundError, match="no scan S00"):
        replay(services, "S00")
    with services.sessions.begin() as session:
        scan = session.scalar(select(Scan).where(Scan.scan_id == scan_id))
        scan.model = {**scan.model, "weights_sha256": "f" * 64}
    with pytest.raises(ValidationError, match="another model \\(weights_sha256 differ\\)"):
        replay(services, scan_id)


def test_scans_of_the_replaced_system_are_found_by_their_exact_names(
    services: Services, patient_id: int
) -> None:
    old = {"patient_id": patient_id, "original_filename": "", "original_path": "https://example.org/1.png"}
    with services.sessions.begin() as session:
        session.add(Scan(scan_id="scan_aB1", analysed_at=func.now(), prediction="Tumor", **old))
        session.add(Scan(scan_id="SCAN_AB2", **old))
        session.add(Scan(scan_id="scan_ab2", analysed_at=func.now(), prediction="Tumor", **old))
    for name in ("scan_aB1", "scan_ab2"):
        with pytest.raises(ValidationError, match=f"{name} was analysed by the replaced system"):
            replay(services, name)
    with pytest.raises(ValidationError, match="SCAN_AB2 has no result yet"):
        replay(services, "SCAN_AB2")
    with pytest.raises(NotFoundError):
        replay(services, "SCAN_AB1")
