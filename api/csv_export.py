"""Results of a batch as CSV, streamed."""

import csv
import io
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from api.presenters import iso, scan_status
from shared import batches
from shared.models import Job, Scan

COLUMNS = (
    "filename",
    "patient_id",
    "patient_identifier",
    "scan_id",
    "job_id",
    "status",
    "prediction",
    "probability",
    "confidence",
    "tumor_type",
    "review",
    "model_name",
    "model_version",
    "error_code",
    "error_message",
    "created_at",
    "analysed_at",
    "reader_verdict",
    "reviewed_at",
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_rows(sessions: sessionmaker[Session], batch_id: uuid.UUID) -> Iterator[str]:
    """The header, then a line for each scan; the rows are read as the client takes them."""
    yield _line(COLUMNS)
    for scan, job, identifier in batches.result_rows(sessions, batch_id):
        yield _line(_values(scan, job, identifier))


def _values(scan: Scan, job: Job, identifier: str) -> Sequence[Any]:
    model = scan.model or {}
    return (
        _inert(scan.original_filename),
        scan.patient_id,
        identifier,
        scan.scan_id,
        job.id,
        scan_status(scan, job),
        scan.prediction,
        scan.probability,
        scan.confidence,
        scan.tumor_type,
        scan.review,
        model.get("name"),
        model.get("version"),
        job.error_code,
        job.error_message,
        iso(job.created_at),
        iso(scan.analysed_at),
        scan.reader_verdict,
        iso(scan.reviewed_at),
    )


def _inert(text: str) -> str:
    """A spreadsheet runs what looks like a formula; file names are the client's words."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _line(values: Sequence[Any]) -> str:
    file = io.StringIO()
    csv.writer(file).writerow(values)
    return file.getvalue()
