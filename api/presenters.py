"""Rows -> the JSON objects of the contract."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import request

from api.wiring import services
from shared.models import Job, JobStatus, Patient, Report, Scan
from shared.results import REJECTED

Json = dict[str, Any]
NO_BRAIN_MRI = "NOT_A_BRAIN_MRI"


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with `Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def absolute(link: str | None) -> str | None:
    """A link that works from pages of another origin."""
    if link is None or not link.startswith("/"):
        return link
    return (services().settings.public_url or request.host_url).rstrip("/") + link


def image_link(key: str | None) -> str | None:
    """A signed URL of a stored image that an `<img>` on any page can show, until it expires."""
    return None if key is None else absolute(services().images.link(key))


def report_filename(report: Report) -> str:
    return (report.report_path or "").rsplit("/", 1)[-1]


def patient_json(patient: Patient) -> Json:
    return {
        "id": patient.id,
        "patient_id": patient.patient_id,
        "name": patient.name,
        "email": patient.email,
        "age": patient.age,
        "gender": patient.gender,
        "phone": patient.phone,
        "address": patient.address,
        "username": patient.username,
        "created_at": iso(patient.created_at),
        "updated_at": iso(patient.updated_at),
    }


def scan_json(scan: Scan, job: Job) -> Json:
    return {
        "id": scan.id,
        "patient_id": scan.patient_id,
        "scan_id": scan.scan_id,
        "original_filename": scan.original_filename,
        "original_path": image_link(scan.original_path),
        "heatmap_path": image_link(scan.heatmap_path),
        "overlay_path": image_link(scan.overlay_path),
        "report_path": f"reports/{scan.report_path}" if scan.report_path else None,
        "created_at": iso(scan.created_at),
        "status": _scan_status(scan, job),
        "job_id": str(job.id),
        "model": scan.model,
        "explanation": scan.explanation,
        **_finding_json(scan),
    }


def _scan_status(scan: Scan, job: Job) -> str:
    """The job's, but for a picture that was rejected: its job did what it had to."""
    is_rejected = job.status == JobStatus.SUCCEEDED and scan.review == REJECTED
    return REJECTED if is_rejected else job.status


def _finding_json(scan: Scan) -> Json:
    return {
        "prediction": scan.prediction,
        "confidence": scan.confidence,
        "probability": scan.probability,
        "raw_probability": scan.raw_probability,
        "tumor_type": scan.tumor_type,
        "review": scan.review,
        "class_probabilities": scan.class_probabilities,
    }


def report_json(report: Report) -> Json:
    return {
        "id": report.id,
        "patient_id": report.patient_id,
        "report_id": report.report_id,
        "report_path": f"reports/{report_filename(report)}" if report.report_path else None,
        "scan_count": report.scan_count,
        "tumor_count": report.tumor_count,
        "no_tumor_count": report.no_tumor_count,
        "created_at": iso(report.created_at),
    }


def job_json(job: Job, ahead: Mapping[uuid.UUID, int] | None = None) -> Json:
    """The job object. `ahead` says how many jobs stand before each queued one."""
    body: Json = {
        "id": str(job.id),
        "kind": job.kind,
        "status": job.status,
        "stage": job.stage,
        "attempt": job.attempt,
        "progress": 1.0 if job.status == JobStatus.SUCCEEDED else 0.0,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "batch_id": str(job.batch_id) if job.batch_id else None,
        "result": _result_json(job),
        "error": _error_json(job),
    }
    if ahead is not None and job.id in ahead:
        body["queue_position"] = ahead[job.id] + 1
    return body


def _error_json(job: Job) -> Json | None:
    if job.status != JobStatus.FAILED:
        return None
    return {"code": job.error_code, "message": job.error_message}


def _result_json(job: Job) -> Json | None:
    if job.status != JobStatus.SUCCEEDED:
        return None
    if job.scan is not None:
        kinds = ("original",) if job.scan.heatmap_path is None else ("original", "heatmap", "overlay")
        links = {kind: f"/api/scans/{job.scan.id}/image?kind={kind}" for kind in kinds}
        identity = {"scan_id": job.scan.scan_id, "status": _scan_status(job.scan, job)}
        return {**identity, **_finding_json(job.scan), **_rejection_json(job.scan), "links": links}
    if job.report is not None:
        download = f"/api/report/download/{job.report.report_id}"
        return {**report_json(job.report), "links": {"download": download}}
    return None


def _rejection_json(scan: Scan) -> Json:
    return {"rejection": scan.rejection} if scan.rejection else {}


def accepted_json(job: Job) -> Json:
    """One accepted file of an upload whose analysis is still to come."""
    return {
        "success": True,
        "job_id": str(job.id),
        "status": job.status,
        **_identity_json(job),
        **_blank_images(),
    }


def analysed_json(job: Job) -> Json:
    """One file of an upload in the old synchronous shape, once its job has ended."""
    if job.status != JobStatus.SUCCEEDED or job.scan is None:
        error = job.error_message or "The scan was not analysed."
        return _unanalysed_json(job, job.status, error, job.error_code or "MODEL_PREDICTION_ERROR")
    if job.scan.review == REJECTED:
        reason = str((job.scan.rejection or {}).get("reason", "The picture was rejected."))
        return _unanalysed_json(job, REJECTED, reason, NO_BRAIN_MRI)
    images = {
        "original_image": image_link(job.scan.original_path),
        "heatmap": image_link(job.scan.heatmap_path),
        "overlay": image_link(job.scan.overlay_path),
    }
    return {**accepted_json(job), **images}


def _unanalysed_json(job: Job, status: str, error: str, code: str) -> Json:
    return {
        **_identity_json(job),
        "success": False,
        "job_id": str(job.id),
        "status": status,
        "error": error,
        "code": code,
    }


def _identity_json(job: Job) -> Json:
    if job.scan is None:
        return {}
    return {"filename": job.scan.original_filename, "scan_id": job.scan.scan_id, **_finding_json(job.scan)}


def _blank_images() -> Json:
    return {"original_image": None, "heatmap": None, "overlay": None}
