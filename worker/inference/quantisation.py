"""Eight-bit arithmetic for the backbone: ranges measured once, on real slices, and put into the graph.

Post-training static quantisation (Nagel et al., A White Paper on Neural Network Quantization, 2021): each
convolution takes activations of 256 steps, with one range per layer, and weights of 255 steps, with one range
per output channel. The first layer and the head, whose outputs are shown and decided by, stay in float32.
The ranges are part of the manifest, so every worker makes the same eight-bit model out of the same weights.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import ModelFileError
from worker.inference.network import LocalEvidenceNet

_IN_FLOAT = ("backbone.conv1", "evidence", "types")
_BEYOND = 1e-5  # of the activations may be clipped: one bright pixel must not coarsen the steps of all
_LEVELS = 256
_CHUNK = 32


def measure_ranges(network: LocalEvidenceNet, pixels: Tensor) -> dict[str, float]:
    """The upper end of each quantised convolution's input over pictures (N, 1, S, S); the lower one is 0."""
    ranges: dict[str, float] = {}

    def watch(name: str, module: nn.Module) -> Any:
        def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].flatten()
            if values.min() < 0:
                raise ValueError(f"{name} takes negative values; only inputs after a ReLU are quantised.")
            top = float(values.topk(max(1, round(values.numel() * _BEYOND))).values[-1])
            ranges[name] = max(ranges.get(name, 0.0), top)

        return module.register_forward_pre_hook(keep)

    hooks = [watch(name, module) for name, module in _quantised(network)]
    try:
        with torch.inference_mode():
            for chunk in torch.split(pixels, _CHUNK):
                network.eval()(chunk)
    finally:
        for hook in hooks:
            hook.remove()
    return ranges


def quantise(model: Any, network: LocalEvidenceNet, ranges: Mapping[str, float]) -> None:
    """Put the steps of eight-bit arithmetic into an OpenVINO model of `network`, in place.

    Raises `ModelFileError` if `ranges` are not those of this network.
    """
    wanted = {name for name, _ in _quantised(network)}
    if wanted != ranges.keys():
        raise ModelFileError(
            "The manifest's activation ranges are not those of this network. Export the model again."
        )
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Convolution":
            continue
        # Nodes are named after the module that they come from: "__module.backbone.conv1/aten::…".
        name = node.get_friendly_name().split("/")[0].removeprefix("__module.")
        if name in wanted:
            wanted.remove(name)
            _quantise_convolution(node, ranges[name], network.get_submodule(name))
    if wanted:
        raise ModelFileError(
            f"The engine has no layer {min(wanted)}. Set the engine to another, and report this."
        )


def _quantise_convolution(node: Any, top: float, module: nn.Module) -> None:
    from openvino import opset13

    low, high = np.float32(0), np.float32(max(top, 1e-6))
    activations = opset13.fake_quantize(node.input_value(0), low, high, low, high, _LEVELS)
    weights = module.get_parameter("weight").detach().numpy()
    reach = np.maximum(np.abs(weights).max(axis=(1, 2, 3), keepdims=True), 1e-9).astype(np.float32)
    stepped = opset13.fake_quantize(node.input_value(1), -reach, reach, -reach, reach, _LEVELS - 1)
    node.input(0).replace_source_output(activations.output(0))
    node.input(1).replace_source_output(stepped.output(0))


def _quantised(network: LocalEvidenceNet) -> list[tuple[str, nn.Module]]:
    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and name not in _IN_FLOAT
    ]
