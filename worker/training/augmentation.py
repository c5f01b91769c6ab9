"""Geometry and intensity changes on a composed batch: what differs between scanners and sequences.

Everything works on whole batches; which pictures a change applies to is drawn per picture.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch users expect
from PIL import Image
from torch import Tensor

from worker.preprocessing import PIXEL_MEAN, PIXEL_STD
from worker.training.blending import grow
from worker.training.composition import Composed

_CURVE_KNOTS = 8
_JPEG_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class Batch:
    """What a training step takes."""

    pixels: Tensor  # (N, 1, S, S) normalised
    cells: Tensor  # (N, S/8, S/8) target of the evidence map, 0..1
    is_tumour: Tensor  # (N,) float
    has_map: Tensor  # (N,) float
    types: Tensor  # (N,) int64, -1 where not to be learned
    weight: Tensor  # (N,) float weight of the picture's own label


def augment(composed: Composed, size: int, rng: np.random.Generator, strength: float = 1.0) -> Batch:
    """Warp to `size`, change the intensities, and make the targets that belong to it.

    `strength` 0..1 is the share of the intensity changes that happen, in the mean: half of the pictures stay
    close to how they were published, so that those are learned exactly, and half are changed a lot.
    """
    pixels, tumour, depth = warp(composed, _random_thetas(len(composed.pixels), rng), size)
    before = composed.tumour.sum(dim=(1, 2, 3))
    mild = rng.random(len(pixels)) < 0.5
    strengths = np.clip(strength * np.where(mild, 0.3, 1.7), 0.0, 1.0)
    pixels = change_intensities(pixels, tumour, depth, rng, strengths)
    return finish(composed, pixels, tumour, before)


def plain(composed: Composed, size: int) -> Batch:
    """The composed pictures as they are, only resampled to `size`."""
    thetas = torch.eye(2, 3).expand(len(composed.pixels), 2, 3)
    pixels, tumour, _ = warp(composed, thetas, size)
    return finish(composed, pixels, tumour, composed.tumour.sum(dim=(1, 2, 3)))


def finish(composed: Composed, pixels: Tensor, tumour: Tensor, before: Tensor) -> Batch:
    """Targets per location, and no picture label where the warp lost most of a known tumour."""
    scale = (composed.pixels.shape[-1] / pixels.shape[-1]) ** 2
    lost = (
        (composed.is_tumour > 0) & (composed.has_map > 0) & (tumour.sum(dim=(1, 2, 3)) * scale < 0.4 * before)
    )
    share = F.avg_pool2d(tumour, 8)[:, 0]
    return Batch(
        pixels=(pixels - PIXEL_MEAN) / PIXEL_STD,
        # A cell that is half tumour is a tumour cell; small tumours would otherwise have none.
        cells=(share * 2).clamp(max=1.0),
        is_tumour=composed.is_tumour,
        has_map=composed.has_map,
        types=torch.where(lost, torch.full_like(composed.types, -1), composed.types),
        weight=1.0 - lost.float(),
    )


def warp(composed: Composed, thetas: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels, tumour share and head depth, resampled together; each (N, 1, size, size)."""
    stack = torch.cat([composed.pixels, composed.tumour, composed.depth], dim=1)
    grid = F.affine_grid(thetas.to(stack), [len(stack), 3, size, size], align_corners=False)
    warped = F.grid_sample(stack, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return warped[:, :1], warped[:, 1:2], warped[:, 2:]


def _random_thetas(count: int, rng: np.random.Generator) -> Tensor:
    """Turns to 20 degrees (now and then quarter turns), flips, stretch to 15 %, zoom and shift."""
    angle = rng.uniform(-20, 20, count) + 90 * rng.integers(0, 4, count) * (rng.random(count) < 0.15)
    angle = np.deg2rad(angle)
    zoom = np.exp(rng.uniform(math.log(0.85), math.log(1.25), count))
    stretch = np.exp(rng.uniform(-0.14, 0.14, count))
    flip = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    thetas = np.zeros((count, 2, 3))
    thetas[:, 0, 0], thetas[:, 0, 1] = np.cos(angle) * zoom * stretch * flip, -np.sin(angle) * zoom / stretch
    thetas[:, 1, 0], thetas[:, 1, 1] = np.sin(angle) * zoom * stretch * flip, np.cos(angle) * zoom / stretch
    thetas[:, :, 2] = rng.uniform(-0.1, 0.1, (count, 2))
    return torch.from_numpy(thetas).float()


def change_intensities(
    pixels: Tensor,
    tumour: Tensor,
    depth: Tensor,
    rng: np.random.Generator,
    strengths: npt.NDArray[np.float64] | None = None,
) -> Tensor:
    """Contrast, background, field, sharpness, noise and compression; (N, 1, S, S) in 0..1, same out.

    `strengths` (N,) 0..1: the share of the changes that each picture gets; all of them by default.
    """
    count = len(pixels)
    draw = _Draw(rng, count, pixels, np.ones(count) if strengths is None else strengths)
    head = (depth / 2.0).clamp(max=1.0)
    # A skull-stripped slice: only what is deep in the head, and the tumour, is left.
    bare = ((depth - draw.uniform(6, 13)).clamp(0, 1) + tumour).clamp(max=1.0)
    pixels = draw.some(0.10, pixels * bare, pixels)
    pixels = _curves(pixels, draw)
    pixels = draw.some(0.20, head * (draw.uniform(0.85, 1.05) - pixels).clamp(min=0.0), pixels)
    pixels = pixels.clamp(1e-4, 1.0) ** draw.log_uniform(0.6, 1.6)
    field = F.interpolate(draw.normal(3), size=pixels.shape[2:], mode="bicubic", align_corners=False)
    pixels = draw.some(0.4, pixels * torch.exp(0.18 * field), pixels)
    pixels = draw.some(0.3, _contrast(pixels, draw), pixels)
    pixels = _background(pixels, head, draw)
    pixels = _soften(pixels, draw)
    pixels = _cutout(pixels, tumour, draw)
    noise = torch.from_numpy(rng.standard_normal(pixels.shape, dtype=np.float32)).to(pixels)
    pixels = pixels + draw.some(0.5, noise * draw.uniform(0.005, 0.06), torch.zeros_like(noise))
    return _compress(pixels.clamp(0.0, 1.0), rng)


class _Draw:
    """Random numbers per picture, shaped to broadcast over a batch."""

    def __init__(
        self, rng: np.random.Generator, count: int, like: Tensor, strengths: npt.NDArray[np.float64]
    ) -> None:
        self._rng, self._count, self._like = rng, count, like
        self._strengths = strengths

    def uniform(self, low: float, high: float) -> Tensor:
        """(N, 1, 1, 1)."""
        return self._column(self._rng.uniform(low, high, self._count))

    def log_uniform(self, low: float, high: float) -> Tensor:
        """(N, 1, 1, 1), as likely to halve as to double."""
        return self._column(np.exp(self._rng.uniform(math.log(low), math.log(high), self._count)))

    def normal(self, cells: int) -> Tensor:
        """(N, 1, cells, cells)."""
        return torch.from_numpy(self._rng.standard_normal((self._count, 1, cells, cells))).to(self._like)

    def some(self, share: float, changed: Tensor, kept: Tensor) -> Tensor:
        """`changed` for this share of the pictures (times their strength), else `kept`."""
        return torch.where(self.uniform(0, 1) < share * self._column(self._strengths), changed, kept)

    def knots(self, count: int) -> Tensor:
        """(N, count) values of random curves over 0..1: most rise, some wander."""
        steps = self._rng.gamma(0.7, 1.0, (self._count, count - 1)) + 0.02
        rising = np.concatenate([np.zeros((self._count, 1)), steps.cumsum(axis=1)], axis=1)
        rising /= rising[:, -1:]
        wandering = self._rng.uniform(0, 1, (self._count, count))
        wandering[:, 0] = 0.0  # the background stays the background
        wandering[:, 1:-1] = (wandering[:, :-2] + 2 * wandering[:, 1:-1] + wandering[:, 2:]) / 4
        mix = self._rng.uniform(0.3, 1.0, (self._count, 1))
        line = np.linspace(0, 1, count)
        chance = self._rng.random((self._count, 1))
        strengths = self._strengths[:, None]
        curve = np.where(chance < 0.1 * strengths, wandering, mix * rising + (1 - mix) * line)
        return torch.from_numpy(np.where(chance < 0.5 * strengths, curve, line)).to(self._like)

    def _column(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self._like).view(-1, 1, 1, 1)


def _curves(pixels: Tensor, draw: _Draw) -> Tensor:
    """Other sequences map the same tissue to other greys: a random piecewise linear curve per picture."""
    knots = draw.knots(_CURVE_KNOTS)
    position = pixels.flatten(1).clamp(0, 1) * (_CURVE_KNOTS - 1)
    lower = position.floor().clamp(max=_CURVE_KNOTS - 2)
    index = lower.long()
    value = torch.lerp(knots.gather(1, index), knots.gather(1, index + 1), position - lower)
    return value.view_as(pixels)


def _contrast(pixels: Tensor, draw: _Draw) -> Tensor:
    mean = pixels.mean(dim=(2, 3), keepdim=True)
    return ((pixels - mean) * draw.uniform(0.6, 1.4) + mean + draw.uniform(-0.1, 0.1)).clamp(0, 1)


def _background(pixels: Tensor, head: Tensor, draw: _Draw) -> Tensor:
    """Nothing, an even grey, or a coarse haze outside the head."""
    haze = F.interpolate(draw.normal(12), size=pixels.shape[2:], mode="bilinear", align_corners=False)
    grey = draw.uniform(-0.3, 0.35).clamp(min=0.0) + 0.06 * draw.uniform(0, 1) * haze
    return draw.some(0.5, pixels * head + grey.clamp(min=0.0) * (1 - head), pixels)


def _soften(pixels: Tensor, draw: _Draw) -> Tensor:
    """Blur, a lower resolution, or sharpening; softened pictures are the rule on the web."""
    blurred = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    side = pixels.shape[-1]
    low = F.interpolate(pixels, scale_factor=0.5, mode="bilinear", align_corners=False, antialias=True)
    low = F.interpolate(low, size=(side, side), mode="bicubic", align_corners=False)
    pixels = draw.some(0.25, torch.lerp(pixels, blurred, draw.uniform(0.3, 1.0)), pixels)
    pixels = draw.some(0.12, low, pixels)
    return draw.some(0.12, pixels + (pixels - blurred) * draw.uniform(0.5, 1.5), pixels)


def _cutout(pixels: Tensor, tumour: Tensor, draw: _Draw) -> Tensor:
    """A grey rectangle anywhere but on the tumour."""
    side = pixels.shape[-1]
    axis = (torch.arange(side, device=pixels.device) + 0.5) / side
    rows, columns = axis.view(1, 1, side, 1), axis.view(1, 1, 1, side)
    tall, wide = draw.uniform(0.04, 0.15), draw.uniform(0.04, 0.15)
    inside = ((rows - draw.uniform(0.1, 0.9)).abs() < tall) & (
        (columns - draw.uniform(0.1, 0.9)).abs() < wide
    )
    near_tumour = grow(tumour, 9)
    cut = torch.where(inside & (near_tumour < 0.05), draw.uniform(0, 0.6).expand_as(pixels), pixels)
    return draw.some(0.15, cut, pixels)


def _compress(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """JPEG at low quality, for a few pictures."""
    for index in np.flatnonzero(rng.random(len(pixels)) < _JPEG_SHARE):
        picture = (pixels[index, 0] * 255).round().byte().cpu().numpy()
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=int(rng.integers(25, 85)))
        decoded = np.array(Image.open(buffer), dtype=np.float32) / 255.0
        pixels[index, 0] = torch.from_numpy(decoded).to(pixels)
    return pixels
