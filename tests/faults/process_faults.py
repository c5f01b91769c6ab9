"""Processes of the product that die, stop, start slowly, or live by a wrong clock."""

import re
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from shared.models import Job, JobStatus
from tests.faults.ledger import finished
from tests.faults.programs import paused, send_signal
from tests.faults.scene import Fault, Scene
from tests.faults.system import BEAT, REPORT, SCAN, SCAN_2, until

LEASE_S = 3.0
SKEW = timedelta(hours=2)
_TIMESTAMP = re.compile(r'"timestamp": "([^"]+)"')


def nothing(scene: Scene) -> None:
    """The fault is in the environment, or there is none."""
    scene.wait_for_work()


def kill_scan_child(scene: Scene) -> None:
    scene.wait_for_work()
    send_signal(_child_at_work(scene), signal.SIGKILL)


def kill_scan_children_again_and_again(scene: Scene) -> None:
    for name in (SCAN, SCAN_2, SCAN, SCAN_2):
        scene.wait_for_work(0.1)
        scene.system.kill_child(name)
        scene.last(3)


def kill_scan_parent(scene: Scene) -> None:
    scene.wait_for_work()
    scene.system.kill(SCAN)


def kill_report_worker(scene: Scene) -> None:
    until(lambda: scene.driver.reports > 0, "a report is asked for")
    scene.system.kill_child(REPORT)
    scene.system.kill(REPORT)


def kill_api_worker(scene: Scene) -> None:
    for _ in range(3):
        scene.system.kill_child("api")
        scene.last(1)


def kill_beat(scene: Scene) -> None:
    scene.wait_for_work()
    scene.system.kill(BEAT)


def kill_everything(scene: Scene) -> None:
    scene.wait_for_work()
    scene.system.kill_all()


def cut_the_power(scene: Scene) -> None:
    """Every process at once, Postgres and Redis too."""
    scene.wait_for_work()
    scene.system.kill_all()
    scene.system.redis.stop(signal.SIGKILL)
    scene.system.postgres.stop(signal.SIGQUIT)
    scene.system.postgres.start()
    scene.system.redis.start()


def stop_scan_workers_politely(scene: Scene) -> None:
    """As a rolling restart does."""
    for name in (SCAN, SCAN_2):
        scene.wait_for_work(0.1)
        scene.system.terminate(name)


def wake_a_paused_worker(scene: Scene) -> None:
    """It sleeps past its lease, and goes on as if nothing had happened."""
    with paused(_child_at_work(scene)):
        time.sleep(LEASE_S + 3)


def _child_at_work(scene: Scene) -> int:
    """The process id of a scan worker's child that holds jobs; of any if all work has ended."""
    found: set[int] = set()

    def is_found() -> bool:
        with scene.system.services.sessions() as session:
            owners = session.scalars(select(Job.lease_owner).where(Job.status == JobStatus.RUNNING)).all()
        held_by = {int(owner.rsplit(":", 1)[-1]) for owner in owners if owner}
        found.update(held_by & {scene.system.child(name) for name in (SCAN, SCAN_2)})
        return bool(found)

    all_of_it = len(scene.driver.pictures)
    until(
        lambda: is_found() or finished(scene.system, scene.driver.patient_id) == all_of_it,
        "a scan worker has jobs",
    )
    return found.pop() if found else scene.system.child(SCAN)


def miss_beat(scene: Scene) -> None:
    """Nothing sweeps but the workers themselves, and the hints are lost."""
    with scene.system.without(BEAT):
        for share in (0.1, 0.5):
            scene.wait_for_work(share)
            scene.system.redis.stop(signal.SIGKILL)
            send_signal(_child_at_work(scene), signal.SIGKILL)
            scene.system.redis.start()
        scene.last(10)


def run_two_beats(scene: Scene) -> None:
    with scene.system.second_beat():
        scene.wait_for_work(0.2)
        send_signal(_child_at_work(scene), signal.SIGKILL)
        scene.last(6)


def kill_children_that_load(scene: Scene) -> None:
    """Both die at work, and one again while its model is being loaded."""
    scene.wait_for_work(0.1)
    for name in (SCAN, SCAN_2):
        scene.system.kill_child(name)
    scene.last(3)
    scene.system.kill_child(SCAN)


def set_clocks(scene: Scene) -> None:
    """One scan worker lives two hours ahead, one two hours behind."""
    skews = {SCAN: SKEW, SCAN_2: -SKEW}
    with ExitStack() as wrong:
        for name, skew in skews.items():
            wrong.enter_context(scene.system.with_variables(name, _living_at(skew)))
        scene.system.wait_until_at_work()
        scene.wait_for_work(0.5)
        for name, skew in skews.items():
            text = (scene.system.folder / f"{name}.log").read_text(errors="replace")
            last = datetime.fromisoformat(_TIMESTAMP.findall(text)[-1])
            off = last - datetime.now(UTC) - skew
            scene.demand(abs(off) < SKEW / 4, f"the clock of {name} was not set: its log says {last}")


def lacks_faketime() -> str | None:
    """Why no clock can be set here."""
    return None if shutil.which("faketime") else "faketime (Debian: `apt-get install faketime`) is not here"


def _living_at(skew: timedelta) -> dict[str, str]:
    """The variables of a process whose wall clock is wrong; what counts seconds goes on as it was."""
    asked = ["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"]
    library = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return {
        "LD_PRELOAD": library,
        "FAKETIME": f"{skew.total_seconds():+.0f}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "PYTHONPATH": str(Path(__file__).with_name("wrong_clock")),
    }


PROCESS_FAULTS = (
    Fault("kill a scan worker's child", kill_scan_child),
    Fault("kill children again and again", kill_scan_children_again_and_again),
    Fault("kill everything", kill_everything),
    Fault("kill the report worker", kill_report_worker),
    Fault("kill API workers", kill_api_worker),
    Fault("kill beat", kill_beat),
    Fault("no beat for a while", miss_beat),
    Fault("two beats", run_two_beats),
    Fault("cut the power", cut_the_power),
    Fault("stop scan workers politely", stop_scan_workers_politely),
    Fault("wake a paused worker", wake_a_paused_worker),
    Fault("slow model, killed children", kill_children_that_load, {"FAIL_AT": "model-loading:sleep=8"}),
    Fault("wrong clocks", set_clocks, lacks=lacks_faketime),
)
