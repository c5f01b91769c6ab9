"""Ends what the model has answered: draw -> store -> record."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from shared import jobs, results
from shared.attempts import Failure
from shared.errors import BrainScanError, ModelPredictionError
from shared.failpoints import failpoint
from shared.models import JobKind, Stage
from shared.pixel_budget import PixelBudget
from shared.results import Finding, Rejected, ScanResult
from shared.services import Services
from worker import metrics
from worker.analysis import Prediction
from worker.batch_source import PreparedBatch
from worker.leases import LeaseKeeper
from worker.picture_check import rejection_of
from worker.slices import Decoded, Drawn, PictureFile, Slice, decode, draw_finding, fetch, stored
from worker.staging import StagingCleaner
from worker.traces import about_job, tell_of_batch

PICTURES_OF_A_SCAN = 2  # heatmap and overlay are stored side by side


class BatchSink:
    """Where the batches of a worker process end; several may be on their way at once."""

    def __init__(
        self,
        services: Services,
        provenance: dict[str, Any],
        leases: LeaseKeeper,
        turns: threading.Semaphore,
    ) -> None:
        """`provenance`: of the model, for every result. A picture is drawn while one of `turns` is held."""
        self._services = services
        self._settings = services.settings
        self._provenance = provenance
        self._leases = leases
        self._turns = turns
        threads = self._settings.chosen_io_threads
        self._drawing = PixelBudget(self._settings.max_image_pixels)
        self._pictures = ThreadPoolExecutor(threads, "picture")
        self._uploads = ThreadPoolExecutor(PICTURES_OF_A_SCAN * threads, "upload")
        self._staging = StagingCleaner(services)

    def settle(self) -> None:
        """Wait a moment for what is being deleted."""
        self._staging.settle()

    def close(self) -> None:
        """End the threads."""
        self._pictures.shutdown()
        self._uploads.shutdown()
        self._staging.close()

    def finish(self, batch: PreparedBatch, predictions: Sequence[Prediction | ModelPredictionError]) -> int:
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
            failpoint("results-written")
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
        kept = item.give_up_decoded()
        try:
            with self._drawing.spent(item.pixels):
                data = b"" if kept else fetch(self._services, item.original)
                with self._turns:
                    decoded = kept or decode(self._services, item.original, data)
                    drawn = self._draw_decoded(item, decoded, prediction)
                if kept is None:
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
        result = ScanResult(item.claim, outcome, self._provenance)
        return Drawn(result, [self._uploads.submit(self._store, item, picture) for picture in pictures])

    def _store(self, item: Slice, picture: PictureFile) -> None:
        with about_job(item.claim, item.scan_id), metrics.timed(JobKind.SCAN, Stage.STORE):
            self._services.images.put(picture.key, picture.data, picture.content_type)
        failpoint("picture-stored")
        self._leases.progress()
