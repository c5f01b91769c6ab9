"""What the model says about a scan beside its word, and which model it was: for people who judge both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.portal.language import mark
from shared.models import Scan

MODEL_WORDS = {  # by key of `scans.model`, in this order; other keys follow as they are
    "name": mark("Model"),
    "version": mark("Version"),
    "weights_sha256": mark("Weights (SHA-256)"),
    "preprocessing_version": mark("Preprocessing"),
    "engine": mark("Engine"),
    "device": mark("Device"),
    "code_version": mark("Software"),
}
BAND = "inconclusive"  # [low, high] of the model's calibration; scans analysed earlier lack it
CLASS_WORDS = {
    "glioma": mark("Glioma"),
    "meningioma": mark("Meningioma"),
    "pituitary": mark("Pituitary tumour"),
    "notumor": mark("Without a tumour"),
    "tumor": mark("Tumour"),
}
_DRAWN = 0.0005  # a smaller share is no line


@dataclass(frozen=True, slots=True)
class Band:
    """Probabilities strictly between these are inconclusive."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ClassShare:
    """`text` is in the catalogue where it is a class that we know."""

    text: str
    share: float

    @property
    def is_drawn(self) -> bool:
        return self.share >= _DRAWN


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it may be missing: of rejected pictures, of rows taken over, of what is not analysed yet."""

    probability: float | None
    raw_probability: float | None
    confidence: float | None
    tumor_type: str | None
    classes: tuple[ClassShare, ...]
    band: Band | None
    rejection_reason: str | None
    rejection_score: float | None
    outside_head: float | None  # share of the heat
    flags: tuple[str, ...]
    method: str | None
    model: tuple[tuple[str, str], ...]


def evidence_of(scan: Scan) -> Evidence:
    """From the row; its evidence map is not shown."""
    rejection, explanation = scan.rejection or {}, scan.explanation or {}
    return Evidence(
        probability=scan.probability,
        raw_probability=scan.raw_probability,
        confidence=scan.confidence,
        tumor_type=_class_text(scan.tumor_type) if scan.tumor_type else None,
        classes=_classes(scan.class_probabilities or {}),
        band=_band((scan.model or {}).get(BAND)),
        rejection_reason=rejection.get("reason"),
        rejection_score=_number(rejection.get("score")),
        outside_head=_number(explanation.get("heat_outside_head")),
        flags=tuple(str(flag) for flag in explanation.get("flags", ())),
        method=explanation.get("method"),
        model=_model(scan.model or {}),
    )


def _classes(shares: Mapping[str, Any]) -> tuple[ClassShare, ...]:
    """The likeliest first."""
    numbers = {name: _number(share) for name, share in shares.items()}
    known = [ClassShare(_class_text(name), share) for name, share in numbers.items() if share is not None]
    return tuple(sorted(known, key=lambda one: -one.share))


def _class_text(name: str) -> str:
    return CLASS_WORDS.get(name, name)


def _band(said: object) -> Band | None:
    match said:
        case [int() | float() as low, int() | float() as high] if 0 <= low < high <= 1:
            return Band(float(low), float(high))
        case _:
            return None


def _model(said: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    known = [(text, str(said[key])) for key, text in MODEL_WORDS.items() if key in said]
    others = [(key, str(value)) for key, value in said.items() if key not in MODEL_WORDS and key != BAND]
    return (*known, *others)


def _number(said: object) -> float | None:
    return float(said) if isinstance(said, int | float) else None
