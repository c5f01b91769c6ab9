"""Sending: every picture arrives once, whatever happens on the way."""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import pytest

from brain_scans import upload
from brain_scans.api import Api
from brain_scans.batches import cancel
from brain_scans.errors import ClientError, NotSignedInError, StoppedError, UnreachableError, WrongUseError
from brain_scans.journal import Journal
from brain_scans.submitting import Submitted, Work, submit
from tests.client.conftest import png, write_pictures
from tests.client.server import Fault, ScanServer

EACH_ONCE = {f"{number:04}.png": 1 for number in range(20)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty pictures; requests of five, so that there are several."""
    monkeypatch.setattr(upload, "MOST_FILES", 5)
    monkeypatch.setattr(upload, "ROUND_PAUSE_S", 0.01)
    write_pictures(tmp_path / "scans", 20)
    return tmp_path / "scans"


def send(api: Api, folder: Path, parallel: int = 2, **options: object) -> Submitted:
    work = Work([folder], "1", None, **options)  # type: ignore[arg-type]
    return submit(api, work, parallel, threading.Event())


def test_every_picture_arrives_once_with_its_bytes_and_its_patient(
    server: ScanServer, api: Api, folder: Path
) -> None:
    done = send(api, folder, name="Monday")
    assert done.stopped is None
    assert (done.tally.accepted, done.tally.refused, done.total) == (20, [], 20)
    assert server.names() == EACH_ONCE
    assert {scan["patient"] for scan in server.scans} == {1}
    assert server.batches[done.batch_id]["name"] == "Monday"
    assert len({request.key for request in server.uploads()}) == 4
    assert done.tally.sent_bytes == sum(len(png(number)) for number in range(20))


def test_the_same_command_again_sends_nothing_and_new_files_only(
    server: ScanServer, api: Api, folder: Path
) -> None:
    first = send(api, folder)
    write_pictures(folder, 3, first=100)
    again = send(api, folder)
    assert again.batch_id == first.batch_id
    assert (again.tally.accepted, again.tally.already) == (3, 20)
    assert len(server.scans) == 23
    assert max(server.names().values()) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(0, after=True),
        Fault(0),
        Fault(503, retry_after="0"),
        Fault(503, retry_after="0", after=True),
        Fault(429, retry_after="0"),
        Fault(500, after=True),
    ],
    ids=["reset after it was taken", "reset before", "503", "503 after it was taken", "429", "500 after"],
)
def test_a_request_that_fails_on_the_way_counts_once(
    server: ScanServer, api: Api, folder: Path, fault: Fault
) -> None:
    server.upload_faults = deque([fault] * 3)
    done = send(api, folder)
    assert done.stopped is None
    assert server.names() == EACH_ONCE
    assert len(server.uploads()) == 4 + 3
    bodies = {request.key: request.body for request in server.uploads()}
    assert all(request.body == bodies[request.key] for request in server.uploads())


def test_what_the_server_took_without_an_answer_is_not_sent_anew_by_a_later_run(
    server: ScanServer, api: Api, folder: Path
) -> None:
    server.upload_faults = deque([Fault(0, after=True)] * 500)
    lost = send(api, folder, parallel=1)
    assert isinstance(lost.stopped, UnreachableError)
    assert lost.tally.accepted == 0
    taken = len(server.scans)
    assert taken == 5
    server.upload_faults.clear()
    write_pictures(folder, 1, first=50)  # shifts what stands together in later requests
    (folder / "0050.png").rename(folder / "0000a.png")
    done = send(api, folder, parallel=1)
    assert done.stopped is None
    assert done.tally.accepted == 21
    assert server.names() == {**EACH_ONCE, "0000a.png": 1}


def test_a_file_changed_while_its_request_was_unanswered_is_not_guessed_about(
    server: ScanServer, api: Api, folder: Path
) -> None:
    server.upload_faults = deque([Fault(0, after=True)] * 500)
    send(api, folder, parallel=1)
    server.upload_faults.clear()
    (folder / "0002.png").write_bytes(png(999))
    stopped = send(api, folder, parallel=1).stopped
    assert isinstance(stopped, ClientError)
    assert "0002.png was changed" in str(stopped)
    assert len(server.scans) == 5


def test_a_request_that_is_too_large_is_halved(server: ScanServer, api: Api, folder: Path) -> None:
    server.max_files = 2
    assert send(api, folder).tally.accepted == 20
    assert server.names() == EACH_ONCE


def test_the_servers_own_limits_are_kept(server: ScanServer, api: Api, folder: Path) -> None:
    server.limits = {"max_request_bytes": upload.ENVELOPE + 3 * len(png(0)), "max_files": 200}
    assert send(api, folder).tally.accepted == 20
    assert len(server.uploads()) == 7
    assert max(len(request.body) for request in server.uploads()) < upload.ENVELOPE + 3 * len(png(0))


def test_refused_files_are_told_and_stop_nothing_and_are_not_sent_again(
    server: ScanServer, api: Api, folder: Path
) -> None:
    (folder / "0003.png").write_bytes(png(3) + b"refuse me")
    (folder / "text.png").write_bytes(b"no picture at all")
    (folder / "empty.png").write_bytes(b"")
    (folder / "only.png").write_bytes(png(4) + b"refuse me")  # alone in its request: a 400
    done = send(api, folder)
    assert done.tally.accepted == 19
    assert {(refusal.file, refusal.code) for refusal in done.tally.refused} == {
        ("0003.png", "FILE_UPLOAD_ERROR"),
        ("only.png", "FILE_UPLOAD_ERROR"),
        ("text.png", "NOT_AN_IMAGE"),
        ("empty.png", "EMPTY"),
    }
    requests = len(server.uploads())
    again = send(api, folder)
    assert (again.tally.already, len(again.tally.refused)) == (19, 4)
    assert len(server.uploads()) == requests


def test_files_that_the_store_could_not_take_just_now_are_sent_again(
    server: ScanServer, api: Api, folder: Path
) -> None:
    server.transient = {"0001.png", "0007.png"}
    done = send(api, folder)
    assert (done.tally.accepted, done.tally.refused) == (20, [])
    assert server.names() == EACH_ONCE


def test_a_login_that_ends_on_the_way_stops_all_and_the_next_one_goes_on(
    server: ScanServer, api: Api, folder: Path
) -> None:
    server.upload_faults = deque([Fault(429, retry_after="0"), Fault(401)])
    stopped = send(api, folder, parallel=1)
    assert isinstance(stopped.stopped, NotSignedInError)
    assert stopped.tally.done < 20
    done = send(api, folder)
    assert done.tally.accepted + done.tally.already == 20
    assert server.names() == EACH_ONCE


def test_a_stop_lets_the_request_under_way_end_and_starts_no_other(
    server: ScanServer, api: Api, folder: Path
) -> None:
    stop = threading.Event()
    work = Work([folder], "1", None)
    original = server.take

    def take_and_stop(*arguments: object) -> object:
        stop.set()
        return original(*arguments)  # type: ignore[arg-type]

    server.take = take_and_stop  # type: ignore[method-assign, assignment]
    done = submit(api, work, 1, stop)
    assert isinstance(done.stopped, StoppedError)
    assert (done.tally.accepted, len(server.scans)) == (5, 5)
    server.take = original  # type: ignore[method-assign]
    assert send(api, folder).tally.already == 5
    assert server.names() == EACH_ONCE


def test_a_cancelled_batch_is_not_filled_but_a_new_one_can_be_begun(api: Api, folder: Path) -> None:
    first = send(api, folder)
    cancel(api, first.batch_id)
    with pytest.raises(WrongUseError, match="was cancelled"):
        send(api, folder)
    second = send(api, folder, anew=True)
    assert second.batch_id != first.batch_id
    assert second.tally.accepted == 20


def test_another_user_does_not_go_on_with_it(api: Api, folder: Path) -> None:
    send(api, folder)
    api.username = "grace"
    with pytest.raises(WrongUseError, match="begun as"):
        send(api, folder)


PEAK_OF = """
import resource, sys
from brain_scans.cli import app
app(["submit", sys.argv[1], "--patient", "1", "--parallel", "2", "--json"], standalone_mode=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_number_of_files(signed_in: ScanServer, tmp_path: Path) -> None:
    signed_in.forgets = True
    peaks = []
    for count in (1, 400):
        folder = tmp_path / str(count)
        write_pictures(folder, count)
        for file in folder.iterdir():
            os.truncate(file, 400_000)
        command = [sys.executable, "-c", PEAK_OF, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        accepted, peak = done.stdout.splitlines()
        assert json.loads(accepted)["accepted"] == count
        peaks.append(int(peak) // 1024)
    assert peaks[1] - peaks[0] < 64, f"{peaks} MiB; the files are 152 MiB, a request is at most 8 MiB"


def test_the_journal_tells_what_was_accepted(server: ScanServer, api: Api, folder: Path) -> None:
    send(api, folder)
    path = next((folder.parent / "state" / "brain-scans").glob("*.jsonl"))
    journal = Journal.open(path)
    jobs = {outcome.job_id for outcome in journal.settled.values()}
    journal.close()
    assert jobs == {scan["job"] for scan in server.scans}
