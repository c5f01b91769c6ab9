"""Asking for PDF reports and fetching them."""

import io
import uuid

from flask import Response, jsonify, send_file
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy.orm import Session

from api.acts import note
from api.auth import caller, for_signed_in, require_patient_access
from api.documentation import ERRORS, binary
from api.presenters import job_json, report_json
from api.release import sees_only_released
from api.repeats import RepeatableRequest
from api.report_acts import request_report
from api.schemas.jobs import ReportAcceptedAnswer
from api.schemas.reports import (
    DownloadAnswer,
    FilenamePath,
    FileQuery,
    GenerateReportBody,
    ReportAnswer,
    ReportIdPath,
)
from api.view_result import ViewResult
from api.waiting import POLL_AFTER_S, preferred_wait, wait_for_end
from api.wiring import services
from shared import job_queries, legacy_reports, reports
from shared.errors import NotFoundError, ValidationError
from shared.models import Job, JobStatus, Report

blueprint = APIBlueprint(
    "reports", __name__, url_prefix="/api/report", abp_tags=[Tag(name="Reports")], abp_responses=ERRORS
)


@blueprint.post("/generate", responses={200: ReportAnswer, 202: ReportAcceptedAnswer})
def generate_report(body: GenerateReportBody) -> ViewResult:
    """Ask for a PDF about a patient's scans; it is rendered by a worker."""
    once = RepeatableRequest.current(body.model_dump())
    asked = request_report(body.patient_id, body.scan_ids, once)
    return _answer(uuid.UUID(asked["job_id"]))


@blueprint.get("/download/<report_id>", responses={200: DownloadAnswer})
@for_signed_in
def download_report(path: ReportIdPath) -> ViewResult:
    """A link to the PDF that works for a limited time."""
    with services().sessions.begin() as session:
        report = reports.find_report(session, path.report_id, sees_only_released())
        _note_download(session, report)
    return _link(report)


@blueprint.get("/download-by-filename/<filename>", responses={200: DownloadAnswer})
@for_signed_in
def download_by_filename(path: FilenamePath) -> ViewResult:
    """The same, by the last part of `report_path`."""
    return _link(_report_named(path.filename))


@blueprint.get("/file/<filename>", responses={200: binary("the PDF", "application/pdf")})
@for_signed_in
def report_file(path: FilenamePath, query: FileQuery) -> Response:
    """The PDF itself, as a download."""
    report = _report_named(path.filename, query.report_id)
    response = send_file(
        io.BytesIO(legacy_reports.read(services(), report)),
        mimetype="application/pdf",
        as_attachment=True,
        download_name=path.filename,
    )
    response.headers["Cache-Control"] = "no-store"  # `send_file` lets browsers keep it
    return response


def _report_named(filename: str, report_id: str | None = None) -> Report:
    """The newest report with this file name, and this id if one is given, that the caller may see."""
    if not filename.lower().endswith(".pdf") or "\0" in filename:
        raise NotFoundError("Report not found")
    with services().sessions.begin() as session:
        found = [
            report
            for report in reports.named(session, filename, sees_only_released())
            if report_id is None or report.report_id == report_id
        ]
        own = [report for report in found if caller().is_staff or report.patient_id == caller().id]
        if not found:
            raise NotFoundError("Report not found")
        report = (own or found)[0]
        _note_download(session, report)
    return report


def _note_download(session: Session, report: Report) -> None:
    require_patient_access(report.patient_id)
    note(session, "report.downloaded", f"report:{report.report_id}")


def _link(report: Report) -> Response:
    return jsonify(success=True, download_url=legacy_reports.link(services(), report))


def _answer(job_id: uuid.UUID) -> ViewResult:
    seconds = preferred_wait()
    job = _wait(job_id, seconds)
    if job.status == JobStatus.SUCCEEDED and job.report is not None:
        return jsonify(success=True, data=report_json(job.report))
    if seconds and job.status == JobStatus.FAILED and job.error_code == ValidationError.code:
        raise ValidationError(str(job.error_message))  # told like what can be seen before a worker looks
    body = {"success": True, "job_id": str(job.id), "job_ids": [str(job.id)], "data": job_json(job)}
    return jsonify(body), 202, {"Location": f"/api/jobs/{job.id}", "Retry-After": str(POLL_AFTER_S)}


def _wait(job_id: uuid.UUID, seconds: float) -> Job:
    if seconds:
        return wait_for_end([job_id], seconds)[0]
    with services().sessions() as session:
        return job_queries.load(session, [job_id])[job_id]
