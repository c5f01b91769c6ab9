"""Pixels inflated beforehand are those that Pillow finds by itself; what it refuses stays refused."""

import io
import random
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from shared import png_chunks
from shared.errors import UnreadableImageError
from shared.images import check_picture, read_grey
from shared.png_pixels import MOST_BYTES, without_compression

MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "I;16")
SIDE = 40
CHANGES = 100  # of each picture


def png(mode: str, side: int = SIDE, **options: object) -> bytes:
    slope = np.add.outer(np.arange(side), np.arange(side)) * 3
    noise = np.random.default_rng(side).integers(0, 30, (side, side))
    grey = (slope + noise) % 256
    image = Image.fromarray((grey * 200).astype(np.uint16)) if mode == "I;16" else None
    file = io.BytesIO()
    (image or Image.fromarray(grey.astype(np.uint8)).convert(mode)).save(file, "PNG", **options)
    return file.getvalue()


def stream_of(data: bytes) -> tuple[bytes, bytes]:
    """The header and the compressed pixels."""
    chunks = list(png_chunks._chunks(data))
    return chunks[0][1], b"".join(content for kind, content in chunks if kind == b"IDAT")


def with_stream(data: bytes, stream: bytes) -> bytes:
    chunks = [chunk for chunk in png_chunks._chunks(data) if chunk[0] not in (b"IDAT", b"IEND")]
    parts = [*chunks, (b"IDAT", stream), (b"IEND", b"")]
    return png_chunks.SIGNATURE + b"".join(png_chunks._chunk(kind, content) for kind, content in parts)


def changed(stream: bytes, by: random.Random) -> Iterator[bytes]:
    """Damaged at one bit, cut, followed by something; with another header; of too few and too many pixels."""
    pixels = zlib.decompress(stream)
    for first in range(256):
        check = next(check for check in range(32) if (first * 256 + check) % 31 == 0)
        yield bytes([first, check]) + stream[2:]
    for _ in range(CHANGES):
        place = by.randrange(len(stream))
        yield stream[:place] + bytes([stream[place] ^ 1 << by.randrange(8)]) + stream[place + 1 :]
        yield stream[:place]
        yield stream + by.randbytes(by.randrange(1, 9))
    for _ in range(CHANGES // 10):
        yield zlib.compress(pixels[: by.randrange(len(pixels))])
        yield zlib.compress(pixels + by.randbytes(by.randrange(1, 500)))


def outcome(data: bytes) -> object:
    try:
        image = read_grey(data)
    except UnreadableImageError as error:
        return str(error)
    return image.size, image.tobytes(), image.info


def is_taken(data: bytes) -> bool:
    try:
        check_picture(data)
    except UnreadableImageError:
        return False
    return True


@pytest.mark.parametrize("mode", MODES)
def test_pictures_mean_the_same_pixels_and_damaged_ones_end_alike(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = png(mode)
    _, stream = stream_of(data)
    by = random.Random(mode)  # noqa: S311 - no secret
    files = [data, *(with_stream(data, other) for other in changed(stream, by))]
    found = [outcome(file) for file in files]
    assert [is_taken(file) for file in files] == [not isinstance(each, str) for each in found]
    # Pillow alone is what it is compared with.
    monkeypatch.setattr(png_chunks, "without_compression", lambda _, stream: (stream, False))
    assert [outcome(file) for file in files] == found
    assert 0 < sum(isinstance(each, str) for each in found) < len(found)


def test_a_whole_stream_is_stored_and_every_other_is_left_as_it_is() -> None:
    header, stream = stream_of(png("L", 512))
    stored, has_all_rows = without_compression(header, stream)
    assert has_all_rows
    assert len(stored) > 512 * 513
    assert zlib.decompress(stored) == zlib.decompress(stream)
    wrong = header[:-1] + b"\1"  # interlaced
    assert without_compression(wrong, stream) == (stream, False)
    for other in (b"", stream[:-1], stream + b"x", b"\xd8\x84" + stream[2:]):
        assert without_compression(header, other) == (other, False)
    large, bomb = stream_of(png("1", 6_000))[0], zlib.compress(bytes(MOST_BYTES + 6_000))
    assert without_compression(large, bomb) == (bomb, False)


@pytest.mark.parametrize("row", [0, SIDE - 1])
def test_a_row_under_a_filter_that_does_not_exist_is_refused_without_being_decoded(row: int) -> None:
    data = png("L")
    pixels = bytearray(zlib.decompress(stream_of(data)[1]))
    pixels[row * (SIDE + 1)] = 5
    other = with_stream(data, zlib.compress(pixels))
    assert outcome(other) == outcome(data[:-20])
    assert not is_taken(other)
    assert is_taken(data)
