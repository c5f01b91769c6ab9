"""When a request is sent again, and after which pause."""

import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from brain_scans.errors import UnreachableError

BUSY = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
LONGEST_ASKED_S = 300.0  # of what `Retry-After` may ask for
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on with a server that is silent or broken, and with one that says it is busy."""

    silent_s: float = 60
    busy_s: float = 1800
    first_pause_s: float = 0.5
    longest_pause_s: float = 15


@dataclass(slots=True)
class Retries:
    """The attempts of one request. `repeatable`: sending it twice does no more than sending it once."""

    patience: Patience
    repeatable: bool
    attempts: int = 0
    began: float = field(default_factory=time.monotonic)

    def after_silence(self, error: httpx.TransportError) -> float:
        """The pause before the next attempt. Raises `UnreachableError` where there is none."""
        if not self.repeatable and not isinstance(error, NEVER_SENT):
            raise UnreachableError(
                "The connection broke, and it is not known whether the server did what was asked."
            ) from error
        if self._spent() > self.patience.silent_s:
            raise UnreachableError(f"The server does not answer ({type(error).__name__}).") from error
        return self._pause()

    def after(self, response: httpx.Response) -> float | None:
        """The pause before the next attempt, or None if this answer is final.

        Raises `UnreachableError` if the server has been busy or broken for too long.
        """
        if not self._is_passing(response):
            return None
        is_busy = response.status_code in BUSY
        if self._spent() > (self.patience.busy_s if is_busy else self.patience.silent_s):
            trouble = "is too busy" if is_busy else "is in trouble"
            raise UnreachableError(f"The server {trouble} (HTTP {response.status_code}). Try again later.")
        asked = asked_pause(response.headers.get("Retry-After"))
        # A little more than asked, and not the same for all: else all come back at once.
        return self._pause() if asked is None else asked + random.uniform(0, 0.25)  # noqa: S311 - no secret

    def _is_passing(self, response: httpx.Response) -> bool:
        """Whether a later attempt may be answered otherwise."""
        if response.status_code in BUSY:
            return True
        if response.status_code == httpx.codes.CONFLICT:  # a twin of this request is being worked on
            return self.repeatable and "Retry-After" in response.headers
        return self.repeatable and response.is_server_error

    def _spent(self) -> float:
        return time.monotonic() - self.began

    def _pause(self) -> float:
        longest = min(self.patience.first_pause_s * 2**self.attempts, self.patience.longest_pause_s)
        self.attempts += 1
        return random.uniform(longest / 2, longest)  # noqa: S311 - no secret


def asked_pause(header: str | None) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or as a date; None if it says nothing usable."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_ASKED_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_ASKED_S)
