"""What the network is told to get right: each location, the whole picture, and the tumour's type."""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch users expect
from torch import Tensor

from worker.inference.network import Outputs
from worker.training.augmentation import Batch
from worker.training.config import TrainingConfig

_TUMOUR_CELL_WEIGHT = 3.0  # a tumour covers a few cells in a hundred


class Losses(NamedTuple):
    """The weighted sum and its parts, scalars."""

    total: Tensor
    pixels: Tensor
    picture: Tensor
    types: Tensor


def losses(outputs: Outputs, batch: Batch, config: TrainingConfig) -> Losses:
    """Mean losses over a batch; pictures without a known map or type do not count in that part."""
    pixels = _pixel_loss(outputs.evidence, batch)
    target = batch.is_tumour * (1 - 2 * config.smoothing) + config.smoothing
    each = F.binary_cross_entropy_with_logits(outputs.tumour, target, reduction="none")
    picture = (each * batch.weight).sum() / batch.weight.sum().clamp(min=1.0)
    # Summed and divided by hand: the mean over no known type at all would not be a number.
    known = (batch.types >= 0).sum().clamp(min=1)
    types = F.cross_entropy(
        outputs.types, batch.types, ignore_index=-1, label_smoothing=config.smoothing, reduction="sum"
    )
    types = types / known
    total = config.pixel_weight * pixels + config.picture_weight * picture + config.type_weight * types
    return Losses(total, pixels, picture, types)


def _pixel_loss(evidence: Tensor, batch: Batch) -> Tensor:
    """Weighted binary cross-entropy per cell plus soft Dice on pictures with a tumour (V-Net, 2016)."""
    weight = 1 + (_TUMOUR_CELL_WEIGHT - 1) * batch.cells
    cells = F.binary_cross_entropy_with_logits(evidence, batch.cells, weight=weight, reduction="none")
    # The mean over a picture drowns a small tumour: its cells get a share of their own.
    positive = (cells * batch.cells).sum((1, 2)) / batch.cells.sum((1, 2)).clamp(min=1.0)
    per_picture = 4.0 * cells.mean((1, 2)) + 0.15 * positive
    probability = torch.sigmoid(evidence)
    overlap = (probability * batch.cells).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (probability.sum((1, 2)) + batch.cells.sum((1, 2)) + 1)
    shows_tumour = (batch.cells.sum((1, 2)) > 0.5).float()
    per_picture = per_picture + 0.5 * dice * shows_tumour
    return (per_picture * batch.has_map).sum() / batch.has_map.sum().clamp(min=1.0)
