"""Weights of the system that this one replaced: a ResNet18 with one tumour logit, explained by Grad-CAM.

Those who have such a file can go on using it. It knows no tumour types, and what it looks at was never
supervised: the model in `model_weights/` is the one to prefer.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from shared.errors import ModelFileError, ModelPredictionError
from shared.results import HEALTHY_CLASS, UNTYPED_CLASS
from worker.inference.device import choose_device
from worker.inference.engines import TORCH
from worker.inference.grad_cam import mean_pooled_grad_cam
from worker.inference.manifest import sha256_of
from worker.inference.predictor import Prediction
from worker.inference.torch_file import ADVICE, matching_tensors, read_state_dict
from worker.inference.torchvision_compat import import_torchvision
from worker.preprocessing import PIXEL_MEAN, PIXEL_STD, PREPROCESSING_VERSION

METHOD = "Grad-CAM"
INPUT_SIZE = 224
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of red, green and blue in 0..1, as torchvision's weights expect
IMAGENET_STD = (0.229, 0.224, 0.225)

_AREA = 0.1  # of the picture: about what a tumour takes
_HEAD_KEY = re.compile(r"(backbone\.fc\.)([0-9]{1,4})(\.(?:weight|bias))")
_COUNTER = ".num_batches_tracked"  # counts training steps; no part of the answer


class SingleLogitNet(nn.Module):
    """torchvision's ResNet18 with a head of three Linear layers; input (N, 3, S, S), ImageNet-normalised."""

    def __init__(self) -> None:
        super().__init__()
        import_torchvision()
        from torchvision.models import resnet18

        self.backbone = resnet18(weights=None)
        self.backbone.fc = nn.Sequential(
            nn.Dropout(),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(256, 1),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) -> logits of "there is a tumour" (N,)."""
        return self.head(self.features(pixels).mean(dim=(2, 3)))

    def features(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) -> the output of layer4 (N, 512, S/32, S/32)."""
        net = self.backbone
        stem = net.maxpool(net.relu(net.bn1(net.conv1(pixels))))  # (N, 64, S/4, S/4)
        return cast(Tensor, net.layer4(net.layer3(net.layer2(net.layer1(stem)))))

    def head(self, pooled: Tensor) -> Tensor:
        """Means of the features (N, 512) -> logits (N,)."""
        return cast(Tensor, self.backbone.fc(pooled))[:, 0]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What results say about such a model: those fields of a `Manifest` that a bare weights file has."""

    name: str
    version: str
    weights_sha256: str
    input_size: int
    preprocessing_version: str


class SingleLogitPredictor:
    """A loaded model with the surface of `Predictor`. Built once per process; holds no other state."""

    engine = TORCH
    inconclusive: tuple[float, float] | None = None  # nobody has measured where it is too often wrong

    def __init__(self, network: SingleLogitNet, manifest: ModelFacts, device: str) -> None:
        self.manifest = manifest
        self.device = device
        self._network = network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, path: Path, device: str = "auto", engine: str = "auto") -> Self:
        """The model in the file `path` on "cpu", "cuda" or, with "auto", the better one.

        Raises `ModelFileError` for a file that `load_single_logit` refuses, and for an engine but PyTorch.
        """
        if engine not in ("auto", TORCH):
            raise ModelFileError(f'{path} runs in PyTorch only. Set the engine to "auto" or "{TORCH}".')
        sha256 = sha256_of(path)
        facts = ModelFacts("single-logit", sha256[:12], sha256, INPUT_SIZE, PREPROCESSING_VERSION)
        return cls(load_single_logit(path), facts, choose_device(device))

    def predict(self, inputs: Sequence[npt.NDArray[np.float32]]) -> list[Prediction]:
        """One forward pass over pictures of shape (1, S, S), float32, as `worker.preprocessing` makes them.

        `class_probabilities` are those of "tumor" and "notumor". Raises `ModelPredictionError` for inputs of
        another shape and for an answer that is not finite.
        """
        if not inputs:
            return []
        size = self.manifest.input_size
        if any(pixels.shape != (1, size, size) for pixels in inputs):
            raise ModelPredictionError(f"The model takes pictures of 1 x {size} x {size} values.")
        batch = torch.from_numpy(np.stack(inputs).astype(np.float32, copy=False))
        if not torch.isfinite(batch).all():
            raise ModelPredictionError("The picture holds values that are not numbers.")
        pixels = imagenet_pixels(batch.to(self.device)).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():  # not inference mode: the head's gradient is taken at these features
            features = self._network.features(pixels)
        logits, cam = mean_pooled_grad_cam(features, self._network.head)
        if not (torch.isfinite(logits).all() and torch.isfinite(cam).all()):
            raise ModelPredictionError("The model gave an answer that is not a number.")
        probabilities = torch.sigmoid(logits).tolist()
        maps = evidence_scale(cam, logits).cpu().numpy()
        return [_prediction(value, grid) for value, grid in zip(probabilities, maps, strict=True)]


def load_single_logit(path: Path) -> SingleLogitNet:
    """The network in a `.pth` or `.pt` file, in evaluation mode and single precision, on the CPU.

    The file holds a state dict or {"model_state_dict": state dict}, in any floating-point precision. Its keys
    are torchvision's for ResNet18 after "backbone.", and `backbone.fc.N.weight` and `backbone.fc.N.bias` for
    the three Linear layers of the head, 512 -> 512 -> 256 -> 1. N is their place in a Sequential: 1, 4, 7
    with a Dropout before each, 0, 2, 4 without. Any three numbers will do, as what stands between them has
    no weights: the lowest is the first layer, and each must have its layer's shape. Counters of training
    steps (`num_batches_tracked`) may be absent.

    Raises `ModelFileError`, in one line, for a missing, unknown or wrongly shaped tensor, for values that are
    not numbers and for a file that is no such thing or holds code, which is never run.
    """
    with torch.device("meta"):  # names and shapes only: every value comes from the file
        network = SingleLogitNet()
    state = read_state_dict(path)
    keys = _keys_in_file(network, state, path)
    own = network.state_dict()
    counters = {key for name, key in keys.items() if name.endswith(_COUNTER)}
    shapes = {key: own[name].shape for name, key in keys.items() if key not in counters}
    tensors = matching_tensors(state, shapes, counters, path)
    weights = {name: tensors.get(key, torch.zeros((), dtype=torch.int64)) for name, key in keys.items()}
    network.load_state_dict(weights, assign=True)
    return network.requires_grad_(requires_grad=False).eval()


def imagenet_pixels(prepared: Tensor) -> Tensor:
    """Our model input (N, 1, S, S) -> grey in 0..1, three times, normalised as for ImageNet: (N, 3, S, S)."""
    grey = prepared * PIXEL_STD + PIXEL_MEAN
    mean, std = (prepared.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (grey - mean) / std


def evidence_scale(cam: Tensor, logits: Tensor) -> Tensor:
    """Grad-CAM (N, h, w) of `logits` (N,) -> what is shown, in 0..1 on an absolute scale, 0 where it is 0.

    The head is piecewise linear, so a location adds its Grad-CAM to the logit, and a share `_AREA` of the
    picture that looks like it would add h * w * `_AREA` times as much. Shown is the part of the tumour's odds
    that would be lost without that share, times the probability: a picture that is called healthy stays dark.
    """
    added = cam.shape[1] * cam.shape[2] * _AREA * cam
    return torch.sigmoid(logits)[:, None, None] * -torch.expm1(-added)


def _prediction(probability: float, grid: npt.NDArray[np.float32]) -> Prediction:
    return Prediction(
        probability=probability,
        raw_probability=probability,  # nobody has measured how to calibrate it
        class_probabilities={UNTYPED_CLASS: probability, HEALTHY_CLASS: 1.0 - probability},
        evidence_map=grid.copy(),  # its own memory: a kept result must not keep its batch
        method=METHOD,
    )


def _keys_in_file(network: SingleLogitNet, state: Mapping[Any, Any], path: Path) -> dict[str, str]:
    """Names of the network's tensors -> their keys in the file: its head may be numbered otherwise."""
    names = list(network.state_dict())
    ours, theirs = _head_places(names), _head_places(state)
    if len(theirs) != len(ours):
        raise ModelFileError(
            f"{path} has {len(theirs)} layers backbone.fc.N with weights; the head has {len(ours)}, "
            f"512 -> 512 -> 256 -> 1. {ADVICE}"
        )
    places = dict(zip(ours, theirs, strict=True))
    return {name: _HEAD_KEY.sub(lambda key: key[1] + places[key[2]] + key[3], name) for name in names}


def _head_places(keys: Iterable[Any]) -> list[str]:
    """The places in the head's Sequential that hold weights, in order."""
    matches = (_HEAD_KEY.fullmatch(key) for key in keys if isinstance(key, str))
    return sorted({match[2] for match in matches if match}, key=int)
