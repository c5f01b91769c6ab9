"""A JPEG's segments: those that make the picture joined to a smaller JPEG.

What the decoder may be made to work is bounded here. Huffman codes cost as much as there are bytes; what
costs much for few bytes is one more scan of a progressive picture, a walk over all its pixels (30 ms for 40
megapixels), so the larger a picture is the fewer it may have. Arithmetic codes, of which a bit can stand
for megapixels, are refused; lossless ones have at least a bit for every sample.
"""

import re
from dataclasses import dataclass, field

from shared.bare_pictures import (
    MOST_PARTS,
    BarePicture,
    damaged,
    directory_number,
    orientation_of,
    rare_coding,
    several_frames,
    too_many_parts,
    too_many_passes,
)

MOST_SCANS = 100  # a progressive picture has ten, of four channels eighteen
FREE_SCANS = 25  # however large the picture is
MOST_SCANNED_PIXELS = 1_000_000_000  # by more scans than those

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_MARKER = re.compile(rb"\xff([\x01-\xfe])", re.DOTALL)
_MARKER_AFTER_PIXELS = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])", re.DOTALL)
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a segment
_LOSSLESS = 0xC3
_FRAMES_READ = frozenset({0xC0, 0xC1, 0xC2, _LOSSLESS})  # baseline, extended, progressive
_FRAMES_REFUSED = frozenset({*range(0xC5, 0xD0)} - {0xCC})  # in layers, arithmetic
_KEPT = _FRAMES_READ | {0xC4, 0xDB, 0xDC, 0xDD}  # and tables, number of lines, restart interval
_JFIF, _EXIF, _MPF, _ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_PICTURES = 0xB001  # tag of the number of pictures in a multi-picture file


@dataclass(slots=True)
class _Metadata:
    """The blocks that may say which way is up."""

    exif: list[bytes] = field(default_factory=list)
    xmp: list[bytes] = field(default_factory=list)

    def note(self, marker: int, content: bytes) -> None:
        """Raises `UnreadableImageError` for a block that tells of several pictures."""
        if marker == _EXIF and content.startswith(b"Exif\0"):
            self.exif.append(content[6:])
        elif marker == _EXIF and content.startswith(_XMP):
            self.xmp.append(content)
        elif marker == _MPF and content.startswith(b"MPF\0"):
            pictures = directory_number(content[4:], _PICTURES)
            if pictures is not None and pictures > 1:
                raise several_frames()


def bare_jpeg(data: bytes) -> BarePicture:
    """Only frames, tables and scans of a JPEG, and what says in which colours; up to its end.

    Raises `UnreadableImageError` for a missing end, segments that are cut, several pictures, codings that
    are not read and more scans than any camera or program writes. Pixels are not decoded here.
    """
    parts = [data[:2]]
    metadata = _Metadata()
    position, scans, pixels = 2, 0, 0
    has_drafts = True
    for _ in range(MOST_PARTS):
        found = (_MARKER if not scans else _MARKER_AFTER_PIXELS).search(data, position)
        if found is None:
            raise damaged()
        marker, position = found[1][0], found.end()
        if marker == _END:
            break
        if marker in _ALONE:
            continue
        if marker == _START:
            raise damaged()
        content, position = _segment(data, position)
        if marker == _SCAN:
            scans += 1
            if scans > _most_scans(pixels):
                raise too_many_passes()
            position = _end_of_pixels(data, position)
            parts.append(data[found.start() : position])
        elif marker in _FRAMES_REFUSED:
            raise rare_coding()
        elif marker in _KEPT or _says_colours(marker, content):
            if marker in _FRAMES_READ:
                pixels = max(pixels, _pixels(content))
                has_drafts &= marker != _LOSSLESS
            parts.append(data[found.start() : position])
        else:
            metadata.note(marker, content)
    else:
        raise too_many_parts()
    joined = b"".join([*parts, b"\xff\xd9"])
    return BarePicture(joined, orientation_of(metadata.exif, metadata.xmp), has_drafts=has_drafts)


def _most_scans(pixels: int) -> int:
    return min(MOST_SCANS, max(FREE_SCANS, MOST_SCANNED_PIXELS // max(pixels, 1)))


def _pixels(frame: bytes) -> int:
    """Height times width as a frame's header claims them."""
    return int.from_bytes(frame[1:3], "big") * int.from_bytes(frame[3:5], "big")


def _says_colours(marker: int, content: bytes) -> bool:
    """Whether decoders read the meaning of the channels from this block; shorter ones they pass over."""
    is_jfif = marker == _JFIF and content.startswith(b"JFIF\0") and len(content) >= 14
    is_adobe = marker == _ADOBE and content.startswith(b"Adobe") and len(content) >= 12
    return is_jfif or is_adobe


def _segment(data: bytes, start: int) -> tuple[bytes, int]:
    """Content of the segment whose length stands at `start`, and where it ends."""
    length = int.from_bytes(data[start : start + 2], "big")
    if length < 2 or start + length > len(data):
        raise damaged()
    return data[start + 2 : start + length], start + length


def _end_of_pixels(data: bytes, start: int) -> int:
    found = _MARKER_AFTER_PIXELS.search(data, start)
    if found is None:
        raise damaged()
    return found.start()
