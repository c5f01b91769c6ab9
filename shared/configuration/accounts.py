"""Logins."""

from typing import Literal

from pydantic import BaseModel, Field, SecretStr


class AccountSettings(BaseModel):
    """How logins last, and how many wrong passwords are too many."""

    session_hours: float = Field(12, gt=0, description="how long a login lasts")
    cookie_same_site: Literal["Lax", "Strict", "None"] = Field(
        "Lax", description="None where the frontend is on another site; the cookie then needs https"
    )
    login_failures_per_account: int = Field(10, ge=1, description="wrong passwords of one account, then 429")
    login_failures_per_address: int = Field(
        30, ge=1, description="wrong passwords from one address, then 429"
    )
    login_window_seconds: int = Field(900, ge=1, description="how long a wrong password counts")
    admin_password: SecretStr | None = Field(
        None,
        description="password for `api.cli add-admin` and `set-password`; empty: asked for, or generated",
    )
    development_admin: bool = Field(
        default=False, description="lets admin sign in with the password admin; refused in production"
    )

    def account_problems(self, is_production: bool) -> list[str]:
        problems = []
        if is_production and self.development_admin:
            problems.append("DEVELOPMENT_ADMIN: must be off in production")
        if is_production and self.admin_password and self.admin_password.get_secret_value() == "admin":
            problems.append("ADMIN_PASSWORD: production refuses the password admin")
        return problems
