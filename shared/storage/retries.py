"""Asking a store over a network, and asking again where another answer is likely."""

import random
import time
from collections.abc import Callable, Iterable
from email.utils import parsedate_to_datetime
from typing import TypeVar

from shared.errors import StorageError
from shared.logs import get_logger
from shared.metrics.stores import RETRIES

ATTEMPTS = 3
FIRST_PAUSE_S = 0.25
MAX_OBJECT_BYTES = 256 * 1024 * 1024  # an overlay of the largest accepted picture is about half as large

Answer = TypeVar("Answer")
log = get_logger(__name__)


class TryLaterError(StorageError):
    """The store does not answer as it should just now. `after_s`: the pause that it asks for."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


def ask(call: Callable[[], Answer], role: str, patience_s: float) -> Answer:
    """What the call returns, after up to three attempts in all.

    Pauses double and are spread, so that workers do not come back together. The pause that the store asks
    for counts if it is longer; if it is longer than `patience_s`, the call fails at once: a job that is
    queued again waits better than a thread. Raises the last attempt's `StorageError`.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except StorageError as error:
            pause = _pause(error, attempt)
            if not error.retryable or attempt == ATTEMPTS or pause > patience_s:
                raise
            RETRIES.labels(role).inc()
            log.warning("store asked again", store=role, attempt=attempt, cause=str(error))
            time.sleep(pause)
    raise AssertionError("unreachable")


def seconds_of(retry_after: str | None) -> float | None:
    """The pause that a Retry-After header asks for, given in seconds or as a date."""
    if not retry_after:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(parsedate_to_datetime(retry_after).timestamp() - time.time(), 0)
    except ValueError:
        return None


def read_whole(chunks: Iterable[bytes], deadline: float) -> bytes:
    """Join the pieces of an answer. `deadline`: on `time.monotonic`, against answers that trickle.

    Raises `TryLaterError` when it is late, `StorageError` when there is more than any object has.
    """
    whole = bytearray()
    for chunk in chunks:
        whole += chunk
        if len(whole) > MAX_OBJECT_BYTES:
            raise StorageError("The store's answer is larger than any object may be.")
        if time.monotonic() > deadline:
            raise TryLaterError("The store's answer came too slowly.")
    return bytes(whole)


def _pause(error: StorageError, attempt: int) -> float:
    wanted = error.after_s if isinstance(error, TryLaterError) and error.after_s else 0.0
    spread = random.uniform(0.5, 1.5)  # noqa: S311 - no secret
    return max(wanted, FIRST_PAUSE_S * 2.0 ** (attempt - 1) * spread)
