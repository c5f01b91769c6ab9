"""Uploaded bytes -> checked image, or a clear refusal; then the original is stored as it came."""

import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from api import metrics
from api.wiring import services, wiring
from shared.errors import BrainScanError, FileUploadError, StorageError, UnreadableImageError
from shared.ids import new_scan_id
from shared.images import ImageLimits, check_picture
from shared.scans import INTERACTIVE_LIMIT, StoredOriginal
from shared.services import Services

MAX_FILENAME = 255
UNSEEN = ("C", "Zl", "Zp")  # Unicode categories: control, direction, line and paragraph separators
OWN_THREADS = 4
TYPES = {b"\xff\xd8": ("image/jpeg", "jpg"), b"\x89P": ("image/png", "png")}


@dataclass(frozen=True, slots=True)
class Upload:
    """One file that a client sent for a patient. `read` gives its bytes."""

    filename: str  # as the client wrote it
    patient_id: int
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that was not accepted, and why."""

    filename: str
    error: str
    code: str = FileUploadError.code


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that a dry run would have taken."""

    filename: str
    patient_id: int


Outcome = StoredOriginal | Refused
CheckedImage = tuple[str, str, int, int]  # content type, extension, width and height as displayed
Turn = AbstractContextManager[Any]


def take_uploads(uploads: Sequence[Upload | Refused]) -> list[Outcome]:
    """Check and store every file, in order. One that is bad, or not stored, spoils no other."""
    built = services()
    turn = _turn_for(len(uploads))
    with _threads_for(len(uploads)) as threads:
        outcomes = list(threads.map(lambda upload: _take(built, turn, upload), uploads))
    refusals = [outcome.code for outcome in outcomes if isinstance(outcome, Refused)]
    metrics.files_taken(len(outcomes) - len(refusals), refusals)
    return outcomes


def check_uploads(uploads: Sequence[Upload | Refused]) -> list[Checked | Refused]:
    """Check every file, in order, and keep none."""
    limits = services().settings.image_limits
    turn = _turn_for(len(uploads))
    with _threads_for(len(uploads)) as threads:
        return list(threads.map(lambda upload: _check(limits, turn, upload), uploads))


def _threads_for(files: int) -> AbstractContextManager[Executor]:
    """Threads of its own for an upload that a person waits for; all bulk uploads of the process share some.

    So bulk work leaves time to those who poll, and a small upload does not stand in line behind it.
    """
    if files <= INTERACTIVE_LIMIT:
        return ThreadPoolExecutor(max(1, min(files, OWN_THREADS)), "upload")
    return nullcontext(wiring().upload_threads)


def _turn_for(files: int) -> Turn:
    """What is held while a picture is checked: many threads may wait for a store, few may use the cores."""
    return nullcontext() if files <= INTERACTIVE_LIMIT else wiring().bulk_checks


def discard(originals: Sequence[StoredOriginal]) -> None:
    """Remove stored originals that no row will name. What fails is left to reconciliation."""
    built = services()
    for original in originals:
        store = built.staging if original.is_staged and built.staging else built.images
        with suppress(StorageError):
            store.delete(original.key)


def _take(built: Services, turn: Turn, upload: Upload | Refused) -> Outcome:
    if isinstance(upload, Refused):
        return upload
    filename = clean_filename(upload.filename)
    try:
        with turn:
            data = upload.read()
            checked = check_image(data, built.settings.image_limits)
        return _store(built, filename, upload.patient_id, data, checked)
    except BrainScanError as error:
        return Refused(filename, str(error), error.code)


def _check(limits: ImageLimits, turn: Turn, upload: Upload | Refused) -> Checked | Refused:
    if isinstance(upload, Refused):
        return upload
    filename = clean_filename(upload.filename)
    try:
        with turn:
            check_image(upload.read(), limits)
    except FileUploadError as error:
        return Refused(filename, str(error), error.code)
    return Checked(filename, upload.patient_id)


def _store(
    built: Services, filename: str, patient_id: int, data: bytes, checked: CheckedImage
) -> StoredOriginal:
    content_type, extension, width, height = checked
    scan_id = new_scan_id()
    key = f"original/{scan_id}.{extension}"
    (built.staging or built.images).put(key, data, content_type)
    return StoredOriginal(
        patient_id=patient_id,
        scan_id=scan_id,
        filename=filename,
        key=key,
        is_staged=built.staging is not None,
        content_type=content_type,
        byte_size=len(data),
        width=width,
        height=height,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def check_image(data: bytes, limits: ImageLimits) -> CheckedImage:
    """Content type, extension, width and height (as displayed) of a picture that decodes whole.

    Raises `FileUploadError` saying what is wrong with it.
    """
    if not data:
        raise UnreadableImageError("The file is empty.")
    known = TYPES.get(data[:2])
    if known is None:
        raise UnreadableImageError("The file is neither a JPEG nor a PNG image, whatever its name says.")
    return (*known, *check_picture(data, limits))


def clean_filename(name: str) -> str:
    """The client's file name for display: last path part, no control or direction characters, cut to 255."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    visible = "".join(c for c in last if not unicodedata.category(c).startswith(UNSEEN))
    shown = visible.strip()[-MAX_FILENAME:].strip()
    return shown if shown.strip(". ") else "unnamed"
