"""What is wrong with the system, and what to do about it."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from api.commands import add_command
from shared.doctor import Finding, Level, examine
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands

STATUS_PROBLEM = 1


def register(commands: "Commands") -> None:
    command = add_command(
        commands, "doctor", _doctor, "check everything, a line each; status 1 if something does not work"
    )
    command.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def _doctor(settings: Settings, options: argparse.Namespace) -> int:
    found: list[Finding] = []
    for finding in examine(settings):
        found.append(finding)
        if not options.json:
            sys.stdout.write(f"{finding.level:<8} {finding.name:<15} {finding.text}\n")
            sys.stdout.flush()  # a part that is down takes seconds to be found so
    is_healthy = all(finding.level != Level.PROBLEM for finding in found)
    if options.json:
        json.dump(
            {"healthy": is_healthy, "checks": [asdict(finding) for finding in found]}, sys.stdout, indent=2
        )
        sys.stdout.write("\n")
    return 0 if is_healthy else STATUS_PROBLEM
