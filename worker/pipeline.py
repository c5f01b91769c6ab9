"""The path of a batch: claim -> fetch -> decode -> predict -> draw -> store -> record.

While the model runs on one batch, threads prepare the next one and finish the previous one, so the device
does not wait for a disk or a network. At most two batches are in flight beside the one on the device; a job
whose last attempt ended in a crash goes the whole path alone.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from shared import job_queries, jobs, results
from shared.attempts import Claim, Failure
from shared.errors import BrainScanError, ModelPredictionError
from shared.failpoints import failpoint
from shared.logs import get_logger
from shared.models import JobKind, Lane, Stage
from shared.pixel_budget import PixelBudget
from shared.results import Finding, Rejected, ScanResult
from shared.services import Services
from worker import metrics
from worker.analysis import Model, Prediction, predict_each
from worker.batch_source import BatchSource, PreparedBatch
from worker.leases import LeaseKeeper
from worker.memory import BatchLimit
from worker.picture_check import rejection_of
from worker.slices import Decoded, Drawn, PictureFile, Slice, decode, draw_finding, fetch, stored
from worker.staging import StagingCleaner
from worker.traces import about_job, tell_of_batch

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
        self._loaded = loaded
        self._stopping = stopping or threading.Event()
        self._limit = BatchLimit(self._settings.batch_size)
        metrics.BATCH_LIMIT.set_function(lambda: self._limit.now)
        self._leases = LeaseKeeper(services, on_hang)
        self._leases.start()
        self._stages = ThreadPoolExecutor(2, "stage")
        self._pictures = ThreadPoolExecutor(self._settings.chosen_io_threads, "picture")
        self._source = BatchSource(
            services, loaded.input_size, self._leases, self._limit, self._pictures, self._stopping
        )
        self._drawing = PixelBudget(self._settings.max_image_pixels)
        self._uploads = ThreadPoolExecutor(self._settings.chosen_io_threads, "upload")
        self._staging = StagingCleaner(services)

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
        preparing: Future[PreparedBatch | None] | None = self._stages.submit(self._source.next_batch)
        try:
            while preparing is not None:
                batch = preparing.result()
                is_over = self._stopping.is_set() or time.monotonic() > deadline
                overlaps = batch is not None and not batch.is_suspect and not is_over
                preparing = self._stages.submit(self._source.next_batch) if overlaps else None
                if batch is not None and self._stopping.is_set():
                    self._give_back(batch.claims)
                elif batch is not None:
                    inputs = [item.model_input.pixels for item in batch.slices]
                    with metrics.timed(JobKind.SCAN, Stage.PREDICT):
                        predictions = predict_each(self._loaded.model, inputs, self._limit)
                    self._leases.progress()
                    failpoint("predicted")
                    if finishing is not None:
                        ended += finishing.result()
                    finishing = self._stages.submit(self._finish, batch, predictions)
                if finishing is not None and not overlaps:
                    ended += finishing.result()
                    finishing = None
                    # Nothing is in flight now: a suspect that was passed over can be taken.
                    preparing = None if is_over else self._stages.submit(self._source.next_batch)
        finally:
            self._settle([future for future in (preparing, finishing) if future is not None])
            self._staging.settle()
        if is_over:
            self._wake_next()
        return ended

    def _finish(self, batch: PreparedBatch, predictions: Sequence[Prediction | ModelPredictionError]) -> int:
        """Draw, store and record a predicted batch. Returns how many scans ended."""
        settings = self._settings
        drawn = list(self._pictures.map(self._draw, batch.slices, predictions))
        outcomes = [item if isinstance(item, Failure) else stored(item) for item in drawn]
        analysed = [item for item in outcomes if isinstance(item, ScanResult)]
        failures = [*batch.failures, *(item for item in outcomes if isinstance(item, Failure))]
        failpoint("pictures-stored")
        with metrics.timed(JobKind.SCAN, metrics.RECORD), self._services.sessions.begin() as session:
            kept = results.record(session, analysed)
            final = jobs.fail(
                session, failures, settings.max_attempts, settings.retry_seconds, settings.outage_attempts
            )
        failpoint("results-recorded")
        self._leases.drop([result.claim for result in analysed] + [failure.claim for failure in failures])
        ended = {result.claim for result in kept}
        originals = [item.original for item in batch.slices if item.claim in ended]
        self._staging.discard(original.key for original in originals if original.is_staged)
        tell_of_batch(batch, analysed, kept, failures, final)
        return len(kept) + len(final)

    def _draw(self, item: Slice, prediction: Prediction | ModelPredictionError) -> Drawn | Failure:
        """Draw, and start to store; the original too if only the staging store has it.

        The pixels drawn at the same time have the bound of those that are decoded. What was too large to be
        kept counts until it is stored.
        """
        if isinstance(prediction, ModelPredictionError):
            return Failure.of(item.claim, prediction, Stage.PREDICT)
        try:
            with self._drawing.spent(item.pixels):
                decoded = item.decoded or decode(
                    self._services, item.original, fetch(self._services, item.original)
                )
                drawn = self._draw_decoded(item, decoded, prediction)
                if item.decoded is None:
                    wait(drawn.uploads)
        except BrainScanError as error:
            return Failure.of(item.claim, error, Stage.DRAW)
        return drawn

    def _draw_decoded(self, item: Slice, decoded: Decoded, prediction: Prediction) -> Drawn:
        rejection = rejection_of(decoded.picture, prediction)
        outcome: Finding | Rejected
        pictures = [decoded.staged] if decoded.staged else []
        if rejection:
            outcome = Rejected(rejection.reason, rejection.score)
        else:
            with metrics.timed(JobKind.SCAN, Stage.DRAW):
                outcome, drawn = draw_finding(item, decoded.picture, prediction)
            pictures += drawn
        self._leases.progress()
        failpoint("drawn")
        result = ScanResult(item.claim, outcome, self._loaded.provenance)
        return Drawn(result, [self._uploads.submit(self._store, item, picture) for picture in pictures])

    def _store(self, item: Slice, picture: PictureFile) -> None:
        with about_job(item.claim, item.scan_id), metrics.timed(JobKind.SCAN, Stage.STORE):
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
