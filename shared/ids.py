"""Display ids: a letter for the kind and 80 random bits, so that nobody can guess a neighbour's."""

import secrets

RANDOM_BYTES = 10


def new_patient_id() -> str:
    return _display_id("P")


def new_scan_id() -> str:
    return _display_id("S")


def new_report_id() -> str:
    return _display_id("R")


def _display_id(letter: str) -> str:
    return letter + secrets.token_hex(RANDOM_BYTES).upper()
