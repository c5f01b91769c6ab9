"""SIGHUP has the API read its settings anew: old processes answer what they have, and nobody is told no."""

import os
import signal
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from sqlalchemy import func, select

from shared.models import Scan
from shared.services import Services
from tests.fakes import picture
from tests.faults.programs import working_children
from tests.integration.conftest import ADMIN_PASSWORD
from tests.integration.worker_run import until
from tests.servers.gunicorn import running_api

CLIENTS = 3
PATIENCE_S = 60
# What a client must expect of any server: a kept connection may be closed just as it is used again.
RETRYABLE = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


def _client_until(enough: threading.Event, url: str, token: str, patient: int) -> Counter[str]:
    """Uploads one scan after the other, each until it is accepted, and counts the answers."""
    answers: Counter[str] = Counter()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S, headers=headers) as client:
        while not enough.is_set():
            key = {"Idempotency-Key": str(uuid.uuid4())}
            accepted = False
            while not accepted:
                files = {"files": ("a.png", picture())}
                try:
                    answer = client.post(
                        "/api/admin/scans/upload", data={"patient_id": patient}, files=files, headers=key
                    )
                except RETRYABLE as error:
                    answers[type(error).__name__] += 1
                    continue
                answers[str(answer.status_code)] += 1
                accepted = answer.status_code == 202
                assert accepted, answer.text
    return answers


def _is_serving(pid: int, url: str) -> bool:
    return url.removeprefix("http://") in Path(f"/proc/{pid}/cmdline").read_text()


def _count(services: Services) -> int:
    with services.sessions() as session:
        return session.execute(select(func.count(Scan.id))).scalar_one()


def test_a_reload_fails_no_request(real_services: Services, patient: int, tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    enough = threading.Event()
    with running_api(real_services.settings, log) as url:
        [parent] = [pid for pid in working_children(os.getpid()) if _is_serving(pid, url)]
        login = {"username": "admin", "password": ADMIN_PASSWORD}
        token = httpx.post(f"{url}/api/admin/login", json=login, trust_env=False).json()["token"]
        with ThreadPoolExecutor(CLIENTS) as threads:
            clients = [threads.submit(_client_until, enough, url, token, patient) for _ in range(CLIENTS)]
            try:
                for _ in range(2):
                    old = set(working_children(parent))
                    os.kill(parent, signal.SIGHUP)
                    until(
                        lambda old=old: not old & set(working_children(parent)),
                        "the old processes have ended",
                    )
                assert old
                assert working_children(parent), "the one that was told goes on"
                # New processes may take seconds to load, and all that was sent waits for them.
                until(lambda: _count(real_services) > CLIENTS, "uploads are taken after the reloads")
            finally:
                enough.set()
        answers = sum((client.result() for client in clients), Counter())
    assert answers["202"] > CLIENTS
    assert _count(real_services) == answers["202"], "each once, whatever broke"
