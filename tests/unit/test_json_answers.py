"""The quick JSON says what the standard library's would, and falls back on it."""

import json
import uuid
from datetime import UTC, datetime
from enum import StrEnum

import pytest
from flask import Flask

from api.json_answers import FastJsonProvider


class Word(StrEnum):
    ONE = "one"


@pytest.fixture(scope="module")
def provider() -> FastJsonProvider:
    return FastJsonProvider(Flask("tests"))


@pytest.mark.parametrize(
    "value",
    [
        {"b": [1, 2.5, None, True], "a": 'é\u2028\n\x1b"\\'},
        {1: "a key that is no text"},
        [2**70, -(2**63)],
        "half a character: \ud800",
        {"word": Word.ONE},
        (),
    ],
)
def test_it_means_the_same(provider: FastJsonProvider, value: object) -> None:
    assert json.loads(provider.dumps(value)) == json.loads(json.dumps(value))


def test_keys_are_sorted_and_nothing_is_spaced(provider: FastJsonProvider) -> None:
    assert provider.dumps({"b": 1, "a": [1, 2]}, separators=(", ", ": ")) == '{"a":[1,2],"b":1}'
    assert provider.dumps({"a": 1}, indent=2) == '{\n  "a": 1\n}'


def test_what_is_no_number_is_null_for_json_has_no_word_for_it(provider: FastJsonProvider) -> None:
    assert provider.dumps([float("nan"), float("inf")]) == "[null,null]"


def test_ids_and_moments_have_their_usual_text(provider: FastJsonProvider) -> None:
    key = uuid.uuid4()
    assert provider.dumps({"id": key}) == f'{{"id":"{key}"}}'
    assert provider.dumps(datetime(2026, 1, 2, tzinfo=UTC)) == '"2026-01-02T00:00:00+00:00"'
    with pytest.raises(TypeError):
        provider.dumps(object())
