"""The whole stack as `make up`, `make demo` and `make down` run it: real processes, real supervisor."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from rich.console import Console

from stack.client import ApiClient
from stack.demo import PATIENT, analyse, fetch_report
from stack.ports import free_port
from stack.postgres import Cluster
from stack.processes import processes_of
from stack.programs import OWNER_VARIABLE
from stack.settings import CHECKOUT, DEFAULT_SAMPLES

ROLES = {"postgres", "redis", "api", "scan-worker", "report-worker", "beat", "flower"}
COMMAND_SECONDS = 170

pytestmark = pytest.mark.timeout(240)  # five Python processes start on whatever else the machine is doing


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that root's unprivileged Postgres user can enter, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="brain-tumor-test-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


class LocalStack:
    """The command line, on a state folder and on ports of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        ports = {"PORT": str(free_port()), "FLOWER_PORT": str(free_port())}
        self.environment = {**os.environ, **ports, "TMPDIR": str(folder)}

    def run(self, *arguments: str) -> str:
        """Run a command to its end; its standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "stack", "--state", str(self.state), *arguments],
            cwd=CHECKOUT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def processes(self) -> dict[str, dict[str, Any]]:
        status: dict[str, Any] = json.loads(self.run("status"))
        return {process["role"]: process for process in status["processes"]}

    def left(self) -> list[psutil.Process]:
        return processes_of(self.state, Cluster(self.state / "postgres", 0).home)


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[LocalStack]:
    started = LocalStack(folder)
    try:
        started.run("up")
        yield started
    finally:
        started.run("clean")
        assert not started.state.exists()


@pytest.fixture
def access(stack: LocalStack) -> Mapping[str, str]:
    """What `up` prints, also when all runs already."""
    return dict(line.split(": ", 1) for line in stack.run("up").splitlines())


@pytest.fixture
def client(access: Mapping[str, str]) -> Iterator[ApiClient]:
    with ApiClient.signed_in(access["url"], access["username"], access["password"]) as signed_in:
        yield signed_in


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


def test_up_again_changes_nothing_and_every_process_runs(
    stack: LocalStack, access: Mapping[str, str]
) -> None:
    before = stack.processes()
    assert set(before) == ROLES
    assert {process["state"] for process in before.values()} == {"RUNNING"}
    assert stack.run("up").startswith(f"url: {access['url']}\nusername: admin\npassword: ")
    assert {role: p["pid"] for role, p in stack.processes().items()} == {
        r: p["pid"] for r, p in before.items()
    }


def test_flower_shows_nothing_without_its_password(access: Mapping[str, str]) -> None:
    login = (access["flower username"], access["flower password"])
    assert httpx.get(f"{access['flower']}/workers", trust_env=False).status_code == 401
    assert httpx.get(f"{access['flower']}/workers", auth=login, trust_env=False).status_code == 200


def test_no_process_shows_a_secret_in_its_arguments(stack: LocalStack) -> None:
    """Everybody on the machine can read those."""
    secrets = json.loads((stack.state / "secrets.json").read_text())
    shown = [" ".join(process.cmdline()) for process in stack.left()]
    for word in ("gunicorn", "flower", "postgres", "redis-server", "beat"):
        assert [line for line in shown if word in line], word
    assert [name for name, secret in secrets.items() for line in shown if secret in line] == []


def test_the_doctor_looks_at_the_running_stack(stack: LocalStack) -> None:
    found = json.loads(stack.run("run", "api.cli", "doctor", "--json"))
    levels = {check["name"]: check["level"] for check in found["checks"] if check["name"] != "settings"}
    assert {"database", "broker", "image store", "scan workers", "report workers"} < set(levels)
    assert set(levels.values()) == {"ok"}


def test_a_killed_scan_worker_comes_back_and_scans_go_from_upload_to_report(
    stack: LocalStack, client: ApiClient, tmp_path: Path
) -> None:
    killed = stack.processes()["scan-worker"]
    os.kill(killed["pid"], signal.SIGKILL)
    patient_id = client.create_patient(PATIENT)
    files = sorted(DEFAULT_SAMPLES.glob("*.png"))[:2]
    quiet = Console(quiet=True)
    rows = analyse(client, patient_id, files, DEFAULT_SAMPLES, tmp_path / "overlays", quiet)
    report = fetch_report(client, patient_id, tmp_path / "report.pdf", quiet)
    assert [row.file for row in rows] == [file.name for file in files]
    assert all(row.is_done and row.ms is not None for row in rows)
    assert len(list((tmp_path / "overlays").iterdir())) == 2
    assert report.pages > 0
    wait_for(lambda: stack.processes()["scan-worker"]["state"] == "RUNNING", 30)
    assert stack.processes()["scan-worker"]["pid"] != killed["pid"]
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in killed["children"]), 30)


def test_flower_tells_of_tasks_and_of_no_patient(access: Mapping[str, str]) -> None:
    """After the scans of the test before."""
    login = (access["flower username"], access["flower password"])
    with httpx.Client(base_url=access["flower"], auth=login, trust_env=False, timeout=30) as flower:
        tasks = flower.get("/api/tasks").json()
        paths = ["/api/tasks", "/tasks", "/workers", "/api/task/types", "/metrics"]
        told = "".join(flower.get(path).text for path in (*paths, *(f"/task/{name}" for name in tasks)))
    assert tasks
    patient = [str(value) for value in PATIENT.values() if len(str(value)) > 4]
    assert [word for word in (*patient, ".png", "original/", "overlay/") if word in told] == []


def test_data_survives_a_stop_that_leaves_no_process(stack: LocalStack, client: ApiClient) -> None:
    patient_id = client.create_patient({**PATIENT, "email": "stays@example.org"})
    assert stack.left()
    stack.run("down")
    assert stack.left() == []
    assert json.loads(stack.run("status")) == {"running": False, "url": None, "processes": []}
    access = dict(line.split(": ", 1) for line in stack.run("up").splitlines())
    with ApiClient.signed_in(access["url"], access["username"], access["password"]) as again:
        assert again.scans(patient_id) == []  # an unknown patient would be refused


def test_an_interrupted_demo_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "stack", "demo", "--out", str(tmp_path)]
    with subprocess.Popen(
        argv,
        cwd=CHECKOUT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith("Starting the API"):
                os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(60) == 130
    assert list(folder.glob("brain-tumor-demo-*")) == []
    assert not [
        process
        for process in psutil.process_iter()
        if owner(process).startswith(f"{folder}/brain-tumor-demo-")
    ]


def owner(process: psutil.Process) -> str:
    """The state folder that a process belongs to; empty if to none."""
    try:
        return str(process.environ().get(OWNER_VARIABLE, ""))
    except (psutil.Error, OSError):
        return ""
