"""Milliseconds and answers of each operation of a load."""

import threading
from collections import Counter, defaultdict
from typing import Any

import numpy as np

SERVER_ERRORS = 500


class Tally:
    """Noted from any thread."""

    def __init__(self) -> None:
        self._milliseconds: dict[str, list[float]] = defaultdict(list)
        self._answers: dict[str, Counter[str]] = defaultdict(Counter)
        self._lock = threading.Lock()

    def note(self, operation: str, seconds: float, answer: str) -> None:
        """`answer` is a status code, or the name of the error that came instead of one."""
        with self._lock:
            self._milliseconds[operation].append(seconds * 1000)
            self._answers[operation][answer] += 1

    def summary(self) -> dict[str, dict[str, Any]]:
        """For each operation: how many, percentiles, the longest, and how often each answer came."""
        with self._lock:
            return {
                name: {
                    "count": len(times),
                    **{f"p{p}_ms": round(float(np.percentile(times, p)), 1) for p in (50, 95, 99)},
                    "max_ms": round(max(times), 1),
                    "answers": dict(self._answers[name]),
                }
                for name, times in sorted(self._milliseconds.items())
            }

    def failures(self) -> int:
        """Answers of 500 and more, and requests without an answer."""
        with self._lock:
            return sum(
                count
                for answers in self._answers.values()
                for answer, count in answers.items()
                if not answer.isdigit() or int(answer) >= SERVER_ERRORS
            )
