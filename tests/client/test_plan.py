"""What is sent: which files, of which patient, in which requests."""

import os
import zipfile
from pathlib import Path

import pytest

from brain_scans.errors import UnusableFileError, WrongUseError
from brain_scans.plan import MISSING, NO_PATIENT, UNKNOWN_PATIENT, Plan, in_requests, make_plan
from brain_scans.sources import ZipSource
from tests.client.conftest import KNOWN, png, write_pictures

MOST = 1_000_000


def planned(plan: Plan) -> list[tuple[str, int]]:
    return [(entry.name, entry.patient) for entry in plan.entries]


def codes(plan: Plan) -> dict[str, str]:
    return {refusal.file: refusal.code for refusal in plan.refused}


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_folder_gives_its_pictures_at_any_depth_and_counts_the_rest(tmp_path: Path) -> None:
    write_pictures(tmp_path / "b" / "deep", 1)
    write_pictures(tmp_path / "a", 1)
    (tmp_path / "a" / "PHOTO.JPEG").write_bytes(png(1))
    for other in ("notes.txt", "slice.dcm", "._0000.png"):
        (tmp_path / other).write_bytes(b"x")
    plan = make_plan([tmp_path], "1", None, KNOWN)
    assert planned(plan) == [("a/0000.png", 1), ("a/PHOTO.JPEG", 1), ("b/deep/0000.png", 1)]
    assert plan.left_out == 3


def test_a_map_gives_each_file_its_patient_by_path_or_by_name(tmp_path: Path) -> None:
    write_pictures(tmp_path / "scans" / "x", 4)
    table = tmp_path / "map.csv"
    table.write_text(
        "filename,patient_id\nx/0000.png,1\n0001.png,P0000000000000002\n0002.png,99\ngone.png,1\n"
    )
    plan = make_plan([tmp_path / "scans"], None, table, KNOWN)
    assert planned(plan) == [("x/0000.png", 1), ("x/0001.png", 2)]
    assert codes(plan) == {"x/0002.png": UNKNOWN_PATIENT, "x/0003.png": NO_PATIENT, "gone.png": MISSING}


@pytest.mark.parametrize(
    "table", ["filename,patient_id\n{0},1\n", "\ufefffilename; patient_id\r\n{0}; 1\r\n"]
)
def test_a_csv_names_files_relative_to_itself_as_spreadsheets_write_it(tmp_path: Path, table: str) -> None:
    write_pictures(tmp_path / "sub", 2)
    listing = tmp_path / "list.csv"
    listing.write_text(table.format("sub/0001.png"), encoding="utf-8")
    plan = make_plan([listing], None, None, KNOWN)
    assert planned(plan) == [("sub/0001.png", 1)]
    assert plan.entries[0].read(MOST) == png(1)


def test_a_zip_is_read_member_by_member_with_its_own_manifest(tmp_path: Path) -> None:
    manifest = b"filename,patient_id\na/1.png,2\n"
    members = {"a/1.png": png(1), "__MACOSX/a/._1.png": b"x", "manifest.csv": manifest}
    plan = make_plan([make_zip(tmp_path / "scans.zip", members)], None, None, KNOWN)
    assert planned(plan) == [("a/1.png", 2)]
    assert plan.entries[0].read(MOST) == png(1)
    assert [path.name for path in tmp_path.iterdir()] == ["scans.zip"]


def test_a_zip_bomb_is_refused_and_a_large_member_is_never_read_whole(tmp_path: Path) -> None:
    bomb = make_zip(tmp_path / "bomb.zip", {"bomb.png": bytes(20_000_000)})
    with pytest.raises(WrongUseError, match="unpacks to more"):
        make_plan([bomb], "1", None, KNOWN)
    members = {"large.png": bytes(100_000), "noise.bin": os.urandom(5_000)}
    source = ZipSource(make_zip(tmp_path / "large.zip", members))
    with pytest.raises(UnusableFileError, match="larger than"):
        source.read("large.png", 50_000)


def test_a_damaged_zip_member_is_refused_alone(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "scans.zip", {"good.png": png(1), "bad.png": png(2)})
    content = bytearray(path.read_bytes())
    start = content.rindex(b"bad.png", 0, content.index(b"PK\x01\x02")) + len("bad.png")
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    source = ZipSource(path)
    assert source.read("good.png", MOST) == png(1)
    with pytest.raises(UnusableFileError):
        source.read("bad.png", MOST)


def test_several_sources_give_distinct_names_in_any_order(tmp_path: Path) -> None:
    for folder in ("one/scans", "two/scans"):
        write_pictures(tmp_path / folder, 1)
    paths = [tmp_path / "one/scans", tmp_path / "two/scans"]
    forward, backward = make_plan(paths, "1", None, KNOWN), make_plan(paths[::-1], "1", None, KNOWN)
    assert planned(forward) == planned(backward) == [("scans-2/0000.png", 1), ("scans/0000.png", 1)]


def test_single_pictures_can_be_given_and_twice_is_once(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    files = [tmp_path / "0000.png", tmp_path / "0001.png", tmp_path / "0000.png"]
    assert planned(make_plan(files, "1", None, KNOWN)) == [("0000.png", 1), ("0001.png", 1)]


@pytest.mark.parametrize(
    ("patient", "table", "message"),
    [
        (None, None, "Whose scans"),
        ("77", None, "knows no patient 77"),
        ("1", "filename,patient_id\n", "not both"),
        (None, "name,patient\n", "columns filename,patient_id"),
        (None, "filename,patient_id\na.png,1\na.png,2\n", "two patients"),
    ],
)
def test_wrong_use_is_said_before_anything_is_sent(
    tmp_path: Path, patient: str | None, table: str | None, message: str
) -> None:
    write_pictures(tmp_path / "scans", 1)
    path = None
    if table is not None:
        path = tmp_path / "map.csv"
        path.write_text(table)
    with pytest.raises(WrongUseError, match=message):
        make_plan([tmp_path / "scans"], patient, path, KNOWN)


def test_a_csv_that_names_patients_is_not_overruled(tmp_path: Path) -> None:
    write_pictures(tmp_path, 1)
    (tmp_path / "list.csv").write_text("filename,patient_id\n0000.png,1\n")
    with pytest.raises(WrongUseError, match="names the patients itself"):
        make_plan([tmp_path / "list.csv"], "2", None, KNOWN)


def test_a_request_is_of_one_patient_and_within_the_limits(tmp_path: Path) -> None:
    write_pictures(tmp_path, 7)
    (tmp_path / "0006.png").write_bytes(png(6, 5000))
    (tmp_path / "map.csv").write_text(
        "filename,patient_id\n" + "".join(f"{n:04}.png,{1 + (n > 2)}\n" for n in range(7))
    )
    plan = make_plan([tmp_path / "map.csv"], None, None, KNOWN)
    pieces = list(in_requests(plan.entries, 150, 2))
    assert [[entry.name[:4] for entry in piece] for piece in pieces] == [
        ["0000", "0001"],
        ["0002"],
        ["0003", "0004"],
        ["0005"],
        ["0006"],
    ]
    assert all(len({entry.patient for entry in piece}) == 1 for piece in pieces)
