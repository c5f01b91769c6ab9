"""Secrets that wait in the database open only to the key and the purpose that they were kept for."""

import pytest

from shared.errors import SecretError
from shared.secrets_at_rest import decrypt, encrypt


def test_a_secret_comes_back_and_cannot_be_seen() -> None:
    token = encrypt("pässword", "a key", "mail")
    assert "pässword" not in token
    assert token != encrypt("pässword", "a key", "mail")
    assert decrypt(token, "a key", "mail") == "pässword"


@pytest.mark.parametrize(("key", "purpose"), [("another key", "mail"), ("a key", "another purpose")])
def test_another_key_or_purpose_opens_nothing(key: str, purpose: str) -> None:
    token = encrypt("password", "a key", "mail")
    with pytest.raises(SecretError, match="SECRET_KEY"):
        decrypt(token, key, purpose)


@pytest.mark.parametrize("token", ["", "no token", "ä"])
def test_what_is_no_token_is_refused_in_the_same_way(token: str) -> None:
    with pytest.raises(SecretError):
        decrypt(token, "a key", "mail")
