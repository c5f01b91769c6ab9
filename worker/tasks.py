"""The tasks. Each names a function and delegates; ids in messages are hints, the rows decide what is done.

`later`: what messages of a newer version may say, while old and new workers run side by side.
"""

from shared.models import JobKind
from shared.queue import TASK_ANALYSE, TASK_RENDER, TASK_SEND_MAIL, TASK_SWEEP
from shared.sweep import sweep as sweep_once
from worker.app import app, this_process


@app.task(name=TASK_ANALYSE)
def analyse(job_id: str, **later: object) -> None:  # noqa: ARG001 - shown in Flower
    """Analyse the backlog of scans."""
    this_process().turns.drain(JobKind.SCAN)


@app.task(name=TASK_RENDER)
def render(job_id: str, **later: object) -> None:  # noqa: ARG001 - shown in Flower
    """Render the reports that are due."""
    this_process().turns.drain(JobKind.REPORT)


@app.task(name=TASK_SEND_MAIL)
def send_mail(job_id: str, **later: object) -> None:  # noqa: ARG001 - shown in Flower
    """Send the mails that are due."""
    this_process().turns.drain(JobKind.MAIL)


@app.task(name=TASK_SWEEP)
def sweep(**later: object) -> None:  # noqa: ARG001 - see above
    """Find what got stuck."""
    sweep_once(this_process().services)
