"""The switch that ends a process whose interpreter is held; in processes of their own, since it ends them."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import re, time
from worker.dead_man import DeadManSwitch
switch = DeadManSwitch({seconds})
switch.start()
{work}
switch.stop()
time.sleep({seconds} * 1.5)
print("came to its end")
"""


def run(seconds: float, work: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(seconds=seconds, work=work)
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_process_whose_interpreter_is_held_is_ended_and_says_where() -> None:
    began = time.monotonic()
    done = run(1, 're.match("(a+)+$", "a" * 64 + "b")')  # takes thousands of years and holds the lock
    assert done.returncode == 1
    assert time.monotonic() - began < 30
    assert "came to its end" not in done.stdout
    assert "re/__init__.py" in done.stderr


def test_a_process_whose_threads_run_goes_on_even_if_its_work_takes_long() -> None:
    done = run(1, "time.sleep(3)")
    assert (done.returncode, done.stderr) == (0, "")
    assert "came to its end" in done.stdout
