"""Dashboard, audit trail, health."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.fields import Answer, Count, Line, Ok, PageQuery, Time


class ScanStats(Answer):
    total_scans: Count
    tumor_count: Count
    no_tumor_count: Count
    needs_review_count: Count
    rejected_count: Count
    unanalysed_count: Count


class ReviewStats(Answer):
    """Of scans, by the verdict that counts."""

    waiting: Count = Field(description="the length of the worklist")
    reviewed: Count
    agreed: Count = Field(description="the verdict is the prediction")
    overridden: Count = Field(description="it is another one; both leave out scans without a prediction")


class KindCounts(Answer):
    scan: Count
    report: Count
    mail: Count


class QueueStats(Answer):
    queued: KindCounts
    running: KindCounts
    failed: KindCounts
    oldest_queued_seconds: float


class Stats(Answer):
    total_patients: Count
    total_scans: Count
    total_reports: Count
    scan_stats: ScanStats
    review_stats: ReviewStats
    queue: QueueStats


class StatsAnswer(Ok):
    data: Stats


class AuditQuery(PageQuery):
    actor: Annotated[Line, Field(max_length=60)] | None = Field(None, description="for example admin:1")
    action: Annotated[Line, Field(max_length=60)] | None = Field(
        None, description="for example scan.uploaded"
    )
    subject: Annotated[Line, Field(max_length=120)] | None = Field(None, description="for example patient:7")


class AuditEvent(Answer):
    id: int
    at: Time
    actor: str
    action: str
    subject: str
    request_id: str | None
    details: dict[str, Any] | None
    hash: str


class AuditAnswer(Ok):
    data: list[AuditEvent]


class HealthAnswer(Answer):
    status: Literal["healthy"]
    message: str
    version: str


class Readiness(Answer):
    status: Literal["ready"]
    checks: dict[str, bool]
    engines: list[str] = Field(description="what runs the model in the scan workers that are alive")


class ReadyAnswer(Ok):
    data: Readiness
