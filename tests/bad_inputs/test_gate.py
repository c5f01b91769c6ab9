"""Every case of the corpus meets its expected outcome at the gate, in bounded time."""

import time

import numpy as np
import pytest

from api.uploads import check_image
from shared.images import DEFAULT_LIMITS, read_grey
from tests.bad_inputs.case import EMPTY, NEITHER, Accepted, Case, error_of
from tests.bad_inputs.corpus import cases

MOST_SECONDS = 2


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    names = [case.name for case in cases()]
    assert len(names) >= 150
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_what_becomes_of_it_is_what_is_expected(case: Case) -> None:
    data = case.data()
    began = time.process_time()
    if isinstance(case.expected, Accepted):
        kind, extension, *size = check_image(data, DEFAULT_LIMITS)
        assert tuple(size) == case.expected.size
        assert (kind, extension) == (
            ("image/png", "png") if data.startswith(b"\x89") else ("image/jpeg", "jpg")
        )
        grey = read_grey(data)
        assert grey.mode == "L"
        if case.expected.pixels is not None:
            difference = np.abs(np.asarray(grey, int) - case.expected.pixels)
            assert difference.max() <= case.expected.tolerance
    else:
        with pytest.raises(error_of(case.expected)) as refused:
            check_image(data, DEFAULT_LIMITS)
        assert str(refused.value) == case.expected
        if case.expected not in (EMPTY, NEITHER):  # the gate's own; decoding alone says that it is damaged
            with pytest.raises(error_of(case.expected), match=case.expected[:20]):
                read_grey(data)
    assert time.process_time() - began < MOST_SECONDS
