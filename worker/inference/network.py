"""The network: a ResNet18 whose decision is made by local tumour evidence, location by location.

A pooled classifier learns the look of a whole picture (sequence, field of view) instead of the tumour. So
there is no global pathway here: a small top-down pyramid (Lin et al., Feature Pyramid Networks, CVPR 2017)
gives features at 1/8 of the input, a 1x1 convolution turns them into one evidence logit per location, and
the picture's tumour logit is their soft maximum. The map that decides is the map that is shown.
"""

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch users expect
from torch import Tensor, nn

from worker.inference.answers import TUMOUR_TYPES
from worker.inference.torchvision_compat import import_torchvision


@dataclass(frozen=True, slots=True)
class HeadParameters:
    """The shape of the head and of its pooling; stored in the manifest."""

    channels: int = 96
    sharpness: float = 2.0  # of the soft maximum: 0 would be the mean, infinity the maximum
    prior_logit: float = -4.0  # evidence of a location before training: tumours are rare

    def as_dict(self) -> dict[str, float]:
        """Plain numbers for the manifest."""
        return asdict(self)


class Outputs(NamedTuple):
    """One forward pass over N pictures: the tensors of `worker.inference.answers.Answers`."""

    tumour: Tensor
    types: Tensor
    evidence: Tensor
    stages: Tensor


class LocalEvidenceNet(nn.Module):
    """ResNet18 for one input channel with a local tumour head; input (N, 1, S, S), S a multiple of 32."""

    def __init__(self, parameters: HeadParameters | None = None) -> None:
        super().__init__()
        import_torchvision()
        from torchvision.models import resnet18

        self.parameters_of_head = parameters or HeadParameters()
        channels = self.parameters_of_head.channels
        backbone = resnet18(weights=None)
        backbone.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        backbone.fc = nn.Identity()  # its 1000 classes are not ours, and it would only fill the file
        self.backbone = backbone
        self.lateral2 = nn.Conv2d(128, channels, kernel_size=1)
        self.lateral3 = nn.Conv2d(256, channels, kernel_size=1)
        self.lateral4 = nn.Conv2d(512, channels, kernel_size=1)
        self.fuse = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.dropout = nn.Dropout2d(0.1)
        self.evidence = nn.Conv2d(channels, 1, kernel_size=1)
        self.types = nn.Conv2d(channels, len(TUMOUR_TYPES), kernel_size=1)
        self.scale = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.full((), -self.parameters_of_head.prior_logit / 2))
        nn.init.normal_(self.evidence.weight, std=0.01)
        nn.init.constant_(cast(Tensor, self.evidence.bias), self.parameters_of_head.prior_logit)

    def forward(self, pixels: Tensor) -> Outputs:
        """(N, 1, S, S) float32 -> `Outputs`."""
        fused, stages = self.features(pixels)
        features = self.dropout(fused)  # (N, C, S/8, S/8)
        evidence = self.evidence(features)[:, 0]  # (N, S/8, S/8)
        # Read where the evidence is; detached, so that the type cannot bend the evidence.
        attention = pooling_weights(evidence, self.parameters_of_head.sharpness).detach()
        types = (self.types(features) * attention[:, None]).sum(dim=(2, 3))  # (N, 3)
        return Outputs(self.pool(evidence), types, evidence, stages)

    def features(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, S, S) -> (N, C, S/8, S/8) and (N, 384).

        Stages 2, 3 and 4 of the ResNet, added from the top down, and the means of stages 2 and 3.
        """
        net = self.backbone
        stem = net.maxpool(net.relu(net.bn1(net.conv1(pixels))))  # (N, 64, S/4, S/4)
        stage2 = net.layer2(net.layer1(stem))  # (N, 128, S/8, S/8)
        stage3 = net.layer3(stage2)  # (N, 256, S/16, S/16)
        stage4 = net.layer4(stage3)  # (N, 512, S/32, S/32)
        top = self.lateral3(stage3) + _enlarge(self.lateral4(stage4), stage3)
        fused = cast(Tensor, self.fuse(self.lateral2(stage2) + _enlarge(top, stage2)))
        return fused, torch.cat([stage2.mean(dim=(2, 3)), stage3.mean(dim=(2, 3))], dim=1)

    def pool(self, evidence: Tensor) -> Tensor:
        """Evidence logits (N, h, w) -> the picture's tumour logit (N,): scaled log-mean-exp, a soft maximum.

        Pinheiro & Collobert, From image-level to pixel-level labeling, CVPR 2015. Its gradient with respect
        to the evidence is `scale * pooling_weights(evidence)`.
        """
        sharpness = self.parameters_of_head.sharpness
        count = evidence.shape[1] * evidence.shape[2]
        flat = sharpness * evidence.flatten(1)
        pooled = (torch.logsumexp(flat, dim=1) - math.log(count)) / sharpness
        return self.scale * pooled + self.offset


def pooling_weights(evidence: Tensor, sharpness: float) -> Tensor:
    """The share of each location in the decision: (N, h, w), sums to 1 over a picture."""
    return torch.softmax(sharpness * evidence.flatten(1), dim=1).view_as(evidence)


def _enlarge(coarse: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(coarse, size=like.shape[2:], mode="bilinear", align_corners=False)
