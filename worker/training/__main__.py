"""`python -m worker.training DATA --masks MASKS --out RUNDIR`: train, choose, export.

DATA is a folder of the class folders glioma, meningioma, pituitary and notumor, with an optional
manifest.csv (file, class, split, source, group, plane). Interrupted? The same command with --resume goes on.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from worker.inference.device import choose_device
from worker.inference.manifest import Training, sha256_of
from worker.training.composition import Composer
from worker.training.config import RUNS, BatchMix, TrainingConfig
from worker.training.data import Pictures, data_hash, list_records, load_pictures
from worker.training.export import current_commit, export
from worker.training.finish import finish
from worker.training.holdout import validation_sets
from worker.training.loop import BEST, LAST, load_checkpoint, load_start, new_state, train

FITTED_ON = 3  # of so many training pictures one fits the input gate


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    config = _config(options)
    device = choose_device(options.device)
    run: Path = options.out
    run.mkdir(parents=True, exist_ok=True)
    if (run / LAST).exists() and not options.resume:
        print(f"{run} holds a run already. Use --resume or another --out.", file=sys.stderr)  # noqa: T201 - a command's answer
        return 2
    records = list_records(options.data)
    training = _describe(run / "run.json", config, data_hash(options.data, options.masks, records))

    def prepared(split: str, every: int = 1) -> Pictures:
        chosen = [record for record in records if record.split == split][::every]
        return load_pictures(options.data, options.masks, chosen, config.canvas)

    sets = validation_sets(prepared("val"), config.size)
    state = new_state(config, device)
    if options.start:
        load_start(state, options.start)
    if options.resume and (run / LAST).exists():
        load_checkpoint(state, config, run / LAST)
    if not options.export_only:
        train(state, Composer(prepared("train"), device), sets, config, run)
    best = torch.load(run / BEST, map_location=device, weights_only=True)
    # What is shipped is what is measured: the figures are those of the half-precision weights.
    state.average.load_state_dict({name: _halved(value) for name, value in best["average"].items()})
    made = finish(state.average, sets, prepared("train", every=FITTED_ON), prepared("val"), training, device)
    manifest = export(state.average, options.export, options.name, options.version, made)
    print(manifest.model_dump_json(indent=2, include={"metrics", "engines", "band", "gate"}))  # noqa: T201 - a command's answer
    return 0


def _describe(path: Path, config: TrainingConfig, data_sha256: str) -> Training:
    """What this run is made from; a run that goes on, or is exported, is still the one that was begun."""
    if path.is_file():
        begun = Training.model_validate_json(path.read_text(encoding="utf-8"))
        if begun.config == config.as_dict() and begun.data_sha256 == data_sha256:
            return begun
    training = Training(
        commit=current_commit(),
        seed=config.seed,
        epochs=config.epochs,
        data_sha256=data_sha256,
        config=config.as_dict(),
    )
    path.write_text(training.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return training


def _config(options: argparse.Namespace) -> TrainingConfig:
    base = RUNS[options.run]
    chosen = {name: getattr(options, name) for name in ("size", "canvas", "epochs", "steps", "seed")}
    given = {name: value for name, value in chosen.items() if value is not None}
    config = replace(base, **given, **dict(options.set))
    return replace(
        config,
        first_size=min(config.size, config.first_size),
        start_sha256=sha256_of(options.start) if options.start else "",
    )


def _halved(value: torch.Tensor) -> torch.Tensor:
    return value.half().to(value.dtype) if value.is_floating_point() else value


def _setting(text: str) -> tuple[str, Any]:
    """`name=JSON` -> a field of `TrainingConfig` and its value."""
    name, _, value = text.partition("=")
    if name not in TrainingConfig.__dataclass_fields__:
        raise argparse.ArgumentTypeError(f"{name} is no field of the configuration")
    try:
        found = json.loads(value)
        return name, BatchMix(**found) if isinstance(found, dict) else found
    except (json.JSONDecodeError, TypeError):
        raise argparse.ArgumentTypeError(f"{value} is no value for {name}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker.training", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of class folders")
    parser.add_argument(
        "--masks", type=Path, required=True, help="folder of class folders with PNG masks of the same names"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the log")
    parser.add_argument("--export", type=Path, default=Path("model_weights"), help="folder of the result")
    parser.add_argument(
        "--run", choices=RUNS, default="first", help="which configuration; the later ones take --start"
    )
    parser.add_argument("--name", default="resnet18-local-evidence")
    parser.add_argument("--version", default="1.0.0")
    parser.add_argument(
        "--start",
        type=Path,
        metavar="CHECKPOINT",
        help="begin with the weights of an earlier run's last.pt, or with exported .safetensors",
    )
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--steps", type=int, help="per epoch")
    parser.add_argument("--size", type=int, help="px, a multiple of 32")
    parser.add_argument("--canvas", type=int, help="px, about 1.25 times the size")
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=JSON",
        help='any other field of the configuration: learning_rate=4e-4, mix={"tumour": 16, …}',
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--resume", action="store_true", help="go on from the last finished epoch")
    parser.add_argument("--export-only", action="store_true", help="export the best checkpoint so far")
    return parser


if __name__ == "__main__":
    sys.exit(main())
