"""The catalogue of texts: every page's texts are in it, translated, and compiled as they are."""

import re
from pathlib import Path

import pytest

from api.portal import catalogue
from api.portal.language import DEFAULT, LANGUAGES
from api.portal.scan_words import Outcome

REMEDY = "run `python -m api.portal.catalogue` and fill in what it names"
OTHERS = sorted(set(LANGUAGES) - {DEFAULT})
TEMPLATES = sorted((catalogue.HERE / "templates").rglob("*.html"))
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
NAMES = {"Brain Tumor Detection", "PDF"}  # the same in every language


def texts(found: catalogue.Catalog) -> set[object]:
    return {message.id for message in found if message.id}


@pytest.mark.parametrize("language", OTHERS)
def test_the_catalogue_has_the_texts_of_the_pages_and_no_others(language: str) -> None:
    assert texts(catalogue.read(language)) == texts(catalogue.collect()), REMEDY


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_untranslated_or_guessed(language: str) -> None:
    known = catalogue.read(language)
    assert catalogue.untranslated(known) == [], REMEDY
    assert not [message.id for message in known if message.id and message.fuzzy]


@pytest.mark.parametrize("language", OTHERS)
def test_translations_fill_in_what_the_texts_do(language: str) -> None:
    wrong = [error for message in catalogue.read(language) if message.id for error in message.check()]
    assert wrong == []


@pytest.mark.parametrize("language", OTHERS)
def test_the_compiled_file_is_the_written_one(language: str) -> None:
    path = catalogue.po_file(language)
    assert path.with_suffix(".mo").read_bytes() == catalogue.compiled(catalogue.read(language)), REMEDY


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_words_outside_the_catalogue(template: Path) -> None:
    shown = TAG.sub(" ", JINJA.sub(" ", template.read_text()))
    left = {line.strip(" ·()") for line in shown.splitlines()}
    assert {text for text in left if re.search(r"[A-Za-z]{2}", text)} - NAMES == set()


def test_every_outcome_has_its_words() -> None:
    parts = (catalogue.HERE / "templates" / "parts.html").read_text()
    texts = (catalogue.HERE / "templates" / "scan_texts.html").read_text()
    named = set(re.findall(r'of == "(\w+)"', parts)), set(re.findall(r'scan.outcome == "(\w+)" %}\n', texts))
    rest = {Outcome.NO_TUMOR}  # the `else`
    assert named == (set(Outcome) - rest, set(Outcome) - rest)


def test_a_missing_translation_is_noticed() -> None:
    known = catalogue.read("de")
    known.add("A text that nobody has translated")
    assert catalogue.untranslated(known) == ["A text that nobody has translated"]
