"""The state folder: where data, logs, secrets and the chosen ports of one stack lie."""

import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stack.errors import StackError
from stack.ports import Ports

LONGEST_SOCKET_PATH = 90  # AF_UNIX ends at 107; supervisor binds a longer, temporary name first


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Generated once per state folder. URL-safe, so that none needs quoting anywhere."""

    secret_key: str = field(default_factory=_secret, repr=False)
    postgres_password: str = field(default_factory=_secret, repr=False)
    redis_password: str = field(default_factory=_secret, repr=False)
    admin_password: str = field(default_factory=lambda: secrets.token_urlsafe(15), repr=False)
    flower_password: str = field(default_factory=lambda: secrets.token_urlsafe(15), repr=False)
    supervisor_password: str = field(default_factory=_secret, repr=False)


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Names of what lies under `root`, which is absolute."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def supervisor_config(self) -> Path:
        return self.root / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        """The control socket: in the state folder, or in a private folder under /tmp if that path is long."""
        direct = self.root / "supervisor.sock"
        if len(str(direct)) <= LONGEST_SOCKET_PATH:
            return direct
        name = hashlib.sha256(str(self.root).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"brain-tumor-{name}" / "supervisor.sock"

    @property
    def admin_mark(self) -> Path:
        """Exists once the admin account was made."""
        return self.root / "admin-made"

    def create(self) -> None:
        """Make the folders. Others may pass through (Postgres runs as another user for root), not list."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        for name in ("beat", "images", "reports"):
            (self.root / name).mkdir(mode=0o700, exist_ok=True)
        _make_private(self.supervisor_socket.parent, above=self.root)

    def load_secrets(self) -> Secrets:
        """The secrets of this folder; generated and stored for the owner only at the first call."""
        path = self.root / "secrets.json"
        if not path.exists():
            write_private(path, asdict(Secrets()))
        return Secrets(**json.loads(path.read_text()))

    def load_ports(self) -> Ports | None:
        """The ports of the last start; None before the first."""
        path = self.root / "ports.json"
        return Ports(**json.loads(path.read_text())) if path.exists() else None

    def save_ports(self, ports: Ports) -> None:
        write_private(self.root / "ports.json", asdict(ports))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time changes a stack. Raises `StackError` if another one is at work."""
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(f"another command is at work on {self.root}; wait for its end") from None
            yield


def write_private(path: Path, content: Mapping[str, object]) -> None:
    """Write JSON whole or not at all, readable by its owner only from the first byte."""
    draft = path.with_suffix(f".{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.replace(path)


def _make_private(folder: Path, *, above: Path) -> None:
    """Make `folder` for this user alone. One that somebody else put there is refused."""
    if folder == above:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StackError(f"{folder} belongs to somebody else or is open to others; remove it")
