"""Why a file or a ZIP was refused, in the reader's language: the sentences of the upload's own checks.

`%(…)s` stands for what a sentence fills in.
"""

import re
from collections.abc import Iterator

from api.portal.language import DEFAULT, chosen, gettext, mark

SENTENCES = (
    mark("The file is empty."),
    mark("The file is neither a JPEG nor a PNG image, whatever its name says."),
    mark("The file is not a complete JPEG or PNG image. Export the slice again and re-send it."),
    mark("The file holds several frames. Send one slice per file."),
    mark("The file is cut into too many parts. Export the slice again and re-send it."),
    mark("The JPEG is coded in more passes than its size allows. Save it as a baseline JPEG or as a PNG."),
    mark("The JPEG is coded in a way that few programs read. Save it as a baseline JPEG or as a PNG."),
    mark("The image has too many pixels. At most %(all)s in all and %(side)s on a side are accepted."),
    mark("The manifest names this file, but the archive does not hold it."),
    mark("The manifest gives no existing patient's number for this file."),
    mark("The manifest does not name this file."),
    mark("The file is damaged or encrypted inside the ZIP."),
    mark("The file is too large once unpacked."),
    mark("This is not a ZIP file."),
    mark("At most %(number)s entries in one ZIP. Send the rest in another."),
    mark("At most %(number)s files in one ZIP. Send the rest in another."),
    mark("Its files are too large once unpacked."),
    mark("It needs a manifest.csv with the columns filename,patient_id."),
    mark("It is too long."),
    mark("It is not a CSV file in UTF-8."),
    mark("The columns filename,patient_id are needed."),
    mark("Line %(line)s names no file, or one that was named before."),
    mark("Line %(line)s is damaged."),
    mark("It names no file."),
    mark("At most %(number)s files in one request. Send the rest in another."),
    mark("Too much work waits already. Nothing was kept; send it again in a minute."),
    mark("This batch was cancelled. Start a new one for further scans."),
    mark("The image store does not take uploads right now. Try again in a minute."),
)
_FIELD = re.compile(r"^(archive|manifest|files): (?=.)")  # the API names the field first
_BLANK = re.compile(r"%\\?\((\w+)\\?\)s")
_PATTERNS = tuple((re.compile(_BLANK.sub(r"(?P<\1>.+)", re.escape(text))), text) for text in SENTENCES)


def translated(sentence: str) -> str:
    """The sentence in the reader's language, where it is a known one; without the field's name before it."""
    if (field := _FIELD.match(sentence)) is not None:
        rest = sentence[field.end() :]
        sentence = rest[0].upper() + rest[1:]
    for pattern, text in _PATTERNS:
        if (found := pattern.fullmatch(sentence)) is not None:
            return str(gettext(text)) % found.groupdict()
    return sentence


def for_scripts() -> Iterator[tuple[str, str]]:
    """Sentences with their translations, for scripts that get them from the API; none in its own language."""
    if chosen() != DEFAULT:
        yield from ((text, str(gettext(text))) for text in SENTENCES)
