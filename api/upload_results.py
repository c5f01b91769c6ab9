"""What an upload says about each file: accepted, analysed, or refused."""

from api.links import image_link, original_link
from api.presenters import Json, finding_json
from api.uploads import Refused
from shared.models import Job, JobStatus
from shared.results import REJECTED

NO_BRAIN_MRI = "NOT_A_BRAIN_MRI"


def refused_json(refused: Refused) -> Json:
    return {"success": False, "filename": refused.filename, "error": refused.error, "code": refused.code}


def accepted_json(job: Job, is_public: bool = False) -> Json:
    """One accepted file of an upload whose analysis is still to come."""
    return {
        "success": True,
        "job_id": str(job.id),
        "status": job.status,
        **_identity_json(job, is_public),
        **_blank_images(),
    }


def analysed_json(job: Job, is_public: bool = False) -> Json:
    """One file of an upload in the old synchronous shape, once its job has ended."""
    if job.status != JobStatus.SUCCEEDED or job.scan is None:
        error = job.error_message or "The scan was not analysed."
        return _unanalysed_json(job, job.status, error, job.error_code or "MODEL_PREDICTION_ERROR", is_public)
    if job.scan.review == REJECTED:
        reason = str((job.scan.rejection or {}).get("reason", "The picture was rejected."))
        return _unanalysed_json(job, REJECTED, reason, NO_BRAIN_MRI, is_public)
    images = {
        "original_image": original_link(job.scan),
        "heatmap": image_link(job.scan.heatmap_path),
        "overlay": image_link(job.scan.overlay_path),
    }
    return {**accepted_json(job, is_public), **images}


def held_back_json(job: Job, is_public: bool = False) -> Json:
    """One file of an upload whose job has ended, for whom its result is not released: nothing tells it."""
    if job.status != JobStatus.SUCCEEDED or job.scan is None:
        return analysed_json(job, is_public)
    return {**accepted_json(job, is_public), **dict.fromkeys(finding_json(job.scan))}


def _unanalysed_json(job: Job, status: str, error: str, code: str, is_public: bool) -> Json:
    return {
        **_identity_json(job, is_public),
        "success": False,
        "job_id": str(job.id),
        "status": status,
        "error": error,
        "code": code,
    }


def _identity_json(job: Job, is_public: bool) -> Json:
    scan = job.scan
    if scan is None:
        return {}
    identity = {} if is_public else {"scan_id": scan.scan_id, "patient_id": scan.patient_id}
    return {"filename": scan.original_filename, **identity, **finding_json(scan)}


def _blank_images() -> Json:
    return {"original_image": None, "heatmap": None, "overlay": None}
