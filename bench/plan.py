"""How much is measured: a full run, or a quick one that shows that everything works."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of one run. `scans` are the pictures that are sent, again and again."""

    scans: tuple[Path, ...]
    logs: Path
    rounds: int = 3
    model_rounds: int = 7
    model_seconds: float = 0.3  # that a measure of the model lasts at least, in each round
    batches: tuple[int, ...] = (1, 8, 32)
    pipeline_scans: int = 500
    peer_scans: int = 96
    single_scans: int = 60
    load_seconds: float = 4.0
    connections: int = 64
    backlogs: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    backlog_rounds: int = 30
    bulk_scans: int = 4_000
    stored_scans: int = 500
    report_scans: tuple[int, ...] = (1, 20, 200)
    page_scans: int = 5_000
    page_rounds: int = 20

    @classmethod
    def quick(cls, scans: tuple[Path, ...], logs: Path) -> Self:
        """Everything once, as little of it as can be; its figures mean nothing."""
        return cls(
            scans,
            logs,
            rounds=1,
            model_rounds=1,
            model_seconds=0.0,
            batches=(1, 2),
            pipeline_scans=8,
            peer_scans=4,
            single_scans=3,
            load_seconds=0.5,
            connections=8,
            backlogs=(50, 100),
            backlog_rounds=1,
            bulk_scans=40,
            stored_scans=8,
            report_scans=(1, 2),
            page_scans=20,
            page_rounds=1,
        )

    def files(self, number: int) -> list[Path]:
        """So many of the pictures, in turn."""
        return [self.scans[index % len(self.scans)] for index in range(number)]
