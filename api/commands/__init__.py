"""Operators' commands, one file per subject. Each adds its commands to the parser in `register`."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from shared.settings import Settings

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

CONNECTION_NAME = "cli"  # whose connections these are, in pg_stat_activity

Command: TypeAlias = Callable[[Settings, argparse.Namespace], int | None]


def add_command(commands: "Commands", name: str, run: Command, text: str) -> argparse.ArgumentParser:
    """A sub-parser whose command is `run`, which returns the exit status or None for 0."""
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=run)
    return parser
