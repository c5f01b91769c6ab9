"""What the caller's environment says about the local stack. Nothing else in `stack/` reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_STATE = CHECKOUT / ".local"
DEFAULT_SAMPLES = CHECKOUT / "samples"
DEFAULT_OUTPUT = CHECKOUT / "demo-output"
HIGHEST_PORT = 65_535


class StackSettingsError(Exception):
    """An environment variable is wrong; the message names it."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """Choices of the caller. A port of None means: the default, or any free one if that is taken."""

    port: int | None
    flower_port: int | None
    scans: Path | None
    environment: Mapping[str, str]
    metrics_port: int | None = None  # of the API; the workers serve theirs on the next two

    @classmethod
    def from_environment(cls) -> Self:
        """Read PORT, FLOWER_PORT, METRICS_PORT and SCANS. The rest is handed on to the processes as it is."""
        environment = dict(os.environ)
        scans = environment.pop("SCANS", "")
        return cls(
            port=_port(environment, "PORT"),
            flower_port=_port(environment, "FLOWER_PORT"),
            metrics_port=_port(environment, "METRICS_PORT"),
            scans=Path(scans).expanduser() if scans else None,
            environment=environment,
        )


def _port(environment: dict[str, str], name: str) -> int | None:
    text = environment.pop(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) <= HIGHEST_PORT:
        raise StackSettingsError(f"{name} must be a port number from 1 to {HIGHEST_PORT}, not {text!r}")
    return int(text)
