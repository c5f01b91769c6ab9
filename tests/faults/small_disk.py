"""A disk that is soon full: a small file system in memory. Only root can mount one."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEGABYTES = 24
CHUNK = bytes(1 << 16)


def lacks_small_disks() -> str | None:
    """Why none can be had here."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "only root can mount a small disk"
    return None


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A folder of its own with little space. Raises `OSError` where mounting is not allowed."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(errno.EPERM, f"no small disk: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Meanwhile not one more byte fits onto the disk of this folder."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            size = len(CHUNK)
            while size:
                try:
                    size = file.write(CHUNK[:size])
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
        yield
    finally:
        filler.unlink(missing_ok=True)
