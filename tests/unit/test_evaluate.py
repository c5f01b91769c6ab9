"""`worker.evaluate`: figures are what a hand computes, exist where they can, and say how sure they are."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shared.errors import ModelPredictionError
from worker.evaluate import main
from worker.evaluation.answers import Answer, answer_cases
from worker.evaluation.bootstrap import LEVEL, Measure, estimates, resamples
from worker.evaluation.cases import CLASSES, Case, list_cases
from worker.evaluation.localisation import localise
from worker.evaluation.report import Bootstrap, Failure, ModelFacts, Report
from worker.evaluation.summary import summarise
from worker.evaluation.table import as_text
from worker.inference.manifest import Training
from worker.inference.network import LocalEvidenceNet
from worker.training import metrics
from worker.training.export import Made, export

ROOT = Path(__file__).resolve().parents[2]
SIZE = 64
FACTS = ModelFacts(name="made-up", version="1", weights_sha256="0" * 64, engine="torch", device="cpu")
FIGURES = {"auc", "accuracy", "sensitivity", "specificity", "ece", "raw_ece", "brier", "four_class_accuracy"}
FIGURES |= {"needs_review", "accuracy_without_review", "rejected"}
BOOTSTRAP = Bootstrap(resamples=50, seed=0, level=LEVEL)


@dataclass(frozen=True)
class Said:
    """A prediction with everything in it."""

    probability: float
    class_probabilities: dict
    evidence_map: np.ndarray
    raw_probability: float = 0.5
    review: str | None = None
    rejection: object = None


def said(probability, kind="glioma", **rest):
    classes = dict.fromkeys(CLASSES, 0.0) | {"notumor": 1 - probability, kind: probability}
    return Said(probability, classes, np.zeros((8, 8), np.float32), **rest)


def answer(label, prediction, group="", source="", ms=1.0, localisation=None):
    case = Case(f"{label}/x.png", label, source, group or label)
    return Answer(case, prediction, ms, localisation, prediction.rejection is not None)


def report_of(*outcomes, bootstrap=BOOTSTRAP):
    return summarise(FACTS, outcomes, bootstrap)


def values(estimates):
    return {name: estimate.value for name, estimate in estimates.items()}


def head(seed, *, spot=None, size=(64, 64)):
    """A grey disc with noise, at `spot` (column, row) a bright square of 10 px; and that square's mask."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[1], : size[0]]
    pixels = np.where(np.hypot(columns - size[0] / 2, rows - size[1] / 2) < 26, 100.0, 0.0)
    pixels += np.where(pixels > 0, 8 * rng.standard_normal(pixels.shape), 0)
    mask = np.zeros(pixels.shape, np.uint8)
    if spot:
        mask[spot[1] : spot[1] + 10, spot[0] : spot[0] + 10] = 255
        pixels[mask > 0] = 220
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), Image.fromarray(mask)


def write(folder, files):
    """`files`: name -> picture; their folders are made."""
    for name, image in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with an untrained model of the real architecture."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(3)
    network = LocalEvidenceNet()
    torch.nn.init.normal_(network.evidence.weight, std=0.5)
    training = Training(commit="test", seed=3, epochs=0, data_sha256="0" * 64, config={})
    export(network, folder, "tiny", "0.0.1", Made(SIZE, training, {}))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two slices of each of the four classes, masks for the first of each tumour type."""
    root = tmp_path_factory.mktemp("data")
    for label, name in enumerate(CLASSES):
        for index in range(2):
            picture, mask = head(10 * label + index, spot=None if name == "notumor" else (20, 28 + index))
            write(root / "pictures", {f"{name}/{index}.png": picture})
            if name != "notumor" and index == 0:
                write(root / "masks", {f"{name}/{index}.png": mask})
    return root


def run(capsys, *arguments):
    """Exit status and what the command wrote to standard output."""
    status = main([str(argument) for argument in arguments])
    return status, capsys.readouterr().out


def test_the_json_is_one_pure_object_with_every_figure(model, data, capsys):
    options = ["--json", "--model", model, "--device", "cpu", "--bootstrap", 20]
    status, out = run(capsys, data / "pictures", "--masks", data / "masks", *options)
    assert status == 0
    assert "NaN" not in out
    assert "null" not in out
    assert str(data) not in out, "a report says nothing about where the pictures lay"
    report = json.loads(out)
    assert (report["n"], report["groups"], report["n_failed"], report["failed"]) == (8, 8, 0, [])
    assert set(report["figures"]) == FIGURES | {"pointing_game", "energy_inside_mask", "best_iou"}
    assert set(report["recall"]) == set(CLASSES)
    assert report["figures"]["pointing_game"]["n"] == 3
    assert report["figures"]["sensitivity"]["groups"] == 6
    assert {"low", "high"} <= set(report["figures"]["auc"])
    assert report["accuracy_by_source"] == {}, "without a manifest nobody knows the sources"
    assert report["model"]["name"] == "tiny"
    assert len(report["model"]["weights_sha256"]) == 64
    assert report["ms_per_picture"]["mean"] > 0
    assert sum(bar["count"] for bar in report["calibration_curve"]) == 8
    assert (report["roc"][0], report["roc"][-1]) == ([0, 0], [1, 1])


def test_equal_calls_give_equal_figures_and_the_batch_size_does_not_matter(model, data, capsys):
    reports = [
        json.loads(run(capsys, data / "pictures", "--json", "--model", model, "--batch-size", size)[1])
        for size in (1, 5, 5)
    ]
    for report in reports:
        report.pop("ms_per_picture")
    assert reports[1] == reports[2]
    for name, figure in reports[0]["figures"].items():
        assert figure["value"] == pytest.approx(reports[1]["figures"][name]["value"], abs=1e-4)


def test_without_json_a_table_is_printed(model, data, capsys):
    status, out = run(capsys, data / "pictures", "--model", model, "--bootstrap", 20)
    assert status == 0
    assert out.startswith("tiny 0.0.1, openvino on cpu\n")
    assert "AUC" in out
    assert "recall, meningioma" in out


def test_unreadable_files_are_listed_and_do_not_end_the_run(model, tmp_path, capsys):
    picture, _ = head(1)
    write(tmp_path, {"tumor/good.png": picture, "notumor/good.png": picture})
    (tmp_path / "tumor" / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "tumor" / "notes.txt").write_text("not a picture at all")
    status, out = run(capsys, tmp_path, "--json", "--model", model, "--bootstrap", 5)
    report = json.loads(out)
    assert status == 0
    assert (report["n"], report["n_failed"]) == (2, 1)
    assert [failure["file"] for failure in report["failed"]] == ["tumor/bad.jpg"]
    assert report["failed"][0]["code"] == "FILE_UPLOAD_ERROR"


def test_a_folder_without_any_usable_picture_has_no_figures(model, tmp_path, capsys):
    (tmp_path / "tumor").mkdir()
    (tmp_path / "tumor" / "bad.png").write_bytes(b"no picture")
    status, out = run(capsys, tmp_path, "--json", "--model", model)
    assert status == 2
    assert (json.loads(out)["n"], json.loads(out)["n_failed"]) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "not a folder"),
        ([".", "--masks", "nowhere"], "not a folder"),
        (["."], "There are no pictures"),
        ([".", "--split", "val"], "manifest.csv"),
    ],
)
def test_a_wrong_call_is_one_line(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # names in the call are relative to the folder where it is made
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert says in json.loads(captured.err.strip().splitlines()[-1])["reason"]
    assert captured.out == ""


def test_wrong_calls_need_no_pytorch():
    script = "import sys, worker.evaluate as e; e.main(['nowhere']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_a_wrong_model_folder_is_one_line(data, tmp_path, capsys):
    assert main([str(data / "pictures"), "--model", str(tmp_path)]) == 2
    assert "reason" in json.loads(capsys.readouterr().err.strip().splitlines()[-1])


def test_without_a_manifest_each_file_is_its_own_group(tmp_path):
    picture, _ = head(0)
    write(tmp_path, {"notumor/a.png": picture, "tumor/b.png": picture, "tumor/deep/c.png": picture})
    cases = list_cases(tmp_path)
    assert [(case.file, case.label, case.is_tumour) for case in cases] == [
        ("notumor/a.png", "notumor", False),
        ("tumor/b.png", "tumor", True),
        ("tumor/deep/c.png", "tumor", True),
    ]
    assert len({case.group for case in cases}) == 3


def test_the_manifest_gives_groups_and_sources_and_the_split_chooses(tmp_path):
    (tmp_path / "manifest.csv").write_text(
        "file,class,split,source,group,plane\n"
        "a.png,glioma,val,here,g1,axial\n"
        "b.png,notumor,train,there,g2,axial\n"
        "c.png,notumor,val,there,,axial\n"
    )
    assert list_cases(tmp_path, "val") == [
        Case("a.png", "glioma", "here", "g1"),
        Case("c.png", "notumor", "there", "c.png"),
    ]
    assert len(list_cases(tmp_path)) == 3
    with pytest.raises(ValueError, match="split 'test'"):
        list_cases(tmp_path, "test")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,class\na.png,oedema\n", "oedema"),
        ("name,class\na.png,glioma\n", "lacks the column file"),
        ("file,class\na.png,glioma\nb.png,tumor\n", "cannot stand beside types"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(tmp_path, text, says):
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(ValueError, match=says):
        list_cases(tmp_path)


def test_known_answers_give_figures_that_a_hand_computes():
    report = report_of(
        answer("glioma", said(0.9, raw_probability=0.7), source="a"),
        answer("glioma", said(0.4, raw_probability=0.7), source="a"),
        answer("meningioma", said(0.5, "glioma", raw_probability=0.7, review="needs_review"), source="b"),
        answer("notumor", said(0.2, raw_probability=0.7), source="b"),
        answer("notumor", said(0.6, raw_probability=0.7, rejection=object()), source="b"),
    )
    assert values(report.figures) == pytest.approx(
        {
            "auc": 4 / 6,  # 0.9 beats both, 0.4 and 0.5 beat 0.2 only
            "accuracy": 3 / 5,
            "sensitivity": 2 / 3,
            "specificity": 1 / 2,
            "ece": (0.1 + 0.6 + 0.5 + 0.2 + 0.6) / 5,  # each in a bin of its own
            "brier": (0.01 + 0.36 + 0.25 + 0.04 + 0.36) / 5,
            "raw_ece": 0.1,
            "four_class_accuracy": 2 / 5,
            "needs_review": 1 / 5,
            "accuracy_without_review": 2 / 4,
            "rejected": 1 / 5,
        },
        abs=1e-6,
    )
    assert values(report.recall) == {"glioma": 0.5, "meningioma": 0.0, "notumor": 0.5}
    assert values(report.accuracy_by_source) == pytest.approx({"a": 1 / 2, "b": 2 / 3}, abs=1e-6)
    assert report.classes == {"glioma": 2, "meningioma": 1, "notumor": 2}


@pytest.mark.parametrize(
    ("labels", "absent", "recalls"),
    [
        (["tumor", "notumor"], {"four_class_accuracy"}, set()),
        (["tumor"], {"auc", "specificity", "four_class_accuracy"}, set()),
        (["notumor"], {"auc", "sensitivity", "four_class_accuracy"}, set()),
        (["pituitary"], {"auc", "specificity"}, {"pituitary"}),
        (["glioma", "notumor"], set(), {"glioma", "notumor"}),
    ],
)
def test_figures_that_the_classes_do_not_allow_are_left_out(labels, absent, recalls):
    report = report_of(*(answer(label, said(0.8), group=f"{label}{n}") for label in labels for n in "12"))
    assert set(report.figures) == FIGURES - absent
    assert set(report.recall) == recalls
    assert bool(report.roc) == ("auc" not in absent)
    assert "NaN" not in report.model_dump_json()


def test_a_model_that_knows_no_types_gets_no_figures_of_types():
    untyped = Said(0.8, {"tumor": 0.8, "notumor": 0.2}, np.zeros((7, 7), np.float32))
    report = report_of(answer("glioma", untyped), answer("notumor", untyped))
    assert "four_class_accuracy" not in report.figures
    assert report.recall == {}
    assert report.figures["accuracy"].value == 0.5


def test_milliseconds_are_summarised_over_pictures():
    report = report_of(*(answer("tumor", said(0.8), ms=float(ms)) for ms in range(101)))
    assert (report.ms_per_picture.mean, report.ms_per_picture.p95) == (50, 95)


def test_the_text_names_failures_and_reads_without_intervals():
    failure = Failure(file="tumor/bad.png", error="No picture.", code="FILE_UPLOAD_ERROR")
    text = as_text(
        report_of(answer("tumor", said(0.8)), failure, bootstrap=Bootstrap(resamples=0, seed=0, level=LEVEL))
    )
    assert "tumor/bad.png: No picture." in text
    assert ".." not in text
    assert "1 failed" in text


def test_a_report_survives_its_json():
    report = report_of(answer("glioma", said(0.8)), answer("notumor", said(0.3)))
    assert Report.model_validate_json(report.model_dump_json(exclude_none=True)) == report


def test_groups_are_drawn_whole():
    groups = ["a", "a", "b", "c", "c", "c"]
    for rows in resamples(groups, 50, seed=1):
        times = np.bincount(rows, minlength=6)
        assert times[0] == times[1]
        assert times[3] == times[4] == times[5]
        assert times[0] + times[2] + times[3] == 3
    assert [rows.tolist() for rows in resamples(groups, 5, seed=1)] == [
        rows.tolist() for rows in resamples(groups, 5, seed=1)
    ]


def test_an_interval_widens_when_pictures_come_in_groups():
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(40) < 0.8, 10)
    measure = Measure("figures", "accuracy", np.ones(400, bool), lambda rows: float(right[rows].mean()))
    alone = estimates([measure], [str(n) for n in range(400)], 500, 0)["figures"]["accuracy"]
    grouped = estimates([measure], [str(n // 10) for n in range(400)], 500, 0)["figures"]["accuracy"]
    assert alone.low < alone.value < alone.high
    assert alone.value == grouped.value
    ratio = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert 2.2 < ratio < 4.2, "groups of ten equal pictures are worth one picture each: sqrt(10)"
    assert (alone.groups, grouped.groups) == (400, 40)


def test_draws_without_the_figure_do_not_spoil_the_interval_and_one_group_has_none():
    report = report_of(
        answer("tumor", said(0.9), group="one"),
        answer("tumor", said(0.7), group="two"),
        answer("notumor", said(0.2), group="three"),
    )
    assert (report.figures["auc"].low, report.figures["auc"].high) == (1, 1)
    specificity = report.figures["specificity"]
    assert (specificity.value, specificity.low, specificity.groups) == (1, None, 1)


def test_a_map_that_is_the_mask_points_at_it_and_overlaps_with_it():
    grid = np.zeros((8, 8), np.float32)
    grid[2:4, 2:4] = 1.0
    mask = np.kron(grid, np.ones((8, 8), np.float32))
    place = localise(grid, mask)
    assert place.peak_inside
    assert place.energy_inside > 0.7
    assert place.overlaps.max() > 0.8
    assert not localise(grid[::-1, ::-1].copy(), mask).peak_inside
    assert localise(grid, np.zeros((64, 64), np.float32)) is None


def test_masks_follow_the_crop_of_their_picture(tmp_path):
    """A head far off the middle of a large picture: the map must be compared inside the crop."""
    picture, mask = head(3, spot=(20, 36))
    wide, wide_mask = Image.new("L", (200, 160)), Image.new("L", (200, 160))
    wide.paste(picture, (120, 70))
    wide_mask.paste(mask, (120, 70))
    write(tmp_path / "pictures", {"tumor/a.png": wide})
    write(tmp_path / "masks", {"tumor/a.png": wide_mask})

    class Brightest:
        """Its map shows the brightest cells of what it was given."""

        def predict(self, inputs):
            cells = [pixels[0].reshape(8, 8, 8, 8).mean(axis=(1, 3)) for pixels in inputs]
            return [
                Said(0.9, said(0.9).class_probabilities, np.clip(cell - 1, 0, 1).astype(np.float32))
                for cell in cells
            ]

    cases = list_cases(tmp_path / "pictures")
    found = list(answer_cases(Brightest(), SIZE, cases, tmp_path / "pictures", tmp_path / "masks", 4))
    assert found[0].localisation.peak_inside
    assert found[0].localisation.overlaps.max() > 0.5
    figures = report_of(*found).figures
    assert (figures["pointing_game"].value, figures["pointing_game"].n) == (1, 1)


def test_a_mask_that_cannot_be_used_is_listed_and_its_picture_still_counts(tmp_path):
    picture, mask = head(3, spot=(20, 30))
    write(tmp_path / "pictures", {f"tumor/{name}.png": picture for name in "abcd"})
    write(
        tmp_path / "masks",
        {"tumor/a.png": mask.resize((32, 32)), "tumor/b.png": Image.new("L", (64, 64))},
    )
    (tmp_path / "masks" / "tumor" / "c.png").write_bytes(b"no picture")
    cases = list_cases(tmp_path / "pictures")
    found = list(answer_cases(Always(), SIZE, cases, tmp_path / "pictures", tmp_path / "masks", 4))
    report = report_of(*found)
    assert report.n == 4
    assert [failure.file for failure in report.masks_failed] == ["tumor/a.png", "tumor/c.png"]
    assert "pointing_game" not in report.figures, "an empty mask and a missing one say nothing"
    assert report.best_iou_threshold is None


def test_one_threshold_serves_all_maps_and_the_best_is_named():
    grid = np.kron(np.eye(2), np.ones((4, 4))).astype(np.float32)  # (8, 8)
    mask = np.kron(grid, np.ones((8, 8), np.float32))  # (64, 64)
    places = [localise(0.3 * grid, mask), localise(0.8 * grid, mask)]
    report = report_of(
        *(answer("tumor", said(0.9), group=str(n), localisation=p) for n, p in enumerate(places))
    )
    together = (places[0].overlaps + places[1].overlaps) / 2
    assert report.figures["best_iou"].value == pytest.approx(together.max(), abs=1e-6)
    assert report.best_iou_threshold == pytest.approx((together.argmax() + 1) / 100)
    assert report.best_iou_threshold < 0.3


class Always:
    """A model that says the same of every picture."""

    def predict(self, inputs):
        return [said(0.9) for _ in inputs]


def test_a_picture_that_the_model_cannot_answer_fails_alone_and_the_order_is_kept(tmp_path):
    class Fussy:
        def predict(self, inputs):
            if any(pixels.max() == pixels.min() for pixels in inputs):
                raise ModelPredictionError("made-up failure")
            return [said(0.9) for _ in inputs]

    pictures = {f"tumor/{name}.png": head(n)[0] for n, name in enumerate("acd")}
    write(tmp_path, pictures | {"tumor/b.png": Image.new("L", (64, 64))})
    (tmp_path / "tumor" / "e.png").write_bytes(b"no picture")
    found = list(answer_cases(Fussy(), SIZE, list_cases(tmp_path), tmp_path, None, 16))
    files = [item.file if isinstance(item, Failure) else item.case.file for item in found]
    assert files == [f"tumor/{name}.png" for name in "abcde"]
    assert [isinstance(item, Failure) for item in found] == [False, True, False, False, True]


def test_the_calibration_curve_leaves_empty_bins_out():
    curve = metrics.calibration_curve(np.array([0.05, 0.05, 1.0]), np.array([False, True, True]), bins=10)
    assert curve.score.tolist() == pytest.approx([0.05, 1.0])
    assert curve.observed.tolist() == [0.5, 1.0]
    assert curve.pictures.tolist() == [2, 1]


def test_the_roc_curve_keeps_its_corners_and_its_area():
    rng = np.random.default_rng(5)
    truth = rng.random(200) < 0.4
    scores = np.round(np.clip(rng.normal(0.4 + 0.3 * truth, 0.2), 0, 1), 2)  # with ties
    points = metrics.roc_curve(scores, truth)
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(metrics.auc(scores, truth))
    perfect = metrics.roc_curve(np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, False]))
    assert perfect.tolist() == [[0, 0], [0, 1], [1, 1]]


def test_overlaps_agree_with_cutting_the_map_at_each_threshold():
    rng = np.random.default_rng(6)
    grid, mask = rng.random((8, 8)), np.zeros((64, 64))
    mask[10:30, 20:44] = 1
    thresholds = np.array([0.1, 0.4, 0.95])
    large = metrics.enlarge(grid, 64)
    expected = [((large >= t) & (mask > 0.5)).sum() / ((large >= t) | (mask > 0.5)).sum() for t in thresholds]
    assert metrics.overlaps(grid, mask, thresholds).tolist() == pytest.approx(expected)
