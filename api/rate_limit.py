"""How many requests one caller may send. Counted in this process: nothing waits for a broker that is ill."""

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from shared.errors import TooManyRequestsError
from shared.settings import Settings


class RateLimit:
    """Counts requests by minute, per signed-in caller and per address."""

    def __init__(self, settings: Settings) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._of_callers = RateLimitItemPerMinute(settings.requests_per_minute)
        self._of_addresses = RateLimitItemPerMinute(settings.anonymous_requests_per_minute)

    def count_caller(self, caller: str) -> None:
        """Raises `TooManyRequestsError`."""
        self._count(self._of_callers, caller)

    def count_address(self, address: str) -> None:
        """Raises `TooManyRequestsError`."""
        self._count(self._of_addresses, address)

    def _count(self, limit: RateLimitItemPerMinute, who: str) -> None:
        if not self._limiter.hit(limit, who):
            left = self._limiter.get_window_stats(limit, who).reset_time - time.time()
            raise TooManyRequestsError(
                "Too many requests in this minute. Wait, or ask for many jobs at once with "
                "POST /api/jobs/status.",
                max(math.ceil(left), 1),
            )
