"""An original that changed in a store after it was accepted: nothing is made of it, and its job says why."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from shared.errors import OriginalChangedError
from shared.models import Scan
from shared.originals import read_original
from shared.services import Services
from shared.storage import LocalStore, ObjectStore
from tests.bad_inputs.case import DAMAGED
from tests.fakes import PROVENANCE, MadeUpModel, picture
from tests.integration.conftest import client_of
from tests.integration.sending import send
from worker.pipeline import LoadedModel, ScanPipeline
from worker.rendering import ReportRenderer
from worker.replay import replay

SECRET = "a secret key that only the tests use"  # pragma: allowlist secret
ROT: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "without its end": lambda data: data[:-12],
    "zeroes": lambda data: bytes(len(data)),
    "one bit flipped": lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
    "a page": lambda _: b"<html>Service unavailable</html>",
    "another good picture": lambda _: picture(200),
    "one byte more": lambda data: data + b"\0",
}


class FlickeringStore(LocalStore):
    """Gives each object wrong the first time, as a bad cable would."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "images", SECRET, 60)
        self.reads = 0

    def get(self, key: str) -> bytes:
        self.reads += 1
        data = super().get(key)
        return ROT["one bit flipped"](data) if self.reads == 1 else data


def spoil(store: ObjectStore, key: str, rot: Callable[[bytes], bytes]) -> None:
    store.put(key, rot(store.get(key)), "image/png")


def error_of(client: FlaskClient, job_id: str, scan_id: str) -> tuple[str, str, int]:
    job = client.get(f"/api/jobs/{job_id}").json["data"]
    assert job["status"] == "failed"
    assert f"original of scan {scan_id} is not the file that was uploaded" in job["error"]["message"]
    return job["error"]["code"], job["stage"], job["attempt"]


@pytest.mark.parametrize("rot", ROT.values(), ids=ROT)
def test_a_changed_original_fails_alone_and_at_once(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    pipeline: ScanPipeline,
    rot: Callable[[bytes], bytes],
) -> None:
    files = [(f"{number}.png", picture(100 + number)) for number in range(3)]
    accepted = send(admin, patient_id, *files).json
    spoil(services.images, f"original/{accepted['scan_ids'][1]}.png", rot)
    assert pipeline.drain() == 3
    found = [admin.get(f"/api/jobs/{job_id}").json["data"] for job_id in accepted["job_ids"]]
    assert [job["status"] for job in found] == ["succeeded", "failed", "succeeded"]
    assert error_of(admin, accepted["job_ids"][1], accepted["scan_ids"][1]) == (
        "ORIGINAL_CHANGED",
        "fetch",
        1,
    )


def test_once_the_original_is_restored_the_job_runs_again(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    accepted = send(admin, patient_id, ("a.png", picture(90))).json
    (job_id,) = accepted["job_ids"]
    key = f"original/{accepted['scan_ids'][0]}.png"
    spoil(services.images, key, ROT["another good picture"])
    pipeline.drain()
    assert error_of(admin, job_id, accepted["scan_ids"][0])[0] == "ORIGINAL_CHANGED"
    services.images.put(key, picture(90), "image/png")
    assert admin.post(f"/api/jobs/{job_id}/retry").status_code == 202
    assert pipeline.drain() == 1
    assert admin.get(f"/api/jobs/{job_id}").json["data"]["status"] == "succeeded"


def test_a_changed_original_in_the_staging_store_gets_no_further(
    admin: FlaskClient, patient_id: int, services: Services, model: MadeUpModel, tmp_path: Path
) -> None:
    staging = LocalStore(tmp_path / "staging", "staging", SECRET, 60)
    staged = replace(services, staging=staging)
    client = client_of(staged, use_cookies=False)
    client.environ_base = dict(admin.environ_base)
    accepted = send(client, patient_id, ("a.png", picture(90))).json
    key = f"original/{accepted['scan_ids'][0]}.png"
    spoil(staging, key, ROT["another good picture"])
    built = ScanPipeline(staged, LoadedModel(model, 64, PROVENANCE))
    try:
        assert built.drain() == 1
    finally:
        built.close()
    assert error_of(admin, accepted["job_ids"][0], accepted["scan_ids"][0]) == (
        "ORIGINAL_CHANGED",
        "fetch",
        1,
    )
    assert not services.images.exists(key)
    assert staging.exists(key), "what there is is kept, for whoever looks into it"


def test_a_read_that_went_wrong_once_is_read_again(
    admin: FlaskClient, patient_id: int, services: Services, model: MadeUpModel
) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    flickering = replace(services, images=FlickeringStore(services.settings.image_folder))
    built = ScanPipeline(flickering, LoadedModel(model, 64, PROVENANCE))
    try:
        assert built.drain() == 1
    finally:
        built.close()
    job = admin.get(f"/api/jobs/{job_id}").json["data"]
    assert (job["status"], job["attempt"]) == ("succeeded", 1)


def test_neither_report_nor_replay_takes_a_changed_original(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline, renderer: ReportRenderer
) -> None:
    accepted = send(admin, patient_id, ("a.png", picture(90)), ("b.png", picture(91))).json
    assert pipeline.drain() == 2
    scan_id = accepted["scan_ids"][1]
    spoil(services.images, f"original/{scan_id}.png", ROT["another good picture"])
    job_id = admin.post("/api/report/generate", json={"patient_id": patient_id}).json["job_id"]
    assert renderer.drain() == 1
    assert error_of(admin, job_id, scan_id) == ("ORIGINAL_CHANGED", "render", 1)
    with pytest.raises(OriginalChangedError):
        replay(services, scan_id)


@pytest.mark.parametrize("unknown", [None, ""])
def test_of_rows_without_a_hash_only_the_picture_is_checked(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline, unknown: str | None
) -> None:
    accepted = send(admin, patient_id, ("a.png", picture(90)), ("b.png", picture(91))).json
    keys = [f"original/{scan_id}.png" for scan_id in accepted["scan_ids"]]
    with services.sessions.begin() as session:
        session.execute(update(Scan).values(sha256=unknown))
    spoil(services.images, keys[0], ROT["another good picture"])
    spoil(services.images, keys[1], ROT["cut"])
    assert pipeline.drain() == 2
    found = [admin.get(f"/api/jobs/{job_id}").json["data"] for job_id in accepted["job_ids"]]
    assert [job["status"] for job in found] == ["succeeded", "failed"]
    assert found[1]["error"] == {"code": "FILE_UPLOAD_ERROR", "message": DAMAGED}
    assert read_original(services, keys[0], is_staged=False, sha256=unknown) == picture(200)
