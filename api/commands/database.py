"""Bringing the database up to date."""

import argparse
import sys
from typing import TYPE_CHECKING

from api.commands import CONNECTION_NAME, add_command
from shared.database import make_engine
from shared.migrations import upgrade
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands


def register(commands: "Commands") -> None:
    add_command(commands, "migrate", _migrate, "bring the database to the newest schema")


def _migrate(settings: Settings, _: argparse.Namespace) -> None:
    upgrade(make_engine(settings, CONNECTION_NAME))
    sys.stdout.write("The database schema is up to date.\n")
