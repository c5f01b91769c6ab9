"""The real worker as a process of its own, for tests that kill, stop and starve it."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import func, select

from shared.models import Job, JobStatus
from shared.services import Services
from shared.settings import Settings
from tests.fakes import picture
from tests.integration.conftest import ADMIN_PASSWORD, client_of

ROOT = Path(__file__).resolve().parents[2]
SCAN_QUEUES, REPORT_QUEUES = "scans.interactive,scans.bulk", "reports,mail,system"
POOL = ["-P", "prefork", "-c", "1", "--pool-start-method", "spawn"]
PATIENCE_S = 90
SAMPLE = picture(size=(256, 256))


@dataclass
class RunningWorker:
    """A worker process and what it has logged."""

    process: subprocess.Popen[bytes]
    log_file: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.log_file.read_text().splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{")]
        return [record for record in records if record.get("event") == name]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.2)


def start_worker(
    settings: Settings,
    folder: Path,
    queues: str = SCAN_QUEUES,
    options: Sequence[str] = (),
    **environment: str,
) -> RunningWorker:
    log_file = folder / "worker.log"
    values = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "IMAGE_FOLDER": str(settings.image_folder),
        "REPORT_FOLDER": str(settings.report_folder),
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "LEASE_SECONDS": "4",
        "RETRY_SECONDS": "0.5",
        **environment,
    }
    argv = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-n", "scan@%h"]
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [*argv, "-Q", queues, *POOL, *options],
            cwd=ROOT,
            env={**os.environ, **values},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return RunningWorker(process, log_file)


def stop_worker(worker: RunningWorker) -> None:
    if worker.process.poll() is None:
        os.killpg(worker.process.pid, signal.SIGKILL)
    worker.process.wait()


def count(services: Services, query: Any) -> int:
    with services.sessions() as session:
        return int(session.execute(query).scalar_one())


def all_ended(services: Services, number: int) -> bool:
    return count(services, select(func.count(Job.id)).where(Job.status == JobStatus.SUCCEEDED)) == number


def upload(services: Services, patient: int, number: int) -> int:
    client: FlaskClient = client_of(services, use_cookies=True)
    client.post("/api/admin/login", json={"username": "admin", "password": ADMIN_PASSWORD})
    files = [(io.BytesIO(SAMPLE), f"{n}.png") for n in range(number)]
    answer = client.post("/api/admin/scans/upload", data={"patient_id": str(patient), "files": files})
    return answer.status_code
