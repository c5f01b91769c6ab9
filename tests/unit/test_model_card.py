"""The model card: numbers from two JSON files, prose from a template, nothing left to fill in."""

import json
import re
from string import Template

import pytest
from PIL import Image

from worker.evaluation.report import Report
from worker.inference.manifest import read_manifest
from worker.training.model_card import TEMPLATE, main, values

SHA = "a" * 64
MANIFEST = {
    "name": "tiny",
    "version": "0.0.1",
    "architecture": "resnet18-local-evidence",
    "head": {"channels": 96.0},
    "classes": ["glioma", "meningioma", "pituitary", "notumor"],
    "input_size": 64,
    "preprocessing_version": "head-crop-2",
    "pixel_mean": 0.35,
    "pixel_std": 0.25,
    "weights_file": "tiny.safetensors",
    "weights_sha256": SHA,
    "training": {"commit": "c0ffee", "seed": 3, "epochs": 2, "data_sha256": "b" * 64, "config": {}},
    "metrics": {"recontrasted": {"auc": 0.8765, "accuracy": 0.7}, "moved": {"sensitivity": 0.4321}},
    "engines": {"openvino-int8": {"auc": 0.9123, "largest_change": 0.0312}},
    "band": {"low": 0.25, "high": 0.875},
    "gate": {
        "file": "gate.safetensors",
        "sha256": SHA,
        "threshold": 0.625,
        "figures": {"val_rejected": 0.0042, "other_pictures_rejected_when_kind_unseen": {"noise": 0.9871}},
    },
}
ESTIMATE = {"value": 0.9, "low": 0.81, "high": 0.97, "n": 40, "groups": 11}
REPORT = {
    "model": {"name": "tiny", "version": "0.0.1", "weights_sha256": SHA, "engine": "torch", "device": "cpu"},
    "split": "val",
    "threshold": 0.5,
    "n": 60,
    "groups": 17,
    "classes": {"glioma": 40, "notumor": 20},
    "n_failed": 2,
    "failed": [],
    "bootstrap": {"resamples": 10, "seed": 0, "level": 0.95},
    "figures": {
        "auc": ESTIMATE | {"value": 0.9876},
        "sensitivity": ESTIMATE,
        "specificity": {"value": 0.75, "n": 20, "groups": 1},
    },
    "recall": {"glioma": ESTIMATE, "notumor": {"value": 0.75, "n": 20, "groups": 1}},
    "accuracy_by_source": {"here": ESTIMATE},
    "best_iou_threshold": 0.41,
    "calibration_curve": [
        {"score": 0.1, "observed": 0.2, "count": 20},
        {"score": 0.9, "observed": 0.8, "count": 40},
    ],
    "roc": [[0, 0], [0.1, 0.9], [1, 1]],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    (tmp_path / "metrics.json").write_text(json.dumps(REPORT))
    return tmp_path


def edit(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def card_of(folder):
    assert main([str(folder)]) == 0
    return (folder / "MODEL_CARD.md").read_text()


def test_the_card_holds_the_numbers_of_both_files(folder):
    card = card_of(folder)
    assert card.startswith("# Model card: tiny 0.0.1\n")
    for row in (
        "| AUC | 0.988 | 0.810 to 0.970 | 40 | 11 |",
        "| specificity | 0.750 |  | 20 | 1 |",
        "| recall, notumor | 0.750 |  | 20 | 1 |",
        "| accuracy, here | 0.900 | 0.810 to 0.970 | 40 | 11 |",
        "| contrasts remapped and inverted | 0.876 | 0.700 |  |",
        "| tumours moved into healthy slices |  |  | 0.432 |",
        "| `openvino-int8` | 0.912 | 0.031 |",
        "| validation slices | 0.004 |",
        "| noise, when left out of the fit | 0.987 |",
    ):
        assert row in card
    assert "60 slices of the split `val` in 17 groups (glioma 40, notumor 20); 2 files" in card
    assert "cut at 0.41" in card
    assert "between 0.250 and 0.875 are marked" in card
    assert "above 0.625 are rejected" in card
    assert SHA in card
    assert "c0ffee" in card


def test_no_placeholder_is_left_and_no_value_goes_unused(folder):
    assert "$" not in card_of(folder)
    manifest, report = read_manifest(folder), Report.model_validate(REPORT)
    template = Template(TEMPLATE.read_text())
    assert template.is_valid()
    assert set(template.get_identifiers()) == set(values(manifest, report, {}))


def test_every_table_has_cells_under_each_of_its_heads(folder):
    tables = re.findall(r"(?:^\|.*\|$\n?)+", card_of(folder), re.MULTILINE)
    assert len(tables) >= 8
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_the_charts_lie_where_the_card_says_and_are_pictures(folder):
    paths = re.findall(r"!\[.+?\]\((.+?)\)", card_of(folder))
    assert paths == ["figures/reliability.png", "figures/roc.png", "figures/recall.png"]
    for path in paths:
        with Image.open(folder / path) as chart:
            assert min(chart.size) > 300


def test_charts_without_numbers_are_neither_shown_nor_left_from_before(folder):
    card_of(folder)
    edit(folder, "metrics.json", roc=[], recall={}, figures={"accuracy": ESTIMATE})
    assert re.findall(r"\]\((figures/.+?)\)", card_of(folder)) == ["figures/reliability.png"]
    assert [path.name for path in (folder / "figures").iterdir()] == ["reliability.png"]


def test_equal_files_give_an_equal_card_and_equal_charts(folder):
    first = card_of(folder), (folder / "figures" / "roc.png").read_bytes()
    assert (card_of(folder), (folder / "figures" / "roc.png").read_bytes()) == first


def test_a_model_without_gate_engines_and_made_sets_has_a_card_too(folder):
    edit(folder, "manifest.json", metrics={}, engines={}, gate=None, band={})
    card = card_of(folder)
    assert "marked for review" not in card
    assert "are rejected" not in card


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("metrics.json", {"model": REPORT["model"] | {"weights_sha256": "f" * 64}}, "other weights"),
        ("metrics.json", {"surprise": 1}, "no report of this version"),
        ("manifest.json", {"surprise": 1}, "surprise"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line(folder, capsys, name, changes, says):
    edit(folder, name, **changes)
    assert main([str(folder)]) == 2
    assert says in json.loads(capsys.readouterr().err)["reason"]
    assert not (folder / "MODEL_CARD.md").exists()


@pytest.mark.parametrize("name", ["metrics.json", "manifest.json"])
def test_a_missing_file_is_named(folder, capsys, name):
    (folder / name).unlink()
    assert main([str(folder)]) == 2
    assert name in json.loads(capsys.readouterr().err)["reason"]


def test_the_template_names_nothing_outside_the_repository():
    text = TEMPLATE.read_text()
    assert not re.search(r"/work|/home|/tmp|pypi|issue", text, re.IGNORECASE)
