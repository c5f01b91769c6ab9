"""Where the local stack serves metrics."""

from pathlib import Path

import pytest

from stack.ports import Ports
from stack.programs import product_programs
from stack.settings import StackSettings
from stack.state import Secrets, StateFolder


def served(folder: Path, metrics_port: int | None) -> dict[str, str]:
    state = StateFolder(folder)
    programs = product_programs(state, Secrets(), Ports(1, 2, 3, 4), metrics_port)
    return {p.role: p.environment["METRICS_PORT"] for p in programs if "METRICS_PORT" in p.environment}


def test_each_process_of_the_local_stack_has_a_port_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METRICS_PORT", "9100")
    settings = StackSettings.from_environment()
    assert "METRICS_PORT" not in settings.environment, "beat, Flower and commands would take it too"
    assert served(tmp_path, settings.metrics_port) == {
        "api": "9100",
        "scan-worker": "9101",
        "report-worker": "9102",
    }


def test_the_local_stack_serves_none_unless_asked(tmp_path: Path) -> None:
    assert served(tmp_path, None) == {}
