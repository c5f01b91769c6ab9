"""Keeps the leases of claimed jobs alive while, and only while, the work moves."""

import os
import socket
import threading
import time
from collections.abc import Iterable

from sqlalchemy.exc import SQLAlchemyError

from shared import jobs
from shared.failpoints import failpoint
from shared.jobs import Claim
from shared.logs import get_logger
from shared.services import Services

RENEWALS_PER_LEASE = 4

log = get_logger(__name__)


def process_name() -> str:
    """Host and process id: who holds a lease, and whom a heartbeat is from."""
    return f"{socket.gethostname()}:{os.getpid()}"


class LeaseKeeper:
    """A thread that renews the leases of held claims.

    It stops renewing when nobody has called `progress` for a lease's length: a hung device or store must
    lose its jobs to a worker that moves.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lease = services.settings.lease_seconds
        self._held: set[Claim] = set()
        self._lock = threading.Lock()
        self._last_progress = time.monotonic()
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
        if not held:
            return
        if time.monotonic() - self._last_progress > self._lease:
            log.error("work stands still, leases not renewed", jobs=len(held))
            return
        try:
            with self._services.sessions.begin() as session:
                jobs.renew(session, held, self._lease)
                failpoint("leases-renewed")
        except SQLAlchemyError as error:
            log.warning("leases not renewed", cause=type(error).__name__)
