"""`worker.training`: runs reproduce and resume, samples are what their labels say, figures are right."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from worker.inference import Predictor
from worker.inference.answers import CLASSES
from worker.inference.manifest import sha256_of
from worker.inference.weights import save_weights
from worker.training import gate, metrics
from worker.training.__main__ import main
from worker.training.augmentation import augment, plain
from worker.training.blending import feather, paste
from worker.training.calibration import calibrate, choose_band, fit
from worker.training.composition import Composer
from worker.training.config import BatchMix, TrainingConfig
from worker.training.data import data_hash, list_records, load_pictures
from worker.training.export import rounded
from worker.training.loop import (
    LAST,
    kinds,
    learning_rate,
    load_checkpoint,
    load_start,
    make_batch,
    new_state,
    run_epoch,
    save_checkpoint,
)

CONFIG = TrainingConfig(
    size=32,
    first_size=32,
    canvas=40,
    epochs=2,
    steps=2,
    mix=BatchMix(3, 2, 2, 1),
    late_mix=BatchMix(3, 1, 3, 1),
    warmup_epochs=0.5,
    seed=11,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of generated heads, bright spots in those with a tumour, with masks and a manifest.csv."""
    root = tmp_path_factory.mktemp("data")
    rows = ["file,class,split,source,group,plane"]
    for label, name in enumerate(CLASSES):
        (root / "pictures" / name).mkdir(parents=True)
        (root / "masks" / name).mkdir(parents=True)
        for index in range(5):
            picture, mask = _slice(10 * label + index, tumour=name != "notumor")
            picture.save(root / "pictures" / name / f"{index}.png")
            if name != "notumor" and index != 0:  # the first of each type has no mask
                mask.save(root / "masks" / name / f"{index}.png")
            split = "val" if index == 4 else "train"
            rows.append(f"{name}/{index}.png,{name},{split},made,g{label}{index},axial")
    (root / "pictures" / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


def _slice(seed, *, tumour):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:64, :64]
    picture = np.where(np.hypot(columns - 32, rows - 32) < 26, 100 + 10 * rng.standard_normal((64, 64)), 0)
    mask = np.hypot(columns - 22, rows - rng.integers(26, 38)) < 6
    if tumour:
        picture[mask] = 220
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)), Image.fromarray(mask)


@pytest.fixture(scope="module")
def pictures(data):
    records = [r for r in list_records(data / "pictures") if r.split == "train"]
    return load_pictures(data / "pictures", data / "masks", records, CONFIG.canvas)


@pytest.fixture(scope="module")
def composer(pictures):
    return Composer(pictures)


def weights(state):
    return torch.cat([p.detach().flatten() for p in state.average.parameters()])


def test_masks_follow_their_pictures_and_missing_ones_are_known(pictures):
    assert len(pictures) == 16
    assert pictures.has_mask.sum() == 9
    bright = pictures.levelled > 200
    covered = (bright & (pictures.masks > 127))[pictures.has_mask].sum() / bright[pictures.has_mask].sum()
    assert covered > 0.8


def test_without_a_manifest_equal_files_are_on_the_same_side(tmp_path):
    (tmp_path / "glioma").mkdir()
    for index in range(40):
        picture, _ = _slice(index // 2, tumour=True)
        picture.save(tmp_path / "glioma" / f"{index}.png")
    records = list_records(tmp_path)
    by_group = {}
    for record in records:
        by_group.setdefault(record.group, set()).add(record.split)
    assert len(records) == 40
    assert len(by_group) == 20
    assert all(len(splits) == 1 for splits in by_group.values())
    assert {record.split for record in records} == {"train", "val"}
    assert list_records(tmp_path) == records


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="No pictures"):
        list_records(tmp_path)


def test_the_data_hash_changes_with_a_mask(data):
    records = list_records(data / "pictures")
    with_masks = data_hash(data / "pictures", data / "masks", records)
    assert with_masks == data_hash(data / "pictures", data / "masks", records)
    assert with_masks != data_hash(data / "pictures", None, records)


def test_every_kind_of_sample_has_the_label_and_map_that_it_claims(composer):
    rng = np.random.default_rng(2)
    samples = [composer.draw(kind, rng) for kind in kinds(BatchMix(8, 8, 8, 8))]
    composed = composer.compose(samples, rng)
    assert composed.is_tumour.tolist() == [1.0] * 16 + [0.0] * 16
    amounts = composed.tumour.sum(dim=(1, 2, 3))
    assert (amounts[8:16] > 3).all()
    assert (amounts[16:] == 0).all()
    for sample, amount, known in zip(samples[:8], amounts[:8], composed.has_map[:8], strict=True):
        assert known == float(composer.pictures.has_mask[sample.base])
        assert (amount > 3) == bool(known)
    assert (composed.types[:8] >= 0).all()
    assert (composed.types[8:] == -1).all()
    assert composed.pixels.min() >= 0
    assert composed.pixels.max() <= 1


def test_a_removed_tumour_is_gone_and_a_transplanted_one_is_visible(composer):
    rng = np.random.default_rng(4)
    removed = [composer.draw("removed", rng) for _ in range(16)]
    own = torch.from_numpy(composer.pictures.masks[[s.base for s in removed]] > 127)
    before = torch.from_numpy(composer.pictures.levelled[[s.base for s in removed]])[own].float().mean() / 255
    after = composer.compose(removed, rng).pixels[:, 0][own].mean()
    assert before - after > 0.2
    moved = [composer.draw("transplanted", rng) for _ in range(16)]
    composed = composer.compose(moved, rng)
    original = torch.from_numpy(composer.pictures.levelled[[s.base for s in moved]])[:, None] / 255
    change = (composed.pixels - original).abs()
    assert change[composed.tumour > 0.5].mean() > 0.05


def test_pasting_nothing_changes_nothing_and_an_equal_piece_leaves_no_seam():
    torch.manual_seed(0)
    target = torch.rand(2, 1, 32, 32) * 0.5 + 0.25
    ones, none = torch.ones(2), torch.zeros(2)
    same = paste(target, target.flip(0), torch.zeros(2, 1, 16, 16), ones, none)
    torch.testing.assert_close(same, target)
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, 10:20, 10:20] = 1
    brighter = paste(target, target + 0.2, feather(mask, 2 * ones), ones, none)
    torch.testing.assert_close(brighter, target, atol=0.02, rtol=0)


def test_augmentation_keeps_numbers_finite_and_targets_in_range(composer):
    rng = np.random.default_rng(6)
    for _ in range(5):
        batch = make_batch(composer, CONFIG, rng, 1)
        assert batch.pixels.shape == (8, 1, 32, 32)
        assert torch.isfinite(batch.pixels).all()
        assert batch.cells.shape == (8, 4, 4)
        assert 0 <= batch.cells.min() <= batch.cells.max() <= 1


def test_equal_seeds_give_equal_batches(composer):
    batches = [make_batch(composer, CONFIG, np.random.default_rng(8), 0) for _ in range(2)]
    torch.testing.assert_close(batches[0].pixels, batches[1].pixels, rtol=0, atol=0)


def test_the_target_map_covers_the_tumour_after_the_warp(composer):
    rng = np.random.default_rng(9)
    composed = composer.compose([composer.draw("transplanted", rng) for _ in range(8)], rng)
    for batch in (plain(composed, 32), augment(composed, 32, rng)):
        seen = batch.cells.sum(dim=(1, 2)) > 0
        assert seen[batch.weight > 0].all()


def test_a_run_reproduces_and_resumes_to_the_same_weights(composer, tmp_path):
    whole, again = new_state(CONFIG, "cpu"), new_state(CONFIG, "cpu")
    for state in (whole, again):
        run_epoch(state, composer, CONFIG)
        state.epoch += 1
    torch.testing.assert_close(weights(whole), weights(again), atol=1e-6, rtol=0)
    save_checkpoint(whole, CONFIG, tmp_path / LAST)
    resumed = new_state(CONFIG, "cpu")
    load_checkpoint(resumed, CONFIG, tmp_path / LAST)
    for state in (whole, resumed):
        run_epoch(state, composer, CONFIG)
    torch.testing.assert_close(weights(whole), weights(resumed), atol=1e-5, rtol=0)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    save_checkpoint(new_state(CONFIG, "cpu"), CONFIG, tmp_path / LAST)
    other = TrainingConfig(seed=12)
    with pytest.raises(ValueError, match="another configuration"):
        load_checkpoint(new_state(CONFIG, "cpu"), other, tmp_path / LAST)


@pytest.fixture
def few_other_pictures(monkeypatch):
    """The gate is fitted against a few of each kind: how well it does then is another test's question."""
    monkeypatch.setattr(gate, "_DRAWN", 3)
    monkeypatch.setattr(gate, "_CROPS", 2)


@pytest.mark.usefixtures("few_other_pictures")
def test_the_command_trains_exports_and_resumes(data, tmp_path, capsys):
    command = [str(data / "pictures"), "--masks", str(data / "masks"), "--out", str(tmp_path / "run")]
    command += ["--export", str(tmp_path / "model"), "--size", "32", "--canvas", "40", "--steps", "1"]
    command += ["--epochs", "1", "--device", "cpu"]
    assert main(command) == 0
    predictor = Predictor.load(tmp_path / "model", device="cpu")
    assert predictor.manifest.input_size == 32
    assert set(predictor.manifest.metrics) >= {"val", "broken_shortcut", "score"}
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])["epoch"] == 1
    assert main(command) == 2, "a finished run is not overwritten by accident"
    assert main([*command, "--resume"]) == 0
    assert "--resume" in capsys.readouterr().err


@pytest.mark.usefixtures("few_other_pictures")
def test_a_second_run_starts_from_the_first_ones_weights_and_says_so(data, tmp_path):
    first = new_state(CONFIG, "cpu")
    save_checkpoint(first, CONFIG, tmp_path / "first.pt")
    second = new_state(replace(CONFIG, seed=99), "cpu")
    load_start(second, tmp_path / "first.pt")
    assert torch.equal(weights(second), weights(first))
    command = [str(data / "pictures"), "--masks", str(data / "masks"), "--out", str(tmp_path / "run")]
    command += [
        "--export",
        str(tmp_path / "model"),
        "--run",
        "second",
        "--start",
        str(tmp_path / "first.pt"),
        "--size",
        "32",
        "--canvas",
        "40",
        "--steps",
        "1",
    ]
    command += ["--set", "learning_rate=4e-4", "--set", 'mix={"tumour": 3, "healthy": 2}']
    assert main([*command, "--epochs", "1", "--device", "cpu"]) == 0
    config = Predictor.load(tmp_path / "model", device="cpu").manifest.training.config
    assert config["start_sha256"] == sha256_of(tmp_path / "first.pt")
    assert config["learning_rate"] == 4e-4
    assert config["mix"] == {"tumour": 3, "transplanted": 5, "healthy": 2, "removed": 6}
    with pytest.raises(SystemExit):
        main([*command, "--set", "learning_tate=1"])


def test_the_learning_rate_warms_up_and_ends_near_zero():
    rates = [learning_rate(step, TrainingConfig(epochs=3, steps=10)) for step in range(30)]
    assert rates[0] < rates[7] < max(rates) <= TrainingConfig().learning_rate
    assert rates[-1] < 0.02 * max(rates)


def test_auc_counts_ties_half_and_needs_both_classes():
    truth = np.array([True, True, False, False])
    assert metrics.auc(np.array([0.9, 0.4, 0.4, 0.1]), truth) == pytest.approx(0.875)
    assert np.isnan(metrics.auc(np.array([0.5]), np.array([True])))


def test_sensitivity_and_specificity_at_one_half():
    scores, truth = np.array([0.5, 0.4, 0.6, 0.1]), np.array([True, True, False, False])
    assert metrics.sensitivity(scores, truth) == 0.5
    assert metrics.specificity(scores, truth) == 0.5
    assert metrics.accuracy(scores, truth) == 0.5


def test_calibration_error_is_the_gap_between_score_and_frequency():
    scores = np.full(10, 0.8)
    truth = np.arange(10) < 6
    assert metrics.expected_calibration_error(scores, truth) == pytest.approx(0.2)


def test_calibration_undoes_overconfidence_and_keeps_the_order():
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, 4000)
    truth = rng.random(4000) < 1 / (1 + np.exp(-honest))
    found = fit(3 * honest + 1, truth)
    assert found.scale == pytest.approx(1 / 3, rel=0.15)
    assert found.offset == pytest.approx(-1 / 3, abs=0.15)


def test_left_out_probabilities_come_from_other_groups():
    """In each group the truth is turned around: a fit that saw the group would say so."""
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, 500)
    truth = logits > 0
    groups = tuple(f"patient {i // 50}" for i in range(500))
    turned = np.array([name == "patient 3" for name in groups])
    found = calibrate(logits, truth ^ turned, groups)
    assert np.all((found.left_out[turned] > 0.5) == (logits[turned] > 0))
    assert found.calibration.scale < calibrate(logits, truth, groups).calibration.scale


def test_the_band_holds_its_sensitivity_and_specificity():
    rng = np.random.default_rng(3)
    truth = rng.random(2000) < 0.5
    scores = 1 / (1 + np.exp(-rng.normal(np.where(truth, 1.5, -1.5), 1.5)))
    band = choose_band(scores, truth)
    assert 0 < band.low < 0.5 < band.high < 1
    assert np.mean(scores[truth] >= band.low) == pytest.approx(band.sensitivity)
    assert 0.979 < band.sensitivity < 0.99
    assert 0.949 < band.specificity < 0.96
    perfect = choose_band(truth * 0.98 + 0.01, truth)
    assert (perfect.low, perfect.high) == (0.5, 0.5)


def test_pointing_and_energy_of_known_maps():
    maps = np.zeros((2, 4, 4))
    maps[0, 1, 1] = maps[1, 3, 3] = 1.0
    masks = np.zeros((2, 32, 32))
    masks[:, 8:16, 8:16] = 1
    assert metrics.pointing_game(maps, masks) == 0.5
    assert 0.2 < metrics.energy_inside(maps, masks) < 0.5
    assert metrics.energy_inside(np.zeros((1, 4, 4)), masks[:1]) == 0


def test_figures_that_are_not_numbers_stay_out_of_the_manifest():
    assert rounded({"a": {"auc": float("nan"), "n": 0.123456}}) == {"a": {"n": 0.1235}}


def test_a_run_can_start_from_exported_weights(tmp_path):
    first = new_state(CONFIG, "cpu")
    save_weights(first.average, tmp_path / "first.safetensors")
    second = new_state(replace(CONFIG, seed=99), "cpu")
    load_start(second, tmp_path / "first.safetensors")
    assert torch.equal(weights(second), weights(first).half().float())
    trained = torch.cat([p.detach().flatten() for p in second.network.parameters()])
    assert torch.equal(weights(second), trained)
