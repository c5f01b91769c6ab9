"""The files of a form, whatever route or page it came by -> uploads."""

from collections.abc import Sequence

from flask import request
from werkzeug.datastructures import FileStorage

from api.archives import read_archive
from api.schemas.batches import BatchUploadForm
from api.uploads import Refused, Upload
from api.wiring import services
from shared import accounts
from shared.errors import ValidationError


def uploads_in(form: BatchUploadForm) -> Sequence[Upload | Refused]:
    """Files of one patient, or a ZIP with a manifest that says whose each file is.

    Raises `ValidationError` for a form that is neither, and `NotFoundError` for an unknown patient.
    """
    if form.archive:  # false for the empty part that browsers send for a field left empty
        if any(form.files):
            raise ValidationError("archive: send either files or one ZIP, not both.", "archive")
        return read_archive(form.archive, form.manifest or None)
    if form.patient_id is None:
        raise ValidationError("patient_id: the number of an existing patient is required.", "patient_id")
    with services().sessions() as session:
        accounts.get_patient(session, form.patient_id)
    return uploads_of(named_files(form.files), form.patient_id)


def named_files(files: Sequence[FileStorage]) -> list[FileStorage]:
    """Those that were chosen: browsers send an empty part for a field left empty.

    Raises `ValidationError` for none and for too many.
    """
    named = [file for file in files if file.filename]
    field = "file" if "file" in request.files else "files"
    most = services().settings.max_files_per_upload
    if not named:
        raise ValidationError(f"{field}: send at least one PNG or JPEG image.", field)
    if len(named) > most:
        raise ValidationError(
            f"{field}: at most {most} files in one request. Send the rest in another.", field
        )
    return named


def uploads_of(files: Sequence[FileStorage], patient_id: int) -> list[Upload]:
    return [Upload(file.filename or "", patient_id, file.stream.read) for file in files]
