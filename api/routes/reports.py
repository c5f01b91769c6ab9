"""Asking for PDF reports and fetching them."""

import io
import re

from flask import Blueprint, Response, jsonify, send_file
from flask.typing import ResponseReturnValue

from api.auth import admin_only, require_patient_access
from api.bodies import GenerateReportBody, read_body
from api.presenters import job_json, report_filename, report_json
from api.waiting import preferred_wait, wait_for_end
from api.wiring import services
from shared import reports
from shared.errors import NotFoundError
from shared.models import Job, JobKind, JobStatus, Report

blueprint = Blueprint("reports", __name__, url_prefix="/api/report")
POLL_AFTER_S = 1
_PDF_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.pdf")


@blueprint.post("/generate")
@admin_only
def generate_report() -> ResponseReturnValue:
    """Ask for a PDF about a patient's scans; it is rendered by a worker."""
    body = read_body(GenerateReportBody)
    built = services()
    with built.sessions.begin() as session:
        job = reports.request_report(session, body.patient_id, body.scan_ids)
    built.queue.wake(JobKind.REPORT, job.lane, [job.id])
    seconds = preferred_wait()
    rows = wait_for_end([job.id], seconds) if seconds else [job]
    return _answer(rows[0])


@blueprint.get("/download/<report_id>")
def download_report(report_id: str) -> ResponseReturnValue:
    """A link to the PDF that works for a limited time."""
    with services().sessions() as session:
        report = reports.find_report(session, report_id)
    require_patient_access(report.patient_id)
    return _link(report)


@blueprint.get("/download-by-filename/<filename>")
def download_by_filename(filename: str) -> ResponseReturnValue:
    """The same, by the last part of `report_path`."""
    report = _report_named(filename)
    return _link(report)


@blueprint.get("/file/<filename>")
def report_file(filename: str) -> Response:
    """The PDF itself, as a download."""
    report = _report_named(filename)
    content = services().reports.get(report.report_path or "")
    return send_file(
        io.BytesIO(content),
        mimetype="application/pdf",
        as_attachment=True,
        download_name=report_filename(report),
    )


def _report_named(filename: str) -> Report:
    if not _PDF_NAME.fullmatch(filename):
        raise NotFoundError("Report not found")
    with services().sessions() as session:
        report = reports.find_report_by_key(session, filename)
    require_patient_access(report.patient_id)
    return report


def _link(report: Report) -> Response:
    key = report.report_path or ""
    return jsonify(success=True, download_url=services().reports.link(key, filename=report_filename(report)))


def _answer(job: Job) -> ResponseReturnValue:
    if job.status == JobStatus.SUCCEEDED and job.report is not None:
        return jsonify(success=True, data=report_json(job.report))
    body = {"success": True, "job_id": str(job.id), "job_ids": [str(job.id)], "data": job_json(job)}
    return jsonify(body), 202, {"Location": f"/api/jobs/{job.id}", "Retry-After": str(POLL_AFTER_S)}
