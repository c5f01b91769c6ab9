"""`worker.inference`: loading refuses what does not belong together; predictions are what they claim."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from shared.errors import ModelFileError, ModelPredictionError
from worker.inference import Prediction, Predictor, engines
from worker.inference.answers import CLASSES, Answers
from worker.inference.conversion import convert
from worker.inference.device import choose_device
from worker.inference.manifest import MANIFEST_NAME, Training, read_manifest, sha256_of
from worker.inference.network import LocalEvidenceNet, pooling_weights
from worker.inference.quantisation import _of_pictures, measure_ranges
from worker.inference.weights import load_weights
from worker.preprocessing import PIXEL_MEAN, PIXEL_STD
from worker.training.acceptance import Verdict, judge_int8
from worker.training.export import Made, export
from worker.training.holdout import AS_TRAINED, ValidationSet

SIZE = 64


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with an untrained model of this architecture."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(3)
    network = LocalEvidenceNet()
    torch.nn.init.normal_(network.evidence.weight, std=0.5)  # untrained evidence would be flat
    training = Training(commit="test", seed=3, epochs=0, data_sha256="0" * 64, config={})
    ranges = measure_ranges(network, torch.from_numpy(np.stack(pictures(8, seed=5))))
    int8 = Verdict(ranges, {"auc": 0.5}, is_accepted=True)
    made = Made(SIZE, training, {"val": {"auc": 0.5}}, int8=int8)
    export(network, folder, "tiny", "0.0.1", made)
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(exported, tmp_path / "model")


@pytest.fixture(scope="module", params=engines.NAMES)
def predictor(exported, request):
    return Predictor.load(exported, device="cpu", engine=request.param)


def pictures(count, seed=0):
    """Noise among the values that a picture can have."""
    noise = np.random.default_rng(seed).standard_normal((count, 1, SIZE, SIZE))
    return list(noise.clip(-PIXEL_MEAN / PIXEL_STD, (1 - PIXEL_MEAN) / PIXEL_STD).astype(np.float32))


def edit(folder, **changes):
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_batch_in_list_out_of_the_same_length(predictor):
    predictions = predictor.predict(pictures(3))
    assert len(predictions) == 3
    assert all(isinstance(prediction, Prediction) for prediction in predictions)
    assert predictor.predict([]) == []


def test_class_probabilities_sum_to_one_and_give_the_tumour_probability(predictor):
    for prediction in predictor.predict(pictures(4)):
        assert tuple(prediction.class_probabilities) == CLASSES
        assert sum(prediction.class_probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert prediction.probability == pytest.approx(1 - prediction.class_probabilities["notumor"])


def test_the_map_is_on_an_absolute_scale_at_an_eighth_of_the_input(predictor):
    grid = predictor.predict(pictures(1))[0].evidence_map
    assert grid.shape == (SIZE // 8, SIZE // 8)
    assert grid.dtype == np.float32
    assert grid.min() >= 0
    assert grid.max() <= 1


def test_the_answer_does_not_depend_on_the_batch_size(predictor):
    inputs = pictures(32)
    together = predictor.predict(inputs)
    alone = [predictor.predict([pixels])[0] for pixels in inputs]
    for one, other in zip(together, alone, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-4)
        np.testing.assert_allclose(one.evidence_map, other.evidence_map, atol=1e-4)


def test_the_probability_is_a_function_of_the_map_alone(predictor, exported):
    """The decision can be recomputed from what is shown: there is no other pathway."""
    network = LocalEvidenceNet()
    load_weights(network, exported / predictor.manifest.weights_file)
    for prediction in predictor.predict(pictures(3)):
        evidence = torch.logit(torch.from_numpy(prediction.evidence_map.astype(np.float64)))[None].float()
        again = float(torch.sigmoid(network.pool(evidence))[0].detach())
        assert again == pytest.approx(prediction.probability, abs=1e-4)


def test_the_decisions_gradient_is_the_maps_pooling_weights():
    """Closed form of d(tumour logit) / d(evidence), against autograd."""
    torch.manual_seed(1)
    network = LocalEvidenceNet().eval()
    evidence = (3 * torch.randn(2, 8, 8)).requires_grad_()
    network.pool(evidence).sum().backward()
    closed = network.scale * pooling_weights(evidence, network.parameters_of_head.sharpness)
    torch.testing.assert_close(evidence.grad, closed, atol=1e-4, rtol=0)


def test_rising_evidence_anywhere_never_lowers_the_probability():
    network = LocalEvidenceNet()
    evidence = torch.full((1, 8, 8), -4.0)
    raised = evidence.clone()
    raised[0, 2, 5] = 3.0
    assert network.pool(raised) > network.pool(evidence)


def test_a_blank_picture_is_answered(predictor):
    prediction = predictor.predict([np.zeros((1, SIZE, SIZE), np.float32)])[0]
    assert np.isfinite(prediction.probability)


def test_an_input_of_another_size_is_refused(predictor):
    with pytest.raises(ModelPredictionError, match="64 x 64"):
        predictor.predict([np.zeros((1, 32, 32), np.float32)])


def test_a_picture_with_values_that_are_not_numbers_is_refused(predictor):
    with pytest.raises(ModelPredictionError, match="not numbers"):
        predictor.predict([np.full((1, SIZE, SIZE), np.nan, np.float32)])


def test_an_answer_that_is_not_a_number_is_an_error(exported):
    class Broken:
        name, device = "broken", "cpu"

        def run(self, batch):
            shapes = (3,), (8, 8), (384,)
            others = (np.zeros((len(batch), *shape), np.float32) for shape in shapes)
            return Answers(np.full(len(batch), np.nan, np.float32), *others)

    with pytest.raises(ModelPredictionError, match="not a number"):
        Predictor(Broken(), read_manifest(exported)).predict(pictures(1))


def test_float_engines_answer_the_same(exported):
    exact, other = (
        Predictor.load(exported, device="cpu", engine=name).predict(pictures(5))
        for name in (engines.TORCH, engines.OPENVINO)
    )
    for one, two in zip(exact, other, strict=True):
        assert one.probability == pytest.approx(two.probability, abs=1e-5)
        assert one.class_probabilities == pytest.approx(two.class_probabilities, abs=1e-5)
        np.testing.assert_allclose(one.evidence_map, two.evidence_map, atol=1e-5)


def test_the_eight_bit_engine_answers_nearly_the_same_but_computes_otherwise(exported):
    exact, coarse = (
        Predictor.load(exported, device="cpu", engine=name).predict(pictures(5))
        for name in (engines.OPENVINO, engines.OPENVINO_INT8)
    )
    changes = [abs(one.probability - two.probability) for one, two in zip(exact, coarse, strict=True)]
    assert 0 < max(changes) < 0.1


def test_results_keep_their_own_memory(predictor):
    first = predictor.predict(pictures(2, seed=1))[0].evidence_map
    before = first.copy()
    predictor.predict(pictures(2, seed=2))
    np.testing.assert_array_equal(first, before)


def test_the_engine_is_chosen_by_device_and_manifest(exported, folder):
    assert Predictor.load(exported, device="cpu").engine == engines.OPENVINO_INT8
    edit(folder, engines={})
    assert Predictor.load(folder, device="cpu").engine == engines.OPENVINO
    with pytest.raises(ModelFileError, match="not accepted for this model"):
        Predictor.load(folder, device="cpu", engine=engines.OPENVINO_INT8)
    with pytest.raises(ModelFileError, match='Unknown engine "abacus"'):
        Predictor.load(folder, device="cpu", engine="abacus")


def test_eight_bits_that_were_measured_otherwise_are_not_used(folder):
    edit(folder, quantisation_version="another")
    assert Predictor.load(folder, device="cpu").engine == engines.OPENVINO
    with pytest.raises(ModelFileError, match="not accepted for this model"):
        Predictor.load(folder, device="cpu", engine=engines.OPENVINO_INT8)


def test_the_steps_of_a_picture_cover_all_its_values_and_one_is_the_padding():
    low, high = _of_pictures()
    step = (high - low) / 255
    ends = (-PIXEL_MEAN / PIXEL_STD, (1 - PIXEL_MEAN) / PIXEL_STD)
    assert -1e-9 < ends[0] - low < step
    assert -1e-9 < high - ends[1] < step
    assert -low / step == pytest.approx(round(-low / step), abs=1e-9)


def test_all_that_is_not_the_head_is_put_into_steps_and_nothing_twice(exported):
    manifest = read_manifest(exported)
    model = convert(LocalEvidenceNet(), SIZE, manifest.activation_ranges)
    convolutions = [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"]
    assert len([node for node in convolutions if not _reads_steps(node)]) == 2  # the evidence and the types
    steps = [node for node in model.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]
    read = {
        (step.input_value(0).get_node().get_friendly_name(), step.input_value(0).get_index())
        for step in steps
    }
    assert len(read) == len(steps)


def _reads_steps(node):
    source = node.input_value(0).get_node()
    if source.get_type_name() == "MaxPool":
        source = source.input_value(0).get_node()
    return source.get_type_name() == "FakeQuantize"


def test_ranges_of_another_network_are_refused(folder):
    ranges = read_manifest(folder).activation_ranges
    edit(folder, activation_ranges=dict(list(ranges.items())[1:]))
    with pytest.raises(ModelFileError, match="activation ranges"):
        Predictor.load(folder, device="cpu")


def test_a_model_that_loses_by_eight_bits_does_not_get_them():
    """Ranges from blank pictures clip everything that matters."""
    torch.manual_seed(4)
    network = LocalEvidenceNet().eval()
    torch.nn.init.normal_(network.evidence.weight, std=0.5)
    pixels = np.stack(pictures(24, seed=6))
    scores = network(torch.from_numpy(pixels)).tumour.detach().numpy()
    labels = np.where(scores > np.median(scores), 0, CLASSES.index("notumor"))
    masks = np.zeros((24, SIZE, SIZE), np.float32)
    chosen = ValidationSet("val", pixels, masks, labels, np.zeros(24, bool), ("test",) * 24, ("",) * 24)
    assert judge_int8(network, chosen, chosen, AS_TRAINED).figures["auc"] > 0.95
    blank = replace(chosen, pixels=np.zeros_like(pixels))
    verdict = judge_int8(network, blank, chosen, AS_TRAINED)
    assert not verdict.is_accepted
    assert verdict.figures["auc"] < 0.95


def test_a_tampered_weights_file_is_refused(folder):
    path = folder / read_manifest(folder).weights_file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="SHA-256"):
        Predictor.load(folder)


def test_a_missing_manifest_or_weights_file_is_refused(folder, tmp_path):
    with pytest.raises(ModelFileError, match=r"manifest\.json"):
        Predictor.load(tmp_path / "nowhere")
    (folder / read_manifest(folder).weights_file).unlink()
    with pytest.raises(ModelFileError, match="is missing"):
        Predictor.load(folder)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"classes": ["notumor", "glioma", "meningioma", "pituitary"]}, "in this order"),
        ({"preprocessing_version": "older"}, "preprocessing"),
        ({"pixel_mean": 0.5}, "preprocessing"),
        ({"architecture": "vgg"}, "vgg"),
        ({"weights_file": "../elsewhere.safetensors"}, "weights_file"),
        ({"input_size": 100}, "multiple of 32"),
        ({"head": {"channels": 96.0}}, "lacks head"),
        ({"head": {"channels": 64.0, "sharpness": 2.0, "prior_logit": -4.0}}, "other shapes"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_in_one_line(folder, changes, says):
    edit(folder, **changes)
    with pytest.raises(ModelFileError, match=says) as refusal:
        Predictor.load(folder)
    assert "\n" not in str(refusal.value)


def test_weights_with_missing_or_unknown_tensors_are_refused(folder):
    from safetensors.torch import load_file, save_file

    path = folder / read_manifest(folder).weights_file
    state = load_file(path)
    save_file({key: value for key, value in state.items() if key != "scale"}, path)
    edit(folder, weights_sha256=sha256_of(path))
    with pytest.raises(ModelFileError, match="lacks 1 tensors"):
        Predictor.load(folder)
    save_file(state | {"extra": torch.zeros(1)}, path)
    edit(folder, weights_sha256=sha256_of(path))
    with pytest.raises(ModelFileError, match="extra"):
        Predictor.load(folder)


def test_a_file_that_is_no_weights_file_is_refused(folder):
    path = folder / read_manifest(folder).weights_file
    path.write_bytes(b"not weights")
    edit(folder, weights_sha256=sha256_of(path))
    with pytest.raises(ModelFileError, match="safetensors"):
        Predictor.load(folder)


def test_an_unknown_or_absent_device_is_refused():
    with pytest.raises(ModelFileError, match="Unknown device"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        assert choose_device("auto") == "cpu"
        with pytest.raises(ModelFileError, match="CUDA"):
            choose_device("cuda")


def test_the_manifest_says_where_the_weights_come_from(exported):
    manifest = read_manifest(exported)
    assert (manifest.name, manifest.version, manifest.input_size) == ("tiny", "0.0.1", SIZE)
    assert manifest.training.seed == 3
    assert (exported / manifest.weights_file).stat().st_size < 23_000_000
