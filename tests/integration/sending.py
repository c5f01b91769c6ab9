"""How the tests send scans, and who sends them."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from shared import accounts
from shared.accounts import PatientFacts
from shared.models import Job, Scan
from shared.services import Services
from tests.fakes import picture
from tests.integration.conftest import bearer, client_of

NamedBytes = tuple[str, bytes]


def part(name: str, content: bytes) -> tuple[io.BytesIO, str]:
    return io.BytesIO(content), name


def send(
    client: FlaskClient,
    patient_id: object,
    *files: NamedBytes,
    headers: Mapping[str, str] | None = None,
    **fields: str,
) -> TestResponse:
    """Upload to the route for several files; without any, one good picture."""
    parts = [part(*file) for file in files or (("a.png", picture()),)]
    form = {"patient_id": str(patient_id), "files": parts, **fields}
    return client.post("/api/admin/scans/upload", data=form, headers=headers)


def send_one(
    client: FlaskClient,
    patient_id: object = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    **fields: str,
) -> TestResponse:
    """Upload to the route for a single file."""
    form: dict[str, Any] = {"file": part("a.png", picture() if content is None else content), **fields}
    if patient_id is not None:
        form["patient_id"] = str(patient_id)
    return client.post("/api/scan/upload", data=form, headers=headers)


def new_batch(client: FlaskClient) -> str:
    answer = client.post("/api/batches", json={})
    assert answer.status_code == 201
    return str(answer.json["batch_id"])


def add(
    client: FlaskClient, batch_id: str, patient_id: int, *files: NamedBytes, **headers: str
) -> TestResponse:
    """Add files of one patient to a batch; without any, one good picture."""
    parts = [part(*file) for file in files or (("a.png", picture()),)]
    form = {"patient_id": str(patient_id), "files": parts}
    return client.post(f"/api/batches/{batch_id}/scans", data=form, headers=headers)


def zipped(members: Sequence[NamedBytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def pictures(number: int) -> list[NamedBytes]:
    """That many small pictures, no two the same."""
    return [(f"{n}.png", picture(20 + n, (32, 32 + n // 200))) for n in range(number)]


def as_(client: FlaskClient, services: Services, **limits: Any) -> FlaskClient:
    """The same caller at an application of its own, whose settings are changed."""
    changed = replace(services, settings=services.settings.model_copy(update=limits))
    other = client_of(changed, use_cookies=False)
    other.environ_base = dict(client.environ_base)
    return other


def new_patient(services: Services, name: str = "Somebody Else") -> tuple[int, FlaskClient]:
    """A patient's number and client."""
    with services.sessions.begin() as session:
        facts = PatientFacts(name, f"{name.replace(' ', '.').lower()}@example.org")
        patient, credentials = accounts.create_patient(session, facts)
    client = bearer(services, "/api/patient/login", credentials.username, credentials.password)
    return patient.id, client


def at_once(calls: Sequence[Any]) -> list[Any]:
    """Make the calls in a thread each, and give what they return, in order."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


def rows_of(services: Services) -> tuple[int, int]:
    """How many scans and jobs of scans there are."""
    with services.sessions() as session:
        scans = session.execute(select(func.count()).select_from(Scan)).scalar_one()
        jobs = session.execute(select(func.count()).where(Job.scan_id.is_not(None))).scalar_one()
    return scans, jobs


def stored(services: Services) -> list[str]:
    """Keys of all objects in the image store."""
    folder = services.settings.image_folder
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
