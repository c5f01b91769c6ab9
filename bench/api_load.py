"""The API under 64 connections: polls and uploads per second, the worker at work and standing still."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from bench.figures import Figure, Goal, compare, take_turns
from bench.load import Outcome, drive, get, upload
from bench.plan import Plan
from bench.running import Running

HEALTH = "GET /api/health, which asks nothing"
POLLS, UPLOADS = "polls of jobs", "uploads of one picture"
IDS = 100
STILL, BUSY = "worker stands still", "worker at work"
FASTEST, QUICKEST = Goal(at_least=1500, of_value=True), Goal(at_most=60, of_value=True)


def measure(plan: Plan, system: Running) -> list[Figure]:
    """What was uploaded while the worker stood still is what it has to do afterwards."""
    load = _Load(plan, system)
    measures: dict[str, Callable[[], float]] = {
        f"{what}, {how}": partial(load.drive, what, how)
        for how in (STILL, BUSY)
        for what in (HEALTH, POLLS, UPLOADS)
    }
    rates = take_turns(measures, plan.rounds)
    figures = []
    for how in (STILL, BUSY):
        health = f"{HEALTH}, {how}"
        for what in (POLLS, UPLOADS):
            name, goals = f"{what}, {how}", (FASTEST, QUICKEST) if what == POLLS else (None, None)
            figures += [
                compare(name, rates[name], "/s", HEALTH, rates[health], goals[0]),
                compare(f"{name}, p99", load.p99(name), "ms", HEALTH, load.p99(health), goals[1]),
            ]
    return figures


class _Load:
    """Drives one kind of request at a time and keeps what came of it."""

    def __init__(self, plan: Plan, system: Running) -> None:
        self._plan, self._system = plan, system
        self._outcomes: dict[str, list[Outcome]] = defaultdict(list)
        patient_id = system.new_patient("load")
        system.analyse(patient_id, plan.files(min(IDS, plan.pipeline_scans)))
        self._finished = self._newest()
        self._uploads = [
            upload(system.url, system.authorization, patient_id, file.name, file.read_bytes())
            for file in plan.scans
        ]

    def drive(self, what: str, how: str) -> float:
        """Answers per second. Raises `RuntimeError` for any that is no success."""
        requests = self._uploads
        if what == HEALTH:
            requests = [get(self._system.url, "/api/health", self._system.authorization)]
        elif what == POLLS:  # some of work that is done, some of work that has just come
            paths = [f"/api/jobs/{job_id}" for job_id in (*self._finished, *self._newest())]
            requests = [get(self._system.url, path, self._system.authorization) for path in paths]
        with self._system.paused_worker() if how == STILL else nullcontext():
            outcome = drive(self._system.url, requests, self._plan.connections, self._plan.load_seconds)
        if not outcome.is_clean:
            raise RuntimeError(f"{what}: {outcome.answers}")
        self._outcomes[f"{what}, {how}"].append(outcome)
        return outcome.per_second

    def p99(self, name: str) -> list[float]:
        """Of each round but the one that warmed up."""
        return [outcome.p99_ms for outcome in self._outcomes[name][1:]]

    def _newest(self) -> list[str]:
        answer = self._system.client.http.get("/api/jobs", params={"limit": IDS, "kind": "scan"})
        return [job["id"] for job in answer.raise_for_status().json()["data"]]
