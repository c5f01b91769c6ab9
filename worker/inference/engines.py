"""Engines: what runs the network's forward pass, all with the same weights.

`torch` runs on a CPU or a CUDA device. `openvino` runs the same network on a CPU with a quarter fewer
core-seconds, as one call that leaves Python to the threads which decode and draw; its answers equal torch's
to 1e-5. `openvino-int8` computes all but the head with eight-bit numbers, several times as fast; it is used
where the manifest says that it was measured to answer as well (`worker.training.acceptance`).
"""

import os
import warnings
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from shared.errors import ModelFileError
from worker.inference.manifest import Manifest
from worker.inference.network import LocalEvidenceNet, Outputs
from worker.inference.quantisation import QUANTISATION_VERSION, quantise

TORCH, OPENVINO, OPENVINO_INT8 = "torch", "openvino", "openvino-int8"
NAMES = (TORCH, OPENVINO, OPENVINO_INT8)

FloatArray = npt.NDArray[np.float32]


class Engine(Protocol):
    """A network that is ready to run."""

    @property
    def name(self) -> str:
        """One of `NAMES`."""
        ...

    @property
    def device(self) -> str:
        """ "cpu" or "cuda"."""
        ...

    def run(self, batch: FloatArray) -> Outputs:
        """(N, 1, S, S) float32 -> outputs on the CPU; the answer for a picture does not depend on N."""
        ...


class TorchEngine:
    """PyTorch, eager."""

    name = TORCH

    def __init__(self, network: LocalEvidenceNet, device: str) -> None:
        self.device = device
        self._network = network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(self, batch: FloatArray) -> Outputs:
        pixels = torch.from_numpy(batch).to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return Outputs(*(tensor.cpu() for tensor in self._network(pixels)))


class OpenVinoEngine:
    """OpenVINO's CPU plugin (Apache-2.0): in float32, or with eight-bit numbers if `ranges` are given."""

    device = "cpu"

    def __init__(
        self, network: LocalEvidenceNet, size: int, ranges: Mapping[str, float] | None = None
    ) -> None:
        import openvino

        self.name = OPENVINO if ranges is None else OPENVINO_INT8
        model = _converted(network, size)
        if ranges is not None:
            quantise(model, network, ranges)
        # Stated in full: by default OpenVINO takes bfloat16 wherever the CPU has any, which changes answers
        # and is slow where the CPU has no matrix units for it.
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": available_cores(),
            "NUM_STREAMS": 1,
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", options)

    def run(self, batch: FloatArray) -> Outputs:
        # A request of its own: OpenVINO's shared one would have its memory overwritten by the next call.
        answers = self._compiled.create_infer_request().infer([batch])
        return Outputs(*(torch.from_numpy(np.array(answers[output])) for output in self._compiled.outputs))


def build_engine(network: LocalEvidenceNet, manifest: Manifest, device: str, wanted: str) -> Engine:
    """The engine `wanted`, or for "auto" the fastest that the manifest accepts for this model.

    Raises `ModelFileError` if `wanted` is unknown, or cannot run on `device` or with this model.
    """
    is_int8_accepted = (
        OPENVINO_INT8 in manifest.engines and manifest.quantisation_version == QUANTISATION_VERSION
    )
    if wanted == "auto":
        wanted = TORCH if device == "cuda" else OPENVINO_INT8 if is_int8_accepted else OPENVINO
    if wanted not in NAMES:
        raise ModelFileError(f'Unknown engine "{wanted}". Use "auto", {", ".join(NAMES)}.')
    if wanted == TORCH:
        return TorchEngine(network, device)
    if device != "cpu":
        raise ModelFileError(f'The engine "{wanted}" runs on a CPU. Set the engine to "auto" or "{TORCH}".')
    if wanted == OPENVINO:
        return OpenVinoEngine(network, manifest.input_size)
    if not is_int8_accepted:
        raise ModelFileError(
            f'The engine "{wanted}" was not accepted for this model. Set it to "auto" or "{OPENVINO}".'
        )
    return OpenVinoEngine(network, manifest.input_size, manifest.activation_ranges)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _converted(network: LocalEvidenceNet, size: int) -> Any:
    """The network as an OpenVINO model for any number of (1, size, size) pictures.

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
    return model
