"""The whole pipeline while each answer of the store comes late."""

from functools import partial

from bench.figures import Figure, Goal, compare, take_turns
from bench.plan import Plan
from bench.running import Running, running
from bench.slow_store import SlowStore

DELAYS_MS = (0, 100, 300)
GOAL = Goal(at_least=0.9)  # of the rate without a delay


def measure(plan: Plan) -> list[Figure]:
    """A stack whose pictures and reports lie in an S3 of the bench's own; the delays take turns."""
    store = SlowStore()
    with store.serving():
        environment = {
            "IMAGE_STORE": "s3",
            "REPORT_STORE": "s3",
            "AWS_S3_BUCKET": "bench",
            "AWS_S3_ENDPOINT_URL": store.url,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
        }
        with running(plan, environment) as system:
            patient_id = system.new_patient("storage")
            measures = {
                str(delay): partial(_rate, plan, system, store, patient_id, delay / 1000)
                for delay in DELAYS_MS
            }
            rates = take_turns(measures, plan.rounds)
            store.delay_s = 0.0
    return [
        compare(
            f"pipeline, store {delay} ms late",
            rates[str(delay)],
            "images/s",
            "store 0 ms late",
            rates["0"],
            GOAL if delay == DELAYS_MS[-1] else None,
        )
        for delay in DELAYS_MS
    ]


def _rate(plan: Plan, system: Running, store: SlowStore, patient_id: int, delay_s: float) -> float:
    store.delay_s = delay_s
    files = plan.files(plan.stored_scans)
    return len(files) / system.analyse(patient_id, files)
