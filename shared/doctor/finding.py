"""What one check found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it works, and somebody should look
    PROBLEM = "problem"  # something does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. When not ok, `text` says what to do. It holds no secret and no patient data."""

    name: str
    level: Level
    text: str


def ok(name: str, text: str) -> Finding:
    return Finding(name, Level.OK, text)


def warning(name: str, text: str) -> Finding:
    return Finding(name, Level.WARNING, text)


def problem(name: str, text: str) -> Finding:
    return Finding(name, Level.PROBLEM, text)
