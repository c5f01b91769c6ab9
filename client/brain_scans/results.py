"""Fetching what came out: a batch's table, a patient's report."""

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from brain_scans.api import Api, Json
from brain_scans.errors import ClientError
from brain_scans.patients import Patients

WAIT_S = 20
PAUSE_S = 1.0
STDOUT = Path("-")


def save_table(api: Api, batch_id: str, target: Path) -> int:
    """Stream a batch's results.csv into a file, or to standard output for `-`. Returns its bytes."""
    return save(api, f"/api/batches/{batch_id}/results.csv", target)


def save(api: Api, link: str, target: Path) -> int:
    """Stream what is behind a link. A file is there whole or not at all."""
    size = 0
    with api.download(link) as response, _opened(target) as file:
        for chunk in response.iter_bytes():
            file.write(chunk)
            size += len(chunk)
    return size


def make_report(api: Api, patient: str) -> Json:
    """Ask for a PDF about all finished scans of a patient and wait for it. Returns the report object.

    Raises `ClientError` if the patient is not known or the report could not be made.
    """
    number = Patients.load(api).number(patient)
    if number is None:
        raise ClientError(f"The server knows no patient {patient}.")
    key = f"report-{uuid.uuid4().hex}"
    asked = api.json("POST", "/api/report/generate", key=key, json={"patient_id": number})
    if "job_id" not in asked:  # the server waited and has it already
        return dict(asked["data"])
    while True:
        job = api.json("GET", f"/api/jobs/{asked['job_id']}?wait={WAIT_S}")["data"]
        if job["status"] == "succeeded":
            return dict(job["result"])
        if job["status"] in ("failed", "cancelled"):
            reason = (job.get("error") or {}).get("message") or f"its job was {job['status']}"
            raise ClientError(f"The report was not made: {reason}")
        api.wait(PAUSE_S)


def save_report(api: Api, report_id: str, target: Path) -> int:
    """Fetch the PDF through its link, which may lead to another host."""
    link = api.json("GET", f"/api/report/download/{report_id}")["download_url"]
    return save(api, str(link), target)


@contextmanager
def _opened(target: Path) -> Iterator[BinaryIO]:
    """The file under a name of its own until it is whole."""
    if target == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        # Results are about patients: for this user's eyes until they choose otherwise.
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
        shutil.move(draft, target)
    except OSError as error:
        raise ClientError(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        draft.unlink(missing_ok=True)
