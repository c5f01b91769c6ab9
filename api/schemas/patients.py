"""Patients."""

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.fields import Answer, Empty, Line, Ok, Request, Text, Time

EMAIL = r"^[^@\s,;<>\"\\]{1,64}@[^@\s,;<>\"\\]{1,189}\.[^@\s.,;<>\"\\]{2,63}$"


class PatientBody(Request):
    name: Annotated[Line, Field(min_length=1, max_length=200)]
    email: Annotated[Line, Field(max_length=254, pattern=EMAIL)]
    age: Annotated[Annotated[int, Field(ge=0, le=150)] | None, Empty] = None
    gender: Annotated[Literal["Male", "Female", "Other"] | None, Empty] = None
    phone: Annotated[Annotated[Line, Field(pattern=r"^\+?[0-9\s\-()]{7,15}$")] | None, Empty] = None
    address: Annotated[Annotated[Text, Field(max_length=1000)] | None, Empty] = None


class Patient(Answer):
    id: int = Field(description="the key in URLs")
    patient_id: str = Field(description="the display id")
    name: str
    email: str | None
    age: int | None
    gender: str | None
    phone: str | None
    address: str | None
    username: str | None
    created_at: Time
    updated_at: Time


class PatientWithPassword(Patient):
    password: str = Field(description="shown here once and never again")
    email_sent: bool = Field(description="true if the mail was accepted for sending")


class PatientAnswer(Ok):
    data: Patient


class NewPatientAnswer(Ok):
    data: PatientWithPassword


class PatientsAnswer(Ok):
    data: list[Patient]
