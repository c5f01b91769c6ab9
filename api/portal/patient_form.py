"""The form with a patient's facts: the rules are the JSON route's, here are the words for what is wrong."""

from flask import request
from pydantic import ValidationError as PydanticError

from api.portal.language import gettext, mark
from api.schemas.patients import PatientBody
from shared.models import Patient

FIELDS = tuple(PatientBody.model_fields)
TAKEN = mark("A patient with this e-mail address exists already.")
CHANGED = mark(
    "Somebody else has changed these facts since you opened the page. "
    "Look at the marked fields, then save again."
)
STORED = mark("Stored now: %(value)s")
NOTHING = mark("Stored now: nothing")
EMPTY = mark("Please fill in this field.")
GENDERS = {"": mark("not said"), "Female": mark("female"), "Male": mark("male"), "Other": mark("other")}
WRONG = {
    "name": mark("A name is one line of at most 200 characters."),
    "email": mark("This is not an e-mail address."),
    "age": mark("The age is a whole number from 0 to 150."),
    "gender": mark("Choose one of the list, or nothing."),
    "phone": mark("A phone number has 7 to 15 digits, spaces, hyphens and brackets, and may begin with +."),
    "address": mark("An address has at most 1000 characters."),
}


def read() -> PatientBody:
    """What was sent. Raises pydantic's `ValidationError`; `wrong_fields` has words for it."""
    return PatientBody.model_validate({name: _lines(text) for name, text in request.form.items()})


def wrong_fields(error: PydanticError) -> dict[str, str]:
    """What to say at each field that is wrong."""
    wrong = [str(problem["loc"][0]) for problem in error.errors(include_input=False, include_url=False)]
    return {name: gettext(WRONG[name] if request.form.get(name, "").strip() else EMPTY) for name in wrong}


def changed_fields(patient: Patient) -> dict[str, str]:
    """What to say at each field where something else is stored than was sent."""
    stored = known(patient)
    wrong = {"form": gettext(CHANGED)}
    for name, text in typed().items():
        value = stored.get(name, "")
        if _lines(text).strip() != value:
            shown = gender_word(value) if name == "gender" else value
            wrong[name] = gettext(STORED, value=shown) if shown else gettext(NOTHING)
    return wrong


def typed() -> dict[str, str]:
    """The form as it was sent, to be shown again."""
    return {name: request.form.get(name, "") for name in FIELDS}


def known(patient: Patient) -> dict[str, str]:
    """The form as it is filled in at first."""
    return {name: str(value) for name in FIELDS if (value := getattr(patient, name)) is not None}


def gender_word(gender: str | None) -> str:
    """In the page's language if it is one of the form's, else as it was taken over; empty if nobody said."""
    if not gender:
        return ""
    return str(gettext(GENDERS[gender])) if gender in GENDERS else gender


def _lines(text: str) -> str:
    """Browsers end lines in their own way."""
    return text.replace("\r\n", "\n")
