"""The path of a batch: claim -> fetch -> decode -> predict -> draw -> store -> record.

While the model runs on one batch, threads prepare the next one and finish the previous one, so the device
does not wait for a disk or a network. At most two batches are in flight beside the one on the device.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from shared import job_queries, jobs, results
from shared.errors import BrainScanError, ModelPredictionError
from shared.failpoints import failpoint
from shared.images import read_grey
from shared.jobs import Claim, Failure
from shared.logs import get_logger
from shared.models import JobKind, Lane, Scan, Stage
from shared.originals import read_original
from shared.results import Finding, Rejected, ScanResult
from shared.services import Services
from worker.analysis import Model, Prediction, predict_each
from worker.leases import LeaseKeeper, process_name
from worker.memory import BatchLimit
from worker.picture_check import rejection_of
from worker.preprocessing import prepare
from worker.slices import Drawn, PictureFile, Slice, draw_finding, failure_of, original_file, stored
from worker.staging import StagingCleaner

BULK_EVERY = 4  # each fourth batch takes bulk work first, so that it never starves

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """What one claim brought: slices for the model, and scans that failed before it."""

    slices: Sequence[Slice]
    failures: Sequence[Failure]
    began: float  # time.perf_counter() at the claim

    @property
    def claims(self) -> list[Claim]:
        return [item.claim for item in self.slices] + [item.claim for item in self.failures]


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
        self._loaded = loaded
        self._owner = process_name()
        self._stopping = stopping or threading.Event()
        self._limit = BatchLimit(self._settings.batch_size)
        self._leases = LeaseKeeper(services, on_hang)
        self._leases.start()
        self._stages = ThreadPoolExecutor(2, "stage")
        self._pictures = ThreadPoolExecutor(self._settings.io_threads, "picture")
        self._uploads = ThreadPoolExecutor(self._settings.io_threads, "upload")
        self._staging = StagingCleaner(services)
        self._claimed_batches = 0

    def close(self) -> None:
        """End the threads."""
        self._leases.stop()
        self._stages.shutdown()
        self._pictures.shutdown()
        self._uploads.shutdown()
        self._staging.close()

    def drain(self) -> int:
        """Analyse the backlog for at most `drain_seconds`, then wake the next task if rows are left.

        When the worker is to stop, what has passed the model is finished and the rest is given back.
        Returns how many scans ended. Whatever goes wrong, no claim is kept: what is unfinished is queued
        again for another attempt.
        """
        deadline = time.monotonic() + self._settings.drain_seconds
        ended = 0
        finishing: Future[int] | None = None
        preparing: Future[PreparedBatch | None] | None = self._stages.submit(self._prepare)
        try:
            while preparing is not None and (batch := preparing.result()) is not None:
                is_over = self._stopping.is_set() or time.monotonic() > deadline
                preparing = None if is_over else self._stages.submit(self._prepare)
                if self._stopping.is_set():
                    self._give_back(batch.claims)
                    continue
                inputs = [item.model_input.pixels for item in batch.slices]
                predictions = predict_each(self._loaded.model, inputs, self._limit)
                self._leases.progress()
                failpoint("predicted")
                if finishing is not None:
                    ended += finishing.result()
                finishing = self._stages.submit(self._finish, batch, predictions)
            if finishing is not None:
                ended += finishing.result()
        finally:
            self._settle([future for future in (preparing, finishing) if future is not None])
            self._staging.settle()
        if preparing is None or self._stopping.is_set():
            self._wake_next()
        return ended

    def _prepare(self) -> PreparedBatch | None:
        """Claim, fetch and decode the next batch; None when nothing is due or nothing more is to be taken."""
        if self._stopping.is_set():
            return None
        began = time.perf_counter()
        bulk_first = self._claimed_batches % BULK_EVERY == BULK_EVERY - 1
        with self._services.sessions.begin() as session:
            lease = self._settings.lease_seconds
            claims = jobs.claim(session, JobKind.SCAN, self._owner, self._limit.now, lease, bulk_first)
            query = select(Scan.id, Scan.scan_id, Scan.original_path, Scan.is_staged)
            rows = (
                session.execute(query.where(Scan.id.in_([c.subject_id for c in claims]))).all()
                if claims
                else []
            )
        if not claims:
            return None
        self._claimed_batches += 1
        self._leases.hold(claims)
        failpoint("claimed")
        found = {row.id: (row.scan_id, row.original_path, row.is_staged) for row in rows}
        loaded = list(self._pictures.map(lambda c: self._load(c, *found[c.subject_id]), claims))
        return PreparedBatch(
            slices=[item for item in loaded if isinstance(item, Slice)],
            failures=[item for item in loaded if isinstance(item, Failure)],
            began=began,
        )

    def _load(self, claim: Claim, scan_id: str, key: str, is_staged: bool) -> Slice | Failure:
        stage = Stage.FETCH
        try:
            data = read_original(self._services, key, is_staged)
            failpoint("fetched")
            stage = Stage.DECODE
            picture = read_grey(data, self._settings.image_limits)
            failpoint("decoded", picture.size)
            prepared = prepare(picture, self._loaded.input_size)
            staged = original_file(key, data) if is_staged else None
            loaded = Slice(claim, scan_id, picture, prepared, staged)
        except BrainScanError as error:
            return failure_of(claim, error, stage)
        self._leases.progress()
        return loaded

    def _finish(self, batch: PreparedBatch, predictions: Sequence[Prediction | ModelPredictionError]) -> int:
        """Draw, store and record a predicted batch. Returns how many scans ended."""
        settings = self._settings
        drawn = list(self._pictures.map(self._draw, batch.slices, predictions))
        outcomes = [item if isinstance(item, Failure) else stored(item) for item in drawn]
        analysed = [item for item in outcomes if isinstance(item, ScanResult)]
        failures = [*batch.failures, *(item for item in outcomes if isinstance(item, Failure))]
        failpoint("pictures-stored")
        with self._services.sessions.begin() as session:
            kept = results.record(session, analysed)
            final = jobs.fail(session, failures, settings.max_attempts, settings.retry_seconds)
        failpoint("results-recorded")
        self._leases.drop([result.claim for result in analysed] + [failure.claim for failure in failures])
        ended = {result.claim for result in kept}
        self._staging.discard(s.staged.key for s in batch.slices if s.staged and s.claim in ended)
        log.info(
            "batch finished",
            size=len(outcomes) + len(batch.failures),
            analysed=len(kept),
            rejected=sum(isinstance(result.outcome, Rejected) for result in kept),
            failed=len(final),
            retried=len(failures) - len(final),
            lost=len(analysed) - len(kept),
            ms=round((time.perf_counter() - batch.began) * 1000),
        )
        return len(kept) + len(final)

    def _draw(self, item: Slice, prediction: Prediction | ModelPredictionError) -> Drawn | Failure:
        """Draw, and start to store; the original too if only the staging store has it."""
        if isinstance(prediction, ModelPredictionError):
            return failure_of(item.claim, prediction, Stage.PREDICT)
        rejection = rejection_of(item.picture, prediction)
        outcome: Finding | Rejected
        pictures = [item.staged] if item.staged else []
        try:
            if rejection:
                outcome = Rejected(rejection.reason, rejection.score)
            else:
                outcome, drawn = draw_finding(item, prediction)
                pictures += drawn
        except BrainScanError as error:
            return failure_of(item.claim, error, Stage.DRAW)
        self._leases.progress()
        failpoint("drawn")
        result = ScanResult(item.claim, outcome, self._loaded.provenance)
        return Drawn(result, [self._uploads.submit(self._store, picture) for picture in pictures])

    def _store(self, picture: PictureFile) -> None:
        self._services.images.put(picture.key, picture.data, picture.content_type)
        failpoint("picture-stored")
        self._leases.progress()

    def _settle(self, futures: Sequence[Future[Any]]) -> None:
        """After an error: wait for what still runs, then give back every claim that has not ended."""
        for future in futures:
            future.exception()
        held = self._leases.held()
        if not held:
            return
        settings = self._settings
        self._leases.drop(held)
        with self._services.sessions.begin() as session:
            jobs.give_up_crashed(session, held, settings.max_attempts, settings.retry_seconds)
        log.error("unfinished jobs given back", jobs=len(held))

    def _give_back(self, claims: Sequence[Claim]) -> None:
        """Nothing was done with these: others may have them at once."""
        with self._services.sessions.begin() as session:
            jobs.give_back(session, claims)
        self._leases.drop(claims)
        log.info("jobs given back, the worker stops", jobs=len(claims))

    def _wake_next(self) -> None:
        with self._services.sessions() as session:
            for lane in Lane:
                waiting = job_queries.waiting_ids(session, JobKind.SCAN, lane, 0, 1)
                if waiting:
                    self._services.queue.wake(JobKind.SCAN, lane, waiting)
