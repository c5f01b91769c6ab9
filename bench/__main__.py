"""`make bench`: how fast this is, beside what else could do it, on this machine and in this run.

Words choose parts; without any all are measured. A table goes to standard error, after each part; the figures
to `results.json` and what the machine is to `machine.json`, in the folder of the results.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import api_load, at_scale, latency, machine, model, pages, pipeline, reports, steps, storage
from bench.figures import Figure, write
from bench.plan import Plan
from bench.running import Running, running
from stack.interrupts import unwind_on_request
from stack.settings import DEFAULT_SAMPLES
from stack.slices import find_slices

ALONE: dict[str, Callable[[Plan], list[Figure]]] = {
    "model": model.measure,
    "steps": steps.measure,
    "growth": at_scale.measure,
    "storage": storage.measure,
}
ON_ONE_STACK: dict[str, Callable[[Plan, Running], list[Figure]]] = {
    "latency": latency.measure,
    "pipeline": pipeline.measure,
    "report": reports.measure,
    "pages": pages.measure,
    "api": api_load.measure,  # last: it leaves a queue behind
}
PARTS = (*ALONE, *ON_ONE_STACK)
MOST_LOAD = 0.5  # of others, before anything is measured
BUSY = (
    "The load was {load} before: others use this machine, and ratios suffer too. PyTorch's threads wait for "
    "each other far longer than OpenVINO's when a core is taken away; more processes get more of the cores."
)
console = Console(stderr=True, width=None if sys.stderr.isatty() else 150)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was chosen. Exit status 0 also where a goal is not met: that depends on the machine."""
    options = _parser().parse_args(arguments)
    unwind_on_request()
    scans = tuple(find_slices(options.scans))
    plan = Plan.quick(scans, options.out / "logs") if options.quick else Plan(scans, options.out / "logs")
    facts = machine.describe()
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), style="dim")
    figures: list[Figure] = []

    def keep(part: str, found: list[Figure]) -> None:
        """At once, so that nothing is lost if a later part fails."""
        figures.extend(found)
        write(figures, options.out / "results.json")
        _show(part, found)

    chosen = options.parts or PARTS
    for name in [name for name in ALONE if name in chosen]:
        keep(name, ALONE[name](plan))
    if together := [name for name in ON_ONE_STACK if name in chosen]:
        with running(plan) as system:
            for name in together:
                keep(name, ON_ONE_STACK[name](plan, system))
    facts["load_afterwards"] = machine.describe()["load"]
    (options.out / "machine.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    console.print(f"Results: {options.out / 'results.json'}")
    if float(facts["load"]) > MOST_LOAD:
        console.print(BUSY.format(load=facts["load"]), style="red")
    return 0


def _show(part: str, figures: Sequence[Figure]) -> None:
    table = Table("measure", "value", "spread", "ratio", "against", "goal on 2 cores", title=part)
    for figure in figures:
        goal = ""
        if figure.goal is not None:
            met, colour = ("met", "green") if figure.goal.is_met(figure) else ("not met", "red")
            goal = f"[{colour}]{figure.goal}: {met}[/]"
        value, spread = f"{figure.value:g} {figure.unit}", f"{figure.spread:g}"
        table.add_row(figure.name, value, spread, f"{figure.ratio:g}", figure.against, goal)
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=(*PARTS, []), help=f"any of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    parser.add_argument("--scans", type=Path, default=DEFAULT_SAMPLES, help="folder of the pictures")
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="folder for the results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
