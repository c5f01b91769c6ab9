"""The patients that the server knows, by number and by display id."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from brain_scans.api import Api, Json

PAGE = 500


@dataclass(frozen=True, slots=True)
class Patients:
    """Ids only: names and addresses are not kept."""

    numbers: frozenset[int]
    by_display_id: dict[str, int]

    @classmethod
    def load(cls, api: Api) -> Self:
        """Ask the server. Raises `NotSignedInError` if this account may not see patients."""
        return cls.of(api.pages(f"/api/admin/patients?limit={PAGE}"))

    @classmethod
    def of(cls, objects: Iterable[Json]) -> Self:
        ids = {str(patient["patient_id"]).upper(): int(patient["id"]) for patient in objects}
        return cls(frozenset(ids.values()), ids)

    def number(self, text: str) -> int | None:
        """The number for `12` or `P0123456789ABCDEF`; None if there is no such patient."""
        if text.isascii() and text.isdigit():
            number = int(text[:18])
            return number if number in self.numbers else None
        return self.by_display_id.get(text.upper())
