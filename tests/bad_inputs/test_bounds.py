"""Decoding stays within a stated memory and time, whatever is sent; and only so much is decoded at once."""

import json
import subprocess
import sys
import threading
from pathlib import Path

from shared.pixel_budget import PixelBudget
from tests.bad_inputs.case import Accepted
from tests.bad_inputs.corpus import cases, largest

ROOT = Path(__file__).resolve().parents[2]
ADDRESS_SPACE_MB = 700  # beyond what the process has before; more than this fails at once
MOST_MB = 600  # of any picture, as `shared.images` states it
MOST_REFUSED_MB = 60  # of anything that is refused: its bytes once more
MOST_SECONDS = 10  # of the CPU, as `shared.images` states it: twice the worst of a slow, shared core
MOST_REFUSED_SECONDS = 2


def test_no_case_takes_more_memory_or_time_than_stated() -> None:
    probe = [sys.executable, "-m", "tests.bad_inputs.probe", str(ADDRESS_SPACE_MB)]
    done = subprocess.run(probe, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == "", "no warning reaches the log"
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    wanted = {case.name: case.expected for case in (*largest(), *cases())}
    assert [each["name"] for each in measured] == list(wanted)
    for each in measured:
        expected = wanted[each["name"]]
        is_accepted = isinstance(expected, Accepted)
        assert each["megabytes"] < (MOST_MB if is_accepted else MOST_REFUSED_MB), each
        assert each["seconds"] < (MOST_SECONDS if is_accepted else MOST_REFUSED_SECONDS), each
        assert isinstance(each["outcome"], list) == is_accepted, each
        if isinstance(expected, Accepted):
            assert tuple(each["outcome"]) == expected.size, each


def test_pictures_wait_until_their_pixels_fit_and_a_large_one_is_not_overtaken() -> None:
    budget = PixelBudget(100)
    order: list[str] = []
    started = threading.Event()

    def large() -> None:
        started.set()
        with budget.spent(500):
            order.append("large")

    def small() -> None:
        with budget.spent(10):
            order.append("small")

    with budget.spent(60), budget.spent(40):
        first = threading.Thread(target=large)
        first.start()
        assert started.wait(5)
        first.join(0.1)  # it waits in line by now
        second = threading.Thread(target=small)
        second.start()
        second.join(0.1)
        assert order == []
    first.join(5)
    second.join(5)
    assert order == ["large", "small"]
