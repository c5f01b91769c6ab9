"""What a picture's bytes become, whoever decodes them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from shared.errors import FileTooLargeError, UnreadableImageError
from shared.images import ImageLimits, read_grey


def saved(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def ramp(width: int = 32, height: int = 16) -> Image.Image:
    return Image.fromarray(np.linspace(0, 255, width * height).reshape(height, width).astype(np.uint8))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK", "1"])
def test_every_mode_becomes_8_bit_grey_of_the_same_size(mode: str) -> None:
    image = ramp().convert(mode)
    image_format = "JPEG" if mode == "CMYK" else "PNG"
    grey = read_grey(saved(image, image_format))
    assert (grey.mode, grey.size) == ("L", (32, 16))
    expected = np.asarray(ramp().convert("1").convert("L") if mode == "1" else ramp(), dtype=int)
    # JPEG at quality 75 rounds to steps of 8 and more for a block's mean, an eighth of that for each pixel.
    assert np.abs(np.asarray(grey, dtype=int) - expected).max() <= (3 if mode == "CMYK" else 0)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = np.linspace(100, 4000, 32 * 16).reshape(16, 32).astype(np.uint16)
    grey = np.asarray(read_grey(saved(Image.fromarray(deep))))
    assert (grey.min(), grey.max()) == (0, 255)
    assert 120 < grey.mean() < 135
    assert (np.diff(grey.reshape(-1).astype(int)) >= 0).all()


def test_transparent_pixels_are_black_whatever_colour_hides_there() -> None:
    image = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    assert np.asarray(read_grey(saved(image))).max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = Image.new("L", (16, 8))
    upright.paste(255, (0, 0, 4, 4))  # bright top left corner
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    grey = read_grey(saved(stored, exif=exif.tobytes()))
    assert grey.size == (16, 8)
    assert np.array_equal(np.asarray(grey), np.asarray(upright))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        saved(ramp())[:60],
        saved(ramp(256, 256), "JPEG")[:600],
        saved(ramp(), "GIF"),
        saved(ramp(), "BMP"),
        saved(ramp(), "TIFF"),
    ],
    ids=["empty", "one byte", "svg", "pdf", "cut png", "cut jpeg", "gif", "bmp", "tiff"],
)
def test_what_is_no_whole_jpeg_or_png_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        read_grey(data)


def test_a_damaged_checksum_is_refused() -> None:
    data = bytearray(saved(ramp(64, 64)))
    data[data.index(b"IDAT") + 20] ^= 0xFF
    with pytest.raises(UnreadableImageError):
        read_grey(bytes(data))


def test_animated_pngs_are_refused() -> None:
    frames = [ramp(), ramp().transpose(Image.Transpose.ROTATE_180)]
    data = saved(frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableImageError, match="several frames"):
        read_grey(data)


def bomb(width: int, height: int) -> bytes:
    """A PNG header that promises many pixels, and almost no data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(13_300, 13_300), (30_000, 30_000), (100_000, 1), (1, 30_000)])
def test_too_many_pixels_are_refused_from_the_header(size: tuple[int, int]) -> None:
    with pytest.raises(FileTooLargeError):
        read_grey(bomb(*size))


def test_limits_are_the_callers() -> None:
    with pytest.raises(FileTooLargeError):
        read_grey(saved(ramp()), ImageLimits(max_pixels=100))
