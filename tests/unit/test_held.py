"""A value that is held for a while: how long, and what callers get meanwhile."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import pytest

from api.held import TIMES_ITS_COST, Held


class Clock:
    """Stands still until it is told otherwise."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def numbers() -> Iterator[int]:
    return count(1)


def test_a_value_is_made_anew_only_after_its_time(clock: Clock, numbers: Iterator[int]) -> None:
    held = Held[int](2, clock)
    assert [held.get(lambda: next(numbers)) for _ in range(3)] == [1, 1, 1]
    clock.now += 1.9
    assert held.get(lambda: next(numbers)) == 1
    clock.now += 0.2
    assert held.get(lambda: next(numbers)) == 2


def test_what_takes_long_is_held_for_longer(clock: Clock, numbers: Iterator[int]) -> None:
    def slowly() -> int:
        clock.now += 1
        return next(numbers)

    held = Held[int](2, clock)
    assert held.get(slowly) == 1
    clock.now += TIMES_ITS_COST - 0.1
    assert held.get(slowly) == 1
    clock.now += 0.2
    assert held.get(slowly) == 2


def test_while_one_makes_it_the_others_take_the_last_one(clock: Clock) -> None:
    held = Held[str](2, clock)
    assert held.get(lambda: "old") == "old"
    clock.now += 3
    begun, go_on = Event(), Event()

    def make() -> str:
        begun.set()
        assert go_on.wait(10)
        return "new"

    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(held.get, make)
        assert begun.wait(10)
        assert held.get(lambda: "another") == "old"
        go_on.set()
        assert made.result(10) == "new"
    assert held.get(lambda: "another") == "new"


def test_without_any_value_everybody_waits_for_the_first(clock: Clock, numbers: Iterator[int]) -> None:
    held = Held[int](2, clock)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: held.get(lambda: next(numbers)), range(8))) == {1}


def test_a_failure_is_not_held(clock: Clock) -> None:
    held = Held[float](2, clock)
    with pytest.raises(ZeroDivisionError):
        held.get(lambda: 1 / 0)
    assert held.get(lambda: 1.0) == 1.0
