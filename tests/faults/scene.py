"""One fault's run: work starts, something breaks, and the ledger is held against what the client was told."""

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from shared import accounts
from shared.accounts import PatientFacts
from tests.faults.driver import Driver, Picture, log_in, make_pictures
from tests.faults.ledger import Ledger, check, finished, stored, unfinished, unnamed
from tests.faults.programs import ROOT
from tests.faults.system import ADMIN_PASSWORD, System, until

PACE = 40  # pictures per second: so that there is work under way when something breaks
POISON_SIZE = (77, 33)
RECOVERY_S = 150


class Place(Enum):
    """Where a system runs, and so what of it can break."""

    LOCAL = "objects in folders of this machine"
    OUTSIDE = "pictures in Cloudinary, PDFs and waiting uploads in S3, a mail server"
    SMALL_DISK = "pictures, and what Redis writes, on disks that are soon full"


@dataclass(frozen=True)
class Scene:
    """What a fault finds: the system at work for a driver. `is_brief`: waits are cut short."""

    system: System
    driver: Driver
    is_brief: bool
    broken: list[str] = field(default_factory=list)  # promises that the fault itself found broken

    def demand(self, is_kept: bool, promise: str) -> None:
        """Note a promise, or that the fault struck at all, if it was not kept."""
        if not is_kept:
            self.broken.append(promise)

    def wait_for_work(self, share: float = 0.25) -> None:
        """Return when this share of all pictures is analysed."""
        wanted = int(share * len(self.driver.pictures))
        until(lambda: finished(self.system, self.driver.patient_id) >= wanted, "work is under way")

    def last(self, seconds: float) -> None:
        """Let the fault last: as long as told, or a third of it."""
        time.sleep(seconds / 3 if self.is_brief else seconds)


def nothing_lacks() -> str | None:
    """The answer of faults that can be made everywhere."""
    return None


@dataclass(frozen=True)
class Fault:
    """Something that breaks. `act` breaks it and, where that is needed, mends it again."""

    name: str
    act: Callable[[Scene], None]
    environment: Mapping[str, str] = field(default_factory=dict)  # of all processes, during this fault
    poisoned: int = 0  # pictures that must fail
    place: Place = Place.LOCAL
    lacks: Callable[[], str | None] = nothing_lacks  # why it cannot be made here

    @property
    def is_counted(self) -> bool:
        """Whether it is a fail-point that notes how often it fired."""
        return re.search(r":\d+$", self.environment.get("FAIL_AT", "")) is not None


def run_fault(system: System, fault: Fault, scans: int, is_brief: bool = False) -> Ledger:
    """Break something while `scans` pictures are analysed. The system is whole again afterwards."""
    if fault.environment:
        system.restart(fault.environment)
    before = stored(system)
    driver = _start_driver(system, scans, fault.poisoned)
    scene = Scene(system, driver, is_brief)
    try:
        fault.act(scene)
        mended = time.monotonic()
    finally:
        driver.join()
    until(lambda: unfinished(system, driver.patient_id) == 0, f"all work ends: {fault.name}", RECOVERY_S)
    seconds = time.monotonic() - mended
    if fault.is_counted:
        scene.demand(system.fail_points_fired > 0, "the fail-point was never reached")
    if fault.environment:
        system.restart({})
    system.wait_until_at_work()
    after = stored(system)
    ledger = check(system, driver, fault.name, after, after - before)
    ledger.broken += scene.broken
    ledger.seconds = round(seconds, 1)
    if not is_brief:
        ledger.leftovers = left_after_repair(system)
    return ledger


def _start_driver(system: System, scans: int, poisoned: int) -> Driver:
    with system.services.sessions.begin() as session:
        patient = accounts.create_patient(
            session, PatientFacts("Ada Example", f"{uuid.uuid4()}@example.org")
        )[0].id
    pictures: list[Picture] = make_pictures(scans - poisoned, seed=patient)
    poison = make_pictures(poisoned, seed=patient, size=POISON_SIZE)
    middle = len(pictures) // 2
    pictures[middle:middle] = poison
    return Driver(system.url, log_in(system.url, ADMIN_PASSWORD), patient, pictures, PACE)


def left_after_repair(system: System) -> int:
    """What reconciliation leaves behind of objects that no row names; 0 is the promise."""
    command = [sys.executable, "-m", "api.cli", "reconcile", "--repair", "--older-than", "0"]
    done = subprocess.run(command, cwd=ROOT, env=system.environment(), capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()[-500:]
    return len(unnamed(system, stored(system)))
