"""By which ids a job can be followed through the log: job, scan, batch and attempt in every line about it."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from structlog.contextvars import bound_contextvars

from shared.attempts import Claim, Failure
from shared.logs import get_logger, lines_together
from shared.models import JobKind
from shared.results import Rejected, ScanResult
from worker import metrics
from worker.picture_check import BLANK, IN_COLOUR

if TYPE_CHECKING:
    from worker.batch_source import PreparedBatch

_REJECTIONS = {BLANK: "blank", IN_COLOUR: "in_colour"}
_BY_THE_MODEL = "not_brain_mri"

log = get_logger(__name__)


def about_job(claim: Claim, scan_id: str | None = None) -> AbstractContextManager[Any]:
    """What is logged meanwhile by this thread names the job."""
    return bound_contextvars(**job_fields(claim, scan_id))


def job_fields(claim: Claim, scan_id: str | None = None) -> dict[str, Any]:
    """The ids of a claimed job, as fields of a log line."""
    fields: dict[str, Any] = {"job_id": str(claim.job_id), "attempt": claim.attempt}
    if claim.batch_id is not None:
        fields["batch_id"] = str(claim.batch_id)
    if scan_id is not None:
        fields["scan_id"] = scan_id
    return fields


@lines_together()
def tell_of_batch(
    batch: "PreparedBatch",
    analysed: Sequence[ScanResult],
    kept: Sequence[ScanResult],
    failures: Sequence[Failure],
    final: Sequence[Failure],
) -> None:
    """Count and log how the scans of a recorded batch ended: a line each, and one for all."""
    seconds = time.perf_counter() - batch.began
    counted = {result.claim for result in kept}
    lost = [result for result in analysed if result.claim not in counted]
    rejected = 0
    for result in kept:
        outcome = metrics.ANALYSED
        if isinstance(result.outcome, Rejected):
            outcome = metrics.REJECTED
            rejected += 1
            metrics.REJECTIONS.labels(_REJECTIONS.get(result.outcome.reason, _BY_THE_MODEL)).inc()
        metrics.ended(JobKind.SCAN, outcome)
        _tell(batch, result.claim, outcome)
    for result in lost:
        metrics.ended(JobKind.SCAN, metrics.LOST)
        _tell(batch, result.claim, metrics.LOST)
    metrics.failed(JobKind.SCAN, failures, final)
    for failure in failures:
        outcome = metrics.FAILED if failure in final else metrics.RETRIED
        _tell(batch, failure.claim, outcome, code=failure.code, stage=failure.stage)
    metrics.BATCH_SECONDS.observe(seconds)
    log.info(
        "batch finished",
        size=len(analysed) + len(failures),
        analysed=len(kept),
        rejected=rejected,
        failed=len(final),
        retried=len(failures) - len(final),
        lost=len(lost),
        ms=round(seconds * 1000),
    )


def _tell(batch: "PreparedBatch", claim: Claim, outcome: str, **more: str) -> None:
    log.info("scan ended", outcome=outcome, **more, **job_fields(claim, batch.scan_ids[claim]))
