"""Drawn lesions: blobs, rings and dark-cored blobs, so that "tumour" does not mean one sequence's look."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch users expect
from torch import Tensor


def draw_lesions(shapes: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Masks (N, 1, C, C) that say where -> masks of drawn lesions and pictures (0..1) to paste from.

    A lesion is a wobbly ellipse around the mask's centre, of about its area. Its profile is flat, a bright
    or dark ring, or a core unlike its rim; a low-frequency texture lies over it.
    """
    count, side = shapes.shape[0], shapes.shape[-1]
    axis = (torch.arange(side, device=shapes.device) + 0.5) / side
    rows, columns = axis.view(1, 1, side, 1), axis.view(1, 1, 1, side)
    area = shapes.mean(dim=(1, 2, 3), keepdim=True)
    centre_y = (shapes * rows).mean(dim=(1, 2, 3), keepdim=True) / area.clamp(min=1e-6)
    centre_x = (shapes * columns).mean(dim=(1, 2, 3), keepdim=True) / area.clamp(min=1e-6)
    radius = (area / np.pi).sqrt().clamp(0.035, 0.16)
    stretch = _column(np.exp(rng.uniform(-0.3, 0.3, count)), shapes)
    wobble = 1 + 0.35 * _smooth_noise(count, 6, side, rng, shapes)
    distance = torch.sqrt(((columns - centre_x) * stretch) ** 2 + ((rows - centre_y) / stretch) ** 2)
    distance = distance / (radius * wobble.clamp(min=0.5))  # 0 at the centre, 1 at the edge
    mask = ((1.0 - distance) * 8 + 0.5).clamp(0.0, 1.0)
    rim = _column(rng.choice([-0.3, -0.2, 0.2, 0.3, 0.4], count), shapes)
    core = torch.where(
        _column(rng.random(count), shapes) < 0.5, rim, _column(rng.uniform(-0.35, 0.25, count), shapes)
    )
    inner = _column(rng.uniform(0.45, 0.8, count), shapes)
    is_core = ((inner - distance) * 8 + 0.5).clamp(0.0, 1.0)
    texture = 0.08 * _smooth_noise(count, 24, side, rng, shapes)
    profile = 0.5 + mask * (torch.lerp(rim.expand_as(distance), core.expand_as(distance), is_core) + texture)
    return mask, profile.clamp(0.0, 1.0)


def _smooth_noise(count: int, cells: int, side: int, rng: np.random.Generator, like: Tensor) -> Tensor:
    """(N, 1, side, side) noise of about unit spread that varies over side / cells pixels."""
    coarse = torch.from_numpy(rng.standard_normal((count, 1, cells, cells))).to(like)
    return F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)


def _column(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(values)).to(like).view(-1, 1, 1, 1)
