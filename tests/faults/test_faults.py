"""A short version of `make faults`: some of what can break, all in one running system."""

from collections.abc import Iterator

import pytest

from tests.faults.catalogue import SHORT
from tests.faults.places import running_system
from tests.faults.scene import Fault, left_after_repair, run_fault
from tests.faults.system import System

SCANS = 20


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: fault.name)
def test_nothing_is_lost_or_done_twice(system: System, fault: Fault) -> None:
    ledger = run_fault(system, fault, SCANS, is_brief=True)
    assert ledger.accepted == SCANS
    assert ledger.is_kept(), ledger


def test_reconciliation_leaves_nothing_that_no_row_names(system: System) -> None:
    assert left_after_repair(system) == 0
