"""Keeps the leases of claimed jobs alive while, and only while, the work moves."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable

from sqlalchemy.exc import SQLAlchemyError

from shared import jobs
from shared.attempts import Claim
from shared.failpoints import failpoint
from shared.logs import get_logger
from shared.services import Services
from worker import metrics

RENEWALS_PER_LEASE = 4

log = get_logger(__name__)


def process_name() -> str:
    """Host and process id: who holds a lease, and whom a heartbeat is from."""
    return f"{socket.gethostname()}:{os.getpid()}"


class LeaseKeeper:
    """A thread that renews the leases of held claims.

    It stops renewing when nobody has called `progress` for a lease's length: a hung device or store must
    lose its jobs to a worker that moves. When the work stands still for a second lease, `on_hang` is called.
    """

    def __init__(self, services: Services, on_hang: Callable[[], None] | None = None) -> None:
        self._services = services
        self._lease = services.settings.lease_seconds
        self._held: set[Claim] = set()
        self._lock = threading.Lock()
        self._last_progress = time.monotonic()
        self._on_hang = on_hang
        self._looks_at_standstill = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def hold(self, claims: Iterable[Claim]) -> None:
        """Renew these from now on."""
        with self._lock:
            self._held.update(claims)
        self.progress()

    def drop(self, claims: Iterable[Claim]) -> None:
        """These have ended, one way or the other."""
        with self._lock:
            self._held.difference_update(claims)
        self.progress()

    def held(self) -> list[Claim]:
        """Claims that have not ended."""
        with self._lock:
            return list(self._held)

    def progress(self) -> None:
        """Say that the work moves."""
        self._last_progress = time.monotonic()

    def _run(self) -> None:
        while not self._stop.wait(self._lease / RENEWALS_PER_LEASE):
            self._renew()

    def _renew(self) -> None:
        held = self.held()
        if held and time.monotonic() - self._last_progress > self._lease:
            self._stand_still(held)
            return
        self._looks_at_standstill = 0
        if not held:
            return
        try:
            with self._services.sessions.begin() as session:
                jobs.renew(session, held, self._lease)
                failpoint("leases-renewed")
        except SQLAlchemyError as error:
            metrics.LEASES_NOT_RENEWED.inc()
            log.warning("leases not renewed", cause=type(error).__name__)

    def _stand_still(self, held: list[Claim]) -> None:
        """Looks are counted, not seconds: a process that was itself paused goes on when it wakes up."""
        metrics.STANDSTILLS.inc()
        log.error("work stands still, leases not renewed", jobs=len(held))
        self._looks_at_standstill += 1
        if self._looks_at_standstill > RENEWALS_PER_LEASE and self._on_hang is not None:
            self._on_hang()
