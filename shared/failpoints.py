"""Named points at which a test makes a process die, stop or fail. In production they do nothing.

`FAIL_AT=point:action[:count]` arms one point; `point@AxB:action` only for pictures of A x B pixels. Actions:
`kill` (SIGKILL to itself), `crash` (SIGSEGV), `exit`, `raise`, `exhaust` (`MemoryError`), `hang`,
`sleep=SECONDS`. `count` fires so often in all processes together, restarts included: each firing takes a file
in the folder for temporary files.
"""

import os
import re
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from shared.logs import get_logger

PATTERN = r"[a-z-]+(@\d+x\d+)?:(kill|crash|exit|raise|exhaust|hang|sleep=\d+(\.\d+)?)(:\d+)?"

log = get_logger(__name__)


class FailPointError(Exception):
    """What the action `raise` raises: like a mistake in the code, nothing expects it."""


@dataclass(frozen=True, slots=True)
class Armed:
    """The point that fails, and how."""

    point: str
    action: str
    count: int | None  # None: every time


_armed: Armed | None = None


def arm(fail_at: str | None) -> None:
    """Arm the point that the setting FAIL_AT names; None disarms. Raises `ValueError` for other texts."""
    global _armed  # noqa: PLW0603 - once per process, at its entry
    _armed = None
    if fail_at is None:
        return
    if not re.fullmatch(PATTERN, fail_at):
        raise ValueError("FAIL_AT: point:action[:count]")
    point, action, *count = fail_at.split(":")
    _armed = Armed(point, action, int(count[0]) if count else None)


def failpoint(name: str, size: tuple[int, int] | None = None) -> None:
    """Fail here if this point is armed, for every picture or for those of this size (width, height)."""
    if _armed is None:
        return
    names = (name, f"{name}@{size[0]}x{size[1]}") if size else (name,)
    if _armed.point in names and _take_turn(_armed):
        _fail(_armed)


def _take_turn(armed: Armed) -> bool:
    """Whether this firing is one of the first `count`. No two processes can create the same file."""
    if armed.count is None:
        return True
    for number in range(armed.count):
        turn = Path(tempfile.gettempdir()) / f"failpoint-{armed.point}-{number}"
        try:
            turn.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


def _fail(armed: Armed) -> None:
    log.warning("fail-point", point=armed.point, action=armed.action)
    match armed.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(1)
        case "raise":
            raise FailPointError(armed.point)
        case "exhaust":
            raise MemoryError(armed.point)
        case "hang":
            while True:
                time.sleep(60)
        case _:
            time.sleep(float(armed.action.removeprefix("sleep=")))
