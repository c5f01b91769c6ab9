"""The PDF report: what it says, in which scripts, and that the same facts give the same bytes."""

import io
import math
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from shared.errors import StorageError
from shared.reviews import MAX_COMMENT
from worker.report import (
    INCONCLUSIVE,
    ModelFacts,
    PatientFacts,
    ReadingFacts,
    ReportFacts,
    ScanFacts,
    render_report,
)
from worker.report.bidi import embedding_levels
from worker.report.cells import percent
from worker.report.fonts import FACES, FONT_FOLDER, MAX_MARKS, SANS, drawable, printable
from worker.report.layout import AMBER, AMBER_PALE, DISCLAIMER, GREEN, GREY, INK, NAVY, PALE, RED, TEAL
from worker.report.pictures import MAX_SIDE
from worker.report.text import lay_out

MOMENT = datetime(2025, 11, 22, 14, 5, tzinfo=UTC)
MODEL = ModelFacts("resnet18-mri", "1.2.0", "3f9a6c1d7be2" + "0" * 52, "head-crop-2")
PATIENT = PatientFacts("P-417", "Ada Lovelace", 36, "female", "ada@example.org", "+44 20 7946 0000")
NAMES = {
    "Latin extended": "Łukasz Żółć-Ærøskøbing",
    "Greek": "Ελευθερία Παπαδοπούλου",
    "Cyrillic": "Владимир Їжакевич",
    "Vietnamese": "Nguyễn Thị Ánh Tuyết",
    "Arabic": "محمد بن عبد الله الأحمدي",
    "Persian": "پریسا گودرزی",
    "Hebrew": "שרה בן־דוד",
    "Chinese": "张伟龍",
    "Japanese": "山田 太郎 ヤマダ",
    "Korean": "김철수",
    "Georgian and Armenian": "გიორგი Արամ",
}


def picture(mode: str = "L", size: tuple[int, int] = (64, 64), seed: int = 0, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 4), dtype=np.uint8)
    image = Image.fromarray(pixels, "RGBA") if mode != "I;16" else Image.new("I;16", size, 900)
    out = io.BytesIO()
    (image if mode in ("RGBA", "I;16") else image.convert("RGB").convert(mode)).save(out, kind)
    return out.getvalue()


PNG = picture()


def scan(number: int = 1, **changes: object) -> ScanFacts:
    made = ScanFacts(
        scan_id=f"0193a4c2-7b1e-7c3d-9a55-{number:012d}",
        filename=f"slice_{number}.png",
        created_at=MOMENT - timedelta(hours=3),
        analysed_at=MOMENT - timedelta(hours=2),
        prediction="Tumor",
        probability=0.972,
        confidence=0.972,
        tumor_type=None,
        review=None,
        original=PNG,
        heatmap=PNG,
        overlay=PNG,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def report(*scans: ScanFacts, patient: PatientFacts = PATIENT) -> bytes:
    return render_report(ReportFacts("R-20251122-7F3A9C", MOMENT, patient, scans or (scan(),), MODEL))


def pages(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def words(pdf: bytes) -> str:
    return " ".join(" ".join(pages(pdf)).split())


def squeezed(text: str) -> str:
    """Letters only, joined forms as plain letters: extraction keeps neither spaces nor shapes."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def fonts(pdf: bytes) -> Iterator[tuple[str, bool]]:
    for page in PdfReader(io.BytesIO(pdf)).pages:
        for font in page["/Resources"]["/Font"].values():  # type: ignore[index,union-attr]
            entry = font.get_object()
            yield entry["/BaseFont"], "/FontFile2" in entry.get("/FontDescriptor", {})


def test_one_scan_says_who_what_when_and_by_which_model() -> None:
    text = words(report(scan(tumor_type="glioma")))
    for said in (
        "Brain Tumor Detection System",
        "Report R-20251122-7F3A9C",
        "2025-11-22 14:05 UTC",
        "Ada Lovelace",
        "P-417",
        "36 years",
        "ada@example.org",
        "slice_1.png",
        "Scan 1 of 1",
        "Original",
        "Heatmap",
        "Overlay",
        "97.2%",
        "glioma",
        "0193a4c2-7b1e-7c3d-9a55-000000000001",
        "2025-11-22 11:05 UTC",
        "2025-11-22 12:05 UTC",
        "not a segmentation",
        "resnet18-mri",
        "1.2.0",
        MODEL.weights_sha256,
        "head-crop-2",
    ):
        assert said in text


def test_every_page_has_the_disclaimer_the_report_id_and_its_number() -> None:
    texts = pages(report(*(scan(n) for n in range(1, 8))))
    for number, text in enumerate(texts, 1):
        assert DISCLAIMER in text
        assert "Report R-20251122-7F3A9C" in text
        assert f"Page {number} of {len(texts)}" in text


def test_two_scans_share_a_page_and_none_is_torn() -> None:
    texts = pages(report(*(scan(n, review="needs_review") for n in range(1, 8))))
    assert [n for text in texts if (n := text.count(" of 7\n"))] == [2, 2, 2, 1]
    for number in range(1, 8):
        page = next(text for text in texts if f"Scan {number} of 7" in text)
        assert f"-{number:012d}" in page


def test_200_scans_are_quick_small_and_load_each_picture_once() -> None:
    loaded: list[int] = []

    def lazy(number: int) -> bytes:
        loaded.append(number)
        return picture("RGB", (128, 128), seed=number)

    scans = [
        scan(n, original=lambda n=n: lazy(n), heatmap=lambda n=n: lazy(n), overlay=lambda n=n: lazy(n))
        for n in range(1, 201)
    ]
    started = time.monotonic()
    pdf = report(*scans)
    assert time.monotonic() - started < 30
    assert len(pdf) < 25_000_000
    assert sorted(loaded) == sorted([*range(1, 201)] * 3)
    texts = pages(pdf)
    assert "Page 1 of " + str(len(texts)) in texts[0]
    assert sum("Tumor probability\n Confidence" in text for text in texts) >= 5  # the overview's header
    assert "Scan 200 of 200" in " ".join(texts)


def test_no_scan_at_all_is_said() -> None:
    facts = ReportFacts("R-0", MOMENT, PATIENT, (), MODEL)
    assert "No scan has been analyzed." in words(render_report(facts))


def test_summary_counts_predictions_reviews_and_the_highest_probability() -> None:
    low = scan(2, prediction="No Tumor", probability=0.031, confidence=0.969)
    texts = pages(report(scan(1, probability=0.88), low, scan(3, probability=0.52, review="needs_review")))
    assert "3\nScans\n2\nTumor\n1\nNo Tumor\n1\nNeeds review\n88.0%\nHighest" in texts[0].replace("\n ", "\n")


def test_missing_facts_are_said_to_be_missing() -> None:
    bare = PatientFacts("P-1", "Nobody", None, None, None, None)
    text = words(report(scan(analysed_at=None), patient=bare))
    assert text.count("not recorded") == 5
    assert "None" not in text


def test_times_are_shown_in_utc() -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    assert "2025-11-22 08:30 UTC" in words(
        report(scan(created_at=datetime(2025, 11, 22, 14, 0, tzinfo=there)))
    )


def test_inconclusive_scan_gets_a_boxed_note() -> None:
    assert "Inconclusive result: radiologist review needed." in words(report(scan(review="needs_review")))
    assert "Inconclusive" not in words(report(scan(review=None)))


def test_no_tumor_says_that_the_evidence_stayed_below_the_threshold() -> None:
    assert "below the decision threshold" in words(report(scan(prediction="No Tumor")))
    assert "below the decision threshold" not in words(report(scan()))


def test_another_model_is_named_at_its_scan_only() -> None:
    other = replace(MODEL, version="1.1.0")
    text = words(report(scan(1, model=other), scan(2, model=MODEL), scan(3)))
    assert text.count("Analyzed with another model: resnet18-mri 1.1.0") == 1


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0.0%"),
        (0.0001, "< 0.1%"),
        (0.5, "50.0%"),
        (0.99996, "> 99.9%"),
        (1.0, "100.0%"),
        (float("nan"), "not available"),
    ],
)
def test_percent_never_rounds_to_certainty(share: float, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_names_of_many_scripts_are_drawn_with_embedded_fonts_and_can_be_copied(name: str) -> None:
    pdf = report(scan(filename=f"{name}.png"), patient=replace(PATIENT, name=name))
    assert "\ufffd" not in drawable(name, SANS)[0]
    assert squeezed(name) in squeezed(pages(pdf)[0])
    assert all(embedded for _, embedded in fonts(pdf))


@pytest.mark.parametrize("name", ["राजेश्वरी श्रीनिवासन", "น้ำผึ้ง ใจดี"], ids=["Devanagari", "Thai"])
def test_reordered_scripts_carry_their_letters_as_actual_text(name: str) -> None:
    pdf = report(patient=replace(PATIENT, name=name))
    content = PdfReader(io.BytesIO(pdf)).pages[0].get_contents()
    assert content is not None
    word = printable(name).split()[0]
    assert word.encode("utf-16-be").hex().upper().encode() in content.get_data()
    assert "\ufffd" not in drawable(printable(name), SANS)[0]


def test_arabic_letters_are_joined() -> None:
    (line,) = lay_out("محمد", SANS, 100)
    (run,) = line.runs
    assert run.glyphs is not None
    shapes = "".join(glyph.code for glyph in run.glyphs)
    assert shapes == "\ufeaa\ufee4\ufea4\ufee3"  # final dal, medial meem, medial hah, initial meem


def test_characters_that_no_font_has_are_shown_as_such() -> None:
    assert drawable(printable("a😀𠮷\ue000\ud800b"), SANS)[0] == "a\ufffd\ufffd\ufffd\ufffdb"
    assert "\ufffd" in words(report(patient=replace(PATIENT, name="Ada 😀")))


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("abc", [0, 0, 0, 0]),
        ("אב1", [1, 1, 1, 2]),
        ("a אב b", [0, 0, 0, 1, 1, 0, 0]),
        ("אב a", [1, 1, 1, 1, 2]),
        ("م 12", [1, 1, 1, 2, 2]),
        ("א 5%", [1, 1, 1, 2, 2]),
        ("", [0]),
    ],
)
def test_direction_levels_follow_uax_9(text: str, levels: list[int]) -> None:
    """Levels from the algorithm; 30,000 random texts agreed with python-bidi when this was written."""
    assert embedding_levels(text) == levels


@pytest.mark.parametrize(
    "name",
    ["W" * 200, "Maria " * 33 + "Ma", "张" * 200, "محمد " * 40, "क्षत्रिय" * 25, "สมชาย" * 40],
    ids=["unbroken", "words", "Chinese", "Arabic", "Devanagari", "Thai"],
)
def test_long_names_wrap_inside_their_width_and_lose_nothing(name: str) -> None:
    lines = lay_out(printable(name), SANS, 30)
    assert len(lines) > 1
    assert all(line.width <= 30 for line in lines)
    assert squeezed("".join(line.text for line in lines)) == squeezed(name)
    assert pages(report(scan(filename=name), patient=replace(PATIENT, name=name)))


def test_absurdly_long_values_still_fit_on_their_page() -> None:
    long = "x" * 20_000
    text = words(
        report(scan(filename=long, tumor_type=long), patient=PatientFacts(*[long] * 2, 1, *[long] * 3))
    )
    assert "…" in text


def test_markup_in_what_people_type_is_only_text() -> None:
    nasty = '<b>Bob</b> & <a href="http://x">y</a> &amp; </para><img src="file:///etc/passwd"/>'
    texts = words(
        report(
            scan(filename=nasty, tumor_type=nasty, scan_id=nasty, review=nasty, prediction=nasty),
            patient=PatientFacts(nasty, nasty, 3, nasty, nasty, nasty),
        )
    )
    assert squeezed(texts).count(squeezed(nasty)) >= 7


def test_control_characters_and_direction_overrides_are_dropped() -> None:
    assert printable("a\u202ebc\u202c\u2066d\u2069\x00\x07\u200be\r\n\tf\ufeff") == "abcde f"
    assert printable("x" + "\u0336" * 90) == "x" + "\u0336" * MAX_MARKS


def test_same_facts_give_the_same_bytes_whatever_was_rendered_before() -> None:
    facts = [scan(1, filename="محمد श्री.png"), scan(2, review="needs_review")]
    first = report(*facts)
    report(scan(filename="क्षत्रिय น้ำ مُحَمَّد שָׂרָה"))
    assert report(*facts) == first


@pytest.mark.parametrize("broken", [b"", b"no picture", PNG[:60]], ids=["none", "other", "cut off"])
def test_a_picture_that_cannot_be_decoded_becomes_a_labelled_box(broken: bytes) -> None:
    assert words(report(scan(original=broken, heatmap=broken))).count("Picture not available") == 2


def test_a_failing_store_fails_the_report() -> None:
    """The task asks again later; a report without its pictures must not be filed as the result."""

    def failing() -> bytes:
        raise StorageError("The store does not answer.")

    with pytest.raises(StorageError):
        report(scan(overlay=failing))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_pictures_of_any_mode_are_embedded(mode: str) -> None:
    data = picture(mode, (40, 90))
    assert "not available" not in words(report(scan(original=data, heatmap=data, overlay=data)))


def test_pictures_are_reduced_and_embedded_as_jpeg() -> None:
    big = picture("RGB", (1600, 1000), kind="JPEG")
    page = PdfReader(io.BytesIO(report(scan(original=big, heatmap=big, overlay=big)))).pages[0]
    drawn = [x.get_object() for x in page["/Resources"]["/XObject"].values()]  # type: ignore[index,union-attr]
    images = [x for x in drawn if x["/Subtype"] == "/Image"]
    assert images
    assert all(image["/Filter"] in ("/DCTDecode", ["/DCTDecode"]) for image in images)
    assert {(image["/Width"], image["/Height"]) for image in images} == {(MAX_SIDE, 500)}


def test_metadata_names_the_report_and_never_the_patient() -> None:
    pdf = report()
    reader = PdfReader(io.BytesIO(pdf))
    assert reader.metadata is not None
    assert reader.metadata.title == "MRI analysis report R-20251122-7F3A9C"
    assert reader.metadata.author == "Brain Tumor Detection System"
    assert reader.metadata.creation_date == MOMENT
    assert reader.trailer["/Root"]["/Lang"] == "en-US"  # type: ignore[index]
    assert "Lovelace" not in str(dict(reader.metadata)) + str(reader.outline)
    assert b"Lovelace" not in pdf


def test_outline_leads_to_each_scan() -> None:
    reader = PdfReader(io.BytesIO(report(*(scan(n) for n in range(1, 6)))))
    summary, scans, entries, model = reader.outline
    assert [summary.title, scans.title, model.title] == ["Summary", "Scans", "Model"]  # type: ignore[union-attr]
    assert len(entries) == 5  # type: ignore[arg-type]
    for number, entry in enumerate(entries, 1):  # type: ignore[arg-type]
        assert entry.title == f"Scan {number}: slice_{number}.png (Tumor)"  # type: ignore[union-attr]
        page = reader.pages[reader.get_destination_page_number(entry)]  # type: ignore[arg-type]
        assert f"Scan {number} of 5" in page.extract_text()


def test_text_colours_have_enough_contrast() -> None:
    def light(colour: object) -> float:
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.rgb()]  # type: ignore[attr-defined]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05

    for paper in (PALE, AMBER_PALE):
        for ink in (INK, NAVY, TEAL, GREY, RED, GREEN, AMBER):
            assert light(paper) / light(ink) >= 4.5


def test_fonts_are_shipped_with_their_licences_and_stay_small() -> None:
    assert sum((FONT_FOLDER / name).stat().st_size for name in FACES.values()) <= 8_000_000
    assert {path.name for path in FONT_FOLDER.glob("*.ttf")} == set(FACES.values())
    assert len(list(FONT_FOLDER.glob("LICENSE-*.txt"))) == 4


def test_heat_outside_the_head_is_said():
    assert "outside the head" in words(report(scan(is_heat_outside_head=True)))
    assert "outside the head" not in words(report(scan()))


def test_an_inconclusive_scan_counts_as_neither():
    text = words(report(scan(prediction=INCONCLUSIVE, confidence=math.nan, review="needs_review")))
    assert "Inconclusive" in text
    assert "not available" in text
    assert "stayed below the decision threshold" not in text


def test_a_radiologists_verdict_stands_below_the_models_result():
    reading = ReadingFacts("No Tumor", "dr-house", MOMENT - timedelta(hours=1), "a vessel <b>\nno mass")
    [first, *_] = pages(
        report(scan(), scan(2, reading=reading), scan(3, reading=replace(reading, verdict="Unusable")))
    )
    text = words(report(scan(2, reading=reading)))
    result, below = text.index("Tumor probability 97.2%"), text.index("Radiologist No tumor")
    assert result < below
    for said in ("Reviewed by dr-house", "2025-11-22 13:05 UTC", "a vessel <b> no mass"):
        assert below < text.index(said)
    assert "not reviewed by a radiologist" not in text
    assert "Cannot be judged" in " ".join(first.split()), "in the overview"
    assert "not reviewed by a radiologist" in words(report(scan()))


def test_a_read_scan_no_longer_asks_for_a_radiologist():
    reading = ReadingFacts("Tumor", "dr-house", MOMENT, None)
    read = scan(prediction=INCONCLUSIVE, confidence=math.nan, review="needs_review", reading=reading)
    assert "radiologist review needed" in words(report(replace(read, reading=None)))
    assert "radiologist review needed" not in words(report(read))


@pytest.mark.parametrize("letter", ["w ", "\N{CJK UNIFIED IDEOGRAPH-5F20}"])
def test_the_longest_comment_is_shown_whole_on_the_page_of_its_scan(letter: str):
    comment = "begin" + letter * ((MAX_COMMENT - 8) // len(letter)) + "end"
    assert MAX_COMMENT - 2 <= len(comment) <= MAX_COMMENT
    reading = ReadingFacts("No Tumor", "r" * 400, MOMENT, comment)
    scans = [scan(n, filename="m" * 400, review="needs_review", reading=reading) for n in (1, 2)]
    for text in pages(report(*scans))[1:3]:
        assert squeezed(comment) in squeezed(text)
