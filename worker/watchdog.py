"""Does due work that no message wakes this process for.

Hints get lost, the sweeper's too, and Celery's consumer has been seen alive and deaf after a broken
connection. Nothing can be lost by that, since the rows are the truth; but they would wait. So a process that
is idle looks by itself, from a thread of its own: whoever drains holds the process' turn, so that a task that
comes meanwhile waits, and the model never runs twice at a time. Restarting the worker instead would load the
model anew, need a supervisor, and cure only the deaf.
"""

import threading
import time
from collections.abc import Mapping
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from shared import job_queries
from shared.logs import get_logger
from shared.models import JobKind, Lane
from shared.services import Services

IDLE_SWEEPS = 4  # so often the sweeper had time to send a hint

log = get_logger(__name__)


class Drain(Protocol):
    """Who does the jobs of one kind."""

    def drain(self) -> int:
        """Do what is due. Returns how much ended."""
        ...


class Turns:
    """One drain at a time in this process, whoever asks."""

    def __init__(self, services: Services, drains: Mapping[JobKind, Drain]) -> None:
        self._services = services
        self._drains = drains
        self._turn = threading.Lock()
        self._pause = services.settings.sweep_seconds
        self._idle_since = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def drain(self, kind: JobKind) -> None:
        """A message came: do the jobs of this kind, after whoever is at work. Nothing for a foreign kind."""
        drain = self._drains.get(kind)
        if drain is None:
            return
        with self._turn:
            try:
                drain.drain()
            finally:
                self._idle_since = time.monotonic()

    def _watch(self) -> None:
        while not self._stop.wait(self._pause):
            if self._turn.acquire(blocking=False):
                try:
                    self._look()
                except SQLAlchemyError as error:
                    log.warning("cannot look for forgotten work", cause=type(error).__name__)
                except Exception:  # like a task's boundary: the next look may succeed
                    log.exception("forgotten work not done")
                finally:
                    self._turn.release()

    def _look(self) -> None:
        """Do what has waited although this process was idle all the time."""
        patience = IDLE_SWEEPS * self._pause
        if time.monotonic() - self._idle_since < patience:
            return
        for kind, drain in self._drains.items():
            with self._services.sessions() as session:
                waits = any(job_queries.waiting(session, kind, lane, patience, 1) for lane in Lane)
            if waits and (ended := drain.drain()):
                log.warning("did work that no message had come for", kind=kind, ended=ended)
