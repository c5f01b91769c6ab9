"""Ctrl-C: the first one lets the requests under way end, the second one ends everything at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from brain_scans.output import console

INTERRUPTED = 130


@contextmanager
def gentle_stop(stop: threading.Event) -> Iterator[None]:
    """Inside the block SIGINT and SIGTERM set `stop`."""

    def ask(_: int, __: FrameType | None) -> None:
        if stop.is_set():
            console.show_cursor()  # a progress bar hides it
            os._exit(INTERRUPTED)  # the journal is on disk: each line was synced
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
