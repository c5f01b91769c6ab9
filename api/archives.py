"""A ZIP of images with a manifest that says whose each is -> uploads."""

import zipfile
from collections.abc import Iterator
from functools import partial

from werkzeug.datastructures import FileStorage

from api.manifests import COLUMNS, MANIFEST, MAX_MANIFEST_BYTES, read_manifest
from api.uploads import Refused, Upload, clean_filename
from api.wiring import services
from api.zips import open_zip, read_member
from shared import accounts
from shared.errors import FileUploadError, ValidationError
from shared.settings import Settings

MOST_EXPANDED = 4  # times the largest request: images hardly shrink in a ZIP, so more is a bomb


def read_archive(archive: FileStorage, manifest: FileStorage | None) -> list[Upload | Refused]:
    """An upload for each row of the manifest, and a refusal for what has no counterpart.

    Raises `ValidationError` where archive or manifest as a whole cannot be used.
    """
    settings = services().settings
    opened = open_zip(archive.stream)
    members = {info.filename: info for info in opened.infolist() if not info.is_dir()}
    table = members.pop(MANIFEST, None)
    if manifest is not None:
        text = manifest.stream.read(MAX_MANIFEST_BYTES + 1)
    elif table is not None:
        text = _manifest_inside(opened, table)
    else:
        raise ValidationError(
            f"archive: it needs a {MANIFEST} with the columns {','.join(COLUMNS)}.", "archive"
        )
    _refuse_too_much(members, settings)
    rows = read_manifest(text)
    return list(_match(opened, members, rows, settings))


def _match(
    opened: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    rows: dict[str, str],
    settings: Settings,
) -> Iterator[Upload | Refused]:
    with services().sessions() as session:
        known = accounts.numbers_of(session, set(rows.values()))
    for filename, patient in rows.items():
        shown = clean_filename(filename)
        if filename not in members:
            yield Refused(shown, "The manifest names this file, but the archive does not hold it.")
        elif patient not in known:
            yield Refused(shown, "The manifest gives no existing patient's number for this file.")
        else:
            read = partial(read_member, opened, members[filename], settings.max_content_length)
            yield Upload(filename, known[patient], read)
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


def _manifest_inside(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        return read_member(opened, info, MAX_MANIFEST_BYTES)
    except FileUploadError as error:
        raise ValidationError(f"manifest: {error}", "manifest") from None
