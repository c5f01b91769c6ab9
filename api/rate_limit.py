"""How many requests one caller may send. Counted in this process: nothing waits for a broker that is ill."""

import math
import time
from collections import Counter
from threading import Lock

from shared.errors import TooManyRequestsError
from shared.settings import Settings

WINDOW_S = 60


class RateLimit:
    """Counts requests by minute, per signed-in caller and per address."""

    def __init__(self, settings: Settings) -> None:
        self._of_callers = settings.requests_per_minute
        self._of_addresses = settings.anonymous_requests_per_minute
        self._lock = Lock()
        self._window = 0
        self._counts: Counter[tuple[str, str]] = Counter()

    def count_caller(self, caller: str) -> None:
        """Raises `TooManyRequestsError`."""
        self._count(self._of_callers, "caller", caller)

    def count_address(self, address: str) -> None:
        """Raises `TooManyRequestsError`."""
        self._count(self._of_addresses, "address", address)

    def _count(self, most: int, kind: str, who: str) -> None:
        window, passed = divmod(time.time(), WINDOW_S)
        with self._lock:
            if window != self._window:  # what the last minute counted is nobody's any more
                self._window = int(window)
                self._counts.clear()
            self._counts[kind, who] += 1
            count = self._counts[kind, who]
        if count > most:
            raise TooManyRequestsError(
                "Too many requests in this minute. Wait, or ask for many jobs at once with "
                "POST /api/jobs/status.",
                max(math.ceil(WINDOW_S - passed), 1),
            )
