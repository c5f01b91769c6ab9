"""The model without anything of ours around it: bare PyTorch, and pytorch-grad-cam on top of it."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from worker.inference.manifest import read_manifest
from worker.inference.network import HeadParameters, LocalEvidenceNet
from worker.inference.weights import load_weights

CHECKOUT = Path(__file__).resolve().parent.parent
MODEL_FOLDER = CHECKOUT / "model_weights"
PEERS = CHECKOUT / ".venv" / "peers"

FloatArray = npt.NDArray[np.float32]


class PeersMissingError(Exception):
    """What is only compared with is not installed."""


def load_network() -> LocalEvidenceNet:
    """The product's network with its weights, in float32 on the CPU, as PyTorch makes it."""
    manifest = read_manifest(MODEL_FOLDER)
    head = manifest.head
    network = LocalEvidenceNet(HeadParameters(int(head["channels"]), head["sharpness"], head["prior_logit"]))
    load_weights(network, MODEL_FOLDER / manifest.weights_file)
    return network.eval()


def forward(network: LocalEvidenceNet, batch: FloatArray) -> None:
    """One eager pass over (N, 1, S, S)."""
    with torch.inference_mode():
        network(torch.from_numpy(batch))


def make_grad_cam(network: LocalEvidenceNet) -> Callable[[FloatArray], tuple[FloatArray, FloatArray]]:
    """A function (N, 1, S, S) -> tumour logits (N,) and maps (N, S, S) in 0..1, by pytorch-grad-cam.

    Its layer is the one that the evidence is made of. Raises `PeersMissingError`.
    """
    add_peers()
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam: Any = GradCAM(model=_TumourLogit(network), target_layers=[network.fuse])
    target = ClassifierOutputTarget(0)

    def explain(batch: FloatArray) -> tuple[FloatArray, FloatArray]:
        maps = cam(input_tensor=torch.from_numpy(batch), targets=[target] * len(batch))
        return cam.outputs.detach().numpy()[:, 0], maps

    return explain


def add_peers() -> None:
    """Make the packages of bench/requirements.txt importable, behind all others."""
    if not PEERS.is_dir():
        raise PeersMissingError("The packages of bench/requirements.txt are missing: run `make bench`.")
    from worker.inference.torchvision_compat import import_torchvision

    import_torchvision()  # before a peer does, which would not know how here
    if str(PEERS) not in sys.path:
        sys.path.append(str(PEERS))


def images_per_second(run: Callable[[FloatArray], object], batch: FloatArray, at_least_s: float) -> float:
    """Of as many passes as fill the time; one at least."""
    began, passes = time.perf_counter(), 0
    while passes == 0 or time.perf_counter() - began < at_least_s:
        run(batch)
        passes += 1
    return passes * len(batch) / (time.perf_counter() - began)


def noise(number: int, size: int) -> FloatArray:
    """(N, 1, S, S), the same in every run."""
    return np.random.default_rng(0).normal(size=(number, 1, size, size)).astype(np.float32)


class _TumourLogit(nn.Module):
    """What pytorch-grad-cam takes: one tensor (N, classes)."""

    def __init__(self, network: LocalEvidenceNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        return cast(Tensor, self.network(pixels).tumour[:, None])
