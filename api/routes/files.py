"""Files of the local store, for whoever holds a signed link that has not expired."""

from flask import Blueprint, Response, send_file

from api.auth import public_by_link
from api.thumbnails import SMALL_TYPE, small_version
from shared.storage import LocalStore
from shared.storage.local import LINK_PREFIX

IMAGE_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


def blueprint_for(store: LocalStore) -> Blueprint:
    """The route that serves this store's links."""
    blueprint = Blueprint(f"files_{store.role}", __name__)

    @blueprint.get(f"{LINK_PREFIX}/{store.role}/<token>")
    @public_by_link
    def signed_file(token: str) -> Response:
        """Images are shown, everything else is downloaded; nothing is ever sniffed or run as a page."""
        target = store.resolve(token)
        image_type = IMAGE_TYPES.get(target.path.suffix)
        small = small_version(target.path, target.side) if image_type and target.side else None
        if small is not None:
            response = Response(small, mimetype=SMALL_TYPE)
        else:
            response = send_file(
                target.path,
                mimetype=image_type or "application/pdf",
                as_attachment=image_type is None,
                download_name=target.filename or target.path.name,
                conditional=True,
                max_age=300,
            )
        response.headers["Cache-Control"] = "private, max-age=300"
        if image_type:
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # the frontend shows it
        return response

    return blueprint
