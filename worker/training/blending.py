"""Paste a piece of one picture into another without a visible seam. Batched torch; no randomness.

The pasted piece keeps its own texture and contrast but takes the brightness of the place that it comes to:
result = membrane(target) + contrast * (source - membrane(source)), where a membrane is a smooth
interpolation of the values on a ring around the piece. That is seamless cloning (Perez et al., Poisson image
editing, SIGGRAPH 2003), with the pull-push interpolation of Gortler et al. (The Lumigraph, SIGGRAPH 1996) in
place of a Poisson solver, which makes it a handful of poolings for a whole batch.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch users expect
from torch import Tensor

_SMALLEST_WEIGHT = 1e-4


def paste(target: Tensor, source: Tensor, coverage: Tensor, contrast: Tensor, least: Tensor) -> Tensor:
    """Blend `source` into `target`, both (N, 1, C, C) in 0..1, where `coverage` says.

    `coverage` (N, 1, C/2, C/2), feathered, 0..1: half the resolution is enough for what is smooth anyway, and
    a quarter of the time. `contrast` (N,) scales the piece's deviation from its surroundings; negative
    values invert it. Pieces whose mean deviation is below `least` (N,) are strengthened, at most fourfold,
    so that what is labelled a tumour can be seen. No coverage gives the target back.
    """
    ring = (grow(coverage, 5) - coverage).clamp(min=0.0)
    halves = F.avg_pool2d(torch.cat([target, source]), 2)
    around_target, around_source = _membrane(halves, torch.cat([ring, ring])).chunk(2)
    deviation = (halves[len(source) :] - around_source).abs() * contrast.abs()[:, None, None, None]
    mean = (deviation * coverage).sum((1, 2, 3)) / coverage.sum((1, 2, 3)).clamp(min=1.0)
    factor = contrast * (least / mean.clamp(min=1e-3)).clamp(1.0, 4.0)
    shift = _double(around_target - around_source * factor[:, None, None, None])
    piece = (shift + source * factor[:, None, None, None]).clamp(0.0, 1.0)
    return torch.lerp(target, piece, _double(coverage))


def grow(mask: Tensor, width: int) -> Tensor:
    """The maximum over a `width` x `width` window (odd); two passes, because one is slow on a CPU."""
    mask = F.max_pool2d(mask, (width, 1), stride=1, padding=(width // 2, 0))
    return F.max_pool2d(mask, (1, width), stride=1, padding=(0, width // 2))


def feather(mask: Tensor, gain: Tensor) -> Tensor:
    """A mask (N, 1, C, C) -> soft coverage (N, 1, C/2, C/2); a larger `gain` (N,) reaches further out."""
    blurred = F.avg_pool2d(F.avg_pool2d(mask, 2), 5, stride=1, padding=2)
    blurred = F.avg_pool2d(blurred, 3, stride=1, padding=1)
    return (blurred * gain[:, None, None, None]).clamp(0.0, 1.0)


def _double(half: Tensor) -> Tensor:
    return F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)


def _membrane(values: Tensor, weights: Tensor) -> Tensor:
    """Smoothly interpolate `values` from where `weights` are positive to everywhere; (N, 1, C, C)."""
    if values.shape[-1] % 2 or values.shape[-1] < 4:
        mean = (values * weights).sum((2, 3), keepdim=True)
        return (mean / weights.sum((2, 3), keepdim=True).clamp(min=_SMALLEST_WEIGHT)).expand_as(values)
    weighted = F.avg_pool2d(values * weights, 2)
    coarse_weights = F.avg_pool2d(weights, 2)
    known = weighted / coarse_weights.clamp(min=_SMALLEST_WEIGHT)
    # A coarse cell with any support counts in full one level up: near support wins over far support.
    coarse = _membrane(known, (coarse_weights * 4).clamp(max=1.0))
    filled = F.interpolate(coarse, size=values.shape[2:], mode="bilinear", align_corners=False)
    return torch.lerp(filled, values, weights.clamp(max=1.0))
