"""A PNG's compressed pixels -> the same pixels, stored as they are in a stream that costs nothing to inflate.

Pillow inflates with the system's zlib, which is half of what decoding a slice takes; ISA-L needs a third of
that. Pillow still reads the result, so whatever is odd is left to it as it came. PNG: W3C Recommendation,
third edition, 7.2 and 10; streams and blocks: RFC 1950 and 1951.
"""

import struct

from isal import isal_zlib

MOST_BYTES = 4 * 2**20  # inflated; a larger picture is left to Pillow, which holds it only once
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # in a pixel, by colour type
_DEPTHS = (1, 2, 4, 8, 16)
_LARGEST_WINDOW = 0x78  # first byte of a stream; ISA-L takes larger ones, which zlib refuses
_STORED = b"\x78\x01"  # header of a stream without compression
_LONGEST = 0xFFFF  # bytes of a stored block
_CHECKSUM = 4  # bytes, at the end of a stream


_LAST_FILTER = 4


def without_compression(header: bytes, stream: bytes) -> tuple[bytes, bool]:
    """The stream of a picture with this header (IHDR), stored, and whether all its rows can be read.

    As it came, and False, if it is not small or not exactly what such a picture has.
    """
    height, row = _rows(header)
    size = height * row
    if not 0 < size <= MOST_BYTES or not stream or stream[0] > _LARGEST_WINDOW:
        return stream, False
    inflater = isal_zlib.decompressobj()
    try:
        pixels = inflater.decompress(stream, size + 1)
    except isal_zlib.error:  # type: ignore[misc]  # its stubs call the class a number
        return stream, False
    if len(pixels) != size or not inflater.eof or inflater.unused_data:
        return stream, False
    blocks = [_STORED]
    for start in range(0, size, _LONGEST):
        block = pixels[start : start + _LONGEST]
        is_last = start + _LONGEST >= size
        blocks += [struct.pack("<BHH", is_last, len(block), _LONGEST - len(block)), block]
    return b"".join([*blocks, stream[-_CHECKSUM:]]), max(pixels[::row]) <= _LAST_FILTER


def _rows(header: bytes) -> tuple[int, int]:
    """How many rows, and the bytes of each with its filter's number; none in an interlaced or wrong one."""
    if len(header) != 13:
        return 0, 0
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, colour, compression, filtering, interlace = header[8:]
    if colour not in _SAMPLES or depth not in _DEPTHS or compression or filtering or interlace:
        return 0, 0
    return height, 1 + (width * depth * _SAMPLES[colour] + 7) // 8
