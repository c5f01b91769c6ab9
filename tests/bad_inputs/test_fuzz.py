"""Made-up damage, bounded: whatever is done to a good picture, it is refused in words or is a picture."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.manifests import read_manifest
from shared.errors import FileUploadError, ValidationError
from shared.images import ImageLimits, check_picture, read_grey
from tests.bad_inputs.making import exif_segment, jpeg, orientation, repeated_scans, sliced, with_segments
from tests.bad_inputs.png_pixels import pixels

Result = TypeVar("Result")
GOOD: Sequence[bytes] = [
    sliced(),
    *(case.data() for case in pixels() if len(case.data()) < 3000),
    jpeg(),
    jpeg(mode="RGB"),
    jpeg(mode="CMYK"),
    jpeg(progressive=True),
    with_segments(jpeg(), exif_segment(orientation(6))),
    repeated_scans(16, 3),
]
SMALL = ImageLimits(max_pixels=1_000_000, max_side=16_384)
BOUNDED = {"deadline": None, "derandomize": True, "suppress_health_check": [HealthCheck.too_slow]}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good picture with bits flipped, pieces cut out, doubled, or taken from another."""
    data = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        place = draw(st.integers(0, len(data) - 1))
        length = draw(st.integers(1, 40))
        kind = draw(st.sampled_from(("flip", "set", "cut", "double", "splice", "end")))
        if kind == "flip":
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            data[place : place + length] = draw(st.binary(max_size=length))
        elif kind == "cut":
            del data[place : place + length]
        elif kind == "double":
            data[place:place] = data[place : place + length]
        elif kind == "splice":
            other = draw(st.sampled_from(GOOD))
            data[place:] = other[min(place, len(other)) :]
        else:
            del data[place:]
    return bytes(data)


@settings(max_examples=1200, **BOUNDED)
@given(damaged())
def test_a_damaged_picture_is_refused_in_words_or_is_a_picture(data: bytes) -> None:
    """And the check of an upload, which decodes less, comes to the same."""
    grey = outcome(lambda: read_grey(data, SMALL))
    checked = outcome(lambda: check_picture(data, SMALL))
    if isinstance(grey, str):
        assert grey.endswith(".")
        assert checked == grey
    else:
        assert grey.mode == "L"
        assert len(grey.tobytes()) == grey.width * grey.height > 0
        assert checked == grey.size


def outcome(act: Callable[[], Result]) -> Result | str:
    try:
        return act()
    except FileUploadError as error:
        return str(error)


@settings(max_examples=200, **BOUNDED)
@given(
    st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"filename,patient_id\n{text}".encode())
)
def test_any_manifest_gives_rows_or_a_sentence(content: bytes) -> None:
    try:
        rows = read_manifest(content)
    except ValidationError as error:
        field, rows = error.field, {"a sentence instead": ""}
    else:
        field = "manifest"
    assert field == "manifest"
    assert rows
    assert all(name.strip() for name in rows)
