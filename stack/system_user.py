"""The unprivileged system user that runs Postgres when root calls, and what that user may reach."""

import os
import pwd
import subprocess
from pathlib import Path

from stack.servers import ServerError

NAME = "pgserver"


def needed_user() -> str | None:
    """Who must run Postgres: the caller (None), or for root a system user, made if it is missing."""
    return _existing_or_made() if os.geteuid() == 0 else None


def run_as(
    user: str | None, argv: list[str], *, cwd: Path, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command as `user` (None: the caller) to its end, `text` on its input, output captured."""
    return subprocess.run(
        argv,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        user=user,
        group=user,
        extra_groups=[] if user else None,
    )


def can_enter(user: str | None, path: Path) -> bool:
    """Whether `user` may enter the folder or run the program at `path`."""
    return user is None or run_as(user, ["test", "-x", str(path)], cwd=Path("/")).returncode == 0


def _existing_or_made() -> str:
    argv = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME]
    try:
        return pwd.getpwnam(NAME).pw_name
    except KeyError:
        pass
    try:
        reason = run_as(None, argv, cwd=Path("/")).stderr.strip()
        return pwd.getpwnam(NAME).pw_name  # also right when another process made it meanwhile
    except FileNotFoundError as error:
        reason = str(error)
    except KeyError:
        pass
    raise ServerError(
        f"Postgres refuses to run as root, and the system user {NAME} cannot be made ({reason}); run as an "
        f"ordinary user, or add a system user {NAME} with a group of the same name"
    )
