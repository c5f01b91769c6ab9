"""The command line: `brain-scans login | submit | status | results | report | cancel | logout`."""

import os
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from brain_scans import batches, results
from brain_scans.api import Api, is_loopback
from brain_scans.errors import ClientError, NotSignedInError, WrongUseError
from brain_scans.login import sign_in, sign_out, stored_login
from brain_scans.output import bar, plain, put_json, put_line, say, say_refused, state_json, state_lines
from brain_scans.plan import Refusal
from brain_scans.stopping import gentle_stop
from brain_scans.submitting import Submitted, Work, check, submit

PASSWORD_VARIABLE = "BRAIN_SCANS_PASSWORD"  # noqa: S105 - a name, not a password
EXIT_CODES = (
    "Exit status: 0 done, 1 some files were refused or jobs failed, 2 wrong use, 3 not signed in or not "
    "allowed, 4 server not reachable, 130 interrupted."
)

app = typer.Typer(
    name="brain-scans",
    help="Send many brain MRI slices to the analysis server, follow them, fetch results and reports.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress stays on stderr.")]
Batch = Annotated[str | None, typer.Argument(help="Batch id; without it, the last one submitted here.")]


def main() -> None:
    """The console script."""
    app()


@app.command(epilog=EXIT_CODES)
def login(
    url: Annotated[str, typer.Argument(help="Address of the server, such as https://scans.example.org.")],
    username: Annotated[str, typer.Option("--username", "-U", help="Admin's user name.")] = "admin",
    password_stdin: Annotated[bool, typer.Option(help="Read the password from standard input.")] = False,
    as_json: Json = False,
) -> None:
    """Sign in. The password is asked for, or taken from BRAIN_SCANS_PASSWORD; only a token is kept."""
    with _reported(), Api(url) as api:
        if url.startswith("http://") and not is_loopback(url):
            say("Warning: http:// sends password and pictures unencrypted. Use https:// outside of tests.")
        opened = sign_in(api, username, _password(from_stdin=password_stdin))
        if as_json:
            put_json({"url": opened.url, "username": opened.username})
        else:
            say(f"Signed in to {opened.url} as {plain(opened.username)}.")


@app.command(epilog=EXIT_CODES)
def logout(as_json: Json = False) -> None:
    """Revoke the login and forget it."""
    with _reported():
        was_open = sign_out()
        if as_json:
            put_json({"signed_out": True, "was_open": was_open})
        else:
            say("Signed out." if was_open else "The login had ended already; it is forgotten here too.")


@app.command("submit", epilog=EXIT_CODES)
def submit_command(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE", help="Folders, ZIPs, CSVs or pictures.")],
    patient: Annotated[str | None, typer.Option(help="Patient of all files: number or P… id.")] = None,
    table: Annotated[Path | None, typer.Option("--map", help="CSV with columns filename,patient_id.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the batch until it is done.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, send nothing.")] = False,
    name: Annotated[str | None, typer.Option(help="Name of the batch; no patient's name, please.")] = None,
    parallel: Annotated[int, typer.Option(min=1, max=16, help="Requests at once.")] = 4,
    anew: Annotated[bool, typer.Option("--new", help="A new batch, even if these files were sent.")] = False,
    as_json: Json = False,
) -> None:
    """Send pictures as one batch. The same command again goes on where it stopped, and sends nothing twice.

    A CSV source has the columns filename,patient_id, with paths relative to it; a manifest.csv in a ZIP too.
    """
    stop = threading.Event()
    work = Work(sources, patient, table, name, anew)
    with _reported(), gentle_stop(stop), _signed_in(stop) as api:
        if dry_run:
            _finish_check(check(api, work), as_json)
            return
        done = submit(api, work, parallel, stop)
        content = done.json()
        if not as_json:
            _say_submitted(done)
        if done.stopped is not None:
            if as_json:
                put_json(content)
            say(f"Stopped after {done.tally.done} of {done.total} files. To go on, run again:")
            say(f"  {shlex.join([Path(sys.argv[0]).name, *(a for a in sys.argv[1:] if a != '--new')])}")
            raise done.stopped
        failed = 0
        if wait:
            state = _follow(api, done.batch_id)
            content["batch"], failed = state_json(state), state.failed
            if not as_json:
                put_line(state_lines(state))
        if as_json:
            put_json(content)
        if done.tally.refused or failed:
            raise typer.Exit(1)


@app.command(epilog=EXIT_CODES)
def status(
    batch: Batch = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it is done.")] = False,
    as_json: Json = False,
) -> None:
    """Say how far a batch is."""
    with _reported(), _signed_in() as api:
        batch_id = batch or batches.last_batch(api.url)
        state = _follow(api, batch_id) if wait else batches.state_of(api, batch_id)
        if as_json:
            put_json(state_json(state))
        else:
            put_line(state_lines(state))
        if state.failed:
            raise typer.Exit(1)


@app.command("results", epilog=EXIT_CODES)
def results_command(
    batch: Batch = None,
    csv: Annotated[
        Path, typer.Option("--csv", help="Where to write the table; - is standard output.")
    ] = results.STDOUT,
    as_json: Json = False,
) -> None:
    """Fetch a batch's results as CSV."""
    with _reported(), _signed_in() as api:
        if as_json and csv == results.STDOUT:
            raise WrongUseError("--json needs --csv FILE: standard output cannot be both.")
        batch_id = batch or batches.last_batch(api.url)
        size = results.save_table(api, batch_id, csv)
        if as_json:
            put_json({"batch_id": batch_id, "file": str(csv), "bytes": size})
        elif csv != results.STDOUT:
            say(f"Results are in {csv}.")


@app.command(epilog=EXIT_CODES)
def report(
    patient: Annotated[str, typer.Option(help="Number or P… id.")],
    out: Annotated[Path | None, typer.Option("--out", help="PDF to write; default: the report's id.")] = None,
    as_json: Json = False,
) -> None:
    """Have a PDF made about all finished scans of a patient, and fetch it."""
    with _reported(), _signed_in() as api:
        made = results.make_report(api, patient)
        report_id = str(made["report_id"])
        target = out or Path(f"{report_id}.pdf")
        size = results.save_report(api, report_id, target)
        if as_json:
            put_json({"report_id": report_id, "file": str(target), "bytes": size})
        else:
            say(f"The report is in {target}.")


@app.command(epilog=EXIT_CODES)
def cancel(batch: Batch = None, as_json: Json = False) -> None:
    """Cancel what has not been analysed yet. What is finished stays."""
    with _reported(), _signed_in() as api:
        batch_id = batch or batches.last_batch(api.url)
        number = batches.cancel(api, batch_id)
        if as_json:
            put_json({"batch_id": batch_id, "cancelled": number})
        else:
            say(f"{number} jobs were cancelled.")


@contextmanager
def _reported() -> Iterator[None]:
    """Errors that were foreseen become a line and an exit status."""
    try:
        yield
    except ClientError as error:
        say(str(error))
        raise typer.Exit(error.exit_status) from None


@contextmanager
def _signed_in(stop: threading.Event | None = None) -> Iterator[Api]:
    """The server that the user is signed in to."""
    opened = stored_login()
    with Api(opened.url, opened.token, username=opened.username, stop=stop) as api:
        try:
            yield api
        except NotSignedInError as error:
            raise NotSignedInError(f"{error} (brain-scans login {opened.url})") from error


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = os.environ.get(PASSWORD_VARIABLE, "") or getpass()
    if not password:
        raise WrongUseError("The password is empty.")
    return password


def _follow(api: Api, batch_id: str) -> batches.BatchState:
    with bar("analysing", 0) as show:
        return batches.follow(api, batch_id, lambda now: show(now.total - now.unfinished, now.total))


def _say_submitted(done: Submitted) -> None:
    tally = done.tally
    already = f", {tally.already} were there before" if tally.already else ""
    say(f"Batch {done.batch_id}: {tally.accepted} files accepted{already}, {len(tally.refused)} refused.")
    say_refused(tally.refused)
    if done.left_out:
        say(f"{done.left_out} other files are no pictures by their names and were left out.")


def _finish_check(found: dict[str, object], as_json: bool) -> None:
    refused = [Refusal(**refusal) for refusal in found["refused"]]  # type: ignore[attr-defined]
    if as_json:
        put_json(found)
    else:
        say(
            f"{found['files']} files of {found['patients']} patients, {found['bytes']} bytes, would go in "
            f"{found['requests']} requests; {len(refused)} would be refused. Nothing was sent."
        )
        say_refused(refused)
    if refused:
        raise typer.Exit(1)
