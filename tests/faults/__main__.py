"""`make faults`: break everything that can break, while real work runs; one table, and JSON.

Exit status 1 if any promise was broken.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.ledger import Ledger
from tests.faults.scene import run_fault
from tests.faults.system import running_system

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
    "recovered",
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended then, too
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    ledgers: list[Ledger] = []
    is_kept = True
    say(f"{HEAD[0]:<34}" + "".join(f"{name:>10}" for name in HEAD[1:]))
    with running_system(folder) as system:
        for fault in chosen:
            try:
                ledger = run_fault(system, fault, options.scans)
            except AssertionError as error:
                ledger = Ledger(fault.name, 0, broken=[str(error)])
                system.restart({})
            ledgers.append(ledger)
            is_good = ledger.is_kept(fault.poisoned)
            is_kept = is_kept and is_good
            say(line(ledger) + ("" if is_good else "  BROKEN"))
            troubles = {what: n for what, n in ledger.answers.items() if what not in ("200", "202")}
            if troubles:
                say(f"    answers that the client repeated: {troubles}")
            for sentence in ledger.broken[:5]:
                say(f"    {sentence}")
    ARTIFACT.parent.mkdir(exist_ok=True)
    ARTIFACT.write_text(json.dumps([asdict(ledger) for ledger in ledgers], indent=2) + "\n")
    say(f"{len(ledgers)} faults, {sum(ledger.accepted for ledger in ledgers)} scans: {ARTIFACT}")
    if is_kept:
        shutil.rmtree(folder)
    else:
        say(f"logs of the processes: {folder}")
    return 0 if is_kept else 1


def line(ledger: Ledger) -> str:
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
    )
    return f"{ledger.fault:<34}" + "".join(f"{count:>10}" for count in counts) + f"{ledger.seconds:>8.1f} s"


def say(text: str) -> None:
    """Tell the person who waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
