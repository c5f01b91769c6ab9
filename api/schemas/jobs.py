"""Jobs."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.fields import Answer, Count, Line, Ok, PageQuery, Request, RowId, Share, Time

MAX_STATUS_IDS = 500
JobStatusName = Literal["queued", "running", "succeeded", "failed", "cancelled"]
JobKindName = Literal["scan", "report", "mail"]


class JobIdsBody(Request):
    ids: Annotated[list[Annotated[Line, Field(max_length=50)]], Field(max_length=MAX_STATUS_IDS)]


class StatusWaitQuery(Request):
    wait: str | None = Field(None, description="seconds to hold the answer until one of the statuses changes")


class JobsQuery(PageQuery):
    status: JobStatusName | None = None
    kind: JobKindName | None = None
    patient_id: RowId | None = None
    batch_id: str | None = None


class JobError(Answer):
    code: str | None
    message: str | None


class Job(Answer):
    id: str
    kind: JobKindName
    status: JobStatusName
    stage: str = Field(description="of a failed job: where its last attempt failed")
    attempt: Count
    progress: Share
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    batch_id: str | None
    result: dict[str, Any] | None = Field(description="of a succeeded job: findings and `links`")
    error: JobError | None = Field(description="of a failed job")
    queue_position: int | None = None
    eta_seconds: int | None = None


class JobAnswer(Ok):
    data: Job


class JobsAnswer(Ok):
    data: list[Job]


class JobsStatusAnswer(Ok):
    data: list[Job]
    not_found: list[str]


class ReportAcceptedAnswer(Ok):
    """The report will be made."""

    job_id: str
    job_ids: list[str]
    data: Job
