"""Engines: what runs the network's forward pass, all with the same weights.

`torch` runs on a CPU or a CUDA device. `openvino` runs the same network on a CPU with a quarter fewer
core-seconds, as one call that leaves Python to the threads which decode and draw; its answers equal torch's
to 1e-5. `openvino-int8` computes all but the head with eight-bit numbers, several times as fast; it is used
where the manifest says that it was measured to answer as well (`worker.training.acceptance`).
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shared.errors import ModelFileError
from worker.inference.answers import Answers, FloatArray
from worker.inference.exports import exported
from worker.inference.manifest import QUANTISATION_VERSION, Manifest

if TYPE_CHECKING:
    from worker.inference.network import LocalEvidenceNet

TORCH, OPENVINO, OPENVINO_INT8 = "torch", "openvino", "openvino-int8"
NAMES = (TORCH, OPENVINO, OPENVINO_INT8)


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

    def run(self, batch: FloatArray) -> Answers:
        """(N, 1, S, S) float32 -> answers; the answer for a picture does not depend on N."""
        ...


class OpenVinoEngine:
    """OpenVINO's CPU plugin (Apache-2.0)."""

    device = "cpu"

    def __init__(self, model: Any, name: str) -> None:
        """Of a model that `worker.inference.conversion` has made."""
        import openvino

        self.name = name
        # Stated in full: by default OpenVINO takes bfloat16 wherever the CPU has any, which changes answers
        # and is slow where the CPU has no matrix units for it.
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": available_cores(),
            "NUM_STREAMS": 1,
        }
        self._request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
        self._turn = threading.Lock()

    def run(self, batch: FloatArray) -> Answers:
        with self._turn:  # the next pass overwrites the memory of these answers, and this one takes all cores
            answers = self._request.infer([batch], share_inputs=True, share_outputs=True)
            return Answers(*(np.array(answer) for answer in answers.values()))


def build_engine(
    load_network: "Callable[[], LocalEvidenceNet]", folder: Path, manifest: Manifest, device: str, wanted: str
) -> Engine:
    """The engine `wanted` of the model in `folder`, or for "auto" the fastest that its manifest accepts.

    `load_network` brings PyTorch, and is called only where it is needed. Raises `ModelFileError` if `wanted`
    is unknown, or cannot run on `device` or with this model.
    """
    name = _chosen(manifest, device, wanted)
    if name == TORCH:
        from worker.inference.torch_engine import TorchEngine

        return TorchEngine(load_network(), device)

    def convert() -> Any:
        from worker.inference import conversion

        ranges = manifest.activation_ranges if name == OPENVINO_INT8 else None
        return conversion.convert(load_network(), manifest.input_size, ranges)

    return OpenVinoEngine(exported(folder, manifest, name, convert), name)


def _chosen(manifest: Manifest, device: str, wanted: str) -> str:
    is_int8_accepted = (
        OPENVINO_INT8 in manifest.engines and manifest.quantisation_version == QUANTISATION_VERSION
    )
    if wanted == "auto":
        wanted = TORCH if device == "cuda" else OPENVINO_INT8 if is_int8_accepted else OPENVINO
    if wanted not in NAMES:
        raise ModelFileError(f'Unknown engine "{wanted}". Use "auto", {", ".join(NAMES)}.')
    if wanted != TORCH and device != "cpu":
        raise ModelFileError(f'The engine "{wanted}" runs on a CPU. Set the engine to "auto" or "{TORCH}".')
    if wanted == OPENVINO_INT8 and not is_int8_accepted:
        raise ModelFileError(
            f'The engine "{wanted}" was not accepted for this model. Set it to "auto" or "{OPENVINO}".'
        )
    return wanted


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
