"""What a demo found: rows of scans and the report, as a table for people and as JSON for programs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScanRow:
    """One file of the demo.

    `prediction` is None also where `review` says why. `ms` is the job's time in the worker; `expected` is
    known for samples only.
    """

    file: str
    status: str
    prediction: str | None = None
    probability: float | None = None
    confidence: float | None = None
    tumor_type: str | None = None
    review: str | None = None
    ms: float | None = None
    overlay: str | None = None
    error: str | None = None
    expected: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether the system did its work: a picture that is no brain MRI has an answer too."""
        return self.status == "rejected" or (self.status == "succeeded" and self.overlay is not None)

    @property
    def is_as_expected(self) -> bool:
        return self.prediction == self.expected


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """The report's PDF file."""

    report_id: str
    path: str
    pages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything a demo has to say."""

    scans: tuple[ScanRow, ...]
    report: ReportFacts | None
    seconds: float
    synthetic: bool
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether every upload, every job and the report, if there was anything to report, worked."""
        every_scan = bool(self.scans) and all(row.is_done for row in self.scans)
        has_report = self.report is not None or not has_finding(self.scans)
        return every_scan and has_report and self.error is None

    def to_json(self) -> Json:
        """The content of summary.json; `error` and `expected` only where there is something to say."""
        optional = ("error", "expected")
        rows = [
            {name: value for name, value in asdict(row).items() if name not in optional or value is not None}
            for row in self.scans
        ]
        body: Json = {
            "ok": self.ok,
            "scans": rows,
            "report": asdict(self.report) if self.report else None,
            "seconds": round(self.seconds, 1),
            "synthetic": self.synthetic,
        }
        return body if self.error is None else {**body, "error": self.error}

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def table(self) -> Table:
        """A line per file; the column `expected` only where something is."""
        shows_expected = any(row.expected for row in self.scans)
        table = Table()
        table.add_column("file", overflow="fold")
        for title in ("prediction", *(("expected",) if shows_expected else ())):
            table.add_column(title)
        for title in ("probability", "ms"):
            table.add_column(title, justify="right")
        for row in self.scans:
            expected = (_expected_cell(row),) if shows_expected else ()
            table.add_row(
                Text(row.file),
                _prediction_cell(row),
                *expected,
                _number(row.probability, 3),
                _number(row.ms, 0),
            )
        return table


def has_finding(rows: Iterable[ScanRow]) -> bool:
    """Whether there is anything to report: rejected pictures have no finding."""
    return any(row.probability is not None for row in rows)


def worker_ms(job: Mapping[str, Any]) -> float | None:
    """Milliseconds from a job's start to its end in the worker."""
    if not job.get("started_at") or not job.get("finished_at"):
        return None
    started, finished = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    return round((finished - started).total_seconds() * 1000, 1)


def _prediction_cell(row: ScanRow) -> Text:
    if row.prediction is None and row.review == "needs_review" and row.is_done:
        return Text("needs review", style="yellow")
    if row.prediction is None:
        return Text(f"{row.status}: {row.error or 'no result'}", style="red")
    kind = f" ({row.tumor_type})" if row.prediction == "Tumor" and row.tumor_type else ""
    return Text(f"{row.prediction}{kind}")


def _expected_cell(row: ScanRow) -> Text:
    if row.expected is None:
        return Text()
    return Text(f"{row.expected} ✓", "green") if row.is_as_expected else Text(f"{row.expected} ✗", "red")


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
