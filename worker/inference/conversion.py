"""The network -> an OpenVINO model with the same weights."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch

from worker.inference.network import LocalEvidenceNet
from worker.inference.quantisation import quantise


def convert(network: LocalEvidenceNet, size: int, ranges: Mapping[str, float] | None = None) -> Any:
    """An OpenVINO model for any number of (1, size, size) pictures; of eight bits if `ranges` are given.

    Through OpenVINO's PyTorch frontend, not `convert_model`, which reports its use to its makers.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    network = network.eval().to("cpu").to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with warnings.catch_warnings():
        # Tracing is on its way out of PyTorch, but is what the frontend takes without a compiler's detour;
        # what it fixes in the trace (the number of locations) is fixed by `size` as well.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        example = torch.zeros(2, 1, size, size)
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)  # named: OpenVINO keeps no reference while it reads
        model = frontend.convert(frontend.load(decoder))
    model.reshape([-1, 1, size, size])
    if ranges is not None:
        quantise(model, network, ranges)
    return model
