"""Where a running stack is reached, and as whom."""

from dataclasses import dataclass
from typing import Self

from stack.ports import LOOPBACK, Ports
from stack.programs import FLOWER_USER
from stack.state import Secrets

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Access:
    """The addresses and logins that `up` shows."""

    url: str
    username: str
    password: str
    flower_url: str
    flower_username: str
    flower_password: str

    @classmethod
    def of(cls, ports: Ports, secrets: Secrets) -> Self:
        return cls(
            url=f"http://{LOOPBACK}:{ports.api}",
            username=ADMIN,
            password=secrets.admin_password,
            flower_url=f"http://{LOOPBACK}:{ports.flower}",
            flower_username=FLOWER_USER,
            flower_password=secrets.flower_password,
        )

    def lines(self) -> str:
        """A `name: value` on each line, for people and for scripts."""
        facts = {
            "url": self.url,
            "username": self.username,
            "password": self.password,
            "flower": self.flower_url,
            "flower username": self.flower_username,
            "flower password": self.flower_password,
        }
        return "".join(f"{name}: {value}\n" for name, value in facts.items())
