"""A PNG's chunks: checked one by one, and those that make the picture joined to a smaller PNG."""

import struct
import zlib
from collections.abc import Iterator

from shared.bare_pictures import (
    MOST_PARTS,
    BarePicture,
    damaged,
    orientation_of,
    several_frames,
    too_many_parts,
)
from shared.png_pixels import without_compression

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"PLTE", b"tRNS")
_XMP = b"XML:com.adobe.xmp\0"


def bare_png(data: bytes) -> BarePicture:
    """Only header, palette, transparency and pixels of a PNG; what follows its end is cut off.

    Raises `UnreadableImageError` for wrong checksums, missing, doubled, misplaced or unknown critical
    chunks and for animations. Pixels are not decoded here.
    """
    kept: dict[bytes, bytes] = {}
    pixels: list[bytes] = []
    exif: list[bytes] = []
    xmp: list[bytes] = []
    previous = b""
    for kind, content in _chunks(data):
        if not previous and kind != b"IHDR":
            raise damaged()
        if kind in _KEPT:
            if kind in kept or pixels:
                raise damaged()
            kept[kind] = content
        elif kind == b"IDAT":
            if pixels and previous != b"IDAT":
                raise damaged()
            pixels.append(content)
        elif kind == b"fdAT" or (kind == b"acTL" and int.from_bytes(content[:4], "big") > 1):
            raise several_frames()
        elif kind == b"eXIf":
            exif.append(content.removeprefix(b"Exif\0\0"))
        elif kind == b"iTXt" and content.startswith(_XMP):
            xmp.append(content)
        elif kind != b"IEND" and not kind[0] & 0x20:  # critical, and nobody knows it
            raise damaged()
        previous = kind
    if not pixels or (kept[b"IHDR"][9:10] == b"\3" and not _is_palette(kept.get(b"PLTE", b""))):
        raise damaged()
    parts = [_chunk(kind, kept[kind]) for kind in _KEPT if kind in kept]
    stream, has_all_rows = without_compression(kept[b"IHDR"], b"".join(pixels))
    joined = b"".join([SIGNATURE, *parts, _chunk(b"IDAT", stream), _chunk(b"IEND", b"")])
    # A palette and transparency are judged by whoever decodes.
    return BarePicture(joined, orientation_of(exif, xmp), is_whole=has_all_rows and len(parts) == 1)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each chunk up to the last. Raises `UnreadableImageError` where one is damaged."""
    if not data.startswith(SIGNATURE):
        raise damaged()
    start = len(SIGNATURE)
    for _ in range(MOST_PARTS):
        length = int.from_bytes(data[start : start + 4], "big")
        end = start + 8 + length
        if end + 4 > len(data):
            raise damaged()
        kind, content = data[start + 4 : start + 8], data[start + 8 : end]
        if not kind.isalpha() or zlib.crc32(data[start + 4 : end]) != int.from_bytes(
            data[end : end + 4], "big"
        ):
            raise damaged()
        yield kind, content
        if kind == b"IEND":
            return
        start = end + 4
    raise too_many_parts()


def _is_palette(content: bytes) -> bool:
    return 0 < len(content) <= 768 and len(content) % 3 == 0


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
