"""Brings the translations in line with the pages: `python -m api.portal.catalogue`, after every changed text.

Collects all texts, keeps what is translated, and compiles. Then fill in what is empty in the .po files, and
run it again. The compiled files are committed: nothing is built where the product runs.
"""

import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from api.portal.language import DEFAULT, LANGUAGES

HERE = Path(__file__).parent
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
OPTIONS = {"**/templates/**.html": {"newstyle_gettext": "true"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None}
MADE = datetime(2026, 1, 1, tzinfo=UTC)  # always: the same texts are the same bytes


def collect() -> Catalog:
    """All texts of the pages, without translations."""
    found = Catalog(project="brain-tumor-pipeline", creation_date=MADE, fuzzy=False)
    for file, _, text, comments, context in extract_from_dir(HERE, METHODS, OPTIONS, KEYWORDS):
        found.add(text, None, [(file, 0)], auto_comments=comments, context=context)
    return found


def po_file(language: str) -> Path:
    return HERE / "translations" / language / "LC_MESSAGES" / "messages.po"


def read(language: str) -> Catalog:
    """What is translated so far."""
    path = po_file(language)
    if not path.exists():
        return Catalog(locale=language, creation_date=MADE, revision_date=MADE, fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def compiled(catalogue: Catalog) -> bytes:
    """The .mo file's content."""
    file = BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def written(catalogue: Catalog) -> bytes:
    """The .po file's content: sorted, without line numbers, so that changes are easy to read."""
    file = BytesIO()
    write_po(file, catalogue, width=100, sort_output=True, include_lineno=False, ignore_obsolete=True)
    return file.getvalue()


def untranslated(catalogue: Catalog) -> list[str]:
    """Texts that have no translation, or not one for each plural."""
    return [
        str(message.id)
        for message in catalogue
        if message.id
        and not all((message.string,) if isinstance(message.string, str) else message.string or ("",))
    ]


def main() -> int:
    missing = 0
    for language in LANGUAGES:
        if language == DEFAULT:
            continue
        known = read(language)
        known.update(collect(), no_fuzzy_matching=True, update_creation_date=False)
        path = po_file(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(known))
        path.with_suffix(".mo").write_bytes(compiled(known))
        for text in untranslated(known):
            missing += 1
            sys.stderr.write(f"{language}: not translated: {text}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
