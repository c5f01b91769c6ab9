"""Signing in, and one's own account."""

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.fields import Answer, Line, Ok, Password, Request


class LoginBody(Request):
    username: Annotated[Line, Field(min_length=1, max_length=100)]
    password: Password


class PasswordBody(Request):
    current_password: Password
    new_password: Password


class LogoutBody(Request):
    everywhere: bool = Field(default=False, description="end all logins of the account, not just this one")


class AdminIdentity(Answer):
    id: int
    username: str
    email: str | None


class PatientIdentity(Answer):
    id: int
    name: str
    patient_id: str
    email: str | None


class LoginAnswer(Ok):
    token: str = Field(description="for `Authorization: Bearer`; the cookie holds the same")
    role: Literal["admin", "reader", "patient"]
    has_generated_password: bool = Field(description="true until it is changed")


class AdminLoginAnswer(LoginAnswer):
    data: AdminIdentity


class PatientLoginAnswer(LoginAnswer):
    data: PatientIdentity


class Account(Answer):
    role: Literal["admin", "reader", "patient"]
    id: int
    username: str
    has_generated_password: bool


class AccountAnswer(Ok):
    data: Account


class EndedLogins(Answer):
    ended_logins: int


class EndedLoginsAnswer(Ok):
    data: EndedLogins
