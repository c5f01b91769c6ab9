"""Accounts of the staff, and ending logins."""

import argparse
import getpass
import sys
from typing import TYPE_CHECKING

from api.commands import CONNECTION_NAME, add_command
from shared import accounts, audit, logins
from shared.errors import ValidationError
from shared.logins import DEFAULT_PASSWORD, MIN_PASSWORD_LENGTH, Caller, Role
from shared.models import Admin, AdminRole
from shared.passwords import generate_password, hash_password
from shared.services import build_services
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands

PASSWORD_SOURCES = "the password comes from ADMIN_PASSWORD, or a prompt, or is generated and shown once"  # noqa: S105


def register(commands: "Commands") -> None:
    command = add_command(
        commands, "add-admin", _add_admin, f"create an account of the staff; {PASSWORD_SOURCES}"
    )
    command.add_argument("username")
    command.add_argument("--email")
    command.add_argument("--role", choices=[str(role) for role in AdminRole], default=str(AdminRole.ADMIN))
    _add_prompt(command)
    command = add_command(
        commands, "set-password", _set_password, f"give one of the staff another password; {PASSWORD_SOURCES}"
    )
    command.add_argument("username")
    _add_prompt(command)
    command = add_command(commands, "end-logins", _end_logins, "sign one of the staff out everywhere")
    command.add_argument("username")
    add_command(commands, "list-admins", _list_admins, "the staff's accounts, a line each")


def _add_prompt(command: argparse.ArgumentParser) -> None:
    command.add_argument("--prompt", action="store_true", help="ask for the password")


def _add_admin(settings: Settings, options: argparse.Namespace) -> None:
    given = _given_password(settings, options)
    with build_services(settings, CONNECTION_NAME).sessions.begin() as session:
        role = AdminRole(options.role)
        credentials = accounts.add_admin(session, options.username, options.email, given, role)
        admin = accounts.find_admin(session, options.username)
        audit.record(session, audit.CLI, "admin.created", f"{role}:{admin.id}")
    sys.stdout.write(f"username: {credentials.username}\n")
    if given is None:
        sys.stdout.write(f"password: {credentials.password}\n")


def _set_password(settings: Settings, options: argparse.Namespace) -> None:
    given = _given_password(settings, options)
    password = given or generate_password()
    hashed = hash_password(password)
    with build_services(settings, CONNECTION_NAME).sessions.begin() as session:
        caller = _caller(accounts.find_admin(session, options.username))
        logins.set_password(session, caller, hashed, is_generated=given is None)
        logins.sign_out_everywhere(session, caller)
        audit.record(session, audit.CLI, "password.reset", str(caller))
    sys.stdout.write(f"username: {options.username}\n")
    if given is None:
        sys.stdout.write(f"password: {password}\n")


def _end_logins(settings: Settings, options: argparse.Namespace) -> None:
    with build_services(settings, CONNECTION_NAME).sessions.begin() as session:
        caller = _caller(accounts.find_admin(session, options.username))
        ended = logins.sign_out_everywhere(session, caller)
        audit.record(session, audit.CLI, "login.ended", str(caller), details={"ended_logins": ended})
    sys.stdout.write(f"{ended} logins ended\n")


def _list_admins(settings: Settings, _: argparse.Namespace) -> None:
    with build_services(settings, CONNECTION_NAME).sessions() as session:
        for admin in accounts.list_admins(session):
            sys.stdout.write(f"{admin.username}\t{admin.role}\t{admin.email or ''}\n")


def _given_password(settings: Settings, options: argparse.Namespace) -> str | None:
    """None: generate one. Raises `ValidationError` for one that is too easy to guess."""
    if options.prompt:
        password = getpass.getpass("password: ")
        if getpass.getpass("again: ") != password:
            raise ValidationError("The two passwords differ.")
    elif settings.admin_password is not None:
        password = settings.admin_password.get_secret_value()
    else:
        return None
    is_allowed_default = password == DEFAULT_PASSWORD and settings.development_admin
    if len(password) < MIN_PASSWORD_LENGTH and not is_allowed_default:
        raise ValidationError(f"The password needs at least {MIN_PASSWORD_LENGTH} characters.")
    return password


def _caller(admin: Admin) -> Caller:
    return Caller(Role(admin.role), admin.id)
