"""Rows -> the JSON objects of the contract."""

import math
from datetime import UTC, datetime
from typing import Any

from api.links import image_link, original_link, thumbnail_link
from shared.batches import Progress
from shared.models import AuditEvent, Batch, Job, JobStatus, Patient, Report, Scan, ScanReview
from shared.polled_jobs import PolledJob, PolledReport, PolledScan
from shared.results import REJECTED

Json = dict[str, Any]


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with `Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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


def scan_json(scan: Scan, job: Job, with_map: bool = True) -> Json:
    """The scan object. Without `with_map` it leaves out the evidence map, most of its size."""
    return {
        "id": scan.id,
        "patient_id": scan.patient_id,
        "scan_id": scan.scan_id,
        "original_filename": scan.original_filename,
        "original_path": original_link(scan),
        "heatmap_path": image_link(scan.heatmap_path),
        "overlay_path": image_link(scan.overlay_path),
        "thumbnail_path": thumbnail_link(scan),
        "report_path": _report_path(scan.report_path),
        "created_at": iso(scan.created_at),
        "status": scan_status(scan, job),
        "job_id": str(job.id),
        "model": scan.model,
        "explanation": scan.explanation if with_map else None,
        "analysed_at": iso(scan.analysed_at),
        "reader_verdict": scan.reader_verdict,
        "reviewed_at": iso(scan.reviewed_at),
        **finding_json(scan),
    }


def review_json(review: ScanReview) -> Json:
    return {
        "id": review.id,
        "verdict": review.verdict,
        "comment": review.comment,
        "reader": review.reader.username,
        "at": iso(review.at),
        "agrees": review.agrees,
        "prediction": review.prediction,
        "probability": review.probability,
        "review": review.review,
        "model_version": review.model_version,
    }


def of_any_patient(body: Json, patient: Patient) -> Json:
    """A scan or report object in a list that is not one patient's."""
    return {**body, "patient_name": patient.name, "patient_identifier": patient.patient_id}


def _report_path(path: str | None) -> str | None:
    return f"reports/{path.replace(chr(92), '/').rsplit('/', 1)[-1]}" if path else None


def scan_status(scan: Scan | PolledScan, job: Job | PolledJob) -> str:
    """The job's, but for a picture that was rejected: its job did what it had to."""
    is_rejected = job.status == JobStatus.SUCCEEDED and scan.review == REJECTED
    return REJECTED if is_rejected else job.status


def finding_json(scan: Scan | PolledScan) -> Json:
    return {
        "prediction": scan.prediction,
        "confidence": scan.confidence,
        "probability": scan.probability,
        "raw_probability": scan.raw_probability,
        "tumor_type": scan.tumor_type,
        "review": scan.review,
        "class_probabilities": scan.class_probabilities,
    }


def report_json(report: Report | PolledReport) -> Json:
    return {
        "id": report.id,
        "patient_id": report.patient_id,
        "report_id": report.report_id,
        "report_path": _report_path(report.report_path),
        "scan_count": report.scan_count,
        "tumor_count": report.tumor_count,
        "no_tumor_count": report.no_tumor_count,
        "created_at": iso(report.created_at),
    }


def job_json(job: Job | PolledJob, ahead: int | None = None, pace: float | None = None) -> Json:
    """The job object. `ahead`: how many jobs stand before a queued one; `pace`: seconds that each takes."""
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
    if ahead is not None:
        body["queue_position"] = ahead + 1
        if pace is not None:
            body["eta_seconds"] = math.ceil((ahead + 1) * pace)
    return body


def public_job_json(job: Job, ahead: int | None = None, pace: float | None = None) -> Json:
    """For somebody who knows nothing but the job's id: nothing says whose scan it is."""
    return {**job_json(job, ahead, pace), "batch_id": None, "result": _public_result_json(job)}


def _error_json(job: Job | PolledJob) -> Json | None:
    if job.status != JobStatus.FAILED:
        return None
    return {"code": job.error_code, "message": job.error_message}


def _result_json(job: Job | PolledJob) -> Json | None:
    if job.status != JobStatus.SUCCEEDED:
        return None
    if job.scan is not None:
        kinds = ("original",) if job.scan.heatmap_path is None else ("original", "heatmap", "overlay")
        links = {kind: f"/api/scans/{job.scan.id}/image?kind={kind}" for kind in kinds}
        return {"scan_id": job.scan.scan_id, **_outcome_json(job.scan, job), "links": links}
    if job.report is not None:
        download = f"/api/report/download/{job.report.report_id}"
        return {**report_json(job.report), "links": {"download": download}}
    return {"sent_at": iso(job.mail.sent_at)} if job.mail is not None else None


def _public_result_json(job: Job) -> Json | None:
    if job.status != JobStatus.SUCCEEDED or job.scan is None:
        return None
    images = {"heatmap": image_link(job.scan.heatmap_path), "overlay": image_link(job.scan.overlay_path)}
    links = {"original": original_link(job.scan), **{kind: link for kind, link in images.items() if link}}
    return {**_outcome_json(job.scan, job), "links": links}


def _outcome_json(scan: Scan | PolledScan, job: Job | PolledJob) -> Json:
    rejection = {"rejection": scan.rejection} if scan.rejection else {}
    return {"status": scan_status(scan, job), **finding_json(scan), **rejection}


def batch_json(batch: Batch, progress: Progress) -> Json:
    return {
        "id": str(batch.id),
        "name": batch.name,
        "origin": batch.origin,
        "created_at": iso(batch.created_at),
        "cancelled_at": iso(batch.cancelled_at),
        "total": progress.total,
        "counts": progress.counts,
        "outcomes": progress.outcomes,
        "eta_seconds": progress.eta_seconds,
    }


def audit_json(event: AuditEvent) -> Json:
    return {
        "id": event.id,
        "at": iso(event.at),
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "request_id": event.request_id,
        "details": event.details,
        "hash": event.hash,
    }
