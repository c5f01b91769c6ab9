"""A batch as pages show it: how far it is, and what came out so far."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from api.portal.job_words import cause_of
from shared.batches import Progress
from shared.models import UNFINISHED, Batch, Job, JobStatus, Scan


class BatchState(StrEnum):
    """How a batch stands. Templates have words for each."""

    EMPTY = "empty"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"  # and nothing of it runs any more


@dataclass(frozen=True, slots=True)
class BatchView:
    """What templates show of a batch. `ended`: jobs that are neither queued nor running."""

    id: uuid.UUID
    name: str | None
    created_at: datetime
    cancelled_at: datetime | None
    state: BatchState
    total: int
    ended: int
    counts: dict[str, int]
    outcomes: dict[str, int]
    eta_seconds: int | None

    @property
    def is_unfinished(self) -> bool:
        return self.state == BatchState.RUNNING

    @property
    def failed(self) -> int:
        return self.counts[JobStatus.FAILED]

    @property
    def results(self) -> dict[str, int]:
        """How many scans ended how, in the order in which they are shown."""
        others = {str(status): self.counts[status] for status in (JobStatus.FAILED, JobStatus.CANCELLED)}
        return {**self.outcomes, **others}

    @property
    def parts(self) -> list[tuple[str, float, float]]:
        """The bar: which result, where its part begins and how wide it is, in percent."""
        found, begin = [], 0.0
        for name, number in self.results.items():
            width = 100 * number / self.total if self.total else 0.0
            found.append((name, begin, width))
            begin += width
        return [part for part in found if part[2]]


@dataclass(frozen=True, slots=True)
class FailedScan:
    """A scan of the batch whose analysis failed, and why."""

    id: int
    scan_id: str
    filename: str
    job_id: uuid.UUID
    cause: str
    remedy: str


def batch_view(batch: Batch, progress: Progress) -> BatchView:
    unfinished = sum(progress.counts[status] for status in UNFINISHED)
    return BatchView(
        id=batch.id,
        name=batch.name,
        created_at=batch.created_at,
        cancelled_at=batch.cancelled_at,
        state=_state(batch, progress.total, unfinished),
        total=progress.total,
        ended=progress.total - unfinished,
        counts=progress.counts,
        outcomes=progress.outcomes,
        eta_seconds=progress.eta_seconds,
    )


def failed_scan(scan: Scan, job: Job) -> FailedScan:
    cause, remedy = cause_of(job.error_code)
    return FailedScan(scan.id, scan.scan_id, scan.original_filename, job.id, cause, remedy)


def _state(batch: Batch, total: int, unfinished: int) -> BatchState:
    if unfinished:
        return BatchState.RUNNING
    if batch.cancelled_at is not None:
        return BatchState.CANCELLED
    return BatchState.DONE if total else BatchState.EMPTY
