"""What the scanner does to a perfect slice: uneven coils, blur, ghosts, noise, eight bits."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from samples.fields import Field, smooth_noise

BIAS_CELL_FRACTION = 0.42  # of the picture's height


@dataclass(frozen=True, slots=True)
class Scanner:
    """Grey levels are on the 0..255 scale, lengths in pixels."""

    bias: float = 0.06  # relative deviation of the coil's sensitivity
    blur_px: float = 0.9  # deviation of the point spread
    noise: float = 3.0  # deviation in each of the two channels
    grain_px: float = 0.55  # scanners interpolate: noise is not quite white
    ghost: float = 0.008  # share of the signal half a field of view away
    gain: float = 1.0


def acquire(rng: np.random.Generator, slice_: Field, scanner: Scanner) -> npt.NDArray[np.uint8]:
    """The slice (height, width) as the picture that a scanner would store."""
    shape = slice_.shape[0], slice_.shape[1]
    bias = 1.0 + scanner.bias * smooth_noise(rng, shape, BIAS_CELL_FRACTION * shape[0])
    signal = ndimage.gaussian_filter(slice_ * bias * scanner.gain, scanner.blur_px)
    signal = signal + scanner.ghost * np.roll(signal, shape[1] // 2, axis=1)
    real, imaginary = (channel_noise(rng, shape, scanner) for _ in range(2))
    magnitude = np.hypot(signal + real, imaginary)
    picture: npt.NDArray[np.uint8] = np.clip(np.rint(magnitude), 0.0, 255.0).astype(np.uint8)
    return picture


def channel_noise(rng: np.random.Generator, shape: tuple[int, int], scanner: Scanner) -> Field:
    """Grained noise whose deviation is the scanner's; shape as asked."""
    grain = scanner.grain_px
    white = rng.standard_normal(shape)
    smoothed: Field = ndimage.gaussian_filter(white, grain)
    kept = 1.0 / math.sqrt(4.0 * math.pi * grain * grain + 1.0)  # deviation left by the smoothing, about
    return smoothed * (scanner.noise / kept)
