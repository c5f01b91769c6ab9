"""`make faults`: break everything that can break, while real work runs; one table, and JSON.

Exit status 1 if any promise was broken.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.ledger import Ledger, unfinished
from tests.faults.places import running_system
from tests.faults.scene import Fault, Place, run_fault
from tests.faults.system import System, until

ARTIFACT = Path(".artifacts/faults.json")
HEAD = (
    "fault",
    "accepted",
    "finished",
    "failed",
    "retried",
    "reports",
    "doubled",
    "lost",
    "orphans",
    "left",
    "missing",
    "recovered",
    "took",
)


def main() -> int:
    """Run the faults whose names hold the words that were given, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("words", nargs="*", help="only faults whose name holds one of these")
    parser.add_argument("--scans", type=int, default=200, metavar="N", help="pictures sent during each")
    options = parser.parse_args()
    chosen = [
        fault for fault in FAULTS if not options.words or any(word in fault.name for word in options.words)
    ]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_once)
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    say(f"{HEAD[0]:<38}" + "".join(f"{name:>10}" for name in HEAD[1:]))
    ledgers: list[Ledger] = []
    is_kept = True
    try:
        for place in Place:
            possible = [fault for fault in chosen if fault.place is place and not _is_left_out(fault)]
            if possible:
                with running_system(folder / place.name.lower(), place) as system:
                    is_kept = _break_all(system, possible, options.scans, ledgers) and is_kept
    except SystemExit:  # told to stop: nobody will ask for the logs
        shutil.rmtree(folder, ignore_errors=True)
        raise
    ARTIFACT.parent.mkdir(exist_ok=True)
    ARTIFACT.write_text(json.dumps([asdict(ledger) for ledger in ledgers], indent=2) + "\n")
    say(f"{len(ledgers)} faults, {sum(ledger.accepted for ledger in ledgers)} scans: {ARTIFACT}")
    if is_kept:
        shutil.rmtree(folder)
    else:
        say(f"logs of the processes: {folder}")
    return 0 if is_kept else 1


def _end_once(*_: object) -> None:
    """End what was started, and let nobody interrupt that."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(1)


def _is_left_out(fault: Fault) -> bool:
    lacking = fault.lacks()
    if lacking:
        say(f"{fault.name:<38}left out: {lacking}")
    return lacking is not None


def _break_all(system: System, faults: Sequence[Fault], scans: int, ledgers: list[Ledger]) -> bool:
    """Whether every promise was kept."""
    is_kept = True
    for fault in faults:
        began = time.monotonic()
        try:
            ledger = run_fault(system, fault, scans)
        except AssertionError as error:
            ledger = Ledger(fault.name, 0, broken=[str(error)])
            system.restart({})
            with suppress(
                AssertionError
            ):  # what is left of it must not spoil the next, if that can be helped
                until(lambda: unfinished(system) == 0, "all work ends")
        ledgers.append(ledger)
        is_good = ledger.is_kept(fault.poisoned)
        is_kept = is_kept and is_good
        say(line(ledger, time.monotonic() - began) + ("" if is_good else "  BROKEN"))
        troubles = {what: n for what, n in ledger.answers.items() if what not in ("200", "202")}
        if troubles:
            say(f"    answers that the client repeated: {troubles}")
        for sentence in ledger.broken[:5]:
            say(f"    {sentence}")
    return is_kept


def line(ledger: Ledger, took_s: float) -> str:
    """One row of the table."""
    counts = (
        ledger.accepted,
        ledger.finished,
        ledger.failed,
        ledger.retried,
        ledger.reports,
        ledger.doubled,
        ledger.lost,
        ledger.orphans,
        ledger.leftovers,
        ledger.missing,
    )
    row = f"{ledger.fault:<38}" + "".join(f"{count:>10}" for count in counts)
    return row + f"{ledger.seconds:>8.1f} s{took_s:>8.1f} s"


def say(text: str) -> None:
    """Tell the person who waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
