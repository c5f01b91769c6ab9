"""A job as pages show it: what it is about, how it stands, and what its error means."""

from dataclasses import dataclass
from datetime import datetime

from api.portal import places
from api.portal.language import mark
from shared.migrations.taken_over_work import NOT_TAKEN_OVER
from shared.models import Job, JobStatus

KINDS = {"scan": mark("Analysis"), "report": mark("Report"), "mail": mark("E-mail")}
STATUSES = {
    "queued": mark("Waiting"),
    "running": mark("Running"),
    "succeeded": mark("Done"),
    "failed": mark("Failed"),
    "cancelled": mark("Cancelled"),
}
STAGES = {
    "waiting": mark("waiting"),
    "claimed": mark("taken by a worker"),
    "fetch": mark("fetching the picture"),
    "decode": mark("reading the picture"),
    "predict": mark("the model"),
    "draw": mark("drawing the heatmap"),
    "gather": mark("gathering the report's data"),
    "render": mark("making the PDF"),
    "store": mark("storing the result"),
    "send": mark("sending the e-mail"),
    "done": mark("done"),
}
CAUSES = {  # of each error code: what it means, and what to do
    "WORKER_LOST": (
        mark("The worker stopped in the middle of the work"),
        mark("Look at the workers' memory and logs. A single job that always does this has an odd picture."),
    ),
    "SERVICE_UNAVAILABLE": (
        mark("A store did not answer, or refused"),
        mark("Mend the store or its settings, then run these again."),
    ),
    "NOT_FOUND_ERROR": (
        mark("A file is missing in its store"),
        mark("Bring the originals back from a backup, then run these again."),
    ),
    "ORIGINAL_CHANGED": (
        mark("A store returned other bytes than were uploaded"),
        mark("Bring the original back from a backup, and find out who changed it."),
    ),
    "VALIDATION_ERROR": (
        mark("None of the report's scans has a result"),
        mark("Make another report, of scans that were analysed."),
    ),
    "FILE_UPLOAD_ERROR": (
        mark("The picture cannot be read"),
        mark("Upload the slice again, from an undamaged file."),
    ),
    "MODEL_PREDICTION_ERROR": (
        mark("The model gave no usable answer"),
        mark("Look at the workers' logs and their device, then run these again."),
    ),
    "MAIL_UNREACHABLE": (
        mark("The mail server did not answer"),
        mark("Mend the connection to the mail server. Passwords that waited too long: reset them."),
    ),
    "MAIL_DEFERRED": (
        mark("The mail server asked to wait, every time"),
        mark("Look at the mail server's limits, then run these again."),
    ),
    "MAIL_TLS_FAILED": (
        mark("There was no trustworthy connection to the mail server"),
        mark("Mend the mail server's certificate or the mail settings."),
    ),
    "MAIL_REFUSED_LOGIN": (
        mark("The mail server refused our login"),
        mark("Mend user name and password of the mail settings, then run these again."),
    ),
    "MAIL_REFUSED_SENDER": (
        mark("The mail server refused our address"),
        mark("Mend the sender's address in the mail settings, then run these again."),
    ),
    "MAIL_REFUSED_RECIPIENT": (
        mark("The patient's address takes no mail"),
        mark("Correct the patient's e-mail address and reset the password."),
    ),
    "MAIL_REFUSED": (
        mark("The mail server refused the mail"),
        mark("Look at the mail server's log."),
    ),
    "MAIL_EXPIRED": (
        mark("The password in the mail is no longer kept"),
        mark("Reset the patient's password: that sends a new mail."),
    ),
    NOT_TAKEN_OVER: (
        mark("The replaced system had no finding of this scan"),
        mark("Upload the slice again to have it analysed."),
    ),
}
OTHER_CAUSE = (
    mark("An error that nobody foresaw"),
    mark("Look for the job's number in the workers' logs, and tell the support."),
)


@dataclass(frozen=True, slots=True)
class JobView:
    """What templates show of one job. `tries`: attempts since a person last asked for a retry."""

    id: str
    kind: str
    lane: str
    status: str
    stage: str
    attempt: int
    tries: int
    crashes: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None
    error_message: str | None
    subject: str | None
    subject_page: str | None
    batch_id: str | None
    batch_page: str | None
    worker: str | None

    @property
    def job_id(self) -> str:
        """As `jobs_of` of the templates asks for it."""
        return self.id

    @property
    def job_status(self) -> str:
        return self.status

    @property
    def kind_text(self) -> str:
        return KINDS[self.kind]

    @property
    def status_text(self) -> str:
        return STATUSES[self.status]

    @property
    def stage_text(self) -> str:
        return STAGES[self.stage]

    @property
    def cause(self) -> tuple[str, str]:
        return cause_of(self.error_code)

    @property
    def is_unfinished(self) -> bool:
        return self.status in (JobStatus.QUEUED, JobStatus.RUNNING)

    @property
    def is_repeatable(self) -> bool:
        """Whether running it again can help: there is nothing to analyse where nothing was taken over."""
        return self.status in (JobStatus.FAILED, JobStatus.CANCELLED) and self.error_code != NOT_TAKEN_OVER

    @property
    def seconds(self) -> float | None:
        """From the first attempt's start to the end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


def view_of(job: Job) -> JobView:
    """Of a job that was loaded with its subject."""
    subject = places.subject_of(job)
    return JobView(
        id=str(job.id),
        kind=str(job.kind),
        lane=str(job.lane),
        status=str(job.status),
        stage=str(job.stage),
        attempt=job.attempt,
        tries=job.attempt - job.spent_attempts,
        crashes=job.crash_count,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        error_code=job.error_code,
        error_message=job.error_message,
        subject=_shown(job),
        subject_page=places.page_of(subject) if subject else None,
        batch_id=str(job.batch_id) if job.batch_id else None,
        batch_page=places.page_of(f"batch:{job.batch_id}") if job.batch_id else None,
        worker=job.lease_owner,
    )


def cause_of(code: str | None) -> tuple[str, str]:
    """What an error code means and what to do about it, to be translated."""
    return CAUSES.get(code or "", OTHER_CAUSE)


def _shown(job: Job) -> str | None:
    """The number that people know the subject by; a mail has none."""
    if job.scan is not None:
        return job.scan.scan_id
    return job.report.report_id if job.report is not None else None
