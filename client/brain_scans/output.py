"""What a person sees on standard error, and what a program reads on standard output."""

import json
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from brain_scans.batches import BatchState
from brain_scans.plan import Refusal

MOST_LISTED = 50  # of the refused files; --json lists them all

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line for the person."""
    console.print(text, markup=False)


def put_json(content: Mapping[str, object]) -> None:
    """The result for a program: one JSON object."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def put_line(text: str) -> None:
    """The result for a person: standard output, so that it can be piped."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def plain(name: str) -> str:
    """A file's name without what could steer a terminal."""
    return "".join(c if unicodedata.category(c)[0] != "C" else "�" for c in name)


def say_refused(refused: Sequence[Refusal]) -> None:
    for refusal in refused[:MOST_LISTED]:
        say(f"  refused: {plain(refusal.file)}: {refusal.error}")
    if len(refused) > MOST_LISTED:
        say(f"  … and {len(refused) - MOST_LISTED} more; --json lists all.")


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with rate and time left; what it gives takes how many are done, and of how many.

    Without a terminal nothing is drawn.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def state_json(state: BatchState) -> dict[str, object]:
    return {
        "batch_id": state.id,
        "name": state.name,
        "total": state.total,
        "counts": state.counts,
        "outcomes": state.outcomes,
        "cancelled": state.is_cancelled,
        "eta_seconds": state.eta_seconds,
    }


def state_lines(state: BatchState) -> str:
    """The state of a batch as a few lines."""
    head = f"Batch {state.id}" + (f" ({plain(state.name)})" if state.name else "")
    lines = [
        head + (", cancelled" if state.is_cancelled else ""),
        f"  {state.total} scans: {_listed(state.counts)}",
    ]
    if any(state.outcomes.values()):
        lines.append(f"  results: {_listed(state.outcomes)}")
    if state.unfinished and state.eta_seconds is not None:
        lines.append(f"  done in about {round(state.eta_seconds)} s")
    return "\n".join(lines)


class _Rate(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")


def _listed(numbers: Mapping[str, int]) -> str:
    return (
        ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in numbers.items() if number)
        or "none"
    )
