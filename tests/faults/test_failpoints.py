"""Fail-points: inert until one is armed, and then only that one, only so often."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared import failpoints
from shared.failpoints import FailPointError, failpoint
from shared.settings import Settings


@pytest.fixture(autouse=True)
def disarmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the turns of one test are not another's
    yield
    failpoints.arm(None)


def test_nothing_fails_until_a_point_is_armed() -> None:
    failpoint("claimed")
    failpoints.arm("claimed:raise")
    with pytest.raises(FailPointError):
        failpoint("claimed")
    failpoints.arm(None)
    failpoint("claimed")


def test_memory_can_run_out() -> None:
    failpoints.arm("claimed:exhaust")
    with pytest.raises(MemoryError):
        failpoint("claimed")


def test_only_the_named_point_fails() -> None:
    failpoints.arm("claimed:raise")
    failpoint("fetched")


def test_a_count_is_shared_by_all_who_arm_the_same_point() -> None:
    fired = 0
    for _ in range(5):
        failpoints.arm("claimed:raise:2")  # as a restarted process does
        try:
            failpoint("claimed")
        except FailPointError:
            fired += 1
    assert fired == 2


def test_a_point_for_one_size_leaves_other_pictures_alone() -> None:
    failpoints.arm("decoded@40x30:raise")
    failpoint("decoded", (64, 48))
    failpoint("decoded")
    with pytest.raises(FailPointError):
        failpoint("decoded", (40, 30))


def test_sleep_goes_on_after_its_time() -> None:
    failpoints.arm("claimed:sleep=0.2")
    began = time.monotonic()
    failpoint("claimed")
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    ("action", "status"), [("kill", -signal.SIGKILL), ("crash", -signal.SIGSEGV), ("exit", 1)]
)
def test_a_process_ends_where_it_is_told_to(action: str, status: int) -> None:
    code = f"from shared import failpoints as f; f.arm('claimed:{action}'); f.failpoint('claimed')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == status


@pytest.mark.parametrize(
    "text", ["claimed", "claimed:explode", "claimed:kill:often", "CLAIMED:kill", ":kill"]
)
def test_a_text_that_names_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="FAIL_AT"):
        failpoints.arm(text)
    with pytest.raises(ValueError, match="fail_at"):
        _settings(text, "development")


def test_production_refuses_fail_points() -> None:
    with pytest.raises(ValueError, match="FAIL_AT: is for tests"):
        _settings("claimed:kill", "production")


def _settings(fail_at: str, mode: str) -> Settings:
    secret = SecretStr("0123456789abcdef0123456789abcdef")
    return Settings(
        _env_file=None, database_url="postgresql://x", flask_env=mode, fail_at=fail_at, secret_key=secret
    )
