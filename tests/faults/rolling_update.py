"""An update while work runs: the schema first, then one process after the other, old and new side by side.

`make update-check` runs it. The old version is the one before the newest migration, from the history.
"""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.migrations import known_revisions
from tests.faults.ledger import finished
from tests.faults.programs import ROOT
from tests.faults.scene import Fault, Scene, run_fault
from tests.faults.system import API, REPORT, SCAN, SCAN_2, System, until

SCANS = 60
RETRYABLE = {"503", "429", "ConnectError", "ReadError", "ReadTimeout", "WriteError", "RemoteProtocolError"}
PROGRAM_FOLDERS = ("api", "worker", "shared", "model_weights")
IMPORTS = "import api, worker.pipeline, worker.rendering"  # not every commit on the way was a whole version
STEPS = (1, 2, 4, 8, 16, 32)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product as it was before the newest migration, taken from the history."""
    newest = next((ROOT / "shared/migrations/versions").glob(f"v{known_revisions()[-1]}_*.py"))
    name = str(newest.relative_to(ROOT))
    added = _git("log", "--diff-filter=A", "--format=%H", "-1", "--", name)
    for step in STEPS if added else ():
        if not (commit := _git("rev-parse", "--verify", f"{added}~{step}")):
            break
        folder = _unpacked(commit, tmp_path_factory.mktemp("old-code"))
        assert not (folder / name).exists()
        if subprocess.run([sys.executable, "-c", IMPORTS], cwd=folder, check=False).returncode == 0:
            return folder
    pytest.skip("the history does not reach behind the newest migration")


def _unpacked(commit: str, folder: Path) -> Path:
    archive = folder / "old.tar"
    subprocess.run(["git", "archive", "-o", archive, commit, *PROGRAM_FOLDERS], cwd=ROOT, check=True)
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def old_system(old_code: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The newest schema, under the processes of the version before it."""
    system = System(tmp_path_factory.mktemp("update"))
    for program in system.programs.values():
        program.code = old_code
    with system.running():
        yield system


def _replace(scene: Scene, name: str) -> None:
    """Have the new version follow the old one, as `docker compose up` does."""
    system, program = scene.system, scene.system.programs[name]
    old = system.pid(name)
    program.code = ROOT
    system.terminate(name)
    until(lambda: program.is_running and system.pid(name) != old, f"{name} is replaced")
    system.wait_until_at_work()
    assert Path(f"/proc/{system.pid(name)}/cwd").resolve() == ROOT


def update_by_turns(scene: Scene) -> None:
    scene.wait_for_work(0.1)
    before = finished(scene.system, scene.driver.patient_id)
    for name in (API, SCAN, SCAN_2, REPORT):
        _replace(scene, name)
    assert before < SCANS, "work was under way when the update began"


def test_an_update_loses_nothing_and_does_nothing_twice(old_system: System) -> None:
    ledger = run_fault(old_system, Fault("update", update_by_turns), SCANS, is_brief=True)
    assert ledger.accepted == SCANS
    assert ledger.is_kept(), ledger
    assert ledger.retried == 0, "every attempt was finished, or given back uncounted"
    assert set(ledger.answers) - {"200", "202"} <= RETRYABLE, ledger.answers
