"""Uploading scans, and their pictures."""

from flask import redirect
from flask_openapi3 import APIBlueprint, Tag
from flask_openapi3.types import ResponseDict

from api.acts import note
from api.auth import caller_or_none, for_signed_in, public_where_allowed, require_patient_access
from api.documentation import ERRORS
from api.intake import Order, accept
from api.links import image_link, original_link
from api.release import sees_only_released
from api.repeats import RepeatableRequest
from api.schemas.fields import ScanPath
from api.schemas.scans import ImageQuery, SingleUploadAnswer, SingleUploadForm, UploadAnswer, UploadForm
from api.upload_forms import named_files, uploads_of
from api.view_result import ViewResult
from api.wiring import services
from shared import accounts, scans
from shared.errors import AuthorizationError, NotFoundError, ValidationError
from shared.logins import Role

blueprint = APIBlueprint("scans", __name__, abp_tags=[Tag(name="Scans")], abp_responses=ERRORS)
UPLOADED: ResponseDict = {200: UploadAnswer, 202: UploadAnswer}


@blueprint.post("/api/admin/scans/upload", responses=UPLOADED)
def upload_scans(form: UploadForm) -> ViewResult:
    """Take any number of slices of one patient; each good one becomes a job."""
    files = named_files(form.files)
    _require_patient(form.patient_id)
    order = Order(
        request=RepeatableRequest.current([form.patient_id, form.generate_report], files),
        uploads=uploads_of(files, form.patient_id),
        report_for=form.patient_id if form.generate_report else None,
    )
    return accept(order)


@blueprint.post("/api/scan/upload", responses={200: SingleUploadAnswer, 202: SingleUploadAnswer})
@public_where_allowed
def upload_scan(form: SingleUploadForm) -> ViewResult:
    """Take one slice: a patient's own, from an admin anybody's, and from anybody where that is allowed."""
    patient_id = _patient_of_upload(form.patient_id)
    files = named_files([form.file])
    _require_patient(patient_id)
    is_public = caller_or_none() is None
    order = Order(
        request=RepeatableRequest.current([patient_id, form.generate_report], files),
        uploads=uploads_of(files, patient_id),
        report_for=patient_id if form.generate_report and not is_public else None,
        is_public=is_public,
        is_single=True,
    )
    return accept(order)


@blueprint.get("/api/scans/<int:scan_id>/image", responses={302: None})
@for_signed_in
def scan_image(path: ScanPath, query: ImageQuery) -> ViewResult:
    """Redirect to the signed link of the original, heatmap or overlay."""
    with services().sessions.begin() as session:
        scan = scans.get_scan(session, path.scan_id, sees_only_released())
        require_patient_access(scan.patient_id)
        links = {
            "original": original_link(scan),
            "heatmap": image_link(scan.heatmap_path),
            "overlay": image_link(scan.overlay_path),
        }
        if query.kind not in links:
            raise ValidationError("kind: one of original, heatmap, overlay.", "kind")
        link = links[query.kind]
        if link is None:
            raise NotFoundError("This picture is not there yet: the scan has not been analysed.")
        note(session, "image.viewed", f"scan:{scan.id}", kind=query.kind)
    return redirect(link)


def _patient_of_upload(asked: int | None) -> int:
    who = caller_or_none()
    if who is not None and who.role == Role.PATIENT:
        if asked not in (None, who.id):
            raise AuthorizationError("You may only upload scans of yourself.")
        return who.id
    if asked is None:
        raise ValidationError("patient_id: the number of an existing patient is required.", "patient_id")
    return asked


def _require_patient(patient_id: int) -> None:
    with services().sessions() as session:
        accounts.get_patient(session, patient_id)
