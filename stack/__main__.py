"""The local stack's command line: `python -m stack up|down|status|logs|clean|demo|run`."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from stack.errors import StackError
from stack.interrupts import unwind_on_request
from stack.lifecycle import Stack
from stack.ports import PortTakenError
from stack.servers import ServerError
from stack.settings import DEFAULT_OUTPUT, DEFAULT_STATE, StackSettings, StackSettingsError
from stack.state import StateFolder

Command = Callable[[argparse.Namespace, StackSettings], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 1 it did not work, 2 wrong use, 130 interrupted."""
    options = _parser().parse_args(arguments)
    unwind_on_request()
    try:
        command: Command = options.command
        return command(options, StackSettings.from_environment())
    except StackSettingsError as error:
        return _fail(error, 2)
    except (StackError, ServerError, PortTakenError) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="folder of data, logs and secrets")
    commands = parser.add_subparsers(required=True)
    for command, text in (
        (_up, "start everything and say where it is"),
        (_down, "stop everything"),
        (_status, "print the processes as JSON"),
        (_logs, "follow the logs"),
        (_clean, "stop everything and remove all data"),
        (_demo, "analyse scans from upload to report in a stack of its own"),
        (_run, "run a Python module on the running stack's data: run worker.replay SCAN_ID"),
    ):
        added = commands.add_parser(command.__name__.removeprefix("_"), help=text)
        added.set_defaults(command=command)
        if command is _demo:
            added.add_argument(
                "--scans", type=Path, help="folder of PNG and JPEG slices; default: the samples"
            )
            added.add_argument("--out", type=Path, default=DEFAULT_OUTPUT, help="folder of the results")
        if command is _run:
            added.add_argument("module", help="as after `python -m`")
            added.add_argument("arguments", nargs=argparse.REMAINDER, help="of the module")
    return parser


def _up(options: argparse.Namespace, settings: StackSettings) -> int:
    access = _stack(options, settings).up()
    sys.stdout.write(access.lines())
    return 0


def _down(options: argparse.Namespace, settings: StackSettings) -> int:
    _stack(options, settings).down()
    return 0


def _status(options: argparse.Namespace, settings: StackSettings) -> int:
    json.dump(_stack(options, settings).status(), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


def _logs(options: argparse.Namespace, _: StackSettings) -> int:
    logs = sorted(StateFolder(options.state.resolve()).logs.glob("*.log"))
    if not logs:
        raise StackError("there are no logs yet: start with `make up`")
    os.execvp("tail", ["tail", "-n", "20", "-F", *map(str, logs)])  # noqa: S606 - a fixed program, no shell


def _clean(options: argparse.Namespace, settings: StackSettings) -> int:
    _stack(options, settings).clean()
    shutil.rmtree(DEFAULT_OUTPUT, ignore_errors=True)
    return 0


def _demo(options: argparse.Namespace, settings: StackSettings) -> int:
    from stack.demo import run_demo

    return run_demo(settings, options.scans or settings.scans, options.out)


def _run(options: argparse.Namespace, settings: StackSettings) -> int:
    argv = [sys.executable, "-m", options.module, *options.arguments]
    os.execve(sys.executable, argv, _stack(options, settings).environment())  # noqa: S606 - no shell


def _stack(options: argparse.Namespace, settings: StackSettings) -> Stack:
    return Stack(StateFolder(options.state.resolve()), settings, _say)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _fail(reason: object, status: int) -> int:
    sys.stderr.write(f"{reason}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
