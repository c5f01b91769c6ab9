"""Weights on disk: safetensors in half precision, always computed with in single precision."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from shared.errors import ModelFileError


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the network's state in fp16. Values beyond fp16's range raise `ValueError`."""
    state: dict[str, Tensor] = {}
    for key, value in network.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue  # only counts training steps
        half = value.detach().to("cpu", torch.float16).contiguous()
        if not torch.isfinite(half).all():
            raise ValueError(f"{key} does not fit into half precision")
        state[key] = half
    save_file(state, path)
    path.chmod(0o644)  # written for its owner only; workers often run as somebody else


def load_weights(network: nn.Module, path: Path) -> None:
    """Load `path` into the network, every key and shape exactly; raises `ModelFileError`."""
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelFileError(
            f"{path} is not a readable safetensors file. Fetch or export it again."
        ) from error
    expected = {key for key in network.state_dict() if not key.endswith("num_batches_tracked")}
    if missing := sorted(expected - state.keys()):
        raise ModelFileError(
            f"{path} lacks {len(missing)} tensors, first {missing[0]}. Export the model again."
        )
    if unknown := sorted(state.keys() - expected):
        raise ModelFileError(
            f"{path} holds {len(unknown)} tensors that this network does not have, first {unknown[0]}. "
            "Use weights made for this version."
        )
    try:
        network.load_state_dict({key: value.float() for key, value in state.items()}, strict=False)
    except RuntimeError as error:
        raise ModelFileError(
            f"{path} holds tensors of other shapes than the manifest's head says. Export the model again."
        ) from error
