"""JPEGs whose segments are wrong or out of place, and those that say much beside the picture."""

import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms

from tests.bad_inputs.case import CLOSE, DAMAGED, PARTS, RARE, Accepted, Case, like
from tests.bad_inputs.coded import arithmetic
from tests.bad_inputs.making import (
    SLICE,
    exif_segment,
    jpeg,
    orientation,
    saved,
    segment,
    with_frame_marker,
    with_segments,
    with_size,
)


def metadata() -> Iterator[Case]:
    good = like(SLICE, CLOSE)
    thumbnail = jpeg(255 - SLICE)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    numbered = [segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(60_000))] * 100
    blocks = {
        "a hundred segments of 64 kB": [segment(0xE5, bytes(65_000))] * 100,
        "a comment of 64 kB": [segment(0xFE, b"x" * 65_000)],
        "a colour profile": [segment(0xE2, b"ICC_PROFILE\0\1\1" + profile)],
        "a hundred first parts of a profile": numbered,
        "part 0 of 0 of a profile": [segment(0xE2, b"ICC_PROFILE\0\0\0")],
        "a profile without parts": [segment(0xE2, b"ICC_PROFILE\0")],
        "a deflate bomb as profile": [segment(0xE2, b"ICC_PROFILE\0\1\1" + zlib.compress(bytes(30_000_000)))],
        "a thumbnail": [exif_segment(orientation(1) + thumbnail)],
        "a thumbnail in a JFIF extension": [segment(0xE0, b"JFXX\0\x10" + thumbnail)],
        "Photoshop's resources, cut": [segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\xff\xff\xff\xff")],
        "an Adobe block of nothing": [segment(0xEE, b"Adobe")],
        "an empty segment of each kind": [segment(0xE0 + n) for n in range(16)],
    }
    for name, segments in blocks.items():
        yield Case(f"jpeg with {name}", lambda s=segments: with_segments(jpeg(), *s), good)
    yield Case("two million empty segments", lambda: with_segments(jpeg(), segment(0xFE) * 2_000_000), PARTS)
    yield Case("10 MB of fill bytes", lambda: with_segments(jpeg(), b"\xff" * 10_000_000), good)
    yield Case("10 MB of junk between segments", lambda: with_segments(jpeg(), bytes(10_000_000)), good)


def damaged() -> Iterator[Case]:
    for marker in (0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF):
        yield Case(f"coding {marker:x}", lambda m=marker: with_frame_marker(jpeg(), m), RARE)
    yield Case("lossless coding in name only", lambda: with_frame_marker(jpeg(), 0xC3), DAMAGED)
    yield Case("arithmetic coding", lambda: arithmetic(0xC9, 24, 16), RARE)
    yield Case("progressive arithmetic coding", lambda: arithmetic(0xCA, 8000, 5000), RARE)
    yield Case("extended sequential coding", lambda: with_frame_marker(jpeg(), 0xC1), like(SLICE, CLOSE))
    yield Case("no frame", lambda: _without(jpeg(), 0xC0), DAMAGED)
    yield Case("no quantisation tables", lambda: _without(jpeg(), 0xDB), DAMAGED)
    yield Case("frame twice", lambda: _twice(jpeg(), 0xC0), DAMAGED)
    yield Case("start twice", lambda: b"\xff\xd8" + jpeg(), DAMAGED)
    yield Case("start within the pixels", lambda: jpeg()[:-2] + jpeg(), DAMAGED)
    yield Case("zero wide jpeg", lambda: with_size(jpeg(), 0, 16), DAMAGED)
    yield Case("zero high jpeg", lambda: with_size(jpeg(), 24, 0), DAMAGED)
    yield Case("segment of length 0", lambda: with_segments(jpeg(), b"\xff\xfe\0\0"), DAMAGED)
    yield Case("segment past the end", lambda: with_segments(jpeg(), b"\xff\xfe\xff\xff"), DAMAGED)
    yield Case("12 bit jpeg", lambda: _depth(jpeg(), 12), DAMAGED)
    yield Case("9 components", lambda: _components(jpeg(), 9), DAMAGED)
    # What is lost within the coded pixels cannot be told from pixels: such a picture is accepted.
    yield Case(
        "jpeg whose pixels end early",
        lambda: saved(_ramp(), "JPEG")[:-600] + b"\xff\xd9",
        Accepted((256, 256)),
    )


def _ramp() -> Image.Image:
    noise = np.random.default_rng(5).integers(0, 256, (256, 256), dtype=np.uint8)
    return Image.fromarray(noise)


def _find(data: bytes, marker: int) -> tuple[int, int]:
    start = data.index(bytes([0xFF, marker]))
    return start, start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")


def _without(data: bytes, marker: int) -> bytes:
    start, end = _find(data, marker)
    return data[:start] + data[end:]


def _twice(data: bytes, marker: int) -> bytes:
    start, end = _find(data, marker)
    return data[:end] + data[start:end] + data[end:]


def _depth(data: bytes, bits: int) -> bytes:
    start, _ = _find(data, 0xC0)
    return data[: start + 4] + bytes([bits]) + data[start + 5 :]


def _components(data: bytes, number: int) -> bytes:
    start, _ = _find(data, 0xC0)
    return data[: start + 9] + bytes([number]) + data[start + 10 :]
