"""The whole system against its own model, bare PyTorch, and a peer that does the same work."""

from collections.abc import Callable
from functools import partial

from bench.bare import MODEL_FOLDER, forward, images_per_second, load_network, noise
from bench.figures import Figure, Goal, compare, take_turns
from bench.peer import running_peer
from bench.plan import Plan
from bench.running import Running
from worker.inference import Predictor

BARE = "bare torch forward at its best batch"
OWN = "bare forward of the same engine at its best batch"
PEER = "LitServe with pytorch-grad-cam"
WHOLE = "whole pipeline"
BATCHES = (8, 16, 32)


def measure(plan: Plan, system: Running) -> list[Figure]:
    """Pictures per second from the first upload to the last recorded result, over HTTP."""
    network, model = load_network(), Predictor.load(MODEL_FOLDER)
    size = model.manifest.input_size
    patient_id = system.new_patient("pipeline")
    files = plan.files(plan.pipeline_scans)
    own = _at_its_best(lambda batch: model.predict(list(batch)), size, plan)
    bare = _at_its_best(partial(forward, network), size, plan)
    with running_peer(plan) as peer:
        measures: dict[str, Callable[[], float]] = {
            BARE: bare,
            OWN: own,
            PEER: lambda: peer.images_per_second(plan.files(plan.peer_scans)),
            WHOLE: lambda: len(files) / system.analyse(patient_id, files),
        }
        rates = take_turns(measures, plan.rounds)
    goals = {BARE: Goal(at_least=1.0), PEER: Goal(at_least=5.0)}
    name = f"{WHOLE}, {model.engine}, {len(files)} scans"
    return [
        compare(name, rates[WHOLE], "images/s", rival, rates[rival], goals.get(rival))
        for rival in (BARE, OWN, PEER)
    ]


def _at_its_best(run: Callable[..., object], size: int, plan: Plan) -> Callable[[], float]:
    """A measure at the size of batch that is fastest here."""
    rates = {}
    for number in BATCHES:
        batch = noise(number, size)
        run(batch)
        rates[number] = images_per_second(run, batch, plan.model_seconds)
    best = noise(max(rates, key=lambda number: rates[number]), size)
    return lambda: images_per_second(run, best, 3 * plan.model_seconds)
