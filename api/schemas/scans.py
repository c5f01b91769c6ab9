"""Scans: uploads and results."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from api.schemas.fields import Answer, Empty, File, Ok, Request, RowId, Share, Time
from api.schemas.reports import Report

Prediction = Literal["Tumor", "No Tumor"]
Verdict = Literal["Tumor", "No Tumor", "Unusable"]
Status = Literal["queued", "running", "succeeded", "failed", "cancelled", "rejected"]


def _truth(value: Any) -> Any:
    return value.strip().lower() in ("1", "true", "yes", "on") if isinstance(value, str) else bool(value)


Flag = Annotated[bool, BeforeValidator(_truth)]


class UploadForm(Request):
    patient_id: RowId
    files: list[File] = Field(description="PNG or JPEG images")
    generate_report: Flag = Field(default=False, description="also make a report of these scans")


class SingleUploadForm(Request):
    patient_id: Annotated[RowId | None, Empty] = Field(None, description="left out: the signed-in patient")
    file: File = Field(description="a PNG or JPEG image")
    generate_report: Flag = Field(default=False, description="also make a report of this scan")


class ImageQuery(Request):
    kind: str = Field("original", description="original, heatmap or overlay")


class Finding(Answer):
    """What the model said; all null until it has, and where a person must look."""

    prediction: Prediction | None
    confidence: Share | None = Field(description="probability of the predicted class")
    probability: Share | None = Field(description="of a tumour, calibrated")
    raw_probability: Share | None = Field(description="of a tumour, before calibration")
    tumor_type: str | None
    review: Literal["needs_review", "rejected"] | None
    class_probabilities: dict[str, float] | None


class Scan(Finding):
    id: int
    patient_id: int
    scan_id: str
    original_filename: str
    original_path: str | None = Field(description="signed URL that expires")
    heatmap_path: str | None = Field(description="signed URL that expires")
    overlay_path: str | None = Field(description="signed URL that expires")
    thumbnail_path: str | None = Field(description="signed URL of a small overlay, or of the original")
    report_path: str | None
    created_at: Time
    status: Status
    job_id: str
    model: dict[str, Any] | None = Field(
        description="name, version, weights' hash, engine, device; `inconclusive`: between which two "
        "probabilities it gives no prediction (missing in older results)"
    )
    explanation: dict[str, Any] | None = Field(description="the evidence map as numbers, and its flags")
    analysed_at: Time | None
    reader_verdict: Verdict | None = Field(description="what a radiologist sees; null until one has looked")
    reviewed_at: Time | None


class AnyPatientsScan(Scan):
    patient_name: str
    patient_identifier: str = Field(description="the patient's display id")


class ScansAnswer(Ok):
    data: list[Scan]


class AllScansAnswer(Ok):
    data: list[AnyPatientsScan]


class FileResult(Answer):
    """One file of an upload: accepted, analysed, or refused."""

    success: bool
    filename: str
    error: str | None = None
    code: str | None = None
    job_id: str | None = None
    scan_id: str | None = None
    patient_id: int | None = None
    status: Status | None = None
    prediction: Prediction | None = None
    confidence: Share | None = None
    probability: Share | None = None
    raw_probability: Share | None = None
    tumor_type: str | None = None
    review: Literal["needs_review", "rejected"] | None = None
    class_probabilities: dict[str, float] | None = None
    original_image: str | None = None
    heatmap: str | None = None
    overlay: str | None = None


class UploadAnswer(Ok):
    """202 when the jobs are accepted; 200, with findings, when they were waited for and have ended."""

    batch_id: str
    job_ids: list[str]
    scan_ids: list[str]
    results: list[FileResult]
    report_generated: bool
    report_data: Report | None
    report_job_id: str | None = Field(None, description="where a report was asked for")


class SingleUploadAnswer(UploadAnswer, FileResult):
    """The same, with the fields of the one file beside them."""
