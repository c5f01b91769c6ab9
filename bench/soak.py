"""`python -m bench.soak`: mixed work for minutes, while everything that could leak is counted.

A stack of its own takes uploads of several sizes, some broken, ZIPs, polls, lists, reports, downloads,
logins, new patients, cancellations and retries. The middle third of the samples is compared with the last:
what has grown beyond its bound fails the run, and so does any answer of 500 and more or a request without an
answer. Mails go out if the environment names a mail server.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.growth import growth
from bench.known import Known
from bench.operations import Clients
from bench.sampling import Sampler
from stack.client import ApiClient
from stack.demo import temporary_stack
from stack.interrupts import unwind_on_request
from stack.lifecycle import Stack
from stack.settings import StackSettings

SAMPLE_S = 5.0
WARM_UP_S = 20.0  # before the first sample
PATIENTS = 5
# Limits are not what is measured.
ENVIRONMENT = {
    "ENGINE": "load-test",
    "REQUESTS_PER_MINUTE": "1000000",
    "ANONYMOUS_REQUESTS_PER_MINUTE": "1000000",
}
PARTS = ("first", "middle", "last", "most", "per_hour", "bound")
console = Console(stderr=True, width=None if sys.stderr.isatty() else 140)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table, write the numbers as JSON. Exit status 1 if something grew or failed."""
    options = _parser().parse_args(arguments)
    unwind_on_request()
    settings = StackSettings.from_environment()
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        given = {**ENVIRONMENT, **settings.environment, "TMPDIR": temporary}
        with temporary_stack(replace(settings, environment=given), options.logs, console.print) as stack:
            numbers = soak(stack, Path(temporary), options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(numbers, indent=2) + "\n")
    _show(numbers)
    return 0 if numbers["ok"] else 1


def soak(stack: Stack, temporary: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Let clients work for the time asked for, sampling, and say what grew."""
    access = stack.up()
    with ApiClient.signed_in(access.url, access.username, access.password) as client:
        patients = tuple(
            client.create_patient({"name": f"Soak {number}", "email": f"soak{number}@example.org"})
            for number in range(PATIENTS)
        )
        token = client.http.headers["Authorization"]
    known = Known(access.username, access.password, patients)
    sampler = Sampler(stack.status(), stack.environment(), stack.state.root, temporary)
    with Clients(access.url, token, known, options.clients, options.pause):
        time.sleep(min(WARM_UP_S, options.minutes * 20))
        end = time.monotonic() + options.minutes * 60
        while time.monotonic() < end:
            sampler.look()
            time.sleep(SAMPLE_S)
    sampler.close()
    changes = growth(sampler.samples)
    failures = known.tally.failures()
    return {
        "ok": failures == 0 and not any(change["too_much"] for change in changes.values()),
        "minutes": options.minutes,
        "engine": stack.settings.environment["ENGINE"],
        "cores": os.cpu_count(),
        "accepted": known.accepted,
        "failures": failures,
        "operations": known.tally.summary(),
        "growth": changes,
        "samples": sampler.samples,
    }


def _show(numbers: Mapping[str, Any]) -> None:
    table = Table("operation", "count", "p50 ms", "p95 ms", "p99 ms", "max ms", "answers")
    for name, row in numbers["operations"].items():
        times = [str(row[key]) for key in ("count", "p50_ms", "p95_ms", "p99_ms", "max_ms")]
        table.add_row(name, *times, ", ".join(f"{key}: {value}" for key, value in row["answers"].items()))
    console.print(table)
    table = Table("measure", "first third", "middle", "last", "most", "per hour", "bound", "")
    for name, row in numbers["growth"].items():
        cells = [str(row[key]) for key in PARTS]
        table.add_row(name, *cells, "GREW" if row["too_much"] else "")
    console.print(table)
    verdict = "nothing grew, nothing failed" if numbers["ok"] else "see GREW and the answers above"
    console.print(f"{numbers['accepted']} pictures accepted, {numbers['failures']} failures: {verdict}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long the clients work")
    parser.add_argument("--clients", type=int, default=8, help="clients at once")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two requests of a client")
    parser.add_argument("--out", type=Path, default=Path(".artifacts/soak.json"), help="file for the numbers")
    parser.add_argument(
        "--logs", type=Path, default=Path("demo-output"), help="where logs go after a failure"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
