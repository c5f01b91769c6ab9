"""A ZIP that a stranger made: opened, and its members read, within bounds.

Names in it are only text, links in it are only bytes, and nothing in it is unpacked to a disk.
"""

import lzma
import struct
import zipfile
import zlib
from typing import IO

from shared.errors import FileTooLargeError, FileUploadError, ValidationError

MOST_ENTRIES = 10_000  # folders too; each costs half a kilobyte of memory before it can be looked at
_ENTRY = b"PK\x01\x02"  # what every entry of the directory begins with
_PIECE = 1_000_000
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
    MemoryError,  # a dictionary of four gigabytes that an LZMA member asks for
)


def open_zip(stream: IO[bytes]) -> zipfile.ZipFile:
    """The ZIP, of which only the directory is read yet. Raises `ValidationError` for what is none."""
    if _most_entries(stream) > MOST_ENTRIES:
        raise ValidationError(
            f"archive: at most {MOST_ENTRIES:,} entries in one ZIP. Send the rest in another.", "archive"
        )
    try:
        return zipfile.ZipFile(stream)
    except UNREADABLE:
        raise ValidationError("archive: this is not a ZIP file.", "archive") from None


def read_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
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


def _most_entries(stream: IO[bytes]) -> int:
    """No fewer than there are: the number at a ZIP's end may lie, what a member holds may look like one."""
    found, overlap = 0, b""
    while piece := stream.read(_PIECE):
        found += (overlap + piece).count(_ENTRY)
        overlap = piece[-len(_ENTRY) + 1 :]
    stream.seek(0)
    return found
