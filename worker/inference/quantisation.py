"""Eight-bit arithmetic for the backbone: ranges measured once, on real slices, and put into the graph.

Post-training static quantisation (Nagel et al., A White Paper on Neural Network Quantization, 2021): each
convolution takes activations of 256 steps, with one range per layer, and weights of 255 steps, with one range
per output channel. What a layer gives is put into steps once, for all that read it: the layer after it and
the sum that passes it by. The head, whose outputs are shown and decided by, stays in float32. The ranges are
part of the manifest, so every worker makes the same eight-bit model out of the same weights.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import ModelFileError
from worker.inference.network import LocalEvidenceNet
from worker.preprocessing import PIXEL_MEAN, PIXEL_STD

_FIRST = "backbone.conv1"
_IN_FLOAT = ("evidence", "types")
_BEYOND = 1e-5  # of the activations may be clipped: one bright pixel must not coarsen the steps of all
_LEVELS = 256
_CHUNK = 32


def measure_ranges(network: LocalEvidenceNet, pixels: Tensor) -> dict[str, float]:
    """The upper end of each quantised convolution's input over pictures (N, 1, S, S); the lower one is 0.

    Not of the first one's: what a picture's values can be is known.
    """
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
    if {name for name, _ in _quantised(network)} != ranges.keys():
        raise ModelFileError(
            "The manifest's activation ranges are not those of this network. Export the model again."
        )
    limits = {name: (0.0, max(top, 1e-6)) for name, top in ranges.items()} | {_FIRST: _of_pictures()}
    wanted = set(limits)
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Convolution":
            continue
        # Nodes are named after the module that they come from: "__module.backbone.conv1/aten::…".
        name = node.get_friendly_name().split("/")[0].removeprefix("__module.")
        if name in wanted:
            wanted.remove(name)
            _quantise_input(node, *limits[name])
            _quantise_weights(node, network.get_submodule(name))
    if wanted:
        raise ModelFileError(
            f"The engine has no layer {min(wanted)}. Set the engine to another, and report this."
        )


def _of_pictures() -> tuple[float, float]:
    """The range of what `worker.preprocessing` makes, widened until 0, a layer's padding, is a step."""
    low, high = -PIXEL_MEAN / PIXEL_STD, (1 - PIXEL_MEAN) / PIXEL_STD
    below = round(-low / (high - low) * (_LEVELS - 1))
    above = _LEVELS - 1 - below
    step = max(-low / below, high / above)
    return -below * step, above * step


def _quantise_input(node: Any, low: float, high: float) -> None:
    """Put what a convolution reads into steps, for all others that read it, too."""
    from openvino import opset13

    source = node.input_value(0)
    if source.get_node().get_type_name() == "MaxPool":  # the largest of some steps is a step
        source = source.get_node().input_value(0)
    if source.get_node().get_type_name() == "FakeQuantize":
        return
    readers = source.get_target_inputs()
    ends = np.float32(low), np.float32(high)
    stepped = opset13.fake_quantize(source, *ends, *ends, _LEVELS)
    for reader in readers:
        reader.replace_source_output(stepped.output(0))


def _quantise_weights(node: Any, module: nn.Module) -> None:
    from openvino import opset13

    weights = module.get_parameter("weight").detach().numpy()
    reach = np.maximum(np.abs(weights).max(axis=(1, 2, 3), keepdims=True), 1e-9).astype(np.float32)
    stepped = opset13.fake_quantize(node.input_value(1), -reach, reach, -reach, reach, _LEVELS - 1)
    node.input(1).replace_source_output(stepped.output(0))


def _quantised(network: LocalEvidenceNet) -> list[tuple[str, nn.Module]]:
    """The convolutions whose inputs have measured ranges."""
    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and name not in (_FIRST, *_IN_FLOAT)
    ]
