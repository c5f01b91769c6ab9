"""A scan as a page shows it: what came out, in words that need no training, and links to its pictures."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from api.links import image_link, original_link, thumbnail_link
from api.portal.policy import picture
from api.presenters import scan_status
from shared.models import Job, JobStatus, Scan
from shared.results import NEEDS_REVIEW, REJECTED, TUMOR

USUAL_SIDE = 512  # px; nobody recorded the size of pictures taken over from the replaced system
HEAT_OUTSIDE_HEAD = "heat_outside_head"  # as the worker flags it


class Outcome(StrEnum):
    """Every state that a scan can be in for its patient. Templates have words for each."""

    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NEEDS_REVIEW = "needs_review"
    TUMOR = "tumor"
    NO_TUMOR = "no_tumor"


_OF_STATUS = {
    JobStatus.QUEUED: Outcome.WAITING,
    JobStatus.RUNNING: Outcome.RUNNING,
    JobStatus.FAILED: Outcome.FAILED,
    JobStatus.CANCELLED: Outcome.CANCELLED,
    REJECTED: Outcome.REJECTED,
}


@dataclass(frozen=True, slots=True)
class ScanView:
    """What templates show of one scan. Links are None where there is no such picture."""

    id: int
    scan_id: str
    filename: str
    created_at: datetime
    analysed_at: datetime | None
    outcome: Outcome
    probability: float | None
    reader_verdict: str | None
    reviewed_at: datetime | None
    is_heat_outside_head: bool
    width: int
    height: int
    job_id: str
    job_status: str
    thumbnail: str | None = None
    original: str | None = None
    heatmap: str | None = None
    overlay: str | None = None

    @property
    def is_unfinished(self) -> bool:
        return self.outcome in (Outcome.WAITING, Outcome.RUNNING)


def in_list(scan: Scan, job: Job) -> ScanView:
    """For a list: with a small picture only. The scan's evidence map is not needed."""
    return _view(scan, job, thumbnail=picture(thumbnail_link(scan)))


def alone(scan: Scan, job: Job) -> ScanView:
    """For a page of its own."""
    flags = (scan.explanation or {}).get("flags", [])
    return _view(
        scan,
        job,
        is_heat_outside_head=HEAT_OUTSIDE_HEAD in flags,
        original=picture(original_link(scan)),
        heatmap=picture(image_link(scan.heatmap_path)),
        overlay=picture(image_link(scan.overlay_path)),
    )


def outcome_of(scan: Scan, job: Job) -> Outcome:
    status = scan_status(scan, job)
    if status in _OF_STATUS:
        return _OF_STATUS[status]
    if scan.review == NEEDS_REVIEW or scan.prediction is None:
        return Outcome.NEEDS_REVIEW
    return Outcome.TUMOR if scan.prediction == TUMOR else Outcome.NO_TUMOR


def _view(scan: Scan, job: Job, is_heat_outside_head: bool = False, **links: str | None) -> ScanView:
    return ScanView(
        id=scan.id,
        scan_id=scan.scan_id,
        filename=scan.original_filename,
        created_at=scan.created_at,
        analysed_at=scan.analysed_at,
        outcome=outcome_of(scan, job),
        probability=scan.probability,
        reader_verdict=scan.reader_verdict,
        reviewed_at=scan.reviewed_at,
        is_heat_outside_head=is_heat_outside_head,
        width=scan.width or USUAL_SIDE,
        height=scan.height or USUAL_SIDE,
        job_id=str(job.id),
        job_status=str(job.status),
        **links,
    )
