"""The path of a batch: claim -> fetch -> decode -> predict -> draw -> store -> record.

While the model runs on one batch, threads load those that come and finish those that went, so the device
does not wait for a disk or a network. In flight beside the batch on the device are at most `MOST_FINISHING`
that are drawn, stored and recorded, one that is loaded and, of a store that answers late, `MOST_AHEAD` more.
A job whose last attempt ended in a crash goes the whole path alone.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from shared import job_queries, jobs
from shared.attempts import Claim
from shared.failpoints import failpoint
from shared.logs import get_logger
from shared.models import JobKind, Lane, Stage
from shared.services import Services
from worker import metrics
from worker.analysis import Model, predict_each
from worker.batch_sink import BatchSink
from worker.batch_source import BatchSource, ClaimedBatch
from worker.leases import LeaseKeeper
from worker.memory import BatchLimit

MOST_FINISHING = 3

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The model of this process and what every result says about it."""

    model: Model
    input_size: int
    provenance: dict[str, Any]


class ScanPipeline:
    """Analyses queued scans. One per process; `drain` runs in one thread at a time."""

    def __init__(
        self,
        services: Services,
        loaded: LoadedModel,
        stopping: threading.Event | None = None,
        on_hang: Callable[[], None] | None = None,
    ) -> None:
        """`stopping`: set when no more work is to be taken. `on_hang`: see `LeaseKeeper`."""
        self._services = services
        self._settings = services.settings
        self._model = loaded.model
        self._stopping = stopping or threading.Event()
        self._limit = BatchLimit(self._settings.batch_size)
        metrics.BATCH_LIMIT.set_function(lambda: self._limit.now)
        self._leases = LeaseKeeper(services, on_hang)
        self._leases.start()
        turns = threading.Semaphore(self._settings.pictures_at_once)
        self._source = BatchSource(
            services, loaded.input_size, self._leases, self._limit, turns, self._stopping
        )
        self._sink = BatchSink(services, loaded.provenance, self._leases, turns)
        self._claims = ThreadPoolExecutor(1, "claim")
        self._finishes = ThreadPoolExecutor(MOST_FINISHING, "finish")

    def close(self) -> None:
        """End the threads."""
        self._leases.stop()
        self._claims.shutdown()
        self._finishes.shutdown()
        self._source.close()
        self._sink.close()

    def drain(self) -> int:
        """Analyse the backlog for about `drain_seconds`, then wake the next task if rows are left.

        When the worker is to stop, what has passed the model is finished and the rest is given back.
        Returns how many scans ended. Whatever goes wrong, no claim is kept: what is unfinished is queued
        again for another attempt.
        """
        deadline = time.monotonic() + self._settings.drain_seconds
        ended = 0
        is_over = False
        coming: deque[Future[ClaimedBatch | None]] = deque()
        finishing: deque[Future[int]] = deque()
        self._claim_up_to(1, coming)
        try:
            while coming:
                claimed = coming.popleft().result()
                overlaps = claimed is not None and not claimed.is_suspect
                ahead = self._source.ahead_of(claimed) if claimed is not None else 0
                if overlaps and not is_over:
                    self._claim_up_to(ahead, coming)
                batch = self._source.load(claimed) if claimed is not None else None
                is_over = self._stopping.is_set() or time.monotonic() > deadline
                if overlaps and not is_over:
                    self._claim_up_to(1 + ahead, coming)
                if batch is not None and self._stopping.is_set():
                    self._give_back(batch.claims)
                elif batch is not None:
                    inputs = [item.model_input.pixels for item in batch.slices]
                    with metrics.timed(JobKind.SCAN, Stage.PREDICT):
                        predictions = predict_each(self._model, inputs, self._limit)
                    self._leases.progress()
                    failpoint("predicted")
                    ended += _ended(finishing, MOST_FINISHING - 1)
                    finishing.append(self._finishes.submit(self._sink.finish, batch, predictions))
                if finishing and not coming:
                    ended += _ended(finishing, 0)
                    # Nothing is in flight now: a suspect that was passed over can be taken.
                    self._claim_up_to(0 if is_over else 1, coming)
        finally:
            self._settle(coming, finishing)
            self._sink.settle()
        if is_over:
            self._wake_next()
        return ended

    def _claim_up_to(self, number: int, coming: deque[Future[ClaimedBatch | None]]) -> None:
        """Claim until so many batches are coming."""
        while len(coming) < number:
            coming.append(self._claims.submit(self._source.claim_next))

    def _settle(
        self, coming: Iterable[Future[ClaimedBatch | None]], finishing: Iterable[Future[int]]
    ) -> None:
        """After an error: wait for what still runs, then give back every claim that has not ended."""
        for claiming in coming:
            if claiming.exception() is None and (claimed := claiming.result()) is not None:
                claimed.settle()
        for future in finishing:
            future.exception()
        held = self._leases.held()
        if not held:
            return
        settings = self._settings
        self._leases.drop(held)
        with self._services.sessions.begin() as session:
            jobs.give_up_crashed(session, held, settings.max_attempts, settings.retry_seconds)
        metrics.ended(JobKind.SCAN, metrics.CRASHED, len(held))
        log.error("unfinished jobs given back", job_ids=[str(claim.job_id) for claim in held])

    def _give_back(self, claims: Sequence[Claim]) -> None:
        """Nothing was done with these: others may have them at once."""
        with self._services.sessions.begin() as session:
            jobs.give_back(session, claims)
        self._leases.drop(claims)
        log.info("jobs given back, the worker stops", jobs=len(claims))

    def _wake_next(self) -> None:
        with self._services.sessions() as session:
            for lane in Lane:
                waiting = job_queries.waiting(session, JobKind.SCAN, lane, 0, 1)
                if waiting:
                    self._services.queue.wake(JobKind.SCAN, lane, waiting)


def _ended(finishing: deque[Future[int]], left: int) -> int:
    """Wait until at most so many batches are being finished. Returns how many scans of the others ended."""
    ended = 0
    while len(finishing) > left:
        ended += finishing.popleft().result()
    return ended
