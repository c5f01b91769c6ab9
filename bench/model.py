"""The model stage: answers and maps per second, by engine and size of the batch."""

from collections.abc import Callable
from functools import partial

from bench.bare import MODEL_FOLDER as FOLDER
from bench.bare import FloatArray, forward, images_per_second, load_network, make_grad_cam, noise
from bench.figures import Figure, Goal, compare, take_turns
from bench.plan import Plan
from worker.inference import Predictor
from worker.inference.engines import NAMES, OPENVINO, OPENVINO_INT8

BARE, PEER = "bare torch forward", "pytorch-grad-cam"
LARGEST = 32  # the size of batch that the goals are about
GOALS = {
    (OPENVINO, BARE): Goal(at_least=1.3),
    (OPENVINO_INT8, BARE): Goal(at_least=4),
    (OPENVINO_INT8, PEER): Goal(at_least=20),
}


def measure(plan: Plan) -> list[Figure]:
    """For each size of batch all engines, the bare network and pytorch-grad-cam in turn."""
    explain = make_grad_cam(load_network())
    models = {name: Predictor.load(FOLDER, "cpu", name) for name in NAMES}
    runs: dict[str, Callable[[FloatArray], object]] = {
        BARE: partial(forward, load_network()),
        PEER: explain,
        **{name: partial(_predict, model) for name, model in models.items()},
    }
    figures = []
    for number in plan.batches:
        batch = noise(number, models[OPENVINO].manifest.input_size)
        measures = {
            name: partial(images_per_second, run, batch, plan.model_seconds) for name, run in runs.items()
        }
        rates = take_turns(measures, plan.model_rounds)
        for name in (*NAMES, BARE):
            for rival in (BARE, PEER):
                if name == rival:
                    continue
                goal = GOALS.get((name, rival)) if number == LARGEST else None
                what = f"{name}, batch of {number}"
                figures.append(compare(what, rates[name], "images/s", rival, rates[rival], goal))
    return figures


def _predict(model: Predictor, batch: FloatArray) -> None:
    """As a worker does: pictures in, answers and maps out."""
    model.predict(list(batch))
