"""The API as it runs in earnest: gunicorn with its threads, in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from shared.settings import Settings
from stack.ports import LOOPBACK, free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make a process use the same servers and folders as these settings."""
    return {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "IMAGE_FOLDER": str(settings.image_folder),
        "REPORT_FOLDER": str(settings.report_folder),
    }


@contextmanager
def running_api(settings: Settings, log: Path, **environment: str) -> Iterator[str]:
    """The address of a running API. Its output goes to `log`."""
    url = f"http://{LOOPBACK}:{(port := free_port())}"
    argv = [sys.executable, "-m", "gunicorn", "--config", "api/server.py"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*argv, "--bind", f"{LOOPBACK}:{port}", "api.wsgi:app"],
            cwd=ROOT,
            env={**environment_of(settings), **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _answers(url):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, "the API did not start"
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
