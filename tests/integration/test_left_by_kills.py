"""What a process that is killed leaves on the disk, and that reconciliation takes what it does leave."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from shared import accounts
from shared.accounts import PatientFacts
from shared.reconciliation import Finding, Kind, reconcile
from shared.services import Services
from shared.settings import Settings
from tests.integration.conftest import ADMIN_PASSWORD
from tests.integration.sending import stored
from tests.servers.gunicorn import running_api

ROOT = Path(__file__).resolve().parents[2]
SPOOLED = 500_000  # bytes: larger request bodies are parsed into a temporary file
KEY = "original/S0123456789ABCDEF0123.png"
KILLED_IN_A_PUT = f"""
import resource, signal, sys
from pathlib import Path
from shared.storage import LocalStore

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
LocalStore(Path(sys.argv[1]), "images", "secret", 60).put("{KEY}", bytes(100_000), "image/png")
"""


def test_an_api_killed_in_the_middle_of_an_upload_leaves_no_temporary_file(
    settings: Settings, services: Services, tmp_path: Path
) -> None:
    with services.sessions.begin() as session:
        accounts.add_admin(session, "admin", None, ADMIN_PASSWORD)
        patient = accounts.create_patient(session, PatientFacts("Ada", "ada@example.org"))[0].id
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000), np.uint8)
    file = tmp_path / "noise.png"
    Image.fromarray(noise).save(file)
    assert file.stat().st_size > SPOOLED
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    kill = {"FAIL_AT": "uploads-stored:kill:1", "TMPDIR": str(temporary)}
    with (
        running_api(settings, tmp_path / "api.log", **kill) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        login = {"username": "admin", "password": ADMIN_PASSWORD}
        token = client.post("/api/admin/login", json=login).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}

        def upload() -> int:
            with file.open("rb") as content:
                answer = client.post(
                    "/api/admin/scans/upload",
                    headers=headers,
                    data={"patient_id": str(patient)},
                    files={"files": content},
                )
            return answer.status_code

        with pytest.raises(httpx.TransportError):
            upload()
        assert upload() == 202
    left = [path.name for path in temporary.rglob("*") if path.is_file()]
    assert left == ["failpoint-uploads-stored-0"]
    assert len(stored(services)) == 2, "the first original, until reconciliation, and the second"


def test_a_process_killed_while_it_stores_leaves_a_part_that_reconciliation_takes(services: Services) -> None:
    folder = services.settings.image_folder
    command = [sys.executable, "-c", KILLED_IN_A_PUT, str(folder)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGXFSZ
    (part,) = stored(services)
    assert not services.images.exists(KEY)
    assert list(services.images.keys("")) == [], "nothing that could be taken for the object"
    found = list(reconcile(services, repair=True, older_than=timedelta(0)))
    assert found == [Finding(Kind.LOST_PART, part, is_repaired=True)]
    assert stored(services) == []
