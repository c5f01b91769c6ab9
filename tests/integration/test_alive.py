"""The health check of a worker's container: a real command against a real database."""

import os
import socket
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import func, update

from shared import heartbeat
from shared.models import Worker
from shared.services import Services
from shared.settings import Settings


def check(database_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.alive"],
        env={**os.environ, "DATABASE_URL": database_url},
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("host", "silent_s", "status"),
    [(socket.gethostname(), 0, 0), (socket.gethostname(), 60, 1), ("another", 0, 1)],
    ids=["fresh", "silent", "another host's"],
)
def test_only_a_fresh_heartbeat_of_this_host_counts(
    settings: Settings, services: Services, host: str, silent_s: int, status: int
) -> None:
    with services.sessions.begin() as session:
        heartbeat.beat(session, f"scan@{host}:17", "scan", "cpu", None)
        session.execute(update(Worker).values(last_seen_at=func.now() - timedelta(seconds=silent_s)))
    assert settings.database_url is not None
    assert check(settings.database_url.get_secret_value()).returncode == status


def test_without_a_database_the_check_fails_in_words() -> None:
    ended = check("postgresql://nobody@127.0.0.1:1/none")
    assert (ended.returncode, ended.stderr) == (1, "OperationalError\n")
