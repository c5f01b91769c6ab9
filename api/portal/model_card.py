"""The model's card as the page about the system shows it, from the files beside the weights.

The API needs no weights, so that its image may lack the folder: then there is no card, and the page says so.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.portal.language import mark

MANIFEST, METRICS, CARD = "manifest.json", "metrics.json", "MODEL_CARD.md"
FIGURES = {  # of METRICS, in this order
    "auc": mark("AUC"),
    "accuracy": mark("Accuracy"),
    "sensitivity": mark("Sensitivity"),
    "specificity": mark("Specificity"),
    "ece": mark("Calibration error"),
    "brier": mark("Brier score"),
    "four_class_accuracy": mark("Accuracy of the tumour type"),
    "needs_review": mark("Share left to a radiologist"),
    "accuracy_without_review": mark("Accuracy of the others"),
    "rejected": mark("Share rejected as no brain MRI"),
    "pointing_game": mark("Heatmap's peak inside the tumour"),
    "energy_inside_mask": mark("Heat inside the tumour"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with its interval of 95 %, over so many slices."""

    text: str
    value: float
    low: float
    high: float
    slices: int


@dataclass(frozen=True, slots=True)
class ModelCard:
    """`limits`: sentences of the written card, in English."""

    name: str
    version: str
    architecture: str
    preprocessing: str
    input_side: int
    classes: list[str]
    weights_sha256: str
    code: str
    data_sha256: str
    engine: str
    slices: int
    groups: int
    figures: list[Figure]
    calibration_scale: float
    calibration_offset: float
    review_low: float
    review_high: float
    gate_threshold: float | None
    limits: list[str]

    @property
    def model(self) -> str:
        """As workers name it in their heartbeats."""
        return f"{self.name} {self.version}"


def read(folder: Path) -> ModelCard | None:
    """The card; None where the folder has none that is whole."""
    try:
        manifest, metrics = (json.loads((folder / name).read_text("utf-8")) for name in (MANIFEST, METRICS))
        written = (folder / CARD).read_text("utf-8")
        return _card(manifest, metrics, written)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _card(manifest: dict[str, Any], metrics: dict[str, Any], written: str) -> ModelCard:
    training, calibration, band = manifest["training"], manifest["calibration"], manifest["band"]
    return ModelCard(
        name=manifest["name"],
        version=manifest["version"],
        architecture=manifest["architecture"],
        preprocessing=manifest["preprocessing_version"],
        input_side=manifest["input_size"],
        classes=manifest["classes"],
        weights_sha256=manifest["weights_sha256"],
        code=training["commit"],
        data_sha256=training["data_sha256"],
        engine=f"{metrics['model']['engine']} ({metrics['model']['device']})",
        slices=metrics["n"],
        groups=metrics["groups"],
        figures=_figures(metrics["figures"]),
        calibration_scale=calibration["scale"],
        calibration_offset=calibration["offset"],
        review_low=band["low"],
        review_high=band["high"],
        gate_threshold=manifest["gate"]["threshold"] if manifest.get("gate") else None,
        limits=_bullets(written, "## Limits"),
    )


def _figures(measured: dict[str, Any]) -> list[Figure]:
    found = ((text, measured[name]) for name, text in FIGURES.items() if name in measured)
    return [Figure(text, of["value"], of["low"], of["high"], of["n"]) for text, of in found]


def _bullets(written: str, heading: str) -> list[str]:
    """The points of one section of a Markdown text, each in one line."""
    section = written.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return [" ".join(point.split()) for point in f"\n{section}".split("\n- ")[1:]]
