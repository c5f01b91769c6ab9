"""The whole corpus, under hostile names, through the API as it runs in earnest."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from api.uploads import clean_filename
from shared import accounts
from shared.accounts import PatientFacts
from shared.images import read_grey
from shared.models import Scan
from shared.settings import Settings
from shared.storage import LocalStore
from tests.bad_inputs.case import Accepted, Case
from tests.bad_inputs.corpus import cases, largest
from tests.bad_inputs.names import NAMES
from tests.servers.gunicorn import running_api
from worker.preprocessing import prepare

MOST_BYTES = 12_000_000  # of one request
MOST_FILES = 60
MOST_RSS_MB = 900  # of a gunicorn process, at any time: 600 for the largest picture, and what it has anyway
# glibc otherwise keeps freed megabytes for each thread: twice as much in the end.
RETURNED_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "1000000"}
PASSWORD = "correct horse battery"
BOUNDARY = "a-boundary-that-no-file-holds"
SENDABLE = [name for name in NAMES if name and "\ud800" not in name]

File = tuple[Case, str, bytes]


@pytest.fixture
def people(sessions: sessionmaker[Session]) -> int:
    """An admin, and a patient, whose number it is."""
    with sessions.begin() as session:
        accounts.add_admin(session, "admin", "admin@example.org", PASSWORD)
        patient, _ = accounts.create_patient(session, PatientFacts("Ada", "ada@example.org"))
        return patient.id


@pytest.mark.timeout(600)
def test_every_file_is_answered_and_the_processes_stay_the_same(
    settings: Settings, sessions: sessionmaker[Session], people: int, tmp_path: Path
) -> None:
    log = tmp_path / "api.log"
    accepted: dict[str, Accepted] = {}
    with (
        running_api(settings, log, **RETURNED_AT_ONCE) as url,
        httpx.Client(base_url=url, timeout=120, trust_env=False) as client,
    ):
        token = client.post("/api/admin/login", json={"username": "admin", "password": PASSWORD}).json()[
            "token"
        ]
        client.headers["Authorization"] = f"Bearer {token}"
        processes = _gunicorns(url)
        for files in _requests():
            answer = _post(client, people, files)
            assert answer.status_code in (202, 400), answer.text[:500]
            results = answer.json()["results"]
            assert len(results) == len(files)
            for (case, name, _), result in zip(files, results, strict=True):
                assert result["filename"] == _shown(name), case.name
                if isinstance(case.expected, Accepted):
                    assert result["success"] is True, (case.name, result)
                    accepted[result["scan_id"]] = case.expected
                else:
                    expected = {"success": False, "error": case.expected, "code": "FILE_UPLOAD_ERROR"}
                    assert result == {**expected, "filename": result["filename"]}, case.name
        assert [process.pid for process in _gunicorns(url)] == [process.pid for process in processes]
        for process in processes:
            assert _peak_megabytes(process) < MOST_RSS_MB
    _logged_no_error(log)
    _workers_can_read(settings, sessions, accepted)


def _requests() -> Iterator[Sequence[File]]:
    """All cases under one hostile name after the other, as many in one request as fit; the largest alone."""
    waiting: list[File] = []
    size = 0
    for number, case in enumerate((*cases(), *largest())):
        data = case.data()
        is_full = size + len(data) > MOST_BYTES or len(waiting) == MOST_FILES
        if waiting and (is_full or case in largest()):
            yield waiting
            waiting, size = [], 0
        waiting.append((case, SENDABLE[number % len(SENDABLE)], data))
        size += len(data)
    yield waiting


def _post(client: httpx.Client, patient_id: int, files: Sequence[File]) -> httpx.Response:
    """The body is written here, since HTTP libraries change the names."""
    parts = [_part('name="patient_id"', str(patient_id).encode())]
    for _, name, data in files:
        parts.append(_part(f'name="files"; filename="{_quoted(name)}"', data))
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return client.post("/api/admin/scans/upload", content=body, headers=headers)


def _part(disposition: str, content: bytes) -> bytes:
    return (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"
    )


def _as_browsers_write(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _shown(name: str) -> str:
    """The framework takes back browsers' writing of quotes, and not that of line ends."""
    return clean_filename(_as_browsers_write(name).replace("%22", '"'))


def _quoted(name: str) -> str:
    return _as_browsers_write(name).replace("\\", "\\\\")


def _gunicorns(url: str) -> list[psutil.Process]:
    """The workers of the gunicorn that listens there."""
    bind = url.removeprefix("http://")
    own = [child for child in psutil.Process().children() if bind in child.cmdline()]
    assert len(own) == 1
    return sorted(own[0].children(), key=lambda process: process.pid)


def _peak_megabytes(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1_000_000


def _logged_no_error(log: Path) -> None:
    for line in log.read_text().splitlines():
        assert "Traceback" not in line, line
        if line.startswith("{"):
            assert json.loads(line).get("level") not in ("error", "critical"), line


def _workers_can_read(
    settings: Settings, sessions: sessionmaker[Session], accepted: dict[str, Accepted]
) -> None:
    store = LocalStore(settings.image_folder, "images", settings.secret_key.get_secret_value(), 60)
    with sessions() as session:
        rows = {
            scan.scan_id: (scan.original_path, scan.width, scan.height)
            for scan in session.scalars(select(Scan))
        }
    assert set(rows) == set(accepted)
    for scan_id, expected in accepted.items():
        key, *size = rows[scan_id]
        assert tuple(size) == expected.size
        assert prepare(read_grey(store.get(key)), 64).pixels.shape == (1, 64, 64)
