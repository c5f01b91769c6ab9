"""Clients that ask for random jobs again and again, and how long each answer took."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

from bench.crew import Crew


class Pollers(Crew):
    """Threads that poll `GET /api/jobs/{id}` while the block lasts. `ids` may grow meanwhile."""

    def __init__(self, url: str, authorization: str, ids: Sequence[str], number: int, pause_s: float) -> None:
        super().__init__(number)
        self._url, self._headers = url, {"Authorization": authorization}
        self._ids, self._pause = ids, pause_s
        self._milliseconds: list[float] = []
        self._errors: Counter[str] = Counter()

    def count(self) -> int:
        """How many polls were answered so far."""
        return len(self._milliseconds)

    def summary(self, first: int = 0, last: int | None = None) -> dict[str, Any]:
        """The answered polls from `first` to `last`: how many, how long they took; and all errors."""
        times = self._milliseconds[first:last]
        percentiles = {
            f"p{percent}_ms": round(float(np.percentile(times, percent)), 1) if times else None
            for percent in (50, 95, 99)
        }
        return {
            "count": len(times),
            **percentiles,
            "max_ms": round(max(times, default=0), 1),
            "errors": dict(self._errors),
        }

    def _work(self, seed: int) -> None:
        choose = random.Random(seed)  # noqa: S311 - which jobs are asked for is no secret
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=60, trust_env=False) as http:
            while not self._stop.wait(self._pause):
                if not self._ids:
                    continue
                began = time.perf_counter()
                try:
                    response = http.get(f"/api/jobs/{choose.choice(self._ids)}")
                except httpx.HTTPError as error:
                    self._note_error(type(error).__name__)
                    continue
                if response.status_code == httpx.codes.OK:
                    self._milliseconds.append((time.perf_counter() - began) * 1000)
                else:
                    self._note_error(f"HTTP {response.status_code}")

    def _note_error(self, kind: str) -> None:
        with self._lock:
            self._errors[kind] += 1
