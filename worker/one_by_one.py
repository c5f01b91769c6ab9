"""Jobs that are done one at a time: claim -> work -> end, or the failure on the row."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from shared import job_queries, jobs
from shared.attempts import Claim, Failure
from shared.errors import BrainScanError
from shared.logs import get_logger
from shared.models import JobKind, Lane, Stage
from shared.services import Services
from worker import metrics
from worker.leases import LeaseKeeper, process_name
from worker.traces import about_job

log = get_logger(__name__)


class OneByOne(ABC):
    """Does the queued jobs of one kind; `drain` runs in one thread at a time."""

    kind: ClassVar[JobKind]

    def __init__(
        self,
        services: Services,
        stopping: threading.Event | None = None,
        on_hang: Callable[[], None] | None = None,
    ) -> None:
        """`stopping`: set when no more work is to be taken. `on_hang`: see `LeaseKeeper`."""
        self.services = services
        self._owner = process_name()
        self._stopping = stopping or threading.Event()
        self._stage = Stage.CLAIMED
        self._stage_began = time.perf_counter()
        self._leases = LeaseKeeper(services, on_hang)
        self._leases.start()

    @abstractmethod
    def work(self, claim: Claim) -> None:
        """Do one job and record its end. Raises `BrainScanError` when it cannot be done."""

    def max_attempts(self) -> int:
        return self.services.settings.max_attempts

    def may_go_on(self) -> bool:
        """False while it makes no sense to begin another job."""
        return True

    def enter(self, stage: Stage) -> None:
        """Say that the job's next stage begins."""
        self._time_stage()
        self._stage = stage
        self.progress()

    def progress(self) -> None:
        """Say that the work moves: a job whose work does not is taken away."""
        self._leases.progress()

    def close(self) -> None:
        """End the thread."""
        self._leases.stop()

    def drain(self) -> int:
        """Do due jobs for at most `drain_seconds`, then wake the next task if some are left.

        Returns how many attempts ended.
        """
        deadline = time.monotonic() + self.services.settings.drain_seconds
        ended = 0
        while self.may_go_on():
            if self._stopping.is_set() or time.monotonic() > deadline:
                self._wake_next()
                break
            claim = self._claim()
            if claim is None:
                break
            self._leases.hold([claim])
            metrics.claimed(self.kind, [claim])
            try:
                with about_job(claim):
                    self._attempt(claim)
            finally:
                self._leases.drop([claim])
            ended += 1
        return ended

    def _claim(self) -> Claim | None:
        with self.services.sessions.begin() as session:
            lease = self.services.settings.lease_seconds
            claims = jobs.claim(session, self.kind, self._owner, 1, lease)
        return claims[0] if claims else None

    def _attempt(self, claim: Claim) -> None:
        self._stage = Stage.CLAIMED
        try:
            self.work(claim)
            self._time_stage()
        except BrainScanError as error:
            failure = Failure.of(claim, error, self._stage)
            settings = self.services.settings
            with self.services.sessions.begin() as session:
                final = jobs.fail(
                    session,
                    [failure],
                    self.max_attempts(),
                    settings.retry_seconds,
                    settings.outage_attempts,
                )
            self._time_stage()
            metrics.failed(self.kind, [failure], final)
            log.warning(
                "job failed", kind=self.kind, code=error.code, stage=self._stage, is_final=bool(final)
            )

    def tell_end(self, is_kept: bool) -> None:
        """Count a job whose end was recorded, or that was no longer ours."""
        metrics.ended(self.kind, metrics.DONE if is_kept else metrics.LOST)

    def _time_stage(self) -> None:
        """The stage ends here."""
        now = time.perf_counter()
        if self._stage != Stage.CLAIMED:
            metrics.took(self.kind, self._stage, now - self._stage_began)
        self._stage_began = now

    def _wake_next(self) -> None:
        for lane in Lane:
            with self.services.sessions() as session:
                waiting = job_queries.waiting(session, self.kind, lane, 0, 1)
            if waiting:
                self.services.queue.wake(self.kind, lane, waiting)
