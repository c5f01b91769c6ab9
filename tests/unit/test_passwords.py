"""Passwords: ours, those of the replaced system, and what a wrong one gives away."""

import hashlib
import statistics
import threading
import time

import pytest
from argon2 import PasswordHasher

from shared import passwords
from shared.passwords import generate_password, hash_password, needs_rehash, verify_password

PASSWORD = "Grüße 3:16"
OLD_HASH = hashlib.sha256(PASSWORD.encode()).hexdigest()


def test_a_new_hash_takes_the_right_password_only() -> None:
    stored = hash_password(PASSWORD)
    assert verify_password(stored, PASSWORD)
    assert not verify_password(stored, PASSWORD + " ")
    assert not needs_rehash(stored)


@pytest.mark.parametrize("stored", [OLD_HASH, OLD_HASH.upper()])
def test_an_old_hash_takes_the_right_password_only_and_asks_to_be_replaced(stored: str) -> None:
    assert verify_password(stored, PASSWORD)
    assert not verify_password(stored, PASSWORD + " ")
    assert needs_rehash(stored)


def test_an_old_hash_is_no_password() -> None:
    assert not verify_password(OLD_HASH, OLD_HASH)


def test_outdated_argon2_parameters_ask_for_a_new_hash() -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024).hash(PASSWORD)
    assert verify_password(weak, PASSWORD)
    assert needs_rehash(weak)


@pytest.mark.parametrize(
    "stored", [None, "", "admin", OLD_HASH[:-1], OLD_HASH + "\n", "$argon2id$v=19$broken"]
)
def test_without_a_usable_hash_no_password_is_right(stored: str | None) -> None:
    assert not verify_password(stored, PASSWORD)
    assert not verify_password(stored, stored or "")


def test_a_password_with_half_a_surrogate_pair_is_wrong_and_no_error() -> None:
    assert not verify_password(hash_password(PASSWORD), "\ud800")
    assert not verify_password(OLD_HASH, "\ud800")


@pytest.mark.parametrize("stored", [None, OLD_HASH, "damaged"])
def test_a_wrong_password_costs_as_much_as_with_a_new_hash(stored: str | None) -> None:
    expected = _processor_time(hash_password(PASSWORD))
    assert expected / 3 < _processor_time(stored) < expected * 3


def test_no_more_hashes_than_the_limit_run_at_once() -> None:
    waiting = threading.Thread(target=hash_password, args=(PASSWORD,))
    for _ in range(passwords.HASHES_AT_ONCE):
        passwords._SLOTS.acquire()
    try:
        waiting.start()
        waiting.join(1)
        assert waiting.is_alive()
    finally:
        for _ in range(passwords.HASHES_AT_ONCE):
            passwords._SLOTS.release()
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_failed_verification_gives_its_place_back() -> None:
    for _ in range(passwords.HASHES_AT_ONCE + 1):
        assert not verify_password("damaged", PASSWORD)


def test_generated_passwords_differ_and_are_long() -> None:
    made = {generate_password() for _ in range(50)}
    assert len(made) == 50
    assert min(len(password) for password in made) >= 14


def _processor_time(stored: str | None) -> float:
    """Processor seconds that a wrong password takes: unlike the clock, undisturbed by neighbours."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        verify_password(stored, "wrong")
        taken.append(time.process_time() - start)
    return statistics.median(taken)
