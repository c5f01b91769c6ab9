"""A report as the staff's pages show it, from the moment that it is asked for."""

from dataclasses import dataclass
from datetime import datetime

from api.portal.staff_scan_words import Owner
from shared.models import UNFINISHED, Job, JobStatus, Report


@dataclass(frozen=True, slots=True)
class ReportView:
    """`job_status` is "succeeded" too for reports that were taken over, which have no job."""

    report_id: str
    created_at: datetime
    owner: Owner
    scan_count: int
    tumor_count: int
    no_tumor_count: int
    is_ready: bool
    job_id: str | None = None
    job_status: str = str(JobStatus.SUCCEEDED)
    error_code: str | None = None
    error_message: str | None = None

    @property
    def is_unfinished(self) -> bool:
        return self.job_status in UNFINISHED

    @property
    def other_count(self) -> int:
        """Scans without a word of the model: a radiologist has to look at them."""
        return self.scan_count - self.tumor_count - self.no_tumor_count


def report_view(report: Report, job: Job | None = None) -> ReportView:
    """With its job in whatever state it is; without one it is finished."""
    return ReportView(
        report_id=report.report_id,
        created_at=report.created_at,
        owner=Owner.of(report.patient),
        scan_count=report.scan_count,
        tumor_count=report.tumor_count,
        no_tumor_count=report.no_tumor_count,
        is_ready=report.report_path is not None,
        job_id=str(job.id) if job else None,
        job_status=str(job.status) if job else str(JobStatus.SUCCEEDED),
        error_code=job.error_code if job else None,
        error_message=job.error_message if job else None,
    )
