"""Workers of one version take messages of another: those of the next may say more than this one knows."""

import subprocess
import sys
from pathlib import Path

from shared.queue import TASK_ANALYSE, TASK_RENDER, TASK_SEND_MAIL, TASK_SWEEP

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = {TASK_ANALYSE: ["job"], TASK_RENDER: ["job"], TASK_SEND_MAIL: ["job"], TASK_SWEEP: []}
SCRIPT = f"""
import inspect
from worker import tasks
for name, arguments in {MESSAGES!r}.items():
    run = tasks.app.tasks[name].run
    inspect.signature(run).bind(*arguments, said_by_a_newer_version={{"batch": 1}}, and_more=None)
"""


def test_tasks_take_arguments_that_they_do_not_know() -> None:
    environment = {"DATABASE_URL": "postgresql://nobody@nowhere/none"}  # nothing connects
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
