"""Where this user's login and journals lie. The only reader of the environment's folders."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

NAME = "brain-scans"


def config_folder() -> Path:
    """XDG_CONFIG_HOME, or ~/.config."""
    return _folder("XDG_CONFIG_HOME", ".config")


def state_folder() -> Path:
    """XDG_STATE_HOME, or ~/.local/state."""
    return _folder("XDG_STATE_HOME", ".local/state")


def write_private(path: Path, content: Mapping[str, object]) -> None:
    """Write JSON whole or not at all, readable by its owner only from the first byte."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.replace(path)


def read_json(path: Path) -> dict[str, object] | None:
    """The object in a file, or None if there is no such file or it holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _folder(variable: str, default: str) -> Path:
    chosen = os.environ.get(variable, "")
    # A relative path is to be ignored: XDG Base Directory Specification.
    base = Path(chosen) if Path(chosen).is_absolute() else Path.home() / default
    return base / NAME
