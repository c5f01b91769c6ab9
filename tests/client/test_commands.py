"""The commands as a person or a script uses them: output, files and exit statuses."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from brain_scans import upload
from brain_scans.cli import app
from brain_scans.login import login_file
from tests.client.conftest import png, write_pictures
from tests.client.server import PASSWORD, TOKEN, Fault, ScanServer, running


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "scans", 6)
    return tmp_path / "scans"


def test_login_keeps_the_token_for_its_owner_and_never_the_password(
    server: ScanServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = run("login", server.url, "--username", "ada", "--password-stdin", "--json", stdin=PASSWORD + "\n")
    assert (done.exit_code, json.loads(done.stdout)["username"]) == (0, "ada")
    assert login_file() == tmp_path / "config" / "brain-scans" / "login.json"
    assert login_file().stat().st_mode & 0o777 == 0o600
    assert json.loads(login_file().read_text())["token"] == TOKEN
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and PASSWORD in path.read_text()]
    monkeypatch.setenv("BRAIN_SCANS_PASSWORD", PASSWORD)
    assert run("login", server.url).exit_code == 0


def test_a_wrong_password_is_said_and_nothing_is_kept(server: ScanServer) -> None:
    done = run("login", server.url, "--password-stdin", stdin="wrong\n")
    assert done.exit_code == 3
    assert "Invalid credentials" in done.stderr
    assert not login_file().exists()


def test_logout_revokes_the_token_and_forgets_it(signed_in: ScanServer) -> None:
    assert run("logout").exit_code == 0
    assert signed_in.tokens == set()
    assert not login_file().exists()
    assert run("status").exit_code == 3


def test_submit_says_what_was_accepted_and_refused(signed_in: ScanServer, folder: Path) -> None:
    (folder / "0002.png").write_bytes(png(2) + b"refuse me")
    (folder / "notes.txt").write_text("x")
    done = run("submit", folder, "--patient", "P0000000000000001", "--name", "Monday", "--json")
    assert done.exit_code == 1
    content = json.loads(done.stdout)
    assert (content["total"], content["accepted"], content["left_out"], content["unsent"]) == (6, 5, 1, 0)
    assert [refusal["file"] for refusal in content["refused"]] == ["0002.png"]
    person = run("submit", folder, "--patient", 1)
    assert person.stdout == ""
    assert "refused: 0002.png: The file is not a complete image." in person.stderr
    assert len(signed_in.batches) == 1  # both ways to name the patient mean the same work


def test_a_dry_run_checks_every_file_and_sends_nothing(signed_in: ScanServer, folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"MZ")
    done = run("submit", folder, "--patient", 1, "--dry-run", "--json")
    assert done.exit_code == 1
    content = json.loads(done.stdout)
    assert (content["files"], content["patients"], content["requests"]) == (6, 1, 1)
    assert [refusal["code"] for refusal in content["refused"]] == ["NOT_AN_IMAGE"]
    assert signed_in.batches == {}
    assert {request.method for request in signed_in.seen} == {"GET"}


def test_wait_follows_the_batch_and_failed_jobs_are_an_exit_status(
    signed_in: ScanServer, folder: Path
) -> None:
    done = run("submit", folder, "--patient", 1, "--wait", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["batch"]["counts"]["succeeded"] == 6
    signed_in.job_status = "failed"
    status = run("status", "--wait", "--json")
    assert status.exit_code == 1
    assert json.loads(status.stdout)["counts"]["failed"] == 6


@pytest.mark.usefixtures("signed_in")
def test_results_are_streamed_into_a_file_or_to_standard_output(folder: Path, tmp_path: Path) -> None:
    batch = json.loads(run("submit", folder, "--patient", 1, "--json").stdout)["batch_id"]
    assert run("results", batch, "--csv", tmp_path / "out.csv").exit_code == 0
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "filename,patient_id"
    assert len(lines) == 7
    assert run("results", "--csv", "-").stdout.splitlines() == lines
    assert run("results", "--json").exit_code == 2


def test_a_report_is_fetched_from_wherever_its_link_leads(signed_in: ScanServer, tmp_path: Path) -> None:
    with running() as store:
        signed_in.report_link = f"{store.url}/api/files/reports/signed"
        done = run("report", "--patient", 1, "--out", tmp_path / "r.pdf", "--json")
        assert (done.exit_code, json.loads(done.stdout)["report_id"]) == (0, "R0123456789ABCDEF")
        assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")
        assert TOKEN not in str(store.seen)
    signed_in.job_status = "failed"
    failed = run("report", "--patient", 1, "--out", tmp_path / "s.pdf")
    assert (failed.exit_code, "the renderer broke" in failed.stderr) == (1, True)
    assert not (tmp_path / "s.pdf").exists()


def test_cancel_says_how_many_jobs_it_ended(signed_in: ScanServer, folder: Path) -> None:
    batch = json.loads(run("submit", folder, "--patient", 1, "--json").stdout)["batch_id"]
    assert json.loads(run("cancel", "--json").stdout) == {"batch_id": batch, "cancelled": 3}
    assert signed_in.batches[batch]["cancelled_at"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit"],
        ["submit", "/nowhere", "--patient", "1"],
        ["status"],
        ["status", "x"],
        ["report"],
        ["login", "x"],
    ],
)
def test_wrong_use_is_exit_status_2(signed_in: ScanServer, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2
    assert signed_in.batches == {}


def test_nobody_signed_in_is_exit_status_3(folder: Path) -> None:
    done = run("submit", folder, "--patient", 1)
    assert done.exit_code == 3
    assert "brain-scans login" in done.stderr


def test_the_help_names_the_exit_statuses() -> None:
    help_text = " ".join(run("submit", "--help").stdout.split())
    assert "4 server not reachable" in help_text
    assert "130 interrupted" in help_text


def test_names_cannot_steer_the_terminal(signed_in: ScanServer, folder: Path) -> None:
    (folder / "a\x1b[2J[red]b.png").write_bytes(b"MZ")
    done = run("submit", folder, "--patient", 1)
    assert "\x1b[2J" not in done.stderr
    assert "[red]b.png" in done.stderr
    assert signed_in.names().total() == 6


def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(
    signed_in: ScanServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MOST_FILES", 2)
    signed_in.upload_faults = deque([Fault(503, retry_after="60")] * 9)
    command = [sys.executable, "-m", "brain_scans", "submit", str(folder), "--patient", "1", "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    deadline = time.monotonic() + 20
    while not signed_in.uploads():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert json.loads(out)["unsent"] == 6
    assert shlex.join(["submit", str(folder), "--patient", "1", "--json"]) in err
    assert "Traceback" not in err
    signed_in.upload_faults.clear()
    assert run("submit", folder, "--patient", 1).exit_code == 0
    assert signed_in.names().total() == 6
