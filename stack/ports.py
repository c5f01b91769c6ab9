"""Which TCP ports of this machine are free, and which ones a stack takes."""

import socket
from collections.abc import Callable, Collection
from dataclasses import astuple, dataclass

LOOPBACK = "127.0.0.1"
DEFAULT_API_PORT = 5000
DEFAULT_FLOWER_PORT = 5555


class PortTakenError(Exception):
    """A port that was asked for by name is in use."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one stack."""

    api: int
    flower: int
    postgres: int
    redis: int


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(avoid: Collection[int] = ()) -> int:
    """A port that nobody listens on and that is not in `avoid`."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in avoid:
            return port


def choose_ports(
    api: int | None, flower: int | None, remembered: Ports | None, say: Callable[[str], None]
) -> Ports:
    """The ports of the next start.

    `api` and `flower` are taken or refused when given (`PortTakenError`); when None they are the defaults, or
    any free port, which `say` tells. Postgres and Redis keep the remembered ports while these are free.
    """
    if api is not None and api == flower:
        raise PortTakenError(f"PORT and FLOWER_PORT are both {api}: choose two")
    reserved = {port for port in (api, flower, *(astuple(remembered) if remembered else ())) if port}
    chosen_api = _public_port("PORT", api, DEFAULT_API_PORT, reserved, say)
    chosen_flower = _public_port("FLOWER_PORT", flower, DEFAULT_FLOWER_PORT, reserved | {chosen_api}, say)
    taken = {chosen_api, chosen_flower}
    postgres = _private_port(remembered.postgres if remembered else None, taken)
    redis = _private_port(remembered.redis if remembered else None, taken | {postgres})
    return Ports(chosen_api, chosen_flower, postgres, redis)


def _public_port(
    name: str, wanted: int | None, default: int, avoid: Collection[int], say: Callable[[str], None]
) -> int:
    if wanted is not None:
        if not is_free(wanted):
            raise PortTakenError(f"port {wanted} is taken: choose another {name}, or leave it out")
        return wanted
    if is_free(default):
        return default
    port = free_port(avoid)
    say(f"Port {default} is taken, using {port} instead; {name}=… chooses another one.")
    return port


def _private_port(remembered: int | None, avoid: Collection[int]) -> int:
    if remembered is not None and remembered not in avoid and is_free(remembered):
        return remembered
    return free_port(avoid)
