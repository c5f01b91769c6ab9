"""What can be said about a picture without the model: blank ones, and ones in full colour, are no MRI."""

from dataclasses import dataclass

from PIL import Image

from shared.images import COLOUR_SHARE
from worker.analysis import Prediction, Rejection

_LEAST_CONTRAST = 8  # grey levels between the darkest and the brightest pixel
_MOST_COLOUR = 0.25  # of the pixels; labels, markers and a coloured scale beside a slice stay below

BLANK = "The picture is blank."
IN_COLOUR = "The picture is in colour; a brain MRI slice is grey."


@dataclass(frozen=True, slots=True)
class Unsuitable:
    """A rejection without the model."""

    reason: str
    score: float = 1.0


def rejection_of(picture: Image.Image, prediction: Prediction) -> Rejection | None:
    """Why this picture gets no finding: what is plain to see first, then what the model's gate says."""
    darkest, brightest = picture.getextrema()
    if brightest - darkest < _LEAST_CONTRAST:  # type: ignore[operator]
        return Unsuitable(BLANK)
    if picture.info.get(COLOUR_SHARE, 0.0) > _MOST_COLOUR:
        return Unsuitable(IN_COLOUR)
    return prediction.rejection
