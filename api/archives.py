"""A ZIP of images with a manifest that says whose each is -> uploads."""

import csv
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial

from werkzeug.datastructures import FileStorage

from api.schemas.fields import MAX_ID
from api.uploads import Refused, Upload, clean_filename
from api.wiring import services
from shared import scans
from shared.errors import FileTooLargeError, FileUploadError, ValidationError
from shared.settings import Settings

MANIFEST = "manifest.csv"
COLUMNS = ("filename", "patient_id")
MAX_MANIFEST_BYTES = 1_000_000
MOST_EXPANDED = 4  # times the largest request: images hardly shrink in a ZIP, so more is a bomb
UNREADABLE = (  # what `zipfile` and its decompressors report damage through
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    RuntimeError,
    NotImplementedError,
    EOFError,
    OSError,
    ValueError,
)


def read_archive(archive: FileStorage, manifest: FileStorage | None) -> list[Upload | Refused]:
    """An upload for each row of the manifest, and a refusal for what has no counterpart.

    Raises `ValidationError` where archive or manifest as a whole cannot be used.
    """
    settings = services().settings
    try:
        opened = zipfile.ZipFile(archive.stream)
    except UNREADABLE:
        raise ValidationError("archive: this is not a ZIP file.", "archive") from None
    members = {info.filename: info for info in opened.infolist() if not info.is_dir()}
    table = members.pop(MANIFEST, None)
    if manifest is not None:
        text = manifest.stream.read(MAX_MANIFEST_BYTES + 1)
    elif table is not None:
        text = _read_manifest(opened, table)
    else:
        raise ValidationError(
            f"archive: it needs a {MANIFEST} with the columns {','.join(COLUMNS)}.", "archive"
        )
    _refuse_too_much(members, settings)
    rows = _rows(text)
    return list(_match(opened, members, rows, settings))


def _match(
    opened: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    rows: dict[str, str],
    settings: Settings,
) -> Iterator[Upload | Refused]:
    numbers = {int(text) for text in rows.values() if _is_number(text)}
    with services().sessions() as session:
        known = scans.known_patients(session, numbers)
    for filename, patient in rows.items():
        shown = clean_filename(filename)
        if filename not in members:
            yield Refused(shown, "The manifest names this file, but the archive does not hold it.")
        elif not _is_number(patient) or int(patient) not in known:
            yield Refused(shown, "The manifest gives no existing patient's number for this file.")
        else:
            read = partial(_read, opened, members[filename], settings.max_content_length)
            yield Upload(filename, int(patient), read)
    for filename in members:
        if filename not in rows:
            yield Refused(clean_filename(filename), "The manifest does not name this file.")


def _refuse_too_much(members: dict[str, zipfile.ZipInfo], settings: Settings) -> None:
    if len(members) > settings.max_files_per_upload:
        raise ValidationError(
            f"archive: at most {settings.max_files_per_upload} files in one ZIP. Send the rest in another.",
            "archive",
        )
    if sum(info.file_size for info in members.values()) > MOST_EXPANDED * settings.max_content_length:
        raise ValidationError("archive: its files are too large once unpacked.", "archive")


def _read_manifest(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        return _read(opened, info, MAX_MANIFEST_BYTES)
    except FileUploadError as error:
        raise ValidationError(f"manifest: {error}", "manifest") from None


def _read(opened: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """A member's bytes; what its header claims about its size is not believed.

    Raises `FileUploadError`.
    """
    try:
        with opened.open(info) as member:
            data = member.read(most + 1)
    except UNREADABLE:
        raise FileUploadError("The file is damaged or encrypted inside the ZIP.") from None
    if len(data) > most:
        raise FileTooLargeError("The file is too large once unpacked.")
    return data


def _rows(content: bytes) -> dict[str, str]:
    """File name -> patient, as written. Raises `ValidationError` naming the line that is wrong."""
    if len(content) > MAX_MANIFEST_BYTES:
        raise ValidationError("manifest: it is too long.", "manifest")
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
        names = [name.strip().lower() for name in reader.fieldnames or ()]
    except (UnicodeDecodeError, csv.Error):
        raise ValidationError("manifest: it is not a CSV file in UTF-8.", "manifest") from None
    if not set(COLUMNS) <= set(names):
        raise ValidationError(f"manifest: the columns {','.join(COLUMNS)} are needed.", "manifest")
    reader.fieldnames = names
    rows: dict[str, str] = {}
    try:
        for row in reader:
            filename = (row["filename"] or "").strip()
            if not filename or filename in rows:
                raise ValidationError(
                    f"manifest: line {reader.line_num} names no file, or one that was named before.",
                    "manifest",
                )
            rows[filename] = (row["patient_id"] or "").strip()
    except csv.Error:
        line = reader.reader.line_num  # of the line that could not be read; `reader` still has the one before
        raise ValidationError(f"manifest: line {line} is damaged.", "manifest") from None
    if not rows:
        raise ValidationError("manifest: it names no file.", "manifest")
    return rows


def _is_number(text: str) -> bool:
    digits = text.lstrip("0")
    return text.isascii() and text.isdigit() and 0 < len(digits) < 11 and int(digits) <= MAX_ID
