"""Grad-CAM without a backward pass through the backbone.

Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017:
each channel of a layer's features is weighted by the mean over locations of the logit's gradient, and the
map is the positive part of the weighted sum. Here the layer is the last one before the pooling, so that
gradient needs nothing but the head, which is small.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def grad_cam(features: Tensor, weights: Tensor) -> Tensor:
    """Features (N, C, h, w) and a weight per channel (N, C) -> maps (N, h, w), never negative."""
    return torch.einsum("nchw,nc->nhw", features, weights).relu()


def mean_pooled_grad_cam(features: Tensor, head: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Logits (N,) and their Grad-CAM (N, h, w) where `head` maps the features' means (N, C) to the logits.

    A location's share in a mean is 1 / (h * w): the gradient at each location is that part of the gradient at
    the mean. The head must treat the rows of its input independently, and `features` must not come from
    `torch.inference_mode`.
    """
    pooled = features.detach().mean(dim=(2, 3)).requires_grad_()  # (N, C)
    with torch.enable_grad():
        logits = head(pooled)  # (N,)
        (gradient,) = torch.autograd.grad(logits.sum(), pooled)  # (N, C)
    area = features.shape[2] * features.shape[3]
    return logits.detach(), grad_cam(features.detach(), gradient / area)


def local_evidence_grad_cam(evidence: Tensor, bias: Tensor, scale: Tensor) -> Tensor:
    """Grad-CAM (N, h, w) of `LocalEvidenceNet`'s tumour logit at the features that its evidence is made of.

    `evidence` (N, h, w) is the network's, `bias` the evidence convolution's, `scale` the pooling's. The
    gradient at location i and channel c is scale * p_i * w_c, where the pooling weights p sum to 1 and w is
    the convolution's kernel. Channel c thus weighs scale * w_c / (h * w), the same in every picture, and the
    weighted sum of the features is scale / (h * w) times the evidence without its bias. Where that is
    positive, the map that is shown is sigmoid(bias + h * w / scale * Grad-CAM): the same on another scale.
    """
    area = evidence.shape[1] * evidence.shape[2]
    return (scale * (evidence - bias) / area).relu()
