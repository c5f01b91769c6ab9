"""The network in PyTorch, eager: on a CPU or a CUDA device."""

import torch

from worker.inference.answers import Answers, FloatArray
from worker.inference.engines import TORCH
from worker.inference.network import LocalEvidenceNet


class TorchEngine:
    """A `worker.inference.engines.Engine`."""

    name = TORCH

    def __init__(self, network: LocalEvidenceNet, device: str) -> None:
        self.device = device
        self._network = network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(self, batch: FloatArray) -> Answers:
        pixels = torch.from_numpy(batch).to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return Answers(*(tensor.cpu().numpy() for tensor in self._network(pixels)))
