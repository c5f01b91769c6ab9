"""What is sent again, what is not, and after which pause."""

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from brain_scans.api import Api
from brain_scans.errors import ApiError, NotSignedInError, UnreachableError, WrongUseError
from brain_scans.patients import Patients
from brain_scans.results import save
from brain_scans.retries import LONGEST_ASKED_S, Patience, Retries, asked_pause
from tests.client.conftest import HASTY
from tests.client.server import TOKEN, Fault, ScanServer, running


def test_retry_after_is_understood_as_seconds_and_as_a_date() -> None:
    assert asked_pause("7") == 7
    assert asked_pause("999999") == LONGEST_ASKED_S
    assert asked_pause(
        format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    ) == pytest.approx(20, abs=2)
    assert asked_pause("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert asked_pause("soon") is None
    assert asked_pause(None) is None


def test_pauses_grow_up_to_a_limit() -> None:
    retries = Retries(Patience(first_pause_s=1, longest_pause_s=4), repeatable=True)
    pauses = [retries.after(httpx.Response(500)) or 0 for _ in range(8)]
    assert all(0.5 <= pauses[0] <= 1 and pause <= 4 for pause in pauses)
    assert min(pauses[3:]) >= 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_waited_for_as_long_as_it_asks(server: ScanServer, api: Api, status: int) -> None:
    server.faults = deque([Fault(status, retry_after="1")])
    began = time.monotonic()
    api.json("POST", "/api/report/generate", json={"patient_id": 1})  # without a key: nothing was written
    assert time.monotonic() - began >= 1
    assert len(server.seen) == 2


def test_a_server_that_stays_busy_is_given_up(server: ScanServer) -> None:
    server.faults = deque([Fault(503)] * 1000)
    patience = Patience(busy_s=0.3, first_pause_s=0.02, longest_pause_s=0.05)
    with Api(server.url, TOKEN, patience=patience) as api, pytest.raises(UnreachableError, match="too busy"):
        api.json("GET", "/api/admin/patients")


@pytest.mark.parametrize("fault", [Fault(500), Fault(502), Fault(0)])
def test_a_broken_get_or_keyed_post_is_sent_again(server: ScanServer, api: Api, fault: Fault) -> None:
    server.faults = deque([fault])
    assert api.json("GET", "/api/admin/patients")["data"]
    server.faults = deque([fault])
    api.json("POST", "/api/batches", key="k", json={"name": None})
    assert [request.method for request in server.seen] == ["GET", "GET", "POST", "POST"]


def test_a_broken_post_without_a_key_is_not_sent_again(server: ScanServer, api: Api) -> None:
    server.faults = deque([Fault(500)])
    with pytest.raises(ApiError):
        api.json("POST", "/api/report/generate", json={})
    server.faults = deque([Fault(0)])
    with pytest.raises(UnreachableError, match="not known whether"):
        api.json("POST", "/api/report/generate", json={})
    assert len(server.seen) == 2


def test_a_silent_server_is_given_up(server: ScanServer) -> None:
    url = server.url.rsplit(":", 1)[0] + ":9"  # the discard port: nobody listens
    with Api(url, TOKEN, patience=HASTY) as api, pytest.raises(UnreachableError, match="does not answer"):
        api.json("GET", "/api/admin/patients")


def test_a_refused_login_is_no_matter_of_trying_again(server: ScanServer) -> None:
    with Api(server.url, "another token", patience=HASTY) as api, pytest.raises(NotSignedInError):
        api.json("GET", "/api/admin/patients")
    assert len(server.seen) == 1


def test_lists_are_read_page_by_page(server: ScanServer, api: Api) -> None:
    known = Patients.load(api)
    assert (known.number("1"), known.number("p0000000000000002"), known.number("3")) == (1, 2, None)
    assert "limit=" in server.seen[0].path


def test_the_login_never_goes_to_another_server(server: ScanServer, api: Api, tmp_path: Path) -> None:
    with running() as other:
        save(api, f"{other.url}/api/files/reports/signed", tmp_path / "out.pdf")
        assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")
        assert [request.headers.get("authorization") for request in other.seen] == [None]
        assert TOKEN not in str(other.seen)
        server.redirect = f"{other.url}/api/files/reports/signed"
        save(api, "/moved", tmp_path / "again.pdf")
        assert server.seen[-1].headers["authorization"] == f"Bearer {TOKEN}"
        assert [request.headers.get("authorization") for request in other.seen] == [None, None]


def test_a_download_that_fails_leaves_no_file(api: Api, tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="nothing at this address"):
        save(api, "/nowhere", tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["scans.example.org", "ftp://x", "https://me:secret@host", "https://host/?a=b"]
)
def test_an_address_that_is_no_servers_is_refused(url: str) -> None:
    with pytest.raises(WrongUseError):
        Api(url)
