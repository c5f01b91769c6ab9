"""`worker.inference.single_logit`: files of the replaced system are taken exactly or refused in one line."""

import os
import pickle

import numpy as np
import pytest
import torch

from shared.errors import ModelFileError, ModelPredictionError
from shared.results import tumor_type_of
from worker.inference import Prediction, load_model
from worker.inference.manifest import MANIFEST_NAME, sha256_of
from worker.inference.single_logit import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    SingleLogitNet,
    SingleLogitPredictor,
    evidence_scale,
    imagenet_pixels,
    load_single_logit,
)
from worker.preprocessing import PREPROCESSING_VERSION, normalise

SIZE = 224


class Touch:
    """A pickle that makes a file when code in it is run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def network():
    """Random weights whose answers differ from picture to picture."""
    torch.manual_seed(5)
    network = SingleLogitNet()
    for place in (1, 4, 7):
        torch.nn.init.normal_(network.backbone.fc[place].weight, std=0.1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.bias.normal_(0, 0.2)
    return network.eval().requires_grad_(requires_grad=False)


@pytest.fixture
def state(network):
    """The network's state dict; a test may spoil it."""
    return {key: value.clone() for key, value in network.state_dict().items()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pth"


@pytest.fixture(scope="module")
def predictor(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.pth"
    torch.save(network.state_dict(), path)
    return SingleLogitPredictor.load(path, device="cpu")


def pictures(count, seed=0):
    """As `prepare` makes them: levelled intensities in 0..1, normalised; coarse, so that they differ."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((count, 1, 14, 14)).astype(np.float32) ** rng.uniform(0.3, 3, (count, 1, 1, 1))
    return list(normalise(coarse.repeat(16, axis=2).repeat(16, axis=3)))


def refusal(path):
    with pytest.raises(ModelFileError) as caught:
        load_single_logit(path)
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    return line


@pytest.mark.parametrize(
    "wrap", [dict, lambda state: {"model_state_dict": state, "epoch": 12, "val_acc": 0.98}]
)
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_a_state_dict_is_read_bare_or_wrapped(state, tmp_path, wrap, suffix):
    path = tmp_path / f"model{suffix}"
    torch.save(wrap(state), path)
    loaded = load_single_logit(path)
    assert not loaded.training
    for key, value in state.items():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(loaded.state_dict()[key], value, atol=0, rtol=0)


def test_the_older_file_format_is_read(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)
    load_single_logit(path)


@pytest.mark.parametrize("places", [("0", "2", "4"), ("1", "4", "7"), ("2", "6", "10")])
def test_the_heads_layers_are_found_by_their_order(network, state, path, places):
    moved = {}
    for key, value in state.items():
        *stem, place, kind = key.split(".")
        if stem == ["backbone", "fc"]:
            place = places[("1", "4", "7").index(place)]
        moved[".".join([*stem, place, kind])] = value
    torch.save(dict(reversed(moved.items())), path)
    pixels = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(load_single_logit(path)(pixels), network(pixels), atol=1e-6, rtol=0)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_computed_with_in_single_precision(state, path, precision):
    torch.save({key: value.to(precision) for key, value in state.items()}, path)
    loaded = load_single_logit(path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    expected = state["backbone.conv1.weight"].to(precision).float()
    torch.testing.assert_close(loaded.backbone.conv1.weight.data, expected, atol=0, rtol=0)


def test_counters_of_training_steps_may_be_absent(state, path):
    torch.save({key: value for key, value in state.items() if "num_batches" not in key}, path)
    load_single_logit(path)


@pytest.mark.parametrize(
    "key", ["backbone.layer3.1.bn2.running_var", "backbone.fc.4.bias", "backbone.conv1.weight"]
)
def test_a_missing_tensor_is_named(state, path, key):
    del state[key]
    torch.save(state, path)
    assert f"lacks 1 tensors, first {key}" in refusal(path)


@pytest.mark.parametrize("key", ["backbone.fc.weight", "module.scale", "epoch\nand more", 7])
def test_an_unknown_entry_is_named(state, path, key):
    torch.save({**state, key: torch.zeros(1)}, path)
    assert repr(key) in refusal(path)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("backbone.conv1.weight", (64, 1, 7, 7)),
        ("backbone.fc.7.weight", (2, 256)),
        ("backbone.fc.4.weight", (512, 512)),
    ],
)
def test_a_tensor_of_another_shape_is_named(state, path, key, shape):
    torch.save({**state, key: torch.zeros(shape)}, path)
    line = refusal(path)
    assert f"{key} has the shape {shape}, not {tuple(state[key].shape)}" in line


@pytest.mark.parametrize("extra", [{}, {"backbone.fc.9.weight": torch.zeros(1, 1)}])
def test_a_head_of_another_depth_is_refused(state, path, extra):
    head = {key: value for key, value in state.items() if not extra and key.startswith("backbone.fc.")}
    torch.save({key: value for key, value in state.items() if key not in head} | extra, path)
    assert f"has {4 if extra else 0} layers backbone.fc.N" in refusal(path)


@pytest.mark.parametrize(
    "value", [torch.zeros(512, dtype=torch.int64), 3.0, torch.zeros(512).to_sparse(), [0.0] * 512]
)
def test_a_value_that_is_no_plain_tensor_is_refused(state, path, value):
    torch.save({**state, "backbone.fc.1.bias": value}, path)
    assert "backbone.fc.1.bias is no plain tensor" in refusal(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(state, path, value):
    state["backbone.fc.1.bias"][3] = value
    torch.save(state, path)
    assert "not numbers" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 broken", b"\x80\x02}q\x00."])
def test_a_file_that_is_no_torch_file_is_refused(path, content):
    path.write_bytes(content)
    refusal(path)


def test_a_cut_file_is_refused(state, path):
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[: 1 << 20])
    assert "not a whole PyTorch file" in refusal(path)


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], {"model_state_dict": 5}])
def test_a_torch_file_without_a_state_dict_is_refused(path, content):
    torch.save(content, path)
    assert "instead of a state dict" in refusal(path)


def test_code_in_a_file_is_refused_and_not_run(state, path, tmp_path):
    made = tmp_path / "made"
    torch.save({**state, "surprise": Touch(made)}, path)
    assert "more than tensors" in refusal(path)
    path.write_bytes(pickle.dumps(Touch(made)))
    refusal(path)
    assert not made.exists()


def test_a_whole_pickled_model_is_refused(network, path):
    torch.save(network, path)
    assert "torch.save(model.state_dict(), path)" in refusal(path)


def test_batch_in_list_out_of_the_same_length(predictor):
    predictions = predictor.predict(pictures(3))
    assert all(isinstance(prediction, Prediction) for prediction in predictions)
    assert len({prediction.probability for prediction in predictions}) == 3
    assert predictor.predict([]) == []


def test_only_tumour_and_none_are_told_apart(predictor):
    for prediction in predictor.predict(pictures(2)):
        assert list(prediction.class_probabilities) == ["tumor", "notumor"]
        assert sum(prediction.class_probabilities.values()) == pytest.approx(1)
        assert prediction.class_probabilities["tumor"] == prediction.probability


def test_such_a_model_names_no_tumour_type():
    assert tumor_type_of(0.9, {"tumor": 0.9, "notumor": 0.1}) is None
    assert tumor_type_of(0.9, {"glioma": 0.7, "meningioma": 0.2, "notumor": 0.1}) == "glioma"
    assert tumor_type_of(0.1, {"glioma": 0.1, "notumor": 0.9}) is None


def test_the_answer_is_the_sigmoid_of_the_logit_of_the_same_grey_picture(predictor, network):
    grey = np.random.default_rng(2).random((2, 1, SIZE, SIZE), np.float32)
    mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    colour = torch.from_numpy((grey - mean) / std)
    torch.testing.assert_close(imagenet_pixels(torch.from_numpy(normalise(grey))), colour, atol=1e-5, rtol=0)
    expected = torch.sigmoid(network(colour)).tolist()
    answers = [prediction.probability for prediction in predictor.predict(list(normalise(grey)))]
    assert answers == pytest.approx(expected, abs=1e-5)


def test_the_answer_does_not_depend_on_the_batch(predictor):
    inputs = pictures(6)
    together = predictor.predict(inputs)
    alone = [predictor.predict([pixels])[0] for pixels in inputs]
    assert max(prediction.evidence_map.max() for prediction in alone) > 0.05
    for one, other in zip(together, alone, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-5)
        np.testing.assert_allclose(one.evidence_map, other.evidence_map, atol=1e-5)


def test_the_map_is_grad_cam_by_autograd_on_an_absolute_scale(predictor, network):
    inputs = pictures(3)
    kept = []
    hook = network.backbone.layer4.register_forward_hook(lambda *call: kept.append(call[2]))
    pixels = imagenet_pixels(torch.from_numpy(np.stack(inputs))).requires_grad_()
    logits = network.backbone(pixels)[:, 0]
    hook.remove()
    (gradient,) = torch.autograd.grad(logits.sum(), kept[0])
    cam = (gradient.mean(dim=(2, 3), keepdim=True) * kept[0]).sum(dim=1).relu()
    expected = evidence_scale(cam, logits).detach().numpy()
    for prediction, grid in zip(predictor.predict(inputs), expected, strict=True):
        assert prediction.evidence_map.shape == (SIZE // 32, SIZE // 32)
        assert prediction.evidence_map.dtype == np.float32
        np.testing.assert_allclose(prediction.evidence_map, grid, atol=1e-4)


def test_the_scale_keeps_order_and_emptiness_and_never_exceeds_the_probability():
    logits = torch.tensor([-30.0, -2.0, 0.0, 8.0, 200.0])
    cam = torch.linspace(0, 3, 49).view(1, 7, 7).repeat(5, 1, 1)
    cam[:, 6, 6] = 1e30
    shown = evidence_scale(cam, logits)
    assert (shown[:, 0, 0] == 0).all()
    assert (shown.flatten(1).diff(dim=1) >= 0).all()
    assert (shown <= torch.sigmoid(logits)[:, None, None]).all()
    assert not evidence_scale(torch.zeros(1, 7, 7), torch.tensor([9.0])).any()


def test_a_blank_picture_is_answered(predictor):
    prediction = predictor.predict([np.zeros((1, SIZE, SIZE), np.float32)])[0]
    assert np.isfinite(prediction.probability)
    assert np.isfinite(prediction.evidence_map).all()


@pytest.mark.parametrize(
    ("shape", "value", "says"), [((1, 128, 128), 0, "224 x 224"), ((1, SIZE, SIZE), np.inf, "not numbers")]
)
def test_an_unusable_input_is_refused(predictor, shape, value, says):
    with pytest.raises(ModelPredictionError, match=says):
        predictor.predict([np.full(shape, value, np.float32)])


def test_an_answer_that_is_not_a_number_is_an_error(state, path):
    state["backbone.fc.7.weight"][:] = 3e38
    torch.save(state, path)
    with pytest.raises(ModelPredictionError, match="not a number"):
        SingleLogitPredictor.load(path, device="cpu").predict(pictures(1))


def test_results_say_which_file_answered(state, path):
    torch.save(state, path)
    loaded = load_model(path, device="cpu")
    facts = loaded.manifest
    assert (facts.name, facts.version) == ("single-logit", sha256_of(path)[:12])
    assert (facts.weights_sha256, facts.input_size) == (sha256_of(path), SIZE)
    assert facts.preprocessing_version == PREPROCESSING_VERSION
    assert (loaded.device, loaded.engine) == ("cpu", "torch")


def test_a_path_says_which_kind_of_model_it_holds(network, tmp_path):
    weights = tmp_path / "replaced" / "model.PTH"
    weights.parent.mkdir()
    torch.save(network.state_dict(), weights)
    (weights.parent / "notes.txt").touch()
    assert isinstance(load_model(weights, "cpu"), SingleLogitPredictor)
    assert isinstance(load_model(weights.parent, "cpu"), SingleLogitPredictor)
    (weights.parent / "other.pt").touch()
    with pytest.raises(ModelFileError, match="holds 2 weights files"):
        load_model(weights.parent, "cpu")
    (weights.parent / MANIFEST_NAME).write_text("{}")
    with pytest.raises(ModelFileError, match="not a valid manifest"):  # so it is read, beside any others
        load_model(weights.parent, "cpu")


def test_a_path_without_a_model_is_refused(tmp_path):
    (tmp_path / "model.onnx").touch()
    for path in (tmp_path, tmp_path / "model.onnx", tmp_path / "nowhere", tmp_path / "nowhere.pth"):
        with pytest.raises(ModelFileError, match=r"no model at .*manifest\.json"):
            load_model(path)


@pytest.mark.parametrize("engine", ["openvino", "openvino-int8", "abacus"])
def test_other_engines_and_devices_are_refused(path, state, engine):
    torch.save(state, path)
    with pytest.raises(ModelFileError, match="PyTorch only"):
        load_model(path, engine=engine)
    with pytest.raises(ModelFileError, match="Unknown device"):
        load_model(path, device="tpu")
