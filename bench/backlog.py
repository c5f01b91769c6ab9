"""`python -m bench.backlog`: what the queue costs as it grows, in a Postgres of its own.

For each size there are as many waiting jobs and as many finished ones. Measured is what the product asks: a
claim and its end, the poll of one job with its place in the queue, pages of lists, the dashboard, the sweep.
Sizes take turns in every round, so that what else the machine does hits all alike; medians are printed, and
their ratio to the smallest size. Every size has a database of its own on the same server.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.orm import Session, sessionmaker

from shared import accounts, job_queries, jobs, scans, stats
from shared.accounts import PatientFacts
from shared.migrations import upgrade
from shared.models import Batch, BatchOrigin, JobKind, Lane
from stack.ports import free_port
from stack.postgres import Cluster

SIZES = (1_000, 100_000, 1_000_000)
ROUNDS = 30
BATCH = 16
LEASE_S = 60
FILL = """
INSERT INTO scans (patient_id, scan_id, original_filename, original_path, is_staged, prediction, probability)
SELECT 1, 'S' || n, n || '.png', 'original/S' || n || '.png', false,
       CASE WHEN n <= {size} THEN 'Tumor' END, CASE WHEN n <= {size} THEN 0.9 END
FROM generate_series(1, 2 * {size}) AS n;
INSERT INTO jobs (id, kind, lane, status, stage, attempt, spent_attempts, crash_count, scan_id, batch_id,
                  is_public, started_at, finished_at)
SELECT gen_random_uuid(), 'scan', 'bulk', CASE WHEN id <= {size} THEN 'succeeded' ELSE 'queued' END,
       CASE WHEN id <= {size} THEN 'done' ELSE 'waiting' END, (id <= {size})::int, 0, 0, id,
       (SELECT id FROM batches), false,
       CASE WHEN id <= {size} THEN now() END, CASE WHEN id <= {size} THEN now() END
FROM scans ORDER BY scans.id;
"""
console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Backlog:
    """A database with `size` waiting and `size` finished jobs."""

    size: int
    sessions: sessionmaker[Session]

    def claim_and_end(self) -> None:
        """As a worker does for a batch; what it takes is put back, so that the size stays."""
        with self.sessions.begin() as session:
            claims = jobs.claim(session, JobKind.SCAN, "bench", BATCH, LEASE_S)
        if len(claims) != BATCH:
            raise RuntimeError(f"{len(claims)} jobs claimed, not {BATCH}")
        with self.sessions.begin() as session:
            jobs.give_back(session, claims)

    def poll(self) -> None:
        """A job in the middle of the queue, and how many are ahead of it."""
        with self.sessions() as session:
            middle = "SELECT id FROM jobs WHERE position = :position"
            job_id = session.scalar(text(middle), {"position": self.size + self.size // 2})
            (job,) = job_queries.load(session, [job_id]).values()
            job_queries.count_ahead(session, job)

    def page_of_jobs(self) -> None:
        with self.sessions() as session:
            job_queries.page(session, 50, None)

    def page_of_scans(self) -> None:
        with self.sessions() as session:
            scans.page(session, limit=50)

    def dashboard(self) -> None:
        with self.sessions() as session:
            stats.dashboard(session)

    def sweep(self) -> None:
        with self.sessions() as session:
            job_queries.waiting(session, JobKind.SCAN, Lane.BULK, 5.0, 64)


OPERATIONS: dict[str, Callable[[Backlog], None]] = {
    "claim of 16 and its end": Backlog.claim_and_end,
    "poll of one job": Backlog.poll,
    "page of jobs": Backlog.page_of_jobs,
    "page of scans": Backlog.page_of_scans,
    "dashboard": Backlog.dashboard,
    "sweep": Backlog.sweep,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Show a table on standard error, print the numbers as JSON on standard output."""
    options = _parser().parse_args(arguments)
    measured = measure(options.sizes, options.rounds)
    numbers = {name: _summary(milliseconds) for name, milliseconds in measured.items()}
    _show(numbers, options.sizes)
    sys.stdout.write(json.dumps(numbers, indent=2) + "\n")
    return 0


def measure(sizes: Sequence[int], rounds: int) -> dict[str, dict[int, list[float]]]:
    """Milliseconds of each operation at each size, of all rounds."""
    with tempfile.TemporaryDirectory(prefix="backlog-") as name, ExitStack() as ends:
        cluster = Cluster(Path(name), free_port())
        ends.callback(cluster.remove)
        cluster.prepare()
        ends.callback(cluster.stop)
        cluster.start()
        backlogs = [_filled(cluster, size, ends) for size in sizes]
        return {name: _measure(operation, backlogs, rounds) for name, operation in OPERATIONS.items()}


def _filled(cluster: Cluster, size: int, ends: ExitStack) -> Backlog:
    name = f"backlog_{size}"
    server = create_engine(_address(cluster.url), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    engine: Engine = create_engine(_address(cluster.url, name))
    ends.callback(engine.dispose)
    upgrade(engine)
    sessions = sessionmaker(engine, expire_on_commit=False)
    with sessions.begin() as session:
        accounts.create_patient(session, PatientFacts("Bench", "bench@example.org"))
        session.add(Batch(origin=BatchOrigin.UPLOAD))
        session.flush()
        session.connection().exec_driver_sql(FILL.format(size=size))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    console.print(f"{size:,} waiting and {size:,} finished jobs")
    return Backlog(size, sessions)


def _address(url: str, database: str | None = None) -> str:
    parsed = make_url(url).set(drivername="postgresql+psycopg2")
    return (parsed.set(database=database) if database else parsed).render_as_string(hide_password=False)


def _measure(
    operation: Callable[[Backlog], None], backlogs: Sequence[Backlog], rounds: int
) -> dict[int, list[float]]:
    milliseconds: dict[int, list[float]] = {backlog.size: [] for backlog in backlogs}
    for backlog in backlogs:
        operation(backlog)
    for _ in range(rounds):
        for backlog in backlogs:
            began = time.perf_counter()
            operation(backlog)
            milliseconds[backlog.size].append((time.perf_counter() - began) * 1000)
    return milliseconds


def _summary(milliseconds: dict[int, list[float]]) -> dict[str, dict[str, float]]:
    medians = {size: median(taken) for size, taken in milliseconds.items()}
    smallest = next(iter(medians.values()))
    return {
        "milliseconds": {str(size): round(value, 2) for size, value in medians.items()},
        "ratio": {str(size): round(value / smallest, 2) for size, value in medians.items()},
    }


def _show(numbers: dict[str, dict[str, dict[str, float]]], sizes: Sequence[int]) -> None:
    table = Table("operation", *(f"{size:,} waiting" for size in sizes))
    for name, measured in numbers.items():
        times, ratios = measured["milliseconds"], measured["ratio"]
        table.add_row(name, *(f"{times[size]} ms  x {ratios[size]}" for size in times))
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.backlog", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="waiting jobs, smallest first")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
