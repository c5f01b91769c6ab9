"""The demo: scans go from upload to report through a stack of their own, which is removed afterwards."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pypdf import PdfReader
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stack.client import ApiClient, Json, Uploaded
from stack.errors import StackError
from stack.interrupts import undisturbed
from stack.lifecycle import Stack
from stack.ports import free_port
from stack.results import ReportFacts, ScanRow, Summary, has_finding, worker_ms
from stack.servers import ServerError
from stack.settings import DEFAULT_SAMPLES, StackSettings
from stack.slices import expected_predictions, find_slices, in_requests, picture_names
from stack.state import StateFolder

PATIENT = {"name": "Demo Patient", "email": "demo.patient@example.org", "age": 52, "gender": "Female"}
STATE_PREFIX = "brain-tumor-demo-"
SYNTHETIC_NOTE = (
    "These samples are synthetic head phantoms made by a script, not pictures of people. "
    "Real slices: `make demo SCANS=folder` with a folder of PNG or JPEG files."
)
RESEARCH_NOTE = "Research software, not a medical device: no result here may guide the care of a patient."


def run_demo(settings: StackSettings, scans: Path | None, out: Path) -> int:
    """Analyse the slices below `scans` (None: the samples) into `out`. Returns the exit status."""
    began = time.monotonic()
    console = Console()
    folder = (scans or DEFAULT_SAMPLES).resolve()
    files = find_slices(folder)
    _clear(out)
    rows: list[ScanRow] = []
    report = error = None
    try:
        with temporary_stack(settings, out, console.print) as stack:
            access = stack.up()
            with ApiClient.signed_in(access.url, access.username, access.password) as client:
                patient_id = client.create_patient(PATIENT)
                rows = analyse(client, patient_id, files, folder, out / "overlays", console)
                if has_finding(rows):
                    report = fetch_report(client, patient_id, out / "report.pdf", console)
    except (StackError, ServerError) as problem:
        error = str(problem)
    summary = Summary(tuple(rows), report, time.monotonic() - began, folder == DEFAULT_SAMPLES, error)
    summary.write(out / "summary.json")
    _show(console, summary, out)
    return 0 if summary.ok else 1


@contextmanager
def temporary_stack(settings: StackSettings, out: Path, say: Callable[[str], None]) -> Iterator[Stack]:
    """A stack on free ports in a folder of its own; nothing of it stays, but its logs after a failure."""
    folder = Path(tempfile.mkdtemp(prefix=STATE_PREFIX))
    ports = replace(settings, port=free_port(), flower_port=free_port())
    stack = Stack(StateFolder(folder.resolve()), ports, say)
    try:
        yield stack
    except Exception:
        if stack.state.logs.exists():
            shutil.copytree(stack.state.logs, out / "logs", dirs_exist_ok=True)
            say(f"The logs are in {shown(out / 'logs')}.")
        raise
    finally:
        with undisturbed():
            stack.clean()


def analyse(
    client: ApiClient, patient_id: int, files: Sequence[Path], folder: Path, overlays: Path, console: Console
) -> list[ScanRow]:
    """Upload the files, wait for their jobs, fetch the overlays; a row for each file, in the same order."""
    with _progress(console) as progress:
        sending = progress.add_task("uploading", total=len(files))
        uploads: list[Uploaded] = []
        for request in in_requests(files):
            uploads += client.upload(patient_id, request)
            progress.update(sending, completed=len(uploads))
        ids = [upload.job_id for upload in uploads if upload.job_id]
        working = progress.add_task("analysing", total=len(ids))
        jobs = client.wait_for_jobs(ids, lambda count: progress.update(working, completed=count))
    scans = {scan["job_id"]: scan for scan in client.scans(patient_id)}
    names, expected = picture_names(files, folder), expected_predictions(folder)
    overlays.mkdir(parents=True, exist_ok=True)
    rows = []
    for upload in uploads:
        file = upload.file.relative_to(folder).as_posix()
        if upload.job_id is None:
            rows.append(ScanRow(file, "refused", error=upload.error, expected=expected.get(file)))
            continue
        scan, job = scans.get(upload.job_id, {}), jobs[upload.job_id]
        overlay = _fetch_overlay(client, scan, overlays / names[upload.file])
        rows.append(scan_row(file, job, scan, overlay, expected.get(file)))
    return rows


def scan_row(file: str, job: Json, scan: Json, overlay: Path | None, expected: str | None) -> ScanRow:
    """The row of a file from its job object, its scan object and the overlay that was fetched."""
    problem = job.get("error") or {}
    rejection = (job.get("result") or {}).get("rejection") or {}
    return ScanRow(
        file=file,
        status=scan.get("status") or job["status"],
        prediction=scan.get("prediction"),
        probability=scan.get("probability"),
        confidence=scan.get("confidence"),
        tumor_type=scan.get("tumor_type"),
        review=scan.get("review"),
        ms=worker_ms(job),
        overlay=shown(overlay) if overlay else None,
        error=problem.get("message") or rejection.get("reason"),
        expected=expected,
    )


def fetch_report(client: ApiClient, patient_id: int, file: Path, console: Console) -> ReportFacts:
    """Ask for the report, wait for it and store the PDF in `file`. Raises `StackError` if it fails."""
    console.print("Asking for the report …")
    job_id = client.request_report(patient_id)
    job = client.wait_for_jobs([job_id], lambda _: None)[job_id]
    if job["status"] != "succeeded":
        raise StackError(f"the report failed: {(job.get('error') or {}).get('message')}")
    report_id = str(job["result"]["report_id"])
    content = client.fetch(client.report_url(report_id))
    file.write_bytes(content)
    return ReportFacts(report_id, shown(file), len(PdfReader(file).pages), len(content))


def shown(path: Path) -> str:
    """The path as a person would type it from where they are."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _fetch_overlay(client: ApiClient, scan: Json, file: Path) -> Path | None:
    link = scan.get("overlay_path")
    if not link:
        return None
    file.write_bytes(client.fetch(str(link)))
    return file


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _clear(out: Path) -> None:
    """Remove what an earlier demo wrote, and nothing else that may lie there."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("overlays", "logs"):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in ("report.pdf", "summary.json"):
        (out / name).unlink(missing_ok=True)


def _show(console: Console, summary: Summary, out: Path) -> None:
    """The table, where things lie, and what a reader must know about them."""
    if summary.scans:
        console.print(summary.table())
    expected = [row for row in summary.scans if row.expected]
    if expected:
        right = sum(row.is_as_expected for row in expected)
        console.print(f"{right} of {len(expected)} predictions are as expected.")
    if summary.error:
        console.print(f"The demo failed: {summary.error}", style="red", markup=False)
    if any(row.overlay for row in summary.scans):
        console.print(f"Overlays: {shown(out / 'overlays')}", markup=False)
    if summary.report:
        console.print(f"Report:   {summary.report.path} ({summary.report.pages} pages)", markup=False)
    console.print(f"Summary:  {shown(out / 'summary.json')} ({summary.seconds:.0f} s in all)", markup=False)
    if summary.synthetic:
        console.print(SYNTHETIC_NOTE, markup=False)
    console.print(RESEARCH_NOTE, markup=False)
