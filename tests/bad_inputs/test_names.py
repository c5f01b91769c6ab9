"""What is shown of hostile file names, and that any text gives a name that can be stored."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.uploads import MAX_FILENAME, clean_filename
from tests.bad_inputs.names import NAMES


@pytest.mark.parametrize(("name", "shown"), NAMES.items(), ids=range(len(NAMES)))
def test_of_a_hostile_name_only_the_harmless_part_is_shown(name: str, shown: str) -> None:
    assert clean_filename(name) == shown


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.text(st.characters(), max_size=600))
def test_any_text_gives_a_short_visible_name(name: str) -> None:
    shown = clean_filename(name)
    assert 0 < len(shown) <= MAX_FILENAME
    assert not {"/", "\\"} & set(shown)
    assert all(unicodedata.category(character)[0] != "C" for character in shown)
    assert len(shown.splitlines()) == 1
    assert shown.strip(". "), "more than dots"
    assert clean_filename(shown) == shown
    shown.encode()
