"""A value that costs something, held for a while: one caller makes it anew, the others take the last one."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")
TIMES_ITS_COST = 20  # so that at most a twentieth of the time is spent on it, whoever asks how often


class Held(Generic[Value]):
    """Of one process. Held for `least_seconds`, or longer where working it out took long."""

    def __init__(self, least_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._least_seconds = least_seconds
        self._clock = clock
        self._lock = Lock()
        self._last: tuple[Value, float] | None = None  # with the time until which it is good

    def get(self, make: Callable[[], Value]) -> Value:
        """The value; nobody waits for another's work but where there is no value at all yet."""
        last = self._last
        if last is not None and self._clock() < last[1]:
            return last[0]
        if not self._lock.acquire(blocking=last is None):
            assert last is not None  # noqa: S101 - for the type checker: without one it has waited
            return last[0]
        try:
            made_meanwhile = self._last
            if made_meanwhile is not None and self._clock() < made_meanwhile[1]:
                return made_meanwhile[0]
            return self._make(make)
        finally:
            self._lock.release()

    def _make(self, make: Callable[[], Value]) -> Value:
        began = self._clock()
        value = make()
        ended = self._clock()
        self._last = (value, ended + max(self._least_seconds, TIMES_ITS_COST * (ended - began)))
        return value
