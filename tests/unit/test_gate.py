"""The input gate: its file, its verdicts in the shipped model, and what predictions make of them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.errors import ModelFileError
from shared.images import read_grey
from shared.results import NEEDS_REVIEW
from worker.inference import Predictor
from worker.inference.answers import Answers
from worker.inference.gate import Gate
from worker.inference.manifest import MANIFEST_NAME, Band, Calibration, read_manifest
from worker.preprocessing import prepare
from worker.training.non_mri import FAMILIES, crops, drawn, photographs

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "model_weights"


@pytest.fixture(scope="module", params=["openvino", "openvino-int8"])
def shipped(request):
    return Predictor.load(MODEL, device="cpu", engine=request.param)


@pytest.fixture
def folder(tmp_path):
    """A copy of the shipped model that a test may spoil."""
    return shutil.copytree(MODEL, tmp_path / "model")


def inputs(pictures, size):
    return [prepare(picture.convert("L"), size).pixels for picture in pictures]


def rejected(predictor, pictures):
    predictions = predictor.predict(inputs(pictures, predictor.manifest.input_size))
    return [prediction.rejection is not None for prediction in predictions]


def test_phantoms_are_taken_for_brain_mris(shipped):
    pictures = [read_grey(path.read_bytes()) for path in sorted((ROOT / "samples").glob("*.png"))]
    assert len(pictures) == 8
    assert not any(rejected(shipped, pictures))


def test_other_pictures_are_rejected_with_a_reason_and_a_score(shipped):
    """Pictures drawn and cropped with a seed that the fit did not use."""
    rng = np.random.default_rng(2024)
    pictures = [picture for family in drawn(4, rng).values() for picture in family]
    pictures += [part for whole in photographs().values() for part in crops(whole, 2, rng)]
    assert len(pictures) == 4 * len(FAMILIES) + 2 * len(photographs()) > 80
    assert np.mean(rejected(shipped, pictures)) >= 0.95
    rejection = shipped.predict(inputs([Image.new("L", (200, 200), 90)], shipped.manifest.input_size))[
        0
    ].rejection
    assert "brain MRI" in rejection.reason
    assert shipped.manifest.gate.threshold < rejection.score <= 1


@pytest.mark.real_data
def test_few_real_slices_are_rejected(shipped):
    folder = ROOT.parent / "shared" / "data" / "dev_samples"
    if not folder.is_dir():
        pytest.skip("the real slices are not here")
    pictures = [read_grey(path.read_bytes()) for path in sorted(folder.glob("*.jpg"))]
    assert sum(rejected(shipped, pictures)) == 0


def test_a_gate_is_read_as_it_was_written(tmp_path):
    manifest = read_manifest(MODEL)
    gate = Gate.load(MODEL / manifest.gate.file)
    gate.save(tmp_path / "gate.safetensors")
    again = Gate.load(tmp_path / "gate.safetensors")
    stages = np.random.default_rng(1).normal(1, 1, (5, 384)).astype(np.float32)
    np.testing.assert_array_equal(gate.scores(stages), again.scores(stages))
    assert np.all((gate.scores(stages) >= 0) & (gate.scores(stages) <= 1))


def test_a_missing_or_other_gate_file_stops_the_loading(folder):
    file = folder / read_manifest(folder).gate.file
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="not the file that its manifest names"):
        Predictor.load(folder, device="cpu")
    file.unlink()
    with pytest.raises(ModelFileError, match="is missing"):
        Predictor.load(folder, device="cpu")
    (folder / "weights.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelFileError, match="not this version's input gate"):
        Gate.load(folder / "weights.safetensors")


class Fixed:
    """An engine that gives each picture the tumour logit in its first pixel."""

    name, device = "fixed", "cpu"

    def run(self, batch):
        count = len(batch)
        shapes = (3,), (8, 8), (384,)
        others = (np.zeros((count, *shape), np.float32) for shape in shapes)
        return Answers(batch[:, 0, 0, 0].copy(), *others)


def with_logits(*logits):
    pictures = []
    for logit in logits:
        pixels = np.zeros((1, 160, 160), np.float32)
        pixels[0, 0, 0] = logit
        pictures.append(pixels)
    return pictures


def test_probabilities_are_calibrated_and_the_raw_one_is_kept():
    manifest = read_manifest(MODEL).model_copy(
        update={"input_size": 160, "calibration": Calibration(scale=2, offset=1), "gate": None}
    )
    first, second = Predictor(Fixed(), manifest).predict(with_logits(-0.5, 1.0))
    assert first.raw_probability == pytest.approx(1 / (1 + np.exp(0.5)))
    assert first.probability == pytest.approx(0.5)
    assert second.probability == pytest.approx(1 / (1 + np.exp(-3)))
    assert second.class_probabilities["notumor"] == pytest.approx(1 - second.probability)


def test_only_what_lies_inside_the_band_needs_review():
    manifest = read_manifest(MODEL).model_copy(
        update={
            "input_size": 160,
            "calibration": Calibration(),
            "band": Band(low=0.2, high=0.7),
            "gate": None,
        }
    )
    logits = [np.log(p / (1 - p)) for p in (0.1, 0.25, 0.5, 0.65, 0.75)]
    reviews = [prediction.review for prediction in Predictor(Fixed(), manifest).predict(with_logits(*logits))]
    assert reviews == [None, NEEDS_REVIEW, NEEDS_REVIEW, NEEDS_REVIEW, None]


def test_a_gate_that_answers_no_number_is_an_error(folder):
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    gate = Gate.load(folder / manifest["gate"]["file"])
    broken = replace(gate, bias=np.float32(np.nan))
    predictor = Predictor(Fixed(), read_manifest(folder), broken)
    size = predictor.manifest.input_size
    with pytest.raises(Exception, match="not a number"):
        predictor.predict([np.zeros((1, size, size), np.float32)])
