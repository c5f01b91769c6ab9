"""One scan on a system that is idle: how long until its result is seen, and where that goes."""

import time
from collections.abc import Callable

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from bench.bare import MODEL_FOLDER, noise
from bench.figures import Figure, Goal, compare
from bench.plan import Plan
from bench.running import Running
from worker.inference import Predictor

OWN = "bare forward of one picture, same engine"
WHOLE = "the whole"
UPLOAD, SEEN = "upload, until 202", "from 202 until the result is seen"
STAGE_SECONDS = "brain_tumor_stage_seconds"
WAIT_S = 20
GOAL = Goal(at_most=150, of_value=True)


def measure(plan: Plan, system: Running) -> list[Figure]:
    """Upload, then one long poll, again and again; the worker's own times are means of the same scans."""
    model = Predictor.load(MODEL_FOLDER)
    picture = noise(1, model.manifest.input_size)
    patient_id = system.new_patient("latency")
    times: dict[str, list[float]] = {OWN: [], WHOLE: [], UPLOAD: [], SEEN: []}
    model.predict(list(picture))
    before = stage_sums(system.worker_metrics)
    for file in plan.files(plan.single_scans):
        times[OWN].append(_milliseconds(lambda: model.predict(list(picture))))
        began = time.perf_counter()
        (uploaded,) = system.client.upload(patient_id, [file])
        accepted = time.perf_counter()
        _wait_for_end(system, uploaded.job_id or "")
        seen = time.perf_counter()
        times[WHOLE].append((seen - began) * 1000)
        times[UPLOAD].append((accepted - began) * 1000)
        times[SEEN].append((seen - accepted) * 1000)
    after = stage_sums(system.worker_metrics)
    stages = [
        Figure(
            f"  of it in the worker: {stage}",
            round((after[stage] - before.get(stage, 0)) * 1000 / plan.single_scans, 2),
            "ms, mean",
            WHOLE,
            round((after[stage] - before.get(stage, 0)) * 1000 / sum(times[WHOLE]), 3),
            0.0,
        )
        for stage in after
    ]
    p95 = float(np.percentile(times[WHOLE], 95))
    return [
        compare("one scan, p50", times[WHOLE], "ms", OWN, times[OWN], GOAL),
        compare("one scan, p95", [p95], "ms", "p50", [float(np.percentile(times[WHOLE], 50))]),
        compare(f"  {UPLOAD}", times[UPLOAD], "ms", WHOLE, times[WHOLE]),
        compare(f"  {SEEN}", times[SEEN], "ms", WHOLE, times[WHOLE]),
        *stages,
    ]


def stage_sums(address: str) -> dict[str, float]:
    """Seconds that scans have spent in each stage of the worker so far."""
    text = httpx.get(address, trust_env=False).raise_for_status().text
    return {
        sample.labels["stage"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"{STAGE_SECONDS}_sum" and sample.labels["kind"] == "scan"
    }


def _wait_for_end(system: Running, job_id: str) -> None:
    """Each long poll is held until the status changes: queued, running, done."""
    status = "queued"
    while status in ("queued", "running"):
        answer = system.client.http.get(f"/api/jobs/{job_id}", params={"wait": WAIT_S})
        status = answer.raise_for_status().json()["data"]["status"]
    if status != "succeeded":
        raise RuntimeError(f"a scan did not succeed, but ended as {status}")


def _milliseconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) * 1000
