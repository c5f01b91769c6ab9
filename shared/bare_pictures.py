"""Bytes of a JPEG or PNG -> the same picture without metadata, and what its metadata said that matters.

Decoders parse metadata eagerly: text that inflates, directories whose entries all name the same megabyte,
millions of empty segments. So only what makes pixels is handed on. Of the rest two things are read here:
which way is up, and whether there are more frames.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import UnreadableImageError

MOST_PARTS = 20_000  # chunks or segments; a whole request of the smallest chunks a writer makes has 4,000

_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4  # types of a directory's entry
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


@dataclass(frozen=True, slots=True)
class BarePicture:
    """A picture's pixels as a file, its EXIF `orientation` (1..8; 1 where none can be read).

    `is_whole`: its pixels were seen to be all there and to make sense, without being decoded.
    `has_drafts`: a decoder can read all of it and make fewer pixels.
    """

    data: bytes
    orientation: int
    is_whole: bool = False
    has_drafts: bool = False


def damaged() -> UnreadableImageError:
    return UnreadableImageError(
        "The file is not a complete JPEG or PNG image. Export the slice again and re-send it."
    )


def several_frames() -> UnreadableImageError:
    return UnreadableImageError("The file holds several frames. Send one slice per file.")


def too_many_parts() -> UnreadableImageError:
    return UnreadableImageError("The file is cut into too many parts. Export the slice again and re-send it.")


def too_many_passes() -> UnreadableImageError:
    return UnreadableImageError(
        "The JPEG is coded in more passes than its size allows. Save it as a baseline JPEG or as a PNG."
    )


def rare_coding() -> UnreadableImageError:
    return UnreadableImageError(
        "The JPEG is coded in a way that few programs read. Save it as a baseline JPEG or as a PNG."
    )


def orientation_of(exif: Sequence[bytes], xmp: Sequence[bytes]) -> int:
    """The orientation that the first of the EXIF blocks names, else the first of the XMP packets, else 1."""
    for block in exif:
        found = directory_number(block, _ORIENTATION)
        if found is not None and 1 <= found <= 8:
            return found
    for packet in xmp:
        match = _XMP_ORIENTATION.search(packet)
        if match:
            return int(match[1])
    return 1


def directory_number(tiff: bytes, tag: int) -> int | None:
    """The number under `tag` in the first directory of a TIFF block; None if there is none to be read."""
    if tiff[:2] not in (b"II", b"MM"):
        return None

    def number(start: int, size: int) -> int:
        return int.from_bytes(tiff[start : start + size], "little" if tiff[:2] == b"II" else "big")

    first = number(4, 4) + 2
    for start in range(first, min(first + 12 * number(first - 2, 2), len(tiff) - 11), 12):
        kind = number(start + 2, 2)
        if number(start, 2) == tag and number(start + 4, 4) == 1 and kind in (_SHORT, _LONG):
            return number(start + 8, 2 if kind == _SHORT else 4)
    return None
