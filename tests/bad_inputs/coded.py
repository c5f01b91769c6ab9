"""JPEGs coded bit by bit, as no library writes them: many passes, without loss, with arithmetic codes.

Each Huffman table has one code, "0", so that zeroes are all that the coded pixels consist of.
"""

import struct
from collections.abc import Iterable, Sequence

from tests.bad_inputs.making import segment

BASELINE, PROGRESSIVE, LOSSLESS = 0xC0, 0xC2, 0xC3
RUN = 0xE0  # "the next 16,384 blocks are empty": what one walk over a picture costs the least bytes with


def progressive(width: int, height: int, channels: int, refinements: int) -> bytes:
    """Grey all over, in 1 + channels + refinements scans, of which each walks over all pixels."""
    numbers = range(1, channels + 1)
    blocks = -(-width // 8) * -(-height // 8)
    scans = [
        _scan(numbers, 0, 0, 0x01) + bytes(channels * blocks // 8 + 2),
        *(_scan([number], 1, 63, 0x01) + bytes(_run_bytes(blocks)) for number in numbers),
        *(_scan([1 + n % channels], 1, 63, 0x10) + bytes(_run_bytes(blocks)) for n in range(refinements)),
    ]
    return _file(PROGRESSIVE, width, height, channels, [_table(0x00, 0), _table(0x10, RUN), *scans])


def lossless(width: int, height: int, channels: int = 1, depth: int = 8) -> bytes:
    """One value all over, each sample coded as its difference from the one before: none."""
    scan = _scan(range(1, channels + 1), 1, 0, 0) + bytes(width * height * channels // 8 + 2)
    return _file(LOSSLESS, width, height, channels, [_table(0x00, 0), scan], depth)


def arithmetic(marker: int, width: int, height: int) -> bytes:
    """A thousand bytes that arithmetic decoders read any number of pixels from."""
    last = 0 if marker == 0xCA else 63  # the first scan of a progressive picture has its means only
    scan = _scan([1], 0, last, 0) + bytes(range(1, 251)) * 4
    return _file(marker, width, height, 1, [scan])


def _file(
    marker: int, width: int, height: int, channels: int, parts: Iterable[bytes], depth: int = 8
) -> bytes:
    each = b"".join(bytes([number, 0x11, 0]) for number in range(1, channels + 1))
    frame = segment(marker, struct.pack(">BHHB", depth, height, width, channels) + each)
    steps = segment(0xDB, b"\0" + b"\1" * 64)
    return b"\xff\xd8" + steps + frame + b"".join(parts) + b"\xff\xd9"


def _scan(channels: Sequence[int], first: int, last: int, bits: int) -> bytes:
    each = b"".join(bytes([number, 0]) for number in channels)
    return segment(0xDA, bytes([len(channels)]) + each + bytes([first, last, bits]))


def _table(place: int, symbol: int) -> bytes:
    return segment(0xC4, bytes([place, 1, *[0] * 15, symbol]))


def _run_bytes(blocks: int) -> int:
    """A code and 14 more bits for each run."""
    return (blocks // 16_384 + 1) * 15 // 8 + 2
