"""Offline prediction: one answer per file, in order, whatever the files are."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.fakes import MadeUpModel, picture
from worker.predict import Drawings, main, predict_files


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "sub").mkdir()
    names = ["a.png", "b.png", "sub/a.png"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(picture(100 + number))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    return [str(tmp_path / name) for name in [*names[:2], "bad.jpg", names[2], "missing.png"]]


def test_bad_files_fail_alone_and_the_order_is_kept(files: list[str]) -> None:
    model = MadeUpModel()
    answers = list(predict_files(model, 64, files, 2, None))
    assert [answer["file"] for answer in answers] == files
    assert [answer["status"] for answer in answers] == [
        "succeeded",
        "succeeded",
        "failed",
        "succeeded",
        "failed",
    ]
    assert model.batch_sizes == [2, 1]
    good, bad = answers[0], answers[2]
    assert (good["prediction"], good["tumor_type"]) == ("Tumor", "glioma")
    assert sum(good["class_probabilities"].values()) == pytest.approx(1)
    assert good["ms"] >= 0
    assert (bad["prediction"], bad["code"]) == (None, "FILE_UPLOAD_ERROR")


def test_pictures_of_files_with_one_name_do_not_overwrite_each_other(
    files: list[str], tmp_path: Path
) -> None:
    answers = list(predict_files(MadeUpModel(), 64, files, 16, Drawings(tmp_path / "out")))
    overlays = [answer["overlay"] for answer in answers if answer["status"] == "succeeded"]
    assert len(set(overlays)) == 3
    for path in overlays:
        with Image.open(path) as overlay:
            assert overlay.size == (64, 48)


def test_a_wrong_model_folder_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["x.png", "--model", str(tmp_path)]) == 2
    line = json.loads(capsys.readouterr().err.strip().splitlines()[-1])
    assert "manifest.json" in line["reason"]


def test_no_files_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "no files named" in capsys.readouterr().err
