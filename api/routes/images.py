"""The pictures of a scan."""

from flask import Blueprint, redirect, request
from flask.typing import ResponseReturnValue

from api.auth import require_patient_access
from api.presenters import image_link
from api.wiring import services
from shared import scans
from shared.errors import NotFoundError, ValidationError

blueprint = Blueprint("images", __name__)


@blueprint.get("/api/scans/<int:scan_id>/image")
def scan_image(scan_id: int) -> ResponseReturnValue:
    """Redirect to the signed link of the original, heatmap or overlay."""
    kind = request.args.get("kind", "original")
    with services().sessions() as session:
        scan = scans.get_scan(session, scan_id)
    require_patient_access(scan.patient_id)
    keys = {"original": scan.original_path, "heatmap": scan.heatmap_path, "overlay": scan.overlay_path}
    if kind not in keys:
        raise ValidationError("kind: one of original, heatmap, overlay.", "kind")
    link = image_link(keys[kind])
    if link is None:
        raise NotFoundError("This picture is not there yet: the scan has not been analysed.")
    return redirect(link)
