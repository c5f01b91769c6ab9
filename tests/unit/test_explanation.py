"""`worker.explanation`: what is said about a map, and whether its heat lies on tissue."""

import json

import numpy as np
from PIL import Image

from tests.fakes import MadeUpPrediction
from worker.explanation import OUTSIDE_HEAD, explain
from worker.preprocessing import prepare


def head_in_the_middle():
    """A bright disc that leaves the corners of its crop empty."""
    rows, columns = np.mgrid[0:200, 0:200]
    disc = np.hypot(rows - 100, columns - 100) < 70
    rng = np.random.default_rng(0)
    return prepare(Image.fromarray((disc * rng.uniform(90, 200, disc.shape)).astype(np.uint8)), 64)


def explained(**evidence):
    grid = np.zeros((16, 16), np.float32)
    for place, value in evidence.items():
        grid[{"middle": (8, 8), "corner": (0, 0)}[place]] = value
    return explain(MadeUpPrediction(0.9, {}, grid, method="made up"), head_in_the_middle())


def test_heat_on_the_head_is_not_flagged():
    found = explained(middle=0.9)
    assert found[OUTSIDE_HEAD] == 0
    assert found["flags"] == []
    assert found["method"] == "made up"


def test_heat_on_the_background_is_flagged():
    found = explained(corner=0.9, middle=0.3)
    assert found[OUTSIDE_HEAD] == 0.75
    assert found["flags"] == [OUTSIDE_HEAD]


def test_an_empty_map_is_not_flagged_and_the_map_is_plain_json():
    found = explained(corner=0.05)
    assert found[OUTSIDE_HEAD] == 0
    assert json.loads(json.dumps(found))["map"][0][0] == 0.05
