"""The training loop: epochs of fixed length, each from its own seed, a checkpoint after each."""

import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from worker.inference.network import LocalEvidenceNet
from worker.inference.torch_engine import TorchEngine
from worker.inference.weights import load_weights
from worker.training.augmentation import Batch, augment
from worker.training.composition import Composer
from worker.training.config import BatchMix, TrainingConfig
from worker.training.holdout import ValidationSet, figures
from worker.training.losses import losses

LAST = "last.pt"
BEST = "best.pt"


@dataclass(slots=True)
class State:
    """Everything that changes while training; what a checkpoint holds."""

    network: LocalEvidenceNet
    average: LocalEvidenceNet  # exponential moving average of the network: this one is shipped
    optimiser: torch.optim.Optimizer
    epoch: int = 0  # finished ones
    best_score: float = -math.inf


def new_state(config: TrainingConfig, device: str) -> State:
    """A fresh network, from the seed alone."""
    torch.manual_seed(config.seed)
    network = LocalEvidenceNet().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network)
    # Norm layers and biases are not decayed: their scale carries meaning.
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        fused=True,
    )
    return State(network, average, optimiser)


def train(
    state: State,
    composer: Composer,
    sets: list[ValidationSet],
    config: TrainingConfig,
    folder: Path,
) -> dict[str, Any]:
    """Train until `config.epochs` are done; returns the last epoch's log entry.

    Writes log.jsonl, last.pt after every epoch and best.pt (the average) when the score rises.
    """
    entry: dict[str, Any] = {}
    while state.epoch < config.epochs:
        started = time.monotonic()
        entry = {"epoch": state.epoch + 1} | run_epoch(state, composer, config)
        state.epoch += 1
        entry |= {"seconds": round(time.monotonic() - started, 1)}
        if state.epoch % config.measure_every == 0 or state.epoch == config.epochs:
            entry |= {"figures": figures(TorchEngine(state.average, composer.device), sets)}
            if entry["figures"]["score"] > state.best_score:
                state.best_score = entry["figures"]["score"]
                torch.save({"average": state.average.state_dict(), "entry": entry}, folder / BEST)
        save_checkpoint(state, config, folder / LAST)
        with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")
    return entry


def run_epoch(state: State, composer: Composer, config: TrainingConfig) -> dict[str, float]:
    """One epoch; depends on the state, the seed and the epoch's number only."""
    torch.manual_seed(config.seed + state.epoch)  # drops of the dropout
    rng = np.random.default_rng([config.seed, state.epoch])
    state.network.train()
    sums = np.zeros(4)
    progress = tqdm(range(config.steps), desc=f"epoch {state.epoch + 1}", leave=False, mininterval=5)
    for step in progress:
        done = state.epoch * config.steps + step
        for group in state.optimiser.param_groups:
            group["lr"] = learning_rate(done, config)
        parts = losses_of_step(state, make_batch(composer, config, rng, state.epoch), config, done)
        sums += parts
        progress.set_postfix(loss=f"{parts[0]:.3f}")
    means = sums / config.steps
    return {name: float(means[i]) for i, name in enumerate(("loss", "pixels", "picture", "types"))}


def losses_of_step(state: State, batch: Batch, config: TrainingConfig, done: int) -> np.ndarray:
    """One optimisation step; returns the four loss values."""
    outputs = state.network(batch.pixels.contiguous(memory_format=torch.channels_last))
    parts = losses(outputs, batch, config)
    if not torch.isfinite(parts.total):
        raise FloatingPointError(f"The loss is not a number at step {done}. Lower the learning rate.")
    state.optimiser.zero_grad(set_to_none=True)
    parts.total.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.network.parameters(), 3.0)
    state.optimiser.step()
    # A short memory at first: the early weights are not worth remembering.
    _update_average(state, min(config.ema_decay, (1 + done) / (10 + done)))
    return np.array([float(part.detach()) for part in parts])


def make_batch(composer: Composer, config: TrainingConfig, rng: np.random.Generator, epoch: int) -> Batch:
    """Draw, compose and augment one batch as this epoch (from 0) wants it."""
    samples = [composer.draw(kind, rng) for kind in kinds(config.mix_in(epoch))]
    composed = composer.compose(samples, rng)
    return augment(composed, config.size_in(epoch), rng, config.strength_in(epoch))


def kinds(mix: BatchMix) -> list[str]:
    """The makings of the pictures of a batch."""
    return (
        ["tumour"] * mix.tumour
        + ["transplanted"] * mix.transplanted
        + ["healthy"] * mix.healthy
        + ["removed"] * mix.removed
    )


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a cosine to zero (Loshchilov & Hutter, SGDR, ICLR 2017)."""
    warmup = config.warmup_epochs * config.steps
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(config.epochs * config.steps - warmup, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def _update_average(state: State, decay: float) -> None:
    with torch.no_grad():
        kept: list[torch.Tensor] = list(state.average.parameters())
        new: list[torch.Tensor] = list(state.network.parameters())
        torch._foreach_lerp_(kept, new, 1 - decay)  # one pass over all weights, not a hundred small ones
        for buffer, latest in zip(state.average.buffers(), state.network.buffers(), strict=True):
            if buffer.dtype.is_floating_point:
                buffer.lerp_(latest, 1 - decay)


def save_checkpoint(state: State, config: TrainingConfig, path: Path) -> None:
    """Write the whole state, whole or not at all."""
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "network": state.network.state_dict(),
            "average": state.average.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "epoch": state.epoch,
            "best_score": state.best_score,
            "config": config.as_dict(),
        },
        partial,
    )
    partial.replace(path)


def load_start(state: State, path: Path) -> None:
    """Begin a run with the averaged weights of an earlier one; the optimiser starts anew.

    Takes a checkpoint of `train` or weights that `export` wrote (.safetensors, half precision).
    """
    if path.suffix == ".safetensors":
        load_weights(state.average, path)
    else:
        state.average.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["average"])
    state.network.load_state_dict(state.average.state_dict())


def load_checkpoint(state: State, config: TrainingConfig, path: Path) -> None:
    """Continue from `path`; raises `ValueError` when it was written by another configuration."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    if saved["config"] != config.as_dict():
        raise ValueError(
            f"{path} was trained with another configuration. Use another --out, or the same options."
        )
    state.network.load_state_dict(saved["network"])
    state.average.load_state_dict(saved["average"])
    state.optimiser.load_state_dict(saved["optimiser"])
    state.epoch, state.best_score = saved["epoch"], saved["best_score"]
