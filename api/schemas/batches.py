"""Batches: many scans over several requests."""

import uuid
from typing import Annotated, Literal

from pydantic import Field, RootModel

from api.schemas.fields import Answer, Count, Empty, File, Line, Ok, PageQuery, Request, RowId, Time
from api.schemas.scans import FileResult, UploadAnswer


class BatchBody(Request):
    name: Annotated[Annotated[Line, Field(max_length=100)] | None, Empty] = Field(
        None, description="for your own eyes; no patient's name belongs here"
    )


class BatchesQuery(PageQuery):
    cursor: uuid.UUID | None = Field(None, description="from a `Link` header")  # type: ignore[assignment]


class BatchUploadForm(Request):
    patient_id: Annotated[RowId | None, Empty] = Field(None, description="of all `files`")
    files: list[File] = Field([], description="PNG or JPEG images of one patient")
    archive: File | None = Field(
        None,
        description="or one ZIP of images with a manifest.csv: filename,patient_id (number or display id)",
    )
    manifest: File | None = Field(None, description="the manifest, where the ZIP has none")


class DryRunQuery(Request):
    dry_run: bool = Field(default=False, description="check everything, keep nothing")


class BatchCounts(Answer):
    queued: Count
    running: Count
    succeeded: Count
    failed: Count
    cancelled: Count


class BatchOutcomes(Answer):
    tumor: Count
    no_tumor: Count
    needs_review: Count
    rejected: Count


class Batch(Answer):
    id: str
    name: str | None
    origin: Literal["upload", "request"]
    created_at: Time
    cancelled_at: Time | None
    total: Count
    counts: BatchCounts = Field(description="jobs by status; they sum to `total`")
    outcomes: BatchOutcomes = Field(description="succeeded jobs by what came out")
    eta_seconds: int | None


class BatchAnswer(Ok):
    data: Batch


class NewBatchAnswer(Ok):
    batch_id: str
    data: Batch


class BatchesAnswer(Ok):
    data: list[Batch]


class CancelledBatchAnswer(Ok):
    cancelled: Count = Field(description="jobs that this request ended")
    data: Batch


class DryRunAnswer(Ok):
    dry_run: bool
    accepted: Count
    refused: Count
    results: list[FileResult]


class BatchUploadAnswer(UploadAnswer):
    """202 when the jobs are accepted; 200, with findings, when they were waited for and have ended."""


class BatchScansAnswer(RootModel[BatchUploadAnswer | DryRunAnswer]):
    """What was done, or would have been."""


class Limits(Answer):
    max_request_bytes: int
    max_files: int
    max_image_pixels: int
    max_image_side: int


class LimitsAnswer(Ok):
    data: Limits
