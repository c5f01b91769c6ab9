"""All bad inputs, made anew each time: nothing binary is kept in the repository."""

from collections.abc import Sequence
from functools import cache

from tests.bad_inputs import cut_and_renamed, jpeg_cases, png_cases
from tests.bad_inputs.case import Case


@cache
def cases() -> Sequence[Case]:
    """Every case but the largest, in a fixed order."""
    return [
        *cut_and_renamed.cut(),
        *cut_and_renamed.renamed(),
        *cut_and_renamed.polyglots(),
        *cut_and_renamed.animated(),
        *png_cases.pixels(),
        *png_cases.damaged(),
        *png_cases.metadata(),
        *png_cases.bombs(),
        *jpeg_cases.pixels(),
        *jpeg_cases.upright(),
        *jpeg_cases.metadata(),
        *jpeg_cases.damaged(),
        *jpeg_cases.bombs(),
    ]


@cache
def largest() -> Sequence[Case]:
    """Pictures at the limit, which take the most memory."""
    return [*png_cases.largest(), *jpeg_cases.largest()]
