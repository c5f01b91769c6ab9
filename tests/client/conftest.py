"""Folders of the client's own, pictures to send, and a server to send them to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brain_scans.api import Api
from brain_scans.login import login_file
from brain_scans.patients import Patients
from brain_scans.places import write_private
from brain_scans.retries import Patience
from tests.client.server import PATIENTS, TOKEN, ScanServer, running

HASTY = Patience(silent_s=0.5, busy_s=5, first_pause_s=0.02, longest_pause_s=0.05)
KNOWN = Patients(frozenset(PATIENTS), {name: number for number, name in PATIENTS.items()})


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def server() -> Iterator[ScanServer]:
    with running() as state:
        yield state


@pytest.fixture
def api(server: ScanServer) -> Iterator[Api]:
    with Api(server.url, TOKEN, patience=HASTY) as built:
        yield built


@pytest.fixture
def signed_in(server: ScanServer) -> ScanServer:
    """The server, and a stored login to it."""
    write_private(login_file(), {"url": server.url, "username": "admin", "token": TOKEN})
    return server


def png(number: int, size: int = 60) -> bytes:
    """Bytes that begin like a PNG and differ by number; the made-up server does not decode them."""
    return b"\x89PNG\r\n\x1a\n" + number.to_bytes(4, "big") + b"x" * size


def write_pictures(folder: Path, count: int, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / f"{number:04}.png").write_bytes(png(number))
