"""Where a system runs, and so what of it can break."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.outside import running_outside
from tests.faults.scene import Place
from tests.faults.small_disk import small_disk
from tests.faults.system import System


@contextmanager
def running_system(folder: Path, place: Place = Place.LOCAL) -> Iterator[System]:
    """A system at work; nothing of it is left afterwards but its logs."""
    with ExitStack() as surroundings:
        outside = None
        if place is Place.OUTSIDE:
            outside = surroundings.enter_context(running_outside(folder / "outside"))
        if place is Place.SMALL_DISK:
            for name in ("images", "redis"):
                surroundings.enter_context(small_disk(folder / name))
        system = System(folder, outside)
        with system.running():
            yield system
