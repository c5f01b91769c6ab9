"""Questions of several threads that are asked in one go."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.together import Together


class Asked:
    """Doubles numbers. The first call waits until it is let go."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.began, self.may_end = threading.Event(), threading.Event()

    def __call__(self, questions: Sequence[int]) -> list[int]:
        self.calls.append(sorted(questions))
        if len(self.calls) == 1:
            self.began.set()
            assert self.may_end.wait(10)
        if 0 in questions:
            raise ValueError("no zero")
        return [2 * question for question in questions]


def ask_meanwhile(together: Together[int, int], asked: Asked, numbers: Sequence[int]) -> list[int | None]:
    """One asks; the others come while its answer is on its way."""
    with ThreadPoolExecutor(len(numbers) + 1) as threads:
        first = threads.submit(together.ask, 100)
        assert asked.began.wait(10)
        others = [threads.submit(together.ask, number) for number in numbers]
        while len(together._waiting) < len(numbers):  # nothing else tells that all have come
            pass
        asked.may_end.set()
        assert first.result(10) == 200
        return [None if other.exception(10) else other.result() for other in others]


def test_what_comes_meanwhile_is_asked_together_and_each_gets_its_own_answer() -> None:
    asked = Asked()
    together = Together(asked)
    assert ask_meanwhile(together, asked, range(1, 8)) == [2, 4, 6, 8, 10, 12, 14]
    assert asked.calls == [[100], [1, 2, 3, 4, 5, 6, 7]]
    assert together.ask(8) == 16


def test_a_failure_is_raised_once_and_leaves_nobody_waiting() -> None:
    asked = Asked()
    together = Together(asked)
    assert ask_meanwhile(together, asked, [0, 1, 2]) == [None, None, None]
    with pytest.raises(ValueError, match="no zero"):
        together.ask(0)
    assert together.ask(3) == 6
