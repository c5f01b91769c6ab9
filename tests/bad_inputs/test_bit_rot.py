"""An original that changed in the store after it was accepted: its job fails alone, with its cause."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from shared.services import Services
from tests.bad_inputs.case import DAMAGED
from tests.fakes import picture
from tests.integration.sending import send
from worker.pipeline import ScanPipeline

ROT: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "without its end": lambda data: data[:-12],
    "zeroes": lambda data: bytes(len(data)),
    "one bit flipped": lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
    "a page": lambda _: b"<html>Service unavailable</html>",
}


@pytest.mark.parametrize("rot", ROT.values(), ids=ROT)
def test_a_damaged_original_fails_alone(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    pipeline: ScanPipeline,
    rot: Callable[[bytes], bytes],
) -> None:
    files = [(f"{number}.png", picture(100 + number)) for number in range(3)]
    accepted = send(admin, patient_id, *files).json
    key = f"original/{accepted['scan_ids'][1]}.png"
    services.images.put(key, rot(services.images.get(key)), "image/png")
    assert pipeline.drain() == 3
    found = [admin.get(f"/api/jobs/{job_id}").json["data"] for job_id in accepted["job_ids"]]
    assert [job["status"] for job in found] == ["succeeded", "failed", "succeeded"]
    assert found[1]["error"]["code"] == "FILE_UPLOAD_ERROR"
    assert found[1]["error"]["message"] == DAMAGED
    assert found[1]["attempt"] == 1, "trying again cannot help"
