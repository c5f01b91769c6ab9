"""What grows with the number of jobs: the time of a claim and of a poll, and the API's memory."""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from bench import backlog, bulk
from bench.figures import Figure, Goal, compare
from bench.plan import Plan
from stack.demo import temporary_stack
from stack.settings import StackSettings

CLAIM = "claim of 16 and its end"
GOAL = Goal(at_most=2)
MIB = 2**20
# What `bench.bulk` is told: small pictures, clients that send and clients that poll.
BULK = {"side": 64, "parallel": 4, "pollers": 8, "poll_pause": 0.1}


def measure(plan: Plan) -> list[Figure]:
    """`bench.backlog` for the times, `bench.bulk` for the memory."""
    smallest, largest = plan.backlogs[0], plan.backlogs[-1]
    times = [
        compare(
            f"{name}, {size:,} waiting",
            measured[size],
            "ms",
            f"{smallest:,} waiting",
            measured[smallest],
            GOAL if (name, size) == (CLAIM, largest) else None,
        )
        for name, measured in backlog.measure(plan.backlogs, plan.backlog_rounds).items()
        for size in plan.backlogs
    ]
    return [*times, _memory(plan)]


def _memory(plan: Plan) -> Figure:
    """Bytes by which the API grows for each 1,000 scans, in the second half of a bulk load."""
    settings = StackSettings.from_environment()
    settings = replace(settings, environment={**settings.environment, **bulk.ENVIRONMENT})
    options = argparse.Namespace(count=plan.bulk_scans, **BULK)
    with tempfile.TemporaryDirectory(prefix="bulk-") as name:
        pictures = Path(name) / "pictures"
        bulk.make_pictures(pictures, options.count, options.side)
        with temporary_stack(settings, plan.logs, lambda _: None) as stack:
            memory = bulk.measure(stack, pictures, Path(name), options)["api_memory_mib"]
    grown = (memory["end"] - memory["middle"]) * MIB / (plan.bulk_scans / 2 / 1000)
    return Figure(
        "memory of the API per 1,000 scans, once warm",
        round(grown),
        "bytes",
        "its memory at the start",
        round(memory["end"] / memory["start"], 3),
        0.0,
    )
