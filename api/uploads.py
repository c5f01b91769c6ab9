"""Request bytes -> checked image, or a clear refusal; then the original is stored as it came."""

import hashlib
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from werkzeug.datastructures import FileStorage

from api.wiring import services
from shared.errors import FileUploadError, ServiceUnavailableError, UnreadableImageError
from shared.ids import new_scan_id
from shared.images import ImageLimits, read_grey
from shared.scans import StoredOriginal
from shared.services import Services

MAX_FILENAME = 255
STORE_THREADS = 4
TYPES = {b"\xff\xd8": ("image/jpeg", "jpg"), b"\x89P": ("image/png", "png")}


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that was not accepted, and why."""

    filename: str
    error: str
    code: str


def take_uploads(files: Sequence[FileStorage]) -> list[StoredOriginal | Refused]:
    """Check and store every file, in order. One that is bad, or not stored, spoils no other."""
    built = services()
    with ThreadPoolExecutor(STORE_THREADS) as threads:
        return list(threads.map(lambda file: _take(built, file), files))


def _take(built: Services, file: FileStorage) -> StoredOriginal | Refused:
    filename = clean_filename(file.filename or "")
    try:
        return _store(built, filename, file.stream.read())
    except (FileUploadError, ServiceUnavailableError) as error:
        return Refused(filename, str(error), error.code)


def _store(built: Services, filename: str, data: bytes) -> StoredOriginal:
    content_type, extension, width, height = check_image(data, built.settings.image_limits)
    scan_id = new_scan_id()
    key = f"original/{scan_id}.{extension}"
    built.images.put(key, data, content_type)
    digest = hashlib.sha256(data).hexdigest()
    return StoredOriginal(scan_id, filename, key, content_type, len(data), width, height, digest)


def check_image(data: bytes, limits: ImageLimits) -> tuple[str, str, int, int]:
    """Content type, extension, width and height (as displayed) of a picture that decodes whole.

    Raises `FileUploadError` saying what is wrong with it.
    """
    if not data:
        raise UnreadableImageError("The file is empty.")
    known = TYPES.get(data[:2])
    if known is None:
        raise UnreadableImageError("The file is neither a JPEG nor a PNG image, whatever its name says.")
    width, height = read_grey(data, limits).size
    return (*known, width, height)


def clean_filename(name: str) -> str:
    """The client's file name for display: last path part, no control or direction characters, cut to 255."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    visible = "".join(c for c in last if unicodedata.category(c)[0] != "C")
    return visible.strip()[-MAX_FILENAME:] or "unnamed"
