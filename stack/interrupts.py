"""Requests to end (Ctrl-C, SIGTERM, a closed terminal): unwind the program, but never its cleaning up."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def unwind_on_request() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP leave by an exception, so that `finally` blocks run.

    SIGINT is named too: shells start background jobs with it ignored, and Python would leave it so.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore requests to end inside the block: an impatient second Ctrl-C must not leave processes behind."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)
