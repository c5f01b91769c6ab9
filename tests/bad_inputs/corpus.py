"""All bad inputs, made anew each time: nothing binary is kept in the repository."""

from collections.abc import Sequence
from functools import cache

from tests.bad_inputs import (
    cut_and_renamed,
    jpeg_bombs,
    jpeg_pixels,
    jpeg_segments,
    png_bombs,
    png_chunks,
    png_pixels,
)
from tests.bad_inputs.case import Case


@cache
def cases() -> Sequence[Case]:
    """Every case but the largest, in a fixed order."""
    return [
        *cut_and_renamed.cut(),
        *cut_and_renamed.renamed(),
        *cut_and_renamed.polyglots(),
        *cut_and_renamed.animated(),
        *png_pixels.pixels(),
        *png_chunks.damaged(),
        *png_chunks.metadata(),
        *png_bombs.bombs(),
        *jpeg_pixels.pixels(),
        *jpeg_pixels.upright(),
        *jpeg_segments.metadata(),
        *jpeg_segments.damaged(),
        *jpeg_bombs.bombs(),
    ]


@cache
def largest() -> Sequence[Case]:
    """Pictures at the limit, which take the most memory."""
    return [*png_bombs.largest(), *jpeg_bombs.largest()]
