"""The tasks. Each names a function and delegates; ids in messages are hints, the rows decide what is done."""

from shared.queue import TASK_ANALYSE, TASK_RENDER, TASK_SEND_MAIL, TASK_SWEEP
from shared.sweep import sweep as sweep_once
from worker.app import app, this_process


@app.task(name=TASK_ANALYSE)
def analyse(job_id: str) -> None:  # noqa: ARG001 - shown in Flower
    """Analyse the backlog of scans."""
    pipeline = this_process().scans
    if pipeline is not None:
        pipeline.drain()


@app.task(name=TASK_RENDER)
def render(job_id: str) -> None:  # noqa: ARG001 - shown in Flower
    """Render the reports that are due."""
    renderer = this_process().reports
    if renderer is not None:
        renderer.drain()


@app.task(name=TASK_SEND_MAIL)
def send_mail(job_id: str) -> None:  # noqa: ARG001 - shown in Flower
    """Send the mails that are due."""
    sender = this_process().mails
    if sender is not None:
        sender.drain()


@app.task(name=TASK_SWEEP)
def sweep() -> None:
    """Find what got stuck."""
    sweep_once(this_process().services)
