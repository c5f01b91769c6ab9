"""An exported engine answers as what it was made of, needs no PyTorch, and is never half there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from worker.inference import Predictor
from worker.inference.engines import OPENVINO, OPENVINO_INT8
from worker.inference.exports import EXPORTS
from worker.inference.manifest import sha256_of

MODEL = Path(__file__).resolve().parents[2] / "model_weights"
LOAD = """
import sys
from pathlib import Path
from worker.inference import load_model
print(load_model(Path(sys.argv[1]), "cpu").engine, "torch" in sys.modules)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped model without its exports."""
    return shutil.copytree(MODEL, tmp_path / "model", ignore=shutil.ignore_patterns(EXPORTS))


def exports(folder: Path) -> list[Path]:
    return sorted((folder / EXPORTS).iterdir())


def probabilities(folder: Path, engine: str) -> list[float]:
    random = np.random.default_rng(0)
    pictures = [random.uniform(-1.4, 2.6, (1, 160, 160)).astype(np.float32) for _ in range(3)]
    return [answer.probability for answer in Predictor.load(folder, "cpu", engine).predict(pictures)]


@pytest.mark.parametrize("engine", [OPENVINO, OPENVINO_INT8])
def test_an_export_answers_as_what_it_was_made_of(folder: Path, engine: str) -> None:
    first = probabilities(folder, engine)
    (export,) = exports(folder)
    assert probabilities(folder, engine) == first
    assert exports(folder) == [export]


def test_a_start_with_an_export_brings_no_pytorch(folder: Path) -> None:
    found = [
        subprocess.run(
            [sys.executable, "-c", LOAD, folder], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert found == [f"{OPENVINO_INT8} True\n", f"{OPENVINO_INT8} False\n"]


@pytest.mark.parametrize("file", ["model.bin", "model.xml", "sha256.json"])
def test_an_export_that_is_not_whole_is_made_anew(folder: Path, file: str) -> None:
    first = probabilities(folder, OPENVINO_INT8)
    (export,) = exports(folder)
    (export / file).write_bytes((export / file).read_bytes()[:-9])
    assert probabilities(folder, OPENVINO_INT8) == first
    # Not compared with the first: OpenVINO numbers what it names from the start of the process.
    hashes = json.loads((export / "sha256.json").read_bytes())
    assert hashes == [sha256_of(export / name) for name in ("model.xml", "model.bin")]


def test_an_export_of_something_else_is_not_used_and_goes(folder: Path) -> None:
    Predictor.load(folder, "cpu", OPENVINO)
    Predictor.load(folder, "cpu", OPENVINO_INT8)
    before = exports(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["activation_ranges"]["fuse.2"] *= 2
    (folder / "manifest.json").write_text(json.dumps(manifest))
    Predictor.load(folder, "cpu", OPENVINO_INT8)
    (gone,) = set(before) - set(exports(folder))
    assert gone.suffix == f".{OPENVINO_INT8}"
    assert len(exports(folder)) == len(before) == 2


def test_where_nothing_can_be_written_the_model_runs_all_the_same(folder: Path) -> None:
    (folder / EXPORTS).write_text("in the way")
    assert Predictor.load(folder, "cpu", OPENVINO_INT8).engine == OPENVINO_INT8


def test_what_a_killed_writer_left_goes_once_nobody_can_be_writing_it(folder: Path) -> None:
    Predictor.load(folder, "cpu", OPENVINO_INT8)
    (export,) = exports(folder)
    recent, old = (folder / EXPORTS / f".part-{name}" for name in ("recent", "old"))
    for part in (recent, old):
        part.mkdir()
        (part / "model.bin").write_bytes(b"half")
    os.utime(old, (0, 0))
    Predictor.load(folder, "cpu", OPENVINO_INT8)
    assert exports(folder) == [recent, export]
